"""``pcbench bench`` beside PyJuice, and in fresh processes: a stand-in for PyJuice here, the real one on a GPU."""

from __future__ import annotations

import importlib.metadata
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner

import pcbench
from pcbench.bench import cases, fresh, names, peer, pyjuice_queries, pyjuice_step, training
from pcbench.bench.pyjuice_nodes import pyjuice_nodes
from pcbench.cli import main
from pcbench.errors import CircuitError, OptionError

from . import fake_pyjuice

SMALL = ["rat-4", "hmm-4", "pd-32", "sparse-20", "blocks-10"]


# ---- the same circuit in PyJuice -------------------------------------------------------------------------------------
@pytest.mark.parametrize("case", [*SMALL, "normal-4"])
def test_the_circuit_survives_the_way_there_and_back(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    circuit = cases.build(case)
    nodes = pyjuice_nodes(fake_pyjuice.install(monkeypatch), circuit, case)
    nodes.root.init_parameters()
    converted = pcbench.from_pyjuice(nodes.root, circuit.variables)
    assert (converted.num_nodes, converted.num_edges) == (circuit.num_nodes, circuit.num_edges)
    assert converted.num_parameters == circuit.num_parameters  # the same ties
    assert [b.children.__len__() for b in converted.blocks] == [b.children.__len__() for b in circuit.blocks]
    sizes = {ns.block_size for ns in fake_pyjuice.walk(nodes.root)}
    expected: dict[str, set[int]] = {"pd-32": {16}, "sparse-20": set(), "blocks-10": {32}}
    assert sizes - {1} == expected.get(case, {4})


def test_blocks_are_as_large_as_pyjuice_makes_them(monkeypatch: pytest.MonkeyPatch) -> None:
    juice = fake_pyjuice.install(monkeypatch)
    for case, size in (("hmm-96", 32), ("hmm-5", 1)):
        nodes = pyjuice_nodes(juice, cases.build(case), case)
        assert max(ns.block_size for ns in fake_pyjuice.walk(nodes.root)) == size, case


def test_normal_leaves_are_laid_out_as_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    circuit = cases.build("normal-4")
    nodes = pyjuice_nodes(fake_pyjuice.install(monkeypatch), circuit, "normal-4")
    leaf = next(b for b in circuit.blocks if isinstance(b, pcbench.InputBlock))
    layout = nodes.layouts[leaf.parameter]
    means, deviations, flows = torch.arange(4.0), torch.arange(1.0, 5.0), torch.arange(2.0, 6.0)
    assert torch.equal(layout(torch.stack((means, deviations), 1).reshape(-1)), torch.stack((means, deviations**2)))
    squares = flows * (deviations**2 + means**2)  # of a node: flow · x, flow · x², flow
    counted = torch.stack((flows * means, squares, flows), 1).reshape(-1)
    assert torch.equal(layout(counted), torch.stack((flows, flows * means, squares)))


def test_what_no_case_needs_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    juice = fake_pyjuice.install(monkeypatch)
    (v,) = pcbench.Variables.binary(1)
    coin = pcbench.Circuit(pcbench.SumBlock([pcbench.InputBlock(v, pcbench.Bernoulli(), 2)]))
    with pytest.raises(CircuitError, match="only categorical and normal leaves"):
        pyjuice_nodes(juice, coin, "rat-2")


# ---- its step --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("case", ["hmm-4", "sparse-20"])
def test_a_step_is_checked_and_timed(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    juice = fake_pyjuice.install(monkeypatch)
    row = pyjuice_step.job(case, 8, "cpu", 2)
    assert row["status"] == "ok", row
    assert max(row["log_likelihood_error"], row["flow_error"]) < 1e-5
    assert min(row[k] for k in ("first_step_s", "step_ms", "forward_ms", "backward_ms", "em_ms", "peak_gb")) > 0
    (compiled,) = juice.compiled
    assert compiled.calls[:5] == ["forward", "backward", "em", "forward", "backward"]  # a step, then the check


@pytest.mark.parametrize("wrong", ["log-likelihood", "flows", "parameters"])
def test_a_step_that_differs_has_no_speed(wrong: str, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_pyjuice.install(monkeypatch, wrong)
    row = pyjuice_step.job("hmm-4", 8, "cpu", 1)
    assert row["status"] == "differs"
    assert "step_ms" not in row


def test_another_circuit_is_no_twin(monkeypatch: pytest.MonkeyPatch) -> None:
    fake_pyjuice.install(monkeypatch)
    other = pyjuice_step.converted
    monkeypatch.setattr(pyjuice_step, "converted", lambda root, variables: other(root.chs[0]))
    row = pyjuice_step.job("hmm-4", 8, "cpu", 1)
    assert row["status"] == "differs"
    assert "the circuit converted from PyJuice differs" in row["error"]


def test_sums_that_its_compiler_adds_make_no_other_circuit(monkeypatch: pytest.MonkeyPatch) -> None:
    juice: Any = fake_pyjuice.install(monkeypatch)
    plain = juice.compile

    def compile(root: Any) -> Any:
        below = root.chs[0]
        blocks, size = below.num_node_blocks, below.block_size
        between = juice.summate(below, num_node_blocks=blocks, block_size=size, edge_ids=torch.arange(blocks).repeat(2, 1))
        between._params = torch.eye(size).repeat(blocks, 1, 1)
        root.chs[0] = juice.multiply(between)
        return plain(root)

    juice.compile = compile
    row = pyjuice_step.job("hmm-4", 8, "cpu", 1)
    assert row["status"] == "ok", row
    assert row["flow_error"] < 1e-5


def test_an_error_in_pyjuice_is_a_result(monkeypatch: pytest.MonkeyPatch) -> None:
    juice: Any = fake_pyjuice.install(monkeypatch)

    def full(_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    juice.compile = full
    assert pyjuice_step.job("hmm-4", 8, "cpu", 1)["status"] == "oom"
    del juice.compile
    assert pyjuice_step.job("hmm-4", 8, "cpu", 1)["status"] == "failed"


def test_its_queries_are_checked_and_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    fake_pyjuice.install(monkeypatch)
    row = pyjuice_queries.job("sparse-20", 256, "cpu", 1)
    assert row["status"] == "ok", row
    assert min(row[f"{name}_per_s"] for name in ("sample", "complete", "posterior")) > 0
    assert row["errors"]["posterior"] < 1e-5
    fake_pyjuice.install(monkeypatch, "samples")
    row = pyjuice_queries.job("sparse-20", 256, "cpu", 1)
    assert row["status"] == "wrong"
    assert "complete_per_s" not in row
    assert row["sample_per_s"] > 0


# ---- whether it is asked ---------------------------------------------------------------------------------------------
def version_is(monkeypatch: pytest.MonkeyPatch, found: str | None) -> None:
    def version(_: str) -> str:
        if found is None:
            raise importlib.metadata.PackageNotFoundError
        return found

    monkeypatch.setattr(peer, "version", version)


def test_pyjuice_is_measured_where_it_can_be(monkeypatch: pytest.MonkeyPatch) -> None:
    version_is(monkeypatch, "2.6.3")
    assert peer.peer_wanted("auto", "cuda") == (True, "")
    assert peer.peer_wanted("none", "cuda") == (False, "")
    wanted, reason = peer.peer_wanted("auto", "cpu")
    assert not wanted
    assert "no kernels for cpu" in reason
    with pytest.raises(OptionError, match="no kernels for cpu"):
        peer.peer_wanted("pyjuice", "cpu")
    for found, message in ((None, "not installed"), ("2.7.0", r"PyJuice 2\.7\.0 is installed, 2\.6\.3 is")):
        version_is(monkeypatch, found)
        assert not peer.peer_wanted("auto", "cuda")[0]
        with pytest.raises(OptionError, match=message):
            peer.peer_wanted("pyjuice", "cuda")


def test_pyjuice_gets_powers_of_two_only(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(peer, "in_fresh_process", lambda job, spec: asked.append(spec["batch"]) or {"status": "ok"})
    results = [peer.peer_result("pyjuice cell", {"batch": b}) for b in (512, 500, 1)]
    assert [r["status"] for r in results] == ["ok", "skipped", "ok"]
    assert asked == [512, 1]


# ---- beside ours -----------------------------------------------------------------------------------------------------
def with_peer(monkeypatch: pytest.MonkeyPatch, answer: dict[str, Any]) -> None:
    monkeypatch.setattr(peer, "why_no_peer", lambda _: "")
    monkeypatch.setattr(training, "peer_result", lambda job, spec: answer)


def run(*arguments: object, code: int = 0) -> str:
    result = CliRunner().invoke(main, ["bench", *map(str, arguments)])
    assert result.exit_code == code, (result.output, result.exception)
    return result.output


def test_ratios_of_this_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with_peer(monkeypatch, {"status": "ok", "step_ms": 1e6, "peak_gb": 1e3, "first_step_s": 7.0, "log_likelihood_error": 1e-6})
    file, page = tmp_path / "r.json", tmp_path / "p.html"
    output = run("hmm-2", "--batch", 8, "--device", "cpu", "--repeat", 1, "--json", file, "--page", page)
    (row,) = json.loads(file.read_text())["rows"]
    assert row["faster"] == pytest.approx(1e6 / row["step_ms"])
    assert row["memory_ratio"] == pytest.approx(row["peak_gb"] / 1e3)
    assert row["peer_first_step_s"] == 7.0
    told = " ".join(output.split())  # lines end where the terminal does
    for words in ("PyJuice ms", "× faster", "memory ÷ its", "geometric mean"):
        assert words in told
    assert "anchor" not in output
    assert "PyJuice in the same run" in page.read_text()


@pytest.mark.parametrize(
    ("answer", "words", "code"),
    [
        ({"status": "differs", "log_likelihood_error": 0.1, "flow_error": 0.5}, "PyJuice DIFFERS 1.0e-01, 5.0e-01", 1),
        ({"status": "differs", "error": "another circuit"}, "PyJuice DIFFERS another circuit", 1),
        ({"status": "oom", "error": "full"}, "PyJuice ran out of memory", 0),
        ({"status": "failed", "error": "a bug\nof its own"}, "PyJuice failed: a bug", 0),
        ({"status": "skipped", "error": "no power of two"}, "PyJuice skipped: no power of two", 0),
    ],
)
def test_a_peer_that_is_not_well(answer: dict[str, Any], words: str, code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    with_peer(monkeypatch, answer)
    output = run("hmm-2", "--batch", 8, "--device", "cpu", "--repeat", 1, code=code)
    assert words in output
    assert "× faster" not in output


# ---- processes of their own ------------------------------------------------------------------------------------------
def test_a_cold_cell_starts_from_empty_caches(tmp_path: Path) -> None:
    file = tmp_path / "r.json"
    run("hmm-2", "--batch", 8, "--device", "cpu", "--repeat", 1, "--cold", "--json", file)
    (row,) = json.loads(file.read_text())["rows"]
    assert row["status"] == "ok"
    assert row["cold"] is True
    assert row["start_s"] > row["first_step_s"] > 0  # importing PyTorch takes longer than so small a cell


def test_every_cache_of_a_fresh_process_is_empty_and_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, str] = {}

    def look(command: list[str], env: dict[str, str], **_: object) -> None:
        seen.update(env)
        assert all(not list(Path(env[cache]).iterdir()) for cache in fresh.CACHES)
        raise fresh.subprocess.TimeoutExpired(command, 1)

    monkeypatch.setattr(fresh.subprocess, "run", look)
    assert "no answer" in fresh.in_fresh_process("cell", {})["error"]
    assert len({seen[cache] for cache in fresh.CACHES}) == len(fresh.CACHES)
    assert seen["PYJUICE_DISABLE_CUDA_KERNELS"] == "1"


def test_a_process_that_dies_is_a_failed_cell() -> None:
    row = fresh.in_fresh_process("cell", {"case": "no such case", "batch": 8, "device": "cpu", "repeat": 1})
    assert row["status"] == "failed"
    assert "exit status 1" in row["error"]
    assert "there is no case 'no such case'" in row["error"]


# ---- the whole table -------------------------------------------------------------------------------------------------
def test_the_table_is_one_flag_away(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, int]] = []

    def cell(case: str, batch: int, *_: object) -> dict[str, Any]:
        asked.append((case, batch))
        return {"case": case, "batch": batch, "device": "cpu", "status": "oom", "error": ""}

    monkeypatch.setattr(training, "cell", cell)
    run("--table", "--device", "cpu")
    from pcbench.bench.limits import ANCHOR_MS

    assert set(ANCHOR_MS) <= set(asked)
    assert {("sparse-256", 512), ("blocks-10", 2048), ("blocks-50", 2048)} <= set(asked)
    assert len(asked) == len(set(asked)) == 2 * len(names.TABLE)
    assert "--table measures its own cases" in run("rat-2", "--table", code=2)
