"""Python's half of the teaching lab: the shared fixture, wrong circuits, large ones, messages, files, and Python source."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import pcbench
from pcbench import Circuit, Evidence, Finite, InputBlock, Model, Parameter, SumBlock, Variables
from pcbench.circuit import initial_values
from pcbench.errors import CircuitError, DataError, OptionError, QueryError
from pcbench.execute.model_views import flows, node_flows, node_values
from pcbench_widgets import lab
from pcbench_widgets.builder.source import source_of
from pcbench_widgets.builder.templates import two_coins
from pcbench_widgets.teaching import EXAMPLES, not_decomposable, not_smooth
from pcbench_widgets.teaching.marks import evidence_of
from pcbench_widgets.teaching.paths import best_path, sample_path
from pcbench_widgets.teaching.wire import MOST_NODES, Subject, lesson
from pcbench_widgets.teaching.wire import given as with_values
from tests.oracle.passes import Rows, dense_weights, numbers
from tests.oracle.passes import log_likelihood as oracle_log_likelihood
from tests.strategies import circuits, evidences, examples
from tests.widgets import lab_cases
from tests.widgets.test_workbench import NOTHING, Caught, ask

STORED: list[dict[str, Any]] = json.loads(lab_cases.FIXTURE.read_text())


def model_of(circuit: Circuit) -> Model:
    return Model.create(pcbench.compile(circuit, dtype=torch.float64))


def told(bench: Caught, kind: str) -> list[dict[str, Any]]:
    return [c["body"] for c in bench.of("part") if c["part"] == "lab" and c["body"]["kind"] == kind]


def attached(bench: Caught, kind: str) -> Any:
    sent = list(bench.__dict__["sent"])
    return [b for c, b in sent if c["type"] == "part" and c["part"] == "lab" and c["body"]["kind"] == kind][-1]


@pytest.fixture
def bench() -> Iterator[Caught]:
    opened = Caught(panes=["lab"])
    yield opened
    opened.close()


# ---- the fixture -----------------------------------------------------------------------------------------------------
def alike(one: Any, two: Any) -> bool:
    """The same JSON, but for the last digits of its floats: those depend on the processor."""
    if type(one) is not type(two):
        return False
    if isinstance(one, dict):
        return one.keys() == two.keys() and all(alike(one[key], two[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(two) and all(map(alike, one, two))
    return math.isclose(one, two, rel_tol=1e-12, abs_tol=1e-12) if isinstance(one, float) else bool(one == two)


def test_the_fixture_is_what_its_program_writes() -> None:
    assert alike(json.loads(json.dumps(lab_cases.whole())), STORED), "run: python -m tests.widgets.lab_cases"


@pytest.mark.parametrize("entry", STORED, ids=lambda entry: entry["lesson"]["title"])
def test_the_fixture_is_what_pcbench_answers(entry: dict[str, Any]) -> None:
    name = entry["lesson"]["title"].split(", marked")[0]
    circuit = lab_cases.circuits()[name]
    model, evidence = model_of(circuit), evidence_of(circuit, entry["marks"])
    for key, found in (("up", node_values(model, evidence)), ("flows", node_flows(model, evidence))):
        flat = [x for block in circuit.blocks for x in found[block][0].tolist()]
        expected = [-math.inf if x is None else x for x in entry["expected"][key]]
        np.testing.assert_allclose(flat, expected, rtol=0, atol=1e-9)
    posteriors = entry["expected"].get("posteriors", {})
    if posteriors:
        answer = pcbench.conditional(model, evidence, list(posteriors))
        for asked, expected in posteriors.items():
            found = answer[asked].probabilities
            assert found is not None
            np.testing.assert_allclose(found[0], expected, rtol=0, atol=1e-9)


@given(st.data())
@examples(40)
def test_a_lesson_holds_the_circuit(data: st.DataObject) -> None:
    """Evaluated node by node from its JSON alone, a lesson has the oracle's likelihood."""
    circuit = data.draw(circuits())
    evidence = data.draw(evidences(circuit, sizes=[1]))
    subject = Subject.of(circuit)
    wire = json.loads(json.dumps(lesson(subject, "drawn")))
    assert wire["small"]
    row, mask = evidence.values[0].tolist(), evidence.mask()[0].tolist()
    logs: list[float] = []
    for node in wire["nodes"]:
        if node["kind"] == "input":
            logs.append(leaf_log(node, row[node["variable"]]) if mask[node["variable"]] else 0.0)
        elif node["kind"] == "product":
            logs.append(sum(logs[child] for child in node["children"]))
        else:
            total = math.fsum(w * math.exp(logs[child]) for w, child in zip(node["weights"], node["children"], strict=True))
            logs.append(math.log(total) if total > 0 else -math.inf)
    expected = oracle_log_likelihood(circuit, numbers(initial_values(circuit)), Rows.of(evidence))[0]
    found = [logs[output] for output in wire["outputs"]]
    for mine, theirs in zip(found, expected, strict=True):
        if theirs > -600:  # below that, linear sums underflow here
            assert mine == pytest.approx(theirs, abs=1e-9)


