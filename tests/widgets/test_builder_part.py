"""Python's half of the builder canvas, with the messages caught before they reach Jupyter."""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pcbench
from pcbench_widgets import Document, Workbench, build
from pcbench_widgets.builder import part as part_module
from tests.widgets.test_workbench import NOTHING, Caught, ask, wait_for


@pytest.fixture
def bench() -> Iterator[Caught]:
    opened = Caught(panes=["builder"])
    yield opened
    opened.close()


def told(bench: Caught, kind: str) -> list[dict[str, Any]]:
    return [c["body"] for c in bench.of("part") if c["part"] == "builder" and c["body"]["kind"] == kind]


def say(bench: Workbench, **body: Any) -> None:
    ask(bench, type="part", part="builder", body=body)


def op(bench: Workbench, ref: str, kind: str, /, refusals: int = 0, client: str = "c", **args: Any) -> None:
    say(bench, kind="op", client=client, refusals=refusals, op={"id": ref, "base_rev": 0, "kind": kind, "args": args})


def answer(bench: Caught, kind: str, **body: Any) -> dict[str, Any]:
    say(bench, kind=kind, ask=7, **body)
    got = told(bench, kind)[-1]
    assert got["ask"] == 7
    return got


LEAF = {"variable": "a", "distribution": {"name": "bernoulli"}}


def test_an_operation_comes_back_as_a_change_with_its_id(bench: Caught) -> None:
    op(bench, "c-1", "add_input", id=4, **LEAF, x=1, y=2)
    (change,) = told(bench, "change")
    assert (change["rev"], change["op"], change["undo"], change["redo"]) == (1, "c-1", "add input", None)
    assert change["blocks"] == [[4, {"id": 4, "kind": "input", **LEAF, "x": 1, "y": 2}]]
    assert change["variables"] == [["a", 2]]
    say(bench, kind="undo")
    assert told(bench, "change")[-1] | {"kind": ""} == {
        "kind": "",
        "rev": 2,
        "op": None,
        "blocks": [[4, None]],
        "undo": None,
        "redo": "add input",
        "variables": [],
    }
    say(bench, kind="redo")
    assert bench.document.blocks[4].variable == "a"


def test_a_refusal_says_why_and_where_and_takes_what_was_built_on_it_along(bench: Caught) -> None:
    for i, id in enumerate((0, 1)):
        op(bench, f"c-{i}", "add_input", id=id, **LEAF)
    op(bench, "c-2", "add_product", id=2, children=[0, 1])
    (nack,) = told(bench, "nack")
    assert nack["op"] == "c-2"
    assert "both depend on {a}" in nack["reason"]
    assert (nack["node"], nack["taken"], nack["counted"]) == (2, False, True)
    op(bench, "c-3", "rename", id=0, name="sent before the refusal was known")
    assert bench.document.rev == 2
    assert len(told(bench, "nack")) == 1, "its sender sends it again, or drops it"
    op(bench, "d-1", "rename", client="another", id=1, name="of another client")
    op(bench, "c-4", "rename", refusals=1, id=0, name="again")
    assert [bench.document.blocks[id].name for id in (0, 1)] == ["again", "of another client"]


def test_an_id_that_python_took_meanwhile_is_told_apart(bench: Caught) -> None:
    bench.document.add_input("a")
    op(bench, "c-1", "add_sum", id=0)
    assert told(bench, "nack")[-1]["taken"] is True


def test_an_operation_that_arrives_twice_is_made_once(bench: Caught) -> None:
    op(bench, "c-1", "add_input", id=0, **LEAF)
    op(bench, "c-1", "add_input", id=0, **LEAF)
    assert bench.document.rev == 1
    assert told(bench, "done") == [{"kind": "done", "op": "c-1"}]


def test_nonsense_is_refused_like_anything_else(bench: Caught) -> None:
    op(bench, "c-1", "explode")
    op(bench, "c-2", "move", refusals=1, moves=5)
    reasons = [nack["reason"] for nack in told(bench, "nack")]
    assert "there is no operation 'explode'" in reasons[0]
    assert reasons[1].startswith("TypeError")


