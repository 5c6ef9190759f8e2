"""``pcbench bench --queries`` on cells that take seconds: right answers pass, wrong ones have no speed."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner

import pcbench
from pcbench.bench import inpaint, peer, queries, query_cell, query_check
from pcbench.cli import main
from pcbench.execute import Evidence, Model
from pcbench.nn import CircuitModule
from tests.learn.small import chain

CPU = torch.device("cpu")


def run(*arguments: object, code: int = 0) -> str:
    result = CliRunner().invoke(main, ["bench", "--queries", *map(str, arguments)])
    assert result.exit_code == code, (result.output, result.exception)
    return result.output


@pytest.fixture(scope="module")
def reference() -> Model:
    return query_check.peaked(pcbench.compile(chain("categorical", nodes=64), dtype=torch.float64), seed=3)


def some_evidence(model: Model) -> Evidence:
    rows = pcbench.sample(model, count=8, seed=1)
    return Evidence(rows, query_check.half_observed(model.circuit))


# ---- the checks ------------------------------------------------------------------------------------------------------
def test_half_of_an_image_is_its_left_half() -> None:
    observed = query_check.half_observed(pcbench.structures.hmm(1, pcbench.Variables.finite(16, 2)))
    assert observed.reshape(4, 4).tolist() == [[True, True, False, False]] * 4
    assert (
        query_check.half_observed(pcbench.structures.hmm(1, pcbench.Variables.finite(5, 2))).tolist()
        == [True] * 2 + [False] * 3
    )


def test_right_samples_pass_and_wrong_ones_do_not(reference: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(query_check, "WEIGHED", 2000)
    nothing = Evidence.none(1, reference.circuit.variables)
    draws = pcbench.sample(reference, count=2000, seed=5)[None]
    assert query_check.sampling_error(reference, draws, nothing) < query_check.LIMIT
    order = torch.Generator().manual_seed(0)
    # Every column keeps its distribution, but they no longer belong together.
    apart = torch.stack([draws[0, torch.randperm(2000, generator=order), v] for v in range(draws.shape[2])], 1)[None]
    other = query_check.peaked(reference.program, seed=4)
    assert query_check.sampling_error(other, draws, nothing) > query_check.LIMIT
    assert query_check.sampling_error(reference, apart, nothing) > query_check.LIMIT


def test_completions_belong_to_their_row(reference: Model) -> None:
    evidence = some_evidence(reference)
    draws = pcbench.sample(reference, evidence=evidence, count=500, seed=2)
    assert query_check.sampling_error(reference, draws, evidence) < query_check.LIMIT
    changed = draws.clone()
    changed[0, 0, 0] = 3 - changed[0, 0, 0]
    assert query_check.sampling_error(reference, changed, evidence) == math.inf
    free = pcbench.sample(reference, count=4000, seed=2).reshape(8, 500, -1)
    forgetful = torch.where(evidence.observed, evidence.values[:, None], free)
    assert query_check.sampling_error(reference, forgetful, evidence) > query_check.LIMIT


def test_posteriors_and_trees(reference: Model) -> None:
    evidence = some_evidence(reference)
    free = (~query_check.half_observed(reference.circuit)).nonzero()[:, 0].tolist()
    found = query_cell._posteriors(reference, evidence, free)
    assert query_check.posterior_error(reference, found, evidence, free) == 0
    assert query_check.posterior_error(reference, found * 1.01, evidence, free) > query_check.POSTERIOR
    assert query_check.posterior_error(reference, found * math.nan, evidence, free) == math.inf
    best = pcbench.mpe(reference, evidence)
    assert query_check.tree_error(reference, best.state, best.log_tree, evidence) == 0
    assert query_check.tree_error(reference, best.state, best.log_tree * 1.01, evidence) > query_check.TREE
    assert query_check.tree_error(reference, best.state, best.log_tree * 0.5, evidence) == math.inf  # worth more than its state
    moved = best.state.clone()
    moved[0, 0] = 3 - moved[0, 0]
    assert query_check.tree_error(reference, moved, best.log_tree, evidence) == math.inf


def test_gradients(reference: Model) -> None:
    evidence = some_evidence(reference)
    module = CircuitModule(reference)
    assert query_check.gradient_error(reference, module, evidence) == 0
    single = CircuitModule(reference.recompiled(pcbench.compile(reference.circuit)))
    assert 0 < query_check.gradient_error(reference, single, evidence) < 1e-4
    other = CircuitModule(query_check.peaked(reference.program, seed=4))
    assert query_check.gradient_error(reference, other, evidence) > query_check.GRADIENT


# ---- a cell ----------------------------------------------------------------------------------------------------------
def test_a_cell_answers_every_question() -> None:
    row = query_cell.cell("sparse-20", 64, CPU, repeat=1)
    assert row["status"] == "ok", row
    assert set(row["errors"]) == set(query_cell.QUESTIONS)
    assert min(row[f"{name}_per_s"] for name in query_cell.QUESTIONS) > 0


def test_a_wrong_answer_has_no_speed_and_costs_no_other(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(query_cell.query_check, "posterior_error", lambda *_: 0.5)
    file = tmp_path / "r.json"
    output = run("sparse-4", "--batch", 16, "--device", "cpu", "--repeat", 1, "--json", file, code=1)
    assert "WRONG 0.5" in output
    (row,) = json.loads(file.read_text())["rows"]
    assert row["status"] == "wrong"
    assert "posterior_per_s" not in row
    assert {"sample_per_s", "complete_per_s", "mpe_per_s", "gradient_per_s"} <= set(row)


def test_pyjuice_beside(monkeypatch: pytest.MonkeyPatch) -> None:
    ours = {
        "case": "rat-2",
        "batch": 8,
        "status": "ok",
        "errors": {"sample": 1.0, "mpe": 0.0},
        "sample_per_s": 50.0,
        "mpe_per_s": 2.0,
    }
    answer = {"status": "wrong", "errors": {"sample": 2.0, "complete": 99.0}, "sample_per_s": 5.0}
    monkeypatch.setattr(peer, "why_no_peer", lambda _: "")
    monkeypatch.setattr(queries, "peer_result", lambda job, spec: answer if job == "pyjuice queries" else {})
    monkeypatch.setattr(queries, "cell", lambda *_: dict(ours))
    output = run("rat-2", "--device", "cpu")
    assert "10.0" in output  # faster
    row: dict[str, Any] = dict(ours)
    queries.beside(row, answer)
    assert row["sample_faster"] == 10.0
    assert "mpe_faster" not in row
    assert "complete 99" in queries.told(row)


def test_an_error_is_a_row() -> None:
    row = query_cell.cell("sparse-20", 0, CPU, repeat=1)
    assert row["status"] == "failed"
    assert "FAILED" in queries.told(row)


def test_options_that_contradict_each_other(tmp_path: Path) -> None:
    assert "--queries is a table of its own; leave out --table" in run("--table", code=2)
    model = tmp_path / "m.pcb"
    model.write_bytes(b"")
    result = CliRunner().invoke(main, ["bench", "--model", str(model)])
    assert result.exit_code == 2
    assert "give --queries as well" in result.output


# ---- digits ----------------------------------------------------------------------------------------------------------
def test_digits_are_completed_by_a_given_model(tmp_path: Path) -> None:
    digits = pcbench.datasets.mnist10k()
    tree = [-1, *range(783)]
    circuit = pcbench.structures.hclt(latents=2, variables=digits.variables, tree=tree)
    file = tmp_path / "digits.pcb"
    pcbench.save(Model.create(circuit, data=digits.train[:100]), file)
    row = inpaint.job("cpu", 1, str(file), rows=16)
    assert row["status"] == "ok", row
    assert row["batch"] == 16
    assert row["complete_per_s"] == pytest.approx(16 / row["seconds"])
    small = tmp_path / "small.pcb"
    pcbench.save(Model.create(chain()), small)
    assert "digits have 784 pixels" in inpaint.job("cpu", 1, str(small), rows=16)["error"]