def leaf_log(node: dict[str, Any], value: float) -> float:
    if "mean" in node:
        return -0.5 * ((value - node["mean"]) ** 2 / node["variance"] + math.log(2 * math.pi * node["variance"]))
    log = node["logs"][int(value)]
    return -math.inf if log is None else float(log)


@given(st.data())
@examples(25)
def test_flows_of_edges_add_up(data: st.DataObject) -> None:
    circuit = data.draw(circuits(real=False))
    evidence = data.draw(evidences(circuit, sizes=[3]))
    model = model_of(circuit)
    nodes, edges = flows(model, evidence)
    possible = torch.isfinite(pcbench.log_likelihood(model, evidence).reshape(3, -1)).double()
    into = {block: torch.zeros(3, dtype=torch.float64) for block in circuit.blocks}
    column = 0
    for root in circuit.roots:
        into[root] += possible[:, column : column + root.nodes].sum(1)
        column += root.nodes
    for (parent, k), flow in edges.items():
        into[parent.children[k]] += flow
    for block in circuit.blocks:
        torch.testing.assert_close(nodes[block].sum(1), into[block], rtol=0, atol=1e-9)


# ---- what is sent ----------------------------------------------------------------------------------------------------
def test_weights_of_every_kind_of_edges_arrive() -> None:
    for seed in range(12):
        circuit = lab_cases.grown(seed)
        values = initial_values(circuit)
        nodes = lesson(Subject.of(circuit), "grown")["nodes"]
        start = 0
        for block in circuit.blocks:
            if isinstance(block, SumBlock):
                for unit, row in enumerate(dense_weights(block, numbers(values))):
                    assert nodes[start + unit]["weights"] == [w for w in row if w > 0]
            start += block.nodes


def test_wrong_circuits_say_where_and_are_not_compiled() -> None:
    for make, words in ((not_smooth, "mixture is not smooth"), (not_decomposable, "a is not decomposable")):
        wire = lesson(Subject.of(make()), "wrong")
        assert wire["small"]
        (violation,) = wire["violations"]
        assert words in violation["text"]
        assert wire["nodes"][violation["node"]]["name"] == words.split(" is ")[0]
        with pytest.raises(CircuitError, match="checked=False; only smooth, decomposable"):
            pcbench.compile(make())


def test_a_view_gets_the_circuit_and_the_examples_once(bench: Caught) -> None:
    bench.lab.subject = two_coins()
    bench.forget()
    ask(bench, type="sync", have=NOTHING)
    (head,) = told(bench, "lessons")
    lessons = json.loads(attached(bench, "lessons")[0])
    assert [each["title"] for each in lessons] == ["Your circuit", *(example.title for example in EXAMPLES)]
    bench.forget()
    ask(bench, type="sync", have={**NOTHING, "parts": {"lab": {"token": head["token"]}}})
    assert told(bench, "lessons") == []


def test_nothing_is_sent_to_a_workbench_without_a_lab() -> None:
    bench = Caught(two_coins(), panes=["circuit"])
    ask(bench, type="sync", have=NOTHING)
    assert [c for c in bench.of("part") if c["part"] == "lab"] == []
    bench.close()


def test_the_lab_follows_the_workbench_until_it_has_a_subject() -> None:
    bench = Caught(two_coins(), panes=["lab", "circuit"])
    assert bench.lab.subject is bench.circuit
    bench.circuit = lab_cases.grown(2)
    assert bench.lab.subject is bench.circuit
    own = two_coins()
    bench.lab.subject = own
    bench.circuit = lab_cases.grown(3)
    assert bench.lab.subject is own
    assert told(bench, "linked")[-1]["linked"] is False
    bench.circuit = own
    assert told(bench, "linked")[-1]["linked"] is True
    bench.close()