def test_a_view_gets_the_document_once_and_with_its_places(bench: Caught) -> None:
    document = Document.of(pcbench.structures.hmm(2, pcbench.Variables.binary(3)))
    bench.document = document
    bench._handle_custom_msg(
        {"type": "part", "part": "builder", "body": {"kind": "placed"}},
        [memoryview(np.array([0, 1], "<i4").tobytes()), memoryview(np.array([1.5, 2, 3, 4], "<f8").tobytes())],
    )
    assert document.place(document.blocks[1]) == (3, 4)
    bench.forget()
    ask(bench, type="sync", have=NOTHING)
    (head,) = told(bench, "document")
    buffers = next(b for c, b in bench.__dict__["sent"] if c["type"] == "part" and c["body"]["kind"] == "document")
    state = json.loads(buffers[0])
    assert state == {key: value for key, value in document.state().items() if key != "values"}
    assert np.frombuffer(buffers[1], "<i4").tolist() == [0, 1]
    assert np.frombuffer(buffers[2], "<f8").tolist() == [1.5, 2, 3, 4]
    assert [family["name"] for family in head["families"]] == [family.name for family in pcbench.FAMILIES]
    assert {"hmm", "two-coins"} <= {entry["name"] for entry in head["templates"]}
    bench.forget()
    ask(bench, type="sync", have={**NOTHING, "parts": {"builder": {"token": head["token"], "rev": head["rev"]}}})
    assert told(bench, "document") == []
    ask(bench, type="sync", have={**NOTHING, "parts": {"builder": {"token": "of before", "rev": head["rev"]}}})
    assert len(told(bench, "document")) == 1


def test_the_old_document_no_longer_speaks(bench: Caught) -> None:
    old = bench.document
    bench.document = Document()
    bench.forget()
    old.add_input("a")
    assert told(bench, "change") == []


def test_values_come_with_their_shape_or_with_what_to_start_from(bench: Caught) -> None:
    document = bench.document
    a, b = document.add_input("a", nodes=2), document.add_input("a", nodes=1)
    top = document.add_sum([a, b], nodes=2)
    got = answer(bench, "values", block=top)
    assert (got["shape"], got["given"], got["values"]) == ([2, 3], False, [1 / 3] * 6)
    document.set_weights(top, [[0.5, 0.25, 0.25], [0, 0, 1]])
    got = answer(bench, "values", block=top)
    assert (got["given"], got["values"], got["range"][2]) == (True, [0.5, 0.25, 0.25, 0, 0, 1], 1)
    assert len(answer(bench, "values", block=a)["values"]) == 2
    assert answer(bench, "values", block=99)["text"] == "there is no block 99"
    wide = document.add_input("w", pcbench.Categorical(4096))
    assert answer(bench, "values", block=wide)["values"] is None
    bench.document = Document.of(pcbench.structures.hmm(2, pcbench.Variables.binary(4)))
    tied = next(id for id, block in bench.document.blocks.items() if block.kind == "sum" and block.nodes == 2)
    assert answer(bench, "values", block=tied)["tied"] == 2


def test_numbers_follow_evidence_and_what_is_tried(bench: Caught) -> None:
    assert "The document is empty" in answer(bench, "evaluate", evidence={})["text"]
    bench.document.insert_template("two-coins")
    (root,) = answer(bench, "evaluate", evidence={})["roots"]
    assert answer(bench, "evaluate", evidence={"x1": 1})["values"][str(root)] == [pytest.approx(math.log(0.66))]
    tried = answer(bench, "evaluate", evidence={"x1": 1}, preview={"block": root, "values": [0.0, 1.0]})
    assert tried["values"][str(root)] == [pytest.approx(math.log(0.3))]
    assert bench.document.rev == 1
    assert (
        "weights of node 0 sum to" in answer(bench, "evaluate", evidence={}, preview={"block": root, "values": [1, 1]})["text"]
    )
    assert "x1" in answer(bench, "evaluate", evidence={"x1": 2})["text"]
    assert answer(bench, "evaluate", evidence={"gone": 1})["ok"] is True


