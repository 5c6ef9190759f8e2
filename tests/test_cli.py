"""The ``pcbench`` command, through its own front door, on nltcs with tiny settings."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner, Result

import pcbench as pcb
from pcbench.cli import main
from pcbench.datasets import mnist10k, nltcs
from pcbench.execute import Evidence
from pcbench.execute.files import load_model, save, save_model
from pcbench.io import load_file

TINY = ["--epochs", "2", "--latents", "2", "--quiet"]


def run(*arguments: object, code: int = 0) -> Result:
    result = CliRunner().invoke(main, [str(a) for a in arguments])
    assert result.exit_code == code, (result.output, result.exception)
    return result


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    path = tmp_path_factory.mktemp("cli") / "nltcs.pcb"
    return path, run("train", "nltcs", *TINY, "--out", path).output


@pytest.fixture(scope="module")
def model(trained: tuple[Path, str]) -> Path:
    return trained[0]


def test_train_reports_and_saves(trained: tuple[Path, str]) -> None:
    path, output = trained
    for word in (
        "16,181 train",
        "train",
        "valid",
        "test",
        "bits/dimension",
        "2 epochs, 64 steps",
        "samples/s",
        f"Saved in {path}",
    ):
        assert word in output.replace("\n", " ") or word.replace(" ", "") in output.replace("\n", "").replace(" ", "")
    notes = load_file(path).notes
    assert (notes["data"], notes["structure"], notes["epochs"], notes["method"]["name"]) == (
        "nltcs",
        "hclt",
        2,
        "mini-batch-em",
    )
    test = nltcs().test
    assert test is not None
    mean = float(pcb.log_likelihood(load_model(path), test).mean())
    assert f"{mean:.4f}" in output
    assert mean > -7.5


def test_train_by_gradients(tmp_path: Path) -> None:
    path = tmp_path / "nltcs.pcb"
    run("train", "nltcs", *TINY, "--method", "gradient", "--step-size", "0.2", "--out", path)
    method = load_file(path).notes["method"]
    assert (method["name"], method["optimiser"], method["learning_rate"]["start"]) == ("gradient", "adam", 0.2)
    test = nltcs().test
    assert test is not None
    assert float(pcb.log_likelihood(load_model(path), test).mean()) > -7.5


def test_show_and_explain(model: Path) -> None:
    shown = run("show", model).output
    for word in ("16 variables", "smooth", "decomposable", "structured-decomposable", "deterministic", "hclt", "float32"):
        assert word in shown
    assert "compiled for cpu" in run("explain", model).output


def test_query_answers_as_the_library_does(model: Path) -> None:
    loaded = load_model(model)
    mask = torch.zeros(1, 16, dtype=torch.bool)
    mask[0, [3, 7]] = True
    values = torch.zeros(1, 16, dtype=torch.int64)
    values[0, 3] = 1
    given = Evidence(values, mask)
    output = run("query", model, "--evidence", "x3=1, x7=0").output
    assert f"log p(x3=1, x7=0) = {float(pcb.log_likelihood(loaded, given)):.6f} nats" in output
    output = run("query", model, "--evidence", "x3=1,x7=0", "--conditional", "x5", "--conditional", "x6").output
    wanted = pcb.conditional(loaded, given, ["x5"])["x5"].probabilities
    assert wanted is not None
    assert f"x5: p(0)={float(wanted[0, 0]):.6f}" in output
    assert "x6: " in output
    output = run("query", model, "--evidence", "x3=1,x7=0", "--mpe").output
    assert output.startswith("x0=")
    assert "x3=1" in output
    assert "x7=0" in output
    assert "log p = " in output
    lines = run("query", model, "--evidence", "x3=1,x7=0", "--sample", 5, "--seed", 2).output.splitlines()
    assert lines[0].split(",") == [f"x{i}" for i in range(16)]
    assert torch.equal(
        torch.tensor([[int(x) for x in line.split(",")] for line in lines[1:]]), pcb.sample(loaded, 5, given, seed=2)[0]
    )
    assert "log p(∅) = " in run("query", model).output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--evidence", "x99=1"), "no variable 'x99'; did you mean 'x9'?"),
        (("--evidence", "x3"), "'x3' is not of the form name=value"),
        (("--evidence", "x3=yes"), "x3='yes' is not a whole number"),
        (("--evidence", "x3=5"), "variable 'x3' (column 3): 5 is outside its domain (domain 0…1)"),
        (("--evidence", "x3=99999999999999999999"), "is not a whole number"),
        (("--evidence", "x3=1", "--conditional", "x3"), "'x3' is observed in row 0"),
    ],
)
def test_query_mistakes_are_one_line(arguments: tuple[str, ...], message: str, model: Path) -> None:
    result = run("query", model, *arguments, code=2)
    assert message in result.output
    assert "Traceback" not in result.output
    assert len(result.output.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nltsc",), "no file and no built-in data set; did you mean 'nltcs'"),
        (("nltcs", "--structure", "hclr"), "there is no structure 'hclr'; did you mean 'hclt'"),
        (("nltcs", "--method", "sgd"), "there is no such method"),
        (("nltcs", "--method", "em", "--step-size", "0.1"), "the method em has none"),
        (("nltcs", "--step-size", "7"), "7"),
        (("nltcs", "--out", "nowhere/m.pcb"), "there is no folder nowhere"),
        (("nltcs", "--valid", "0.1"), "already has 2,157 validation rows"),
        (("nltcs", "--structure", "chow-liu", "--latents", "3"), "has no option 'latents'"),
        (("nltcs", "--resume", "nothing.ckpt"), "nothing.ckpt: No such file or directory"),
    ],
)
def test_train_mistakes_are_one_line(
    arguments: tuple[str, ...], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    extra = () if "--latents" in arguments else ("--latents", "2")
    result = run("train", *arguments, *extra, "--quiet", code=2)
    assert message in result.output
    assert "pcbench: " in result.output.splitlines()[-1]
    assert list(tmp_path.iterdir()) == []


def test_files_that_are_no_models(tmp_path: Path) -> None:
    (tmp_path / "a.pcb").write_bytes(b"rubbish, and more than eight bytes of it")
    assert "of no known format" in run("show", tmp_path / "a.pcb", code=2).output
    assert "nothing.pcb: No such file or directory" in run("query", tmp_path / "nothing.pcb", code=2).output
    over = pcb.Variables.binary(1)
    circuit = pcb.Circuit(pcb.InputBlock(over[0], pcb.Bernoulli()), over)
    save(circuit, tmp_path / "c.pcb")
    assert "holds a circuit that was not trained" in run("query", tmp_path / "c.pcb", code=2).output
    assert "content" in run("show", tmp_path / "c.pcb").output


def test_traceback_on_demand(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["--traceback", "show", str(tmp_path / "nothing.pcb")])
    assert isinstance(result.exception, FileNotFoundError)


def test_own_table_with_missing_values(tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(1)
    lines = ["smoker,height,ill"]
    for _ in range(200):
        smoker = int(torch.rand((), generator=generator) < 0.4)
        height = 1.7 + 0.1 * float(torch.randn((), generator=generator))
        ill = int(torch.rand((), generator=generator) < (0.8 if smoker else 0.1))
        lines.append(f"{smoker},{height:.3f},{ill if torch.rand((), generator=generator) < 0.9 else ''}")
    (tmp_path / "people.csv").write_text("\n".join(lines))
    out = tmp_path / "people.pcb"
    run("train", tmp_path / "people.csv", *TINY, "--epochs", 15, "--batch-size", 50, "--valid", "0.2", "--out", out)
    ill = run("query", out, "--evidence", "smoker=1", "--conditional", "ill").output
    well = run("query", out, "--evidence", "smoker=0", "--conditional", "ill").output
    assert float(ill.split("p(1)=")[1]) > float(well.split("p(1)=")[1]) + 0.3
    assert "mean 1." in run("query", out, "--conditional", "height").output


def test_checkpoint_and_resume(tmp_path: Path) -> None:
    common = ["train", "nltcs", "--latents", "2", "--quiet", "--batch-size", "4096"]
    checkpoint = tmp_path / "run.ckpt"
    run(*common, "--epochs", 2, "--checkpoint", checkpoint, "--out", tmp_path / "a.pcb")
    resumed = run(*common, "--epochs", 3, "--resume", checkpoint, "--out", tmp_path / "b.pcb").output
    assert "3 epochs, 12 steps" in resumed
    assert (
        "belongs to another circuit"
        in run(*common, "--epochs", 3, "--latents", 3, "--resume", checkpoint, "--out", tmp_path / "c.pcb", code=2).output
    )


def test_inpaint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    over = mnist10k().variables
    leaves = [pcb.InputBlock(v, pcb.Categorical(256), 2) for v in over]
    circuit = pcb.Circuit(pcb.SumBlock([pcb.ProductBlock(leaves)]), over)
    save_model(pcb.Model.create(circuit, data=mnist10k().train[:100]), tmp_path / "m.pcb")
    assert "Saved in inpainted.png" in run("inpaint", "m.pcb", "--row", 3, "--hide", "right", "--samples", 2).output
    assert (tmp_path / "inpainted.png").read_bytes()[:4] == b"\x89PNG"
    assert "there are 2,000 images" in run("inpaint", "m.pcb", "--row", 2000, code=2).output
    assert "needs images of 784 pixels" in run("inpaint", "m.pcb", "--data", "nltcs", code=2).output


@pytest.mark.parametrize("command", [[], ["train"], ["show"], ["explain"], ["query"], ["inpaint"], ["lab"]])
def test_help(command: list[str]) -> None:
    output = run(*command, "--help").output
    assert "Usage: " in output
    assert len(output) > 100


def test_lab_says_what_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import importlib.util

    assert "there is no notebook" in run("lab", tmp_path / "nothing.ipynb", code=2).output
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert "pip install 'pcbench[lab]'" in run("lab", code=2).output


def test_lab_listens_on_loopback_and_keeps_the_token(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    commands: list[list[str]] = []

    def record(command: list[str]) -> subprocess.CompletedProcess[str]:
        commands.append(command)
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr("pcbench.cli.subprocess.run", record)
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "notebooks" / "01-first.ipynb").write_text("{}")
    monkeypatch.chdir(tmp_path)
    run("lab", "--no-browser", "--port", 9999)
    assert "--ip=127.0.0.1" in commands[0]
    assert "--port=9999" in commands[0]
    assert commands[0][-1].endswith("01-first.ipynb")
    assert not any("token" in word or "password" in word for word in commands[0])


def test_an_interrupt_saves_what_is_there(tmp_path: Path) -> None:
    out = tmp_path / "m.pcb"
    command = [sys.executable, "-m", "pcbench.cli", "train", "nltcs", "--epochs", "100000", "--latents", "2", "--out", str(out)]
    command += ["--checkpoint", str(tmp_path / "c")]
    # Where a shell runs tests in the background it ignores the interrupt, and children inherit that.
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "COLUMNS": "200"},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    deadline = time.monotonic() + 60
    while not (tmp_path / "c").exists() and time.monotonic() < deadline:  # an epoch is done
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 130, output
    assert "Interrupted after" in output
    assert f"is saved in {out}" in output
    assert "Traceback" not in output
    test = nltcs().test
    assert test is not None
    assert float(pcb.log_likelihood(load_model(out), test).mean()) > -9