def test_clicks_reach_python_and_python_reaches_the_view(bench: Caught) -> None:
    bench.lab.subject = two_coins()
    token = told(bench, "lessons")[-1]["token"]
    marks = {"x1": {"kind": "value", "value": 1}, "x2": {"kind": "query"}}
    say = {"kind": "state", "token": token, "state": {"lesson": 0, "marks": marks, "at": 2}}
    ask(bench, type="part", part="lab", body=say)
    assert (bench.lab.evidence, bench.lab.query) == ({"x1": 1}, ["x2"])
    bench.lab.evidence = {"x2": [0.25, 1]}
    assert told(bench, "state")[-1]["state"] == {"marks": {"x2": {"kind": "soft", "weights": [0.25, 1.0]}}}
    assert bench.lab._state["at"] == 2
    bench.lab.query = ["x1"]
    assert (bench.lab.evidence, bench.lab.query) == ({"x2": [0.25, 1.0]}, ["x1"])
    # What a view says about a circuit that has been replaced is not believed.
    bench.lab.subject = lab_cases.grown(2)
    ask(bench, type="part", part="lab", body=say)
    assert bench.lab.evidence == {}
    # An example is what the names belong to once it is on screen.
    token = told(bench, "lessons")[-1]["token"]
    ask(bench, type="part", part="lab", body={"kind": "state", "token": token, "state": {"lesson": 2, "marks": {}}})
    bench.lab.evidence = {"f1": 1}
    assert bench.lab.evidence == {"f1": 1}


def test_evidence_that_makes_no_sense_is_refused_by_name(bench: Caught) -> None:
    bench.lab.subject = two_coins()
    wrong: list[tuple[dict[str, Any], type[Exception], str]] = [
        ({"x3": 1}, CircuitError, "no variable 'x3'"),
        ({"x1": 2}, DataError, "'x1'.*outside its domain"),
        ({"x1": [0.5]}, DataError, "'x1' needs shape"),
        ({"x1": [0.5, -1]}, DataError, "'x1' must be finite floats"),
        ({"x1": "yes"}, DataError, "'x1' is a number, or a list of likelihoods, got 'yes'"),
    ]
    for evidence, kind, message in wrong:
        with pytest.raises(kind, match=message):
            bench.lab.evidence = evidence
    with pytest.raises(CircuitError, match="no variable 'z'"):
        bench.lab.query = ["z"]
    with pytest.raises(OptionError, match="a circuit or a model, got str"):
        bench.lab.subject = "circuit"  # type: ignore[assignment]
    assert (bench.lab.evidence, bench.lab.query) == ({}, [])


# ---- large circuits --------------------------------------------------------------------------------------------------
def large() -> Circuit:
    return pcbench.structures.hmm(latents=20, variables=Variables.finite(12, 3))


def answer(bench: Caught, kind: str, **body: Any) -> dict[str, Any]:
    ask(bench, type="part", part="lab", body={"kind": kind, "ask": 3, "output": 0, **body})
    got = told(bench, kind)[-1]
    assert got["ask"] == 3
    return got


def test_a_large_circuit_is_answered_by_pcbench(bench: Caught) -> None:
    circuit = large()
    assert sum(block.nodes for block in circuit.blocks) > MOST_NODES
    model = model_of(circuit)
    bench.lab.subject = model
    assert json.loads(attached(bench, "lessons")[0])[0]["small"] is False
    names = [v.name for v in circuit.variables]
    marks = {
        names[0]: {"kind": "value", "value": 2},
        names[1]: {"kind": "soft", "weights": [1, 0.5, 0]},
        names[5]: {"kind": "query"},
    }
    evidence = evidence_of(circuit, marks)
    got = answer(bench, "result", marks=marks)
    assert got["log"] == pytest.approx(float(pcbench.log_likelihood(model, evidence)[0]), abs=1e-12)
    posterior = pcbench.conditional(model, evidence, [names[5]])[names[5]].probabilities
    assert posterior is not None
    assert got["posteriors"] == [{"variable": 5, "probabilities": pytest.approx(posterior[0].tolist())}]
    ranges, nodes, edges = (np.frombuffer(buffer, "<f8") for buffer in attached(bench, "result"))
    values = node_values(model, evidence)
    np.testing.assert_allclose(ranges.reshape(-1, 2)[:, 1], [float(values[b].max()) for b in circuit.blocks], atol=1e-12)
    into = np.zeros(len(circuit.blocks))
    pairs = [circuit.index[child] for block in circuit.blocks for child in block.children]
    np.add.at(into, pairs, edges)
    into[circuit.index[circuit.roots[0]]] += 1
    np.testing.assert_allclose(nodes, into, atol=1e-6)
    best = answer(bench, "best", marks=marks)
    assert best["state"] == pcbench.mpe(model, evidence).state[0].tolist()
    drawn = answer(bench, "sample", marks=marks, count=50, seed=4)
    rows = pcbench.sample(model, 50, evidence, seed=4)[0]
    assert (drawn["rows"], drawn["count"]) == (rows[:5].tolist(), 50)
    assert drawn["means"] == pytest.approx(rows.double().mean(0).tolist())


