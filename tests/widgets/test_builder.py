"""Documents of the builder: the rules that both languages share, history, circuits, source and files."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import pcbench
from pcbench.errors import CircuitError
from pcbench_widgets import Document
from pcbench_widgets.builder import Refusal
from pcbench_widgets.builder.convert import state
from pcbench_widgets.builder.draft import Draft, problems
from pcbench_widgets.builder.rules import apply
from pcbench_widgets.builder.templates import templates

CASES = json.loads((Path(__file__).parent / "ops.json").read_text())


def file_of(circuit: pcbench.Circuit, path: Path) -> bytes:
    """Equal circuits, and no others, make equal files."""
    pcbench.save(circuit, path)
    return path.read_bytes()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["title"])
def test_operations_end_as_the_fixture_says(case: dict[str, Any]) -> None:
    draft = Draft()
    for op in case["ops"]:
        before = state(draft)
        if "refused" not in op:
            apply(draft, op["kind"], op["args"])
            continue
        with pytest.raises(Refusal) as caught:
            apply(draft, op["kind"], op["args"])
        assert op["refused"] in str(caught.value)
        assert caught.value.node == op["node"]
        assert state(draft) == before
    assert state(draft) == case["state"]
    assert list(draft.tops()) == case["tops"]
    found = [[id, text] for id, text in problems(draft)]
    assert sorted(found, key=lambda p: (-1 if p[0] is None else p[0], p[1])) == case["problems"]
    for id, facts in case["derived"].items():
        block = draft.blocks[int(id)]
        seen = {"nodes": draft.nodes[block.id], "scope": draft.names(draft.scope[block.id])}
        assert seen | {"parameters": draft.parameter_count(block)} == facts


def random_edit(document: Document, draw: st.DataObject) -> bool:
    """One edit of any kind on blocks that are there; False where it was refused."""
    ids = list(document.blocks)
    pick = st.sampled_from(ids) if ids else st.just(0)
    kinds = ["input", "product", "sum", "connect", "disconnect", "remove", "units", "move", "rename", "root", "weights"]
    kind = draw.draw(st.sampled_from(kinds if ids else ["input"]))
    one, other = draw.draw(pick), draw.draw(pick)
    edits = {
        "input": lambda: document.add_input(draw.draw(st.sampled_from("abcd")), nodes=draw.draw(st.integers(1, 3))),
        "product": lambda: document.add_product([one]),
        "sum": lambda: document.add_sum([one], nodes=2),
        "connect": lambda: document.connect(one, other),
        "disconnect": lambda: document.disconnect(one, other),
        "remove": lambda: document.remove(one),
        "units": lambda: document.set_units(one, draw.draw(st.integers(0, 3))),
        "move": lambda: document.move({one: (1.5, draw.draw(st.integers(-9, 9)))}),
        "rename": lambda: document.rename(one, draw.draw(st.sampled_from([None, "n", ""]))),
        "root": lambda: document.set_root(one),
        "weights": lambda: document.set_weights(one, [0.5, 0.5]),
    }
    try:
        edits[kind]()
    except Refusal:
        return False
    return True


@settings(max_examples=25, deadline=None)
@given(draw=st.data())
def test_undo_takes_every_edit_back_and_redo_makes_it_again(draw: st.DataObject) -> None:
    document = Document()
    states = [document.state()]
    for _ in range(40):
        before = document.state()
        if random_edit(document, draw):
            states.append(document.state())
        else:
            assert document.state() == before, "a refused edit left a trace"
    for expected in reversed(states[:-1]):
        assert document.undo()
        assert document.state() == expected
    assert not document.undo()
    for expected in states[1:]:
        assert document.redo()
        assert document.state() == expected
    assert not document.redo()
    # What was kept up to date edit by edit equals what follows from the blocks alone.
    draft = document.draft
    for block in draft.blocks.values():
        union = 0 if block.children else draft.scope[block.id]
        for child in block.children:
            union |= draft.scope[child]
        assert draft.scope[block.id] == union
        assert set(draft.parents[block.id]) == {b.id for b in draft.blocks.values() if block.id in b.children}


@pytest.mark.parametrize("entry", templates(), ids=lambda entry: entry["name"])
def test_a_template_opens_saves_and_copies_as_an_equal_circuit(entry: dict[str, Any], tmp_path: Path) -> None:
    document = Document()
    added = document.insert_template(entry["name"], **entry["options"])
    assert {document.blocks[id].group for id in added} == {f"{entry['name']} 1"}
    expected = file_of(document.circuit(), tmp_path / "a.pcb")
    assert file_of(Document.of(document.circuit()).circuit(), tmp_path / "b.pcb") == expected
    fresh: dict[str, Any] = {}
    exec(document.source(), fresh)
    assert file_of(fresh["circuit"], tmp_path / "c.pcb") == expected
    document.undo()
    assert document.state() == Document().state()


def test_places_and_regions_survive_a_file(tmp_path: Path) -> None:
    document = Document()
    document.insert_template("two-coins")
    document.move({0: (12.5, -3.0)})
    document.save(tmp_path / "coins.pcb")
    again = Document.load(tmp_path / "coins.pcb")
    assert again.place(again.blocks[0]) == (12.5, -3.0)
    assert again.blocks[0].group == "two-coins 1"
    assert file_of(again.circuit(), tmp_path / "a.pcb") == file_of(document.circuit(), tmp_path / "b.pcb")


def test_a_model_opens_with_what_it_learnt(tmp_path: Path) -> None:
    circuit = pcbench.structures.hmm(2, pcbench.Variables.binary(3))
    model = pcbench.Model.create(circuit, seed=3)
    pcbench.save(model, tmp_path / "model.pcb")
    opened = Document.load(tmp_path / "model.pcb").circuit()
    learnt = [model.values()[parameter] for parameter in model.circuit.parameters]
    assert len(opened.parameters) == len(learnt), "ties are kept"
    for parameter, value in zip(opened.parameters, learnt, strict=True):
        assert parameter.value is not None
        torch.testing.assert_close(parameter.value.double(), value.double())


def test_problems_name_the_block_and_keep_it_from_being_a_circuit() -> None:
    document = Document()
    assert document.problems() == [(None, "The document is empty: add an input.")]
    leaf = document.add_input("a")
    empty = document.add_product(name="later")
    assert (empty, "later has no children") in document.problems()
    with pytest.raises(CircuitError, match="later has no children"):
        document.circuit()
    document.connect(empty, leaf)
    assert document.problems() == []
    circuit = document.circuit()
    assert document.ids_of(circuit) == (leaf, empty)
    assert document.ids_of(pcbench.Circuit(circuit.roots)) is None, "a circuit that was made elsewhere"


def test_tied_weights_change_together() -> None:
    document = Document.of(pcbench.structures.hmm(2, pcbench.Variables.binary(4)))
    tied = [id for id, block in document.blocks.items() if block.kind == "sum" and block.nodes == 2]
    document.set_weights(tied[0], [[0.25, 0.75], [0.5, 0.5]])
    assert len({id for id in tied if document.blocks[id].parameter is document.blocks[tied[0]].parameter}) == len(tied) > 1
    with pytest.raises(Refusal, match="sum to"):
        document.set_weights(tied[0], [[0.25, 0.25], [0.5, 0.5]])


def test_edits_from_several_threads_all_survive_in_one_order() -> None:
    document = Document()
    seen: list[int] = []
    stop = document.subscribe(lambda edited: seen.append(edited.rev))
    work = [threading.Thread(target=lambda k=k: [document.add_input(f"v{k}.{i}") for i in range(25)]) for k in range(4)]
    for thread in work:
        thread.start()
    for thread in work:
        thread.join()
    stop()
    assert len(document.blocks) == 100
    assert seen == list(range(1, 101))
