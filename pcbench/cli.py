"""The ``pcbench`` command: train, look at, and ask models from a terminal."""

from __future__ import annotations

import importlib.util
import math
import shutil
import subprocess
import sys
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .bench.command import bench
from .errors import DataError, FileFormatError, OptionError, PCBenchError, suggest

if TYPE_CHECKING:  # PyTorch takes seconds to import; `pcbench --help` should not
    from .circuit import Circuit
    from .datasets import Dataset
    from .execute import Evidence, Model
    from .learn import Run
    from .scope import Variables


class _Commands(click.Group):
    """Errors of ours, and of the disk, are one line; everything else is a bug and shows where it is."""

    def invoke(self, ctx: click.Context) -> Any:
        with warnings.catch_warnings():
            warnings.showwarning = lambda message, *_, **__: click.echo(f"note: {message}", err=True)
            try:
                return super().invoke(ctx)
            except (PCBenchError, OSError) as error:
                if ctx.params.get("traceback"):
                    raise
                text = f"{error.filename}: {error.strerror}" if isinstance(error, OSError) and error.filename else str(error)
                click.echo(f"pcbench: {text}", err=True)
                ctx.exit(2)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--traceback", is_flag=True, help="Show where an error was raised, not only what it says.")
@click.version_option(package_name="pcbench")
def main(traceback: bool) -> None:
    """Probabilistic circuits: train, look at and ask them.

    \b
    Start here:
      pcbench train nltcs                      a model of 16 yes/no questions, in seconds
      pcbench query nltcs-hclt.pcb --evidence x3=1 --conditional x5
      pcbench train mnist10k --latents 16      a model of handwritten digits, in minutes
      pcbench inpaint mnist10k-hclt.pcb        the missing half of a digit, filled in
      pcbench lab                              the lessons, in JupyterLab
    """


main.add_command(bench)


# ---- train -----------------------------------------------------------------------------------------------------------
@main.command()
@click.argument("data")
@click.option("--structure", default="hclt", show_default=True, help="hclt, chow-liu, hmm, rat, poon-domingos (pd), quad-tree.")
@click.option("--latents", type=click.IntRange(1), help="Hidden states of each region. [default: the structure's own, 16]")
@click.option("--epochs", type=click.IntRange(1), default=20, show_default=True, help="Passes over the training rows.")
@click.option("--batch-size", type=click.IntRange(1), default=512, show_default=True, help="Rows at once.")
@click.option(
    "--method",
    default="mini-batch-em",
    show_default=True,
    help="em (one step a pass), mini-batch-em (one a batch), gradient (Adam).",
)
@click.option(
    "--step-size", type=float, help="First step of mini-batch-em, gradient; falls to a twentieth. [default: 0.4, 0.1]"
)
@click.option("--pseudocount", type=float, default=0.1, show_default=True, help="EM: rows of even evidence added to nodes.")
@click.option("--valid", help="Validation rows: a file, a fraction of the training rows, or none. [default: own, or 0.1]")
@click.option("--test", "test_file", help="A file of test rows.")
@click.option("--patience", type=click.IntRange(1), help="Stop after so many epochs without a better validation.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Where to save. [default: DATA-STRUCTURE.pcb]")
@click.option("--checkpoint", type=click.Path(dir_okay=False, path_type=Path), help="Write this file after every epoch.")
@click.option("--resume", type=click.Path(dir_okay=False, path_type=Path), help="Go on from such a file.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of first parameters and of the order of rows.")
@click.option("--device", default="cpu", show_default=True, help="cpu, or cuda.")
@click.option("--quiet", is_flag=True, help="No progress bar.")
def train(data: str, structure: str, out: Path | None, seed: int, device: str, **options: Any) -> None:
    """Train a model on DATA and save it.

    DATA is a set that ships with pcbench (mnist10k, nltcs), or a file: csv, tsv (with or without names in the first line,
    empty where missing), .npy, .npz, IDX, DEBD; each also gzipped. Whole numbers from 0 are categories, others real.

    Ctrl-C ends the training, not the program: the model is saved as it then is.
    """
    from .execute.files import save_model
    from .learn import fit
    from .structures.build import build

    dataset = _load(data, options["valid"], options["test_file"], seed)
    out = out or Path(f"{dataset.name}-{structure}.pcb")
    if not out.absolute().parent.is_dir():
        raise OptionError(f"--out {out}: there is no folder {out.parent}")
    method = _method(options["method"], options["step_size"], options["pseudocount"])
    click.echo(repr(dataset))
    shape = dataset.image_shape if structure in ("poon-domingos", "pd", "quad-tree") else None
    observed = dataset.observed.get("train")
    circuit = build(structure, dataset.train, dataset.variables, observed, latents=options["latents"], shape=shape)
    click.echo(repr(circuit))
    evidence = {part: e for part in ("train", "valid", "test") if (e := _evidence(dataset, part)) is not None}
    started = time.monotonic()
    run = fit(
        circuit,
        evidence["train"],
        valid=evidence.get("valid"),
        epochs=options["epochs"],
        batch_size=options["batch_size"],
        method=method,
        patience=options["patience"],
        checkpoint=options["checkpoint"],
        resume=options["resume"],
        seed=seed,
        progress=not options["quiet"],
        device=device,
    )
    seconds = time.monotonic() - started
    interrupted = any(e.kind == "message" and "interrupt" in e.text for e in run.events())
    model: Model = run.best_model
    notes = {
        "data": dataset.name,
        "structure": structure,
        "method": method.meta(),
        "epochs": run.epoch,
        "steps": run.step,
        "seed": seed,
        "image_shape": dataset.image_shape,
    }
    save_model(model, out, notes)
    if interrupted:
        click.echo(f"Interrupted after {run.step} of {run.total_steps} steps. The model as it then was is saved in {out}.")
        sys.exit(130)
    _report(model, evidence, run, seconds)
    click.echo(f"Saved in {out}. Ask it: pcbench query {out} --sample 3")