MARKED: dict[str, Any] = {"x0": {"kind": "value", "value": 2}, "x1": {"kind": "soft", "weights": [1, 0.5, 0]}}


@pytest.mark.parametrize("marks", [{}, MARKED], ids=["nothing observed", "observed"])
def test_paths_of_a_large_circuit_are_trees_with_the_numbers_of_pcbench(bench: Caught, marks: dict[str, Any]) -> None:
    circuit = large()
    model, evidence = model_of(circuit), evidence_of(circuit, marks)
    bench.lab.subject = model
    rows = pcbench.sample(model, 5, evidence, seed=4)[0]
    explained = pcbench.mpe(model, evidence)
    for kind, row, state in [("mpe", 0, explained.state[0]), *(("sample", row, rows[row]) for row in range(5))]:
        got = answer(bench, "path", marks=marks, seed=4, row=row, **{"pass": kind})
        assert got["state"] == state.tolist()
        up, node, edge, units = (np.frombuffer(buffer, "<f8") for buffer in attached(bench, "path"))
        check_tree(circuit, node, edge)
        assert all(
            (0 <= unit < block.nodes) if on else unit == -1 for block, on, unit in zip(circuit.blocks, node, units, strict=True)
        )
        # Nodes of a product and of its factors have one number, and the leaf that is on the path says the state.
        for i, block in enumerate(circuit.blocks):
            if isinstance(block, pcbench.ProductBlock) and node[i]:
                assert {units[circuit.index[child]] for child in block.children} == {units[i]}
        sums = {i for i, block in enumerate(circuit.blocks) if isinstance(block, SumBlock) and node[i]}
        assert {i for i, _, _ in got["dice"]} == (sums if kind == "sample" else set())
        assert all(edge[taken] == 1 for _, _, taken in got["dice"])
        if kind == "sample":
            values = node_values(model, evidence)
            np.testing.assert_allclose(up, [float(values[b].max()) for b in circuit.blocks], atol=1e-9)
        else:
            assert up[circuit.index[circuit.roots[0]]] == pytest.approx(float(explained.log_tree[0]), abs=1e-9)


def check_tree(circuit: Circuit, node: Any, edge: Any) -> None:
    """One child at each sum of the tree, all of each product, and nothing beside it."""
    reached, at = {circuit.index[circuit.roots[0]]}, len(edge)
    for i in range(len(circuit.blocks) - 1, -1, -1):
        block = circuit.blocks[i]
        at -= len(block.children)
        taken = edge[at : at + len(block.children)]
        assert node[i] == (i in reached)
        assert taken.sum() == (0 if i not in reached else 1 if isinstance(block, SumBlock) else len(block.children))
        reached |= {circuit.index[child] for child, on in zip(block.children, taken, strict=True) if on}


@given(st.data())
@examples(25)
def test_paths_end_in_the_states_of_the_queries(data: st.DataObject) -> None:
    """Sparse sums, indexed products, real leaves, soft evidence, several outputs."""
    circuit = data.draw(circuits())
    evidence = data.draw(evidences(circuit, sizes=[1], soft=True))
    model = model_of(circuit)
    if not math.isfinite(float(pcbench.log_likelihood(model, evidence).reshape(-1)[0])):
        with pytest.raises(QueryError, match="probability zero"):
            best_path(model, evidence, 0)
        return
    drawn = pcbench.sample(model, 3, evidence, seed=9)[0].double()
    for row in range(3):
        assert sample_path(model, evidence, 0, 9, row).state == pytest.approx(drawn[row].tolist(), abs=1e-9)
    explained = pcbench.mpe(model, evidence)
    best = best_path(model, evidence, 0)
    assert float(best.up[circuit.index[circuit.roots[0]]]) >= float(explained.log_tree[0]) - 1e-9
    if not evidence.soft:
        state = torch.tensor([best.state], dtype=torch.float64)
        assert float(pcbench.log_likelihood(model, state).reshape(-1)[0]) >= float(explained.log_tree[0]) - 1e-9