def test_numbers_of_a_real_variable_and_of_a_zero(bench: Caught) -> None:
    leaf = bench.document.add_input("r", pcbench.Gaussian())
    bench.document.set_weights(leaf, [[1.0], [4.0]])
    got = answer(bench, "evaluate", evidence={"r": 3.0})
    assert got["values"][str(leaf)] == [pytest.approx(-0.5 - math.log(2 * math.sqrt(2 * math.pi)))]
    bench.document = Document()
    leaf = bench.document.add_input("a")
    bench.document.set_weights(leaf, [1.0])
    assert answer(bench, "evaluate", evidence={"a": 0})["values"][str(leaf)] == [None]


def test_source_files_and_compilation(bench: Caught, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert "no circuit yet" in answer(bench, "source")["text"]
    bench.document.insert_template("parity")
    assert "pcbench.SumBlock(" in answer(bench, "source")["text"]
    assert answer(bench, "save", path="p.pcb")["ok"] is True
    assert answer(bench, "files")["files"] == ["p.pcb"]
    blocks = len(bench.document.blocks)
    bench.document.remove(*bench.document.blocks)
    before = bench.document.state()
    assert answer(bench, "load", path="p.pcb")["ok"] is True
    assert len(bench.document.blocks) == blocks
    bench.document.undo()
    assert bench.document.state() == before
    bench.document.redo()
    assert answer(bench, "load", path="nothing.pcb")["ok"] is False
    assert answer(bench, "compile")["ok"] is True
    assert bench.program is not None
    links = [b for c, b in bench.__dict__["sent"] if c["type"] == "part" and c["body"]["kind"] == "link"]
    assert np.frombuffer(links[-1][0], "<i4").tolist() == list(bench.document.ids_of(bench.circuit) or [])
    bench.circuit = pcbench.structures.hmm(2, pcbench.Variables.binary(3))
    links = [b for c, b in bench.__dict__["sent"] if c["type"] == "part" and c["body"]["kind"] == "link"]
    assert links[-1] == [], "a circuit from elsewhere is linked to nothing here"


def test_a_template_is_made_in_the_background_and_can_be_given_up(bench: Caught, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = threading.Event()

    def slow(name: str, options: Any) -> pcbench.Circuit:
        assert gate.wait(5)
        return original(name, options)

    original = part_module.template
    monkeypatch.setattr(part_module, "template", slow)
    op(bench, "c-1", "insert_template", name="parity", options={})
    op(bench, "c-2", "insert_template", name="two-coins", options={})
    op(bench, "c-3", "add_input", id=0, **LEAF)  # others go on editing
    assert bench.document.rev == 1
    say(bench, kind="cancel", op="c-1")
    gate.set()
    assert wait_for(lambda: bool(told(bench, "nack")) and bench.document.rev == 2)
    (nack,) = told(bench, "nack")
    assert (nack["op"], nack["reason"], nack["counted"]) == ("c-1", "parity was cancelled", False)
    assert {block.group for block in bench.document.blocks.values()} == {None, "two-coins 1"}
    op(bench, "c-4", "insert_template", name="hclt", options={"data": "nowhere.csv"})
    assert wait_for(lambda: len(told(bench, "nack")) == 2)
    assert told(bench, "nack")[-1]["reason"].startswith("hclt: ")


def test_build_opens_circuits_and_documents_and_draws_them_without_a_kernel() -> None:
    circuit = pcbench.structures.hmm(2, pcbench.Variables.binary(3))
    document = Document.of(circuit)
    benches = [build(), build(circuit), build(document)]
    assert [bench.panes for bench in benches] == [["builder"]] * 3
    assert benches[2].document is document
    pictures = [bench._repr_mimebundle_()[0].get("image/svg+xml") for bench in benches]
    assert pictures[0] is None
    assert pictures[1] == pictures[2]
    assert pictures[1].count("<title>") == len(circuit.blocks)
    for bench in benches:
        bench.close()
