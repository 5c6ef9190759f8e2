"""``pcbench bench`` on cells that take a second: checked first, then timed, and plain about what is wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import torch
from click.testing import CliRunner, Result
from torch import Tensor

from pcbench.bench import cases, check, limits, measure
from pcbench.bench.names import CHOICES
from pcbench.circuit import Circuit
from pcbench.cli import main
from pcbench.compile import compile, group
from pcbench.execute import Model, Statistics
from pcbench_widgets.bench_page import bench_page
from pcbench_widgets.bench_page import main as write_page

CPU = torch.device("cpu")


def run(*arguments: object, code: int = 0) -> Result:
    result = CliRunner().invoke(main, ["bench", *map(str, arguments)])
    assert result.exit_code == code, (result.output, result.exception)
    return result


def test_table_and_json(tmp_path: Path) -> None:
    file = tmp_path / "results.json"
    output = run("rat-2", "sparse-6", "--batch", 8, "--batch", 37, "--device", "cpu", "--repeat", 2, "--json", file).output
    for word in ("rat-2", "sparse-6", "37", "forward", "backward", "EM", "peak GB", "TFLOP/s", "resident size"):
        assert word in output
    assert "limit" not in output
    assert "WRONG" not in output
    found = json.loads(file.read_text())
    assert {"device", "python", "torch", "triton", "date", "repeat", "rows"} <= set(found)
    assert [(r["case"], r["batch"]) for r in found["rows"]] == [(c, b) for c in ("rat-2", "sparse-6") for b in (8, 37)]
    for row in found["rows"]:
        assert row["status"] == "ok"
        assert row["rows_checked"] == min(row["batch"], 16)
        assert row["log_likelihood_error"] < 1e-5
        assert row["flow_error"] < 1e-4
        assert min(row[f"{part}_ms"] for part in ("step", "forward", "backward", "em")) > 0
        assert row["first_step_s"] > row["build_s"] > 0
        assert row["peak_gb"] > 0.01
        assert row["tflops"] == pytest.approx(6 * row["sum_edges"] * row["batch"] / row["step_ms"] / 1e9)
        assert "limit_ms" not in row
        assert "anchor_ms" not in row


@pytest.mark.parametrize("case", ["hclt-1", "hmm-2", "pd-2"])
def test_other_structures(case: str) -> None:
    row = measure.cell(case, 8, CPU, repeat=1)
    assert row["status"] == "ok", row


@pytest.mark.parametrize("share", [10, 50])
def test_block_sparse_circuits_have_the_share_they_are_named_for(share: int) -> None:
    circuit = cases.build(f"blocks-{share}")
    dense = 62 * cases.BLOCK_NODES**2  # 64 variables: 62 sum blocks below the root
    assert (circuit.num_edges - cases.BLOCK_NODES) / dense == pytest.approx(share / 100, abs=0.03)


@pytest.mark.parametrize("name", ["rta-64", "rat", "rat-0", "rat-2.5", "blocks-11", "rat-4-4"])
def test_a_wrong_name_is_refused_with_the_choices(name: str) -> None:
    output = run("rat-2", name, code=2).output
    assert repr(name) in output
    assert all(choice in output for choice in CHOICES)


def test_other_bad_options(tmp_path: Path) -> None:
    assert "expected cpu or cuda" in run("rat-2", "--device", "abacus", code=2).output
    assert "there is no folder" in run("rat-2", "--json", tmp_path / "no" / "such.json", code=2).output
    assert "--json" in run("rat-2", "--page", tmp_path / "page.html", code=2).output


def test_list_names_every_case() -> None:
    output = run("--list").output
    assert all(choice in output for choice in CHOICES)


def test_a_step_is_checked_whatever_its_tables_are() -> None:
    """A GPU multiplies sparse sums as dense ones; the float64 program of the check does not."""
    with patch.dict(group.WASTE, cpu=group.WASTE["cuda"]), patch.object(cases, "TREE_VARIABLES", 4):
        program = compile(cases.sparse_tree(128))
    precise = compile(program.circuit, dtype=torch.float64)
    assert [t.shape for t in program.sum_tables] != [t.shape for t in precise.sum_tables]
    assert check.verify(Model.create(program, seed=1), 4).right


@pytest.mark.parametrize("what", ["log-likelihood", "counts", "parameters", "nan"])
def test_a_wrong_step_has_no_speed(what: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    right, step = check.reference, check.em_step

    def wrong(precise: Model, data: Tensor) -> tuple[Statistics, Tensor]:
        statistics, values = right(precise, data)
        if what == "counts":
            statistics.weights[0].mul_(1.01)
        return statistics, (values * 1.001 if what == "log-likelihood" else values * torch.nan if what == "nan" else values)

    def wrong_step(model: Model, *rest: Any, **options: Any) -> Any:
        return step(model, *rest, **{**options, "pseudocount": 10.0 if what == "parameters" else options["pseudocount"]})

    monkeypatch.setattr(check, "reference", wrong)
    monkeypatch.setattr(check, "em_step", wrong_step)
    file = tmp_path / "results.json"
    output = run("rat-2", "--batch", 8, "--device", "cpu", "--repeat", 1, "--json", file, code=1).output
    assert "WRONG" in output
    (row,) = json.loads(file.read_text())["rows"]
    assert row["status"] == "wrong"
    assert "step_ms" not in row
    assert "tflops" not in row


def test_out_of_memory_is_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(measure, "em_step", full)
    assert "out of memory" in run("rat-2", "--batch", 8, "--device", "cpu").output


def test_an_error_is_shown_and_costs_no_other_cell(monkeypatch: pytest.MonkeyPatch) -> None:
    build = cases.build

    def broken(case: str) -> Circuit:
        if case == "rat-3":
            raise RuntimeError("a bug")
        return build(case)

    monkeypatch.setattr(cases, "build", broken)
    output = run("rat-3", "rat-2", "--batch", 8, "--device", "cpu", "--repeat", 1, code=1).output
    assert "FAILED RuntimeError: a bug" in output
    assert "rat-2 batch 8: " in output


def test_limits() -> None:
    size = limits.Size.of(Model.create(cases.build("rat-64")))
    assert (size.nodes, size.sum_edges, size.leaf_parameters) == (58_113, 508_032, 12_845_056)
    assert size.limit_ms(512, "NVIDIA H100 80GB HBM3") == pytest.approx(0.097, abs=0.004)
    assert size.limit_ms(512, "NVIDIA H200") == pytest.approx(0.097 * 3.03 / 4.3, abs=0.004)
    assert size.limit_ms(512, "some other GPU") is None


def test_page(tmp_path: Path) -> None:
    ok = {"case": "rat-64", "batch": 512, "status": "ok", "step_ms": 3.0, "forward_ms": 1.0, "backward_ms": 1.5, "em_ms": 0.5}
    rows = [{**ok, "limit_ms": 0.1, "anchor_ms": 2.38}, {"case": "<pd-64>", "batch": 512, "status": "oom"}]
    results, page = tmp_path / "results.json", tmp_path / "page.html"
    results.write_text(json.dumps({"device": "<some> GPU", "rows": rows}))
    assert write_page([str(results), str(page)]) == 0
    text = page.read_text()
    assert "&lt;some&gt; GPU" in text
    assert "&lt;pd-64&gt;" in text
    assert "PyJuice" in text
    assert write_page([]) == 2
    bench_page(rows, tmp_path / "again.html")
    assert (tmp_path / "again.html").exists()