def test_paths_say_what_they_cannot_do(bench: Caught, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.lab.subject = large()
    question: dict[str, Any] = {"marks": {}, "seed": 0, "row": 0, "pass": "mpe"}
    monkeypatch.setattr("pcbench_widgets.teaching.paths.MOST_CELLS", 1000)
    assert "at most 1,000 weights" in answer(bench, "path", **question)["text"]
    monkeypatch.setattr("pcbench_widgets.teaching.answers.MOST_BLOCKS", 3)
    assert "at most 3 blocks; this circuit has" in answer(bench, "path", **question)["text"]


def test_what_the_kernel_cannot_answer_it_says(bench: Caught) -> None:
    bench.lab.subject = large()
    got = answer(bench, "result", marks={"x0": {"kind": "value", "value": 9}})
    assert not got["ok"]
    assert "'x0'" in got["text"]
    assert "outside its domain" in got["text"]
    exported = answer(bench, "export")
    assert not exported["ok"]
    assert "too large to be evaluated in a page" in exported["text"]
    with pytest.raises(DataError, match="too large"):
        bench.lab.export("never.html")
    assert not Path("never.html").exists()


def test_impossible_evidence_has_no_posterior(bench: Caught) -> None:
    leaf = InputBlock(Variables.finite(1, 3)[0], pcbench.Categorical(3), 700, Parameter((3, 700), torch.eye(3)[:, [0] * 700]))
    bench.lab.subject = Circuit(SumBlock([leaf], 1), Variables([Finite(3)]))
    got = answer(bench, "result", marks={"x0": {"kind": "value", "value": 1}})
    assert (got["ok"], got["log"], got["posteriors"]) == (True, None, [])


# ---- files and source ------------------------------------------------------------------------------------------------
def test_a_page_holds_the_lesson_as_it_is(bench: Caught, tmp_path: Path) -> None:
    bench.lab.subject = two_coins()
    bench.lab.evidence = {"x1": 1}
    written = bench.lab.export(tmp_path / "lesson.html").read_text(encoding="utf-8")
    assert "</script" not in written.split('id="lesson">')[1].split("</script>")[0]
    inside = json.loads(written.split('id="lesson">')[1].split("</script>")[0])
    assert inside == json.loads(json.dumps(bench.lab._all))
    assert '\\"marks\\": {\\"x1\\": {\\"kind\\": \\"value\\", \\"value\\": 1}}' in written
    assert answer(bench, "export")["ok"]
    assert bytes(attached(bench, "export")[0]).decode() == written


def test_names_cannot_end_the_page(bench: Caught) -> None:
    names = Variables.binary(1, ["</script><b>x"])
    bench.lab.subject = Circuit(InputBlock(names[0], pcbench.Bernoulli(), name="</script>"))
    assert bench.lab._page().lower().count("</script") == 3  # the page's own three


def test_source_of_a_model_carries_its_values() -> None:
    circuit = lab_cases.grown(5)
    model = Model.create(pcbench.compile(pcbench.structures.hmm(2, Variables.binary(3)), dtype=torch.float64), seed=3)
    for subject in (Subject.of(circuit), Subject.of(model)):
        space: dict[str, Any] = {}
        exec(source_of(with_values(subject.circuit, subject.values)), space)
        evidence = Evidence.none(1, subject.circuit.variables)
        evidence = Evidence(evidence.values, torch.ones_like(evidence.values, dtype=torch.bool))
        before = pcbench.log_likelihood(
            Model.from_values(pcbench.compile(subject.circuit, dtype=torch.float64), dict(subject.values)), evidence
        )
        assert torch.equal(pcbench.log_likelihood(model_of(space["circuit"]), evidence), before)


def test_source_of_a_wrong_circuit_stays_unchecked() -> None:
    space: dict[str, Any] = {}
    exec(source_of(not_smooth()), space)
    assert not pcbench.smooth(space["circuit"])


def test_a_lab_alone_shows_its_examples_and_a_still_picture() -> None:
    bench = lab()
    data, _ = bench._repr_mimebundle_()
    assert "image/svg+xml" in data
    assert "mixture" in data["image/svg+xml"]
    bench.close()