def _load(data: str, valid: str | None, test: str | None, seed: int) -> Dataset:
    """The data set, with validation rows as asked for."""
    from .datasets import dataset, hold_out

    try:
        fraction = None if valid is None else float(valid)
    except ValueError:
        fraction = None
    file = valid if valid not in (None, "none") and fraction is None else None
    loaded = dataset(data, valid=file, test=test)
    if valid == "none" or (loaded.valid is not None and fraction is None):
        return loaded
    if loaded.valid is not None:
        raise OptionError(f"--valid {valid}: {loaded.name} already has {len(loaded.valid):,} validation rows")
    if fraction is None and len(loaded.train) < 20:
        return loaded
    return hold_out(loaded, 0.1 if fraction is None else fraction, seed)


def _evidence(dataset: Dataset, part: str) -> Evidence | None:
    from .execute import Evidence

    table = dataset.table(part)
    return None if table is None else Evidence(table.values, table.observed)


def _method(name: str, step_size: float | None, pseudocount: float) -> Any:
    from .learn import EM, METHODS, Cosine, Gradient, MiniBatchEM

    if name == MiniBatchEM.name:
        return MiniBatchEM(Cosine() if step_size is None else Cosine(step_size, step_size / 20), pseudocount)
    if name == EM.name:
        if step_size is not None:
            raise OptionError(f"--step-size {step_size}: the method em has none; take --method mini-batch-em")
        return EM(pseudocount)
    if name == Gradient.name:
        first = 0.1 if step_size is None else step_size
        return Gradient(learning_rate=Cosine(first, first / 20))
    raise OptionError(f"--method {name}: there is no such method; {suggest(name, [m.name for m in METHODS])}")


def _report(model: Model, evidence: dict[str, Evidence], run: Run, seconds: float) -> None:
    """A table of what was reached."""
    from rich.console import Console
    from rich.table import Table

    from .queries import log_likelihood

    table = Table(title="log-likelihood, nats a row")
    for column in ("", "rows", "log-likelihood", "bits/dimension"):
        table.add_column(column, justify="right" if column else "left")
    bits = len(model.circuit.variables) * math.log(2)
    for part, rows in evidence.items():
        mean = float(log_likelihood(model, rows).mean())
        table.add_row(part, f"{len(rows):,}", f"{mean:.4f}", f"{-mean / bits:.4f}")
    console = Console()
    console.print(table)
    _, rates = run.curve("samples_per_s")
    rate = f", {rates[-1]:,.0f} samples/s" if len(rates) else ""
    console.print(f"{run.epoch} epochs, {run.step} steps in {seconds:.1f} s{rate}", highlight=False)


# ---- look ------------------------------------------------------------------------------------------------------------
_FILE = click.argument("file", type=click.Path(dir_okay=False, path_type=Path))


@main.command()
@_FILE
def show(file: Path) -> None:
    """What is in FILE: variables, size, properties, how it was trained."""
    from rich.console import Console
    from rich.table import Table

    from .circuit import decomposable, smooth, structured_decomposable
    from .circuit.determinism import deterministic
    from .io import load_file

    stored = load_file(file)
    circuit = stored.circuit
    table = Table(show_header=False)
    table.add_row("content", "circuit" if stored.values is None else f"model ({stored.dtype})")
    table.add_row("variables", repr(circuit.variables))
    table.add_row("circuit", repr(circuit))
    for check in (smooth, decomposable, structured_decomposable):
        table.add_row(*_property(check(circuit)))
    table.add_row(*_property(deterministic(circuit, stored.values, budget=100_000)))
    for key, value in stored.notes.items():
        table.add_row(key, str(value))
    Console().print(table, highlight=False, markup=False)


def _property(report: Any) -> tuple[str, str]:
    first = "yes" if report.holds else f"no: {report.violations[0].message}"
    return report.name, first if len(first) < 400 else first[:400] + "…"


@main.command()
@_FILE
def explain(file: Path) -> None:
    """How FILE's circuit is compiled: layers, memory, which kernels run and why."""
    from .compile import compile
    from .io import load_file

    click.echo(compile(load_file(file).circuit).explain())


# ---- ask -------------------------------------------------------------------------------------------------------------
@main.command()
@_FILE
@click.option("--evidence", default="", help='What is observed: "x3=1,x7=0". Everything else is marginalised.')
@click.option("--marginal", is_flag=True, help="The probability of the evidence (also without this option).")
@click.option("--conditional", "asked", multiple=True, metavar="NAME", help="The distribution of NAME given the evidence.")
@click.option("--mpe", is_flag=True, help="The most probable values of everything else.")
@click.option("--sample", type=click.IntRange(1), metavar="N", help="N samples given the evidence, as csv.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the samples.")
def query(file: Path, evidence: str, marginal: bool, asked: tuple[str, ...], mpe: bool, sample: int | None, seed: int) -> None:
    """Ask the model in FILE.

    \b
    pcbench query model.pcb --evidence "x3=1,x7=0"
    pcbench query model.pcb --evidence "x3=1" --conditional x5 --conditional x6
    pcbench query model.pcb --evidence "x3=1" --mpe
    pcbench query model.pcb --sample 10 > samples.csv
    """
    from . import queries

    model = _model(file)
    given = _parse(evidence, model.circuit)
    names = [v.name for v in model.circuit.variables]
    if marginal or not (asked or mpe or sample):
        value = float(queries.log_likelihood(model, given).reshape(-1)[0])
        plain = f"    p = {math.exp(value):.6g}" if value < 100 else ""  # a density may be too large to write out
        click.echo(f"log p({evidence or '∅'}) = {value:.6f} nats{plain}")
    if asked:
        for name, posterior in queries.conditional(model, given, list(asked)).items():
            click.echo(_posterior(name, posterior))
    if mpe:
        best = queries.mpe(model, given)
        click.echo(",".join(f"{n}={_number(x)}" for n, x in zip(names, best.state[0].tolist(), strict=True)))
        click.echo(f"log p = {float(best.log_probability[0]):.6f} nats ({best.note})")
    if sample:
        rows = queries.sample(model, sample, given, seed)[0]
        click.echo(",".join(names))
        click.echo("\n".join(",".join(_number(x) for x in row) for row in rows.tolist()))


def _model(file: Path) -> Model:
    from .execute import Model
    from .execute.files import load

    loaded = load(file)
    if not isinstance(loaded, Model):
        raise FileFormatError(f"{file} holds a circuit that was not trained; queries need a model")
    return loaded


def _parse(text: str, circuit: Circuit) -> Evidence:
    """One row of evidence from « name=value, name=value »."""
    import torch

    from .execute import Evidence

    variables: Variables = circuit.variables
    values = torch.zeros(1, len(variables), dtype=torch.int64 if variables.all_finite else torch.float64)
    observed = torch.zeros(1, len(variables), dtype=torch.bool)
    for item in filter(None, (part.strip() for part in text.split(","))):
        name, equals, value = (piece.strip() for piece in item.rpartition("="))
        if not equals:
            raise DataError(f"--evidence: {item!r} is not of the form name=value")
        column = variables[name].index
        try:
            values[0, column] = int(value) if variables.all_finite else float(value)
        except (ValueError, OverflowError, RuntimeError):
            kind = "a whole number" if variables.all_finite else "a number"
            raise DataError(f"--evidence: {name}={value!r} is not {kind}") from None
        observed[0, column] = True
    given = Evidence(values, observed)
    given.check(variables)
    return given


def _posterior(name: str, posterior: Any) -> str:
    if posterior.probabilities is None:
        return f"{name}: mean {float(posterior.mean[0]):.6g}, standard deviation {float(posterior.variance[0]) ** 0.5:.6g}"
    return f"{name}: " + "  ".join(f"p({value})={p:.6f}" for value, p in enumerate(posterior.probabilities[0].tolist()))


def _number(value: int | float) -> str:
    return str(value) if isinstance(value, int) else f"{value:.6g}"


@main.command()
@_FILE
@click.option("--data", default="mnist10k", show_default=True, help="Images to take one from.")
@click.option("--row", type=click.IntRange(0), default=0, show_default=True, help="Which test image.")
@click.option("--hide", type=click.Choice(["bottom", "top", "left", "right"]), default="bottom", show_default=True)
@click.option("--samples", type=click.IntRange(1), default=3, show_default=True, help="How many completions to draw.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), default=Path("inpainted.png"), show_default=True)
def inpaint(file: Path, data: str, row: int, hide: str, samples: int, out: Path) -> None:
    """Fill in the missing half of an image, and save a picture.

    From left to right: the image, the half that the model sees, its expectation of the other half, and samples of it.
    """
    import torch

    from .datasets import dataset
    from .datasets.picture import side_by_side, write_png
    from .execute import Evidence
    from .queries import conditional
    from .queries import sample as draw

    model, images = _model(file), dataset(data)
    rows = images.train if images.test is None else images.test
    if images.image_shape is None or len(images.variables) != len(model.circuit.variables):
        raise OptionError(f"--data {data}: {file} needs images of {len(model.circuit.variables)} pixels")
    if row >= len(rows):
        raise OptionError(f"--row {row}: there are {len(rows):,} images")
    height, width = images.image_shape
    seen = torch.ones(height, width, dtype=torch.bool)
    half = {"bottom": (slice(height // 2, None), slice(None)), "top": (slice(height // 2), slice(None))}
    half |= {"left": (slice(None), slice(width // 2)), "right": (slice(None), slice(width // 2, None))}
    seen[half[hide]] = False
    mask, image = seen.reshape(1, -1), rows[row : row + 1]
    given = Evidence(image, mask)
    expected = image.double().clone()
    for posterior in conditional(model, given).values():
        expected[0, posterior.variable.index] = posterior.mean[0].double()
    drawn = draw(model, samples, given)[0]
    panels = [image[0], image[0] * mask[0], expected[0], *drawn]
    write_png(out, side_by_side([p.double().reshape(height, width) for p in panels]))
    click.echo(f"Saved in {out}: the image, what the model sees, its expectation, {samples} samples.")


# ---- lessons ---------------------------------------------------------------------------------------------------------
@main.command()
@click.argument("notebook", required=False, type=click.Path(path_type=Path))
@click.option("--no-browser", is_flag=True, help="Only print the address.")
@click.option("--port", type=int, default=8888, show_default=True)
def lab(notebook: Path | None, no_browser: bool, port: int) -> None:
    """Open JupyterLab on the first lesson (or on NOTEBOOK): on this machine only, with Jupyter's own token."""
    if importlib.util.find_spec("jupyterlab") is None:
        raise OptionError("JupyterLab is not installed; install it with: pip install 'pcbench[lab]'")
    if notebook is None:
        notebook = _first_lesson()
    elif not notebook.exists():
        raise OptionError(f"there is no notebook {notebook}")
    command = [sys.executable, "-m", "jupyterlab", "--ip=127.0.0.1", f"--port={port}"]
    command += ["--no-browser"] if no_browser else []
    command += [f"--ServerApp.root_dir={notebook.resolve().parent.parent}", str(notebook.resolve())]
    try:
        sys.exit(subprocess.run(command).returncode)
    except KeyboardInterrupt:
        sys.exit(0)


def _first_lesson() -> Path:
    """The first lesson in ``notebooks`` here, or of the source tree; otherwise of a copy of the package's lessons here.

    A copy, so that nobody works inside an installed package; a lesson that is already there is left as it is.
    """
    package = Path(__file__).resolve().parent
    folders = (Path.cwd() / "notebooks", package.parent / "notebooks")
    if found := [lesson for folder in folders for lesson in sorted(folder.glob("01*.ipynb"))]:
        return found[0]
    here = Path.cwd() / "pcbench-lessons"
    here.mkdir(exist_ok=True)
    for lesson in sorted((package / "lessons").glob("*.ipynb")):
        if not (here / lesson.name).exists():
            shutil.copyfile(lesson, here / lesson.name)
    return min(here.glob("01*.ipynb"))


if __name__ == "__main__":
    main()
