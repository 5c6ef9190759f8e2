"""Drawings that survive their kernel: how they are written, when they are offered, and that nothing is replaced unasked."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import pcbench
from pcbench.errors import CircuitError, FileFormatError
from pcbench_widgets import Document, build, unsaved
from pcbench_widgets.builder import kept, record
from pcbench_widgets.builder import part as part_module
from pcbench_widgets.builder.kept import Place
from pcbench_widgets.builder.record import from_record, to_record
from tests.widgets.test_builder_part import answer, op, say, told
from tests.widgets.test_workbench import Caught, wait_for

HERE = Path(__file__).parents[2]


def copied(document: Document) -> Document:
    """What comes back after a kernel's death."""
    other = Document()
    other.adopt(from_record(json.loads(json.dumps(to_record(document.drawing())))))
    return other


# ---- records ---------------------------------------------------------------------------------------------------------
EDITS = ("input", "product", "sum", "connect", "disconnect", "units", "weights", "rename", "move", "remove", "undo", "group")


def edit(document: Document, kind: str, a: int, b: int) -> None:
    ids = list(document.blocks) or [0]
    one, other = ids[a % len(ids)], ids[b % len(ids)]
    if kind == "input":
        document.add_input(f"x{a % 4}", nodes=1 + b % 3)
    elif kind in ("product", "sum"):
        getattr(document, f"add_{kind}")([one, other][: 1 + (one != other)])
    elif kind in ("connect", "disconnect"):
        getattr(document, kind)(one, other)
    elif kind == "units":
        document.set_units(one, 1 + b % 4)
    elif kind == "weights":
        block = document.blocks[one]
        shape = document.draft.parameter_shape(block)
        document.set_weights(
            one, torch.rand(shape).clamp(0.1, 0.9) if block.kind == "input" else torch.full(shape, 1 / shape[1])
        )
    elif kind == "rename":
        document.rename(one, f"name {b} → ∑")
    elif kind == "move":
        document.move({one: (a / 3, -b)})
    elif kind == "remove":
        document.remove(one)
    elif kind == "group":
        document.group([one, other], f"region {b % 2}")
    else:
        document.undo()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(EDITS), st.integers(0, 40), st.integers(0, 40)), max_size=25))
def test_a_drawing_comes_back_with_every_step_of_its_history(edits: list[tuple[str, int, int]]) -> None:
    document = Document()
    for kind, a, b in edits:
        try:
            edit(document, kind, a, b)
        except (CircuitError, KeyError, IndexError):
            continue  # an edit that is refused changes nothing
    other = copied(document)
    assert other.state() == document.state()
    while document.undo():
        assert other.undo()
        assert other.state() == document.state()
    assert not other.undo()
    while document.redo():
        assert other.redo()
        assert (other.state(), other.redoable) == (document.state(), document.redoable)
    assert not other.redo()


def test_sparse_edges_ties_indices_and_values_come_back() -> None:
    tied = pcbench.Parameter((1, 2), torch.tensor([[0.25, 0.75]]), trainable=False, name="shared")
    names = pcbench.Variables.binary(2)
    leaves = [pcbench.InputBlock(v, pcbench.Bernoulli(), 2, tied) for v in names]
    product = pcbench.ProductBlock(leaves, torch.tensor([[0, 1], [1, 0], [1, 1]]))
    circuits = (
        pcbench.Circuit([pcbench.SumBlock([product])], names),
        pcbench.structures.hmm(4, pcbench.Variables.finite(5, 3)),
        pcbench.structures.poon_domingos(2, (4, 4), variables=pcbench.Variables.binary(16)),
    )
    for circuit in circuits:
        document = Document.of(circuit)
        other = copied(document)
        assert other.state() == document.state()
        assert other.source() == document.source()
    shared = {block.parameter for block in copied(Document.of(circuits[0])).blocks.values() if block.kind == "input"}
    (parameter,) = shared
    assert parameter is not None
    assert (parameter.trainable, parameter.name) == (False, "shared")


def test_a_long_history_loses_its_oldest_steps_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record, "MOST_HISTORY", 10)
    document = Document()
    leaf = document.add_input("a")
    for i in range(30):
        document.rename(leaf, f"name {i}")
    other = copied(document)
    assert other.state() == document.state()
    assert sum(1 for _ in iter(other.undo, False)) == 10
    assert other.blocks[leaf].name == "name 19"


def test_what_is_damaged_is_refused() -> None:
    document = Document()
    document.add_sum([document.add_input("a")])
    good = to_record(document.drawing())
    for wrong in (
        None,
        [],
        {},
        {key: value for key, value in good.items() if key != "blocks"},
        good | {"now": [7]},
        good | {"now": good["now"][1:]},
        good | {"variables": []},
        good | {"done": [{"label": "x"}]},
        good | {"blocks": [block | {"distribution": {"name": "no such"}} for block in good["blocks"]]},
        good | {"parameters": [{"shape": [2], "trainable": True, "name": None, "value": {"dtype": "int8"}}]},
    ):
        with pytest.raises(FileFormatError, match="no drawing that this pcbench can read"):
            from_record(wrong)


# ---- files -----------------------------------------------------------------------------------------------------------
@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Iterator[Caught]:
    monkeypatch.setattr(kept, "EVERY", 0.05)
    monkeypatch.setattr(part_module, "here", lambda: Place("notes.ipynb", "cell 1"))
    opened = Caught(panes=["builder"])
    yield opened
    opened.close()


def files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.drawing"))


def offers(bench: Caught) -> list[dict[str, Any]]:
    say(bench, kind="again")
    listed = told(bench, "offers")[-1]["offers"]
    assert isinstance(listed, list)
    return listed


def state_told(bench: Caught) -> str:
    """What the view was told last of how its drawing is kept; empty before it was told anything."""
    return ([""] + [str(body["state"]) for body in told(bench, "kept")])[-1]


def draw(bench: Caught, *names: str) -> None:
    for i, name in enumerate(names):
        op(bench, f"c-{name}", "add_input", id=i, variable=name, distribution={"name": "bernoulli"})


def test_what_is_drawn_by_hand_is_kept_until_it_is_saved(bench: Caught, state_folder: Path, tmp_path: Path) -> None:
    bench.document.add_input("by code")
    time.sleep(0.4)
    assert files(state_folder) == [], "the cell that made it makes it again"
    op(bench, "c-1", "rename", id=0, name="by hand")
    assert wait_for(lambda: bool(files(state_folder)))
    assert wait_for(lambda: state_told(bench) == "kept")
    bench.document.save(tmp_path / "drawn.pcb")
    assert wait_for(lambda: not files(state_folder))
    assert wait_for(lambda: state_told(bench) == "none")
    bench.document.rename(0, "by code, after it was saved")
    assert wait_for(lambda: bool(files(state_folder)))
    say(bench, kind="undo")
    say(bench, kind="undo")
    say(bench, kind="undo")
    assert not bench.document.blocks
    assert wait_for(lambda: not files(state_folder)), "an empty document is no drawing"


def test_a_builder_that_is_closed_leaves_nothing(bench: Caught, state_folder: Path) -> None:
    draw(bench, "a")
    assert wait_for(lambda: bool(files(state_folder)))
    bench.close()
    assert files(state_folder) == []


def test_a_folder_that_cannot_be_written_is_said_and_drawing_goes_on(
    bench: Caught, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    draw(bench, "a")
    assert wait_for(lambda: state_told(bench) == "failed")
    assert "file" in told(bench, "kept")[-1]["text"]
    op(bench, "c-2", "rename", id=0, name="still there")
    assert bench.document.blocks[0].name == "still there"


def test_the_same_cell_again_offers_what_its_first_builder_holds(bench: Caught, state_folder: Path) -> None:
    assert offers(bench) == []
    draw(bench, "a", "b")
    with_another = Caught(panes=["builder"])
    try:
        (offer,) = offers(with_another)
        assert (offer["blocks"], len(with_another.document.blocks)) == (2, 0)
        assert abs(offer["when"] - time.time()) < 60
        assert answer(with_another, "restore", drawing=offer["id"])["ok"]
        assert {block.variable for block in with_another.document.blocks.values()} == {"a", "b"}
        assert offers(with_another) == []
        assert [path.name.startswith(offer["id"]) for path in files(state_folder)] == [False], "it is the new one's now"
        refused = answer(with_another, "restore", drawing=offer["id"])
        assert "no longer there" in refused["text"]
    finally:
        with_another.close()


def test_another_cell_and_another_notebook_of_a_living_kernel_are_offered_nothing(
    bench: Caught, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw(bench, "a")
    for place in (Place("notes.ipynb", "cell 2"), Place("other.ipynb", "cell 1"), Place("notes.ipynb")):
        monkeypatch.setattr(part_module, "here", lambda place=place: place)
        other = Caught(panes=["builder"])
        assert offers(other) == []
        other.close()
    assert unsaved() == []


def test_a_document_that_was_replaced_is_offered_again(bench: Caught) -> None:
    draw(bench, "a")
    bench.document = Document()
    (offer,) = offers(bench)
    draw(bench, "b", "c")
    assert answer(bench, "restore", drawing=offer["id"])["ok"]
    assert [block.variable for block in bench.document.blocks.values()] == ["a"]
    say(bench, kind="undo")
    assert [block.variable for block in bench.document.blocks.values()] == ["b", "c"], "restoring is an edit like any other"


DYING = """
import os, sys, time
from pcbench_widgets.builder import kept, part
part.here = lambda: kept.Place("notes.ipynb", "cell 1")
from tests.widgets.test_builder_part import op
from tests.widgets.test_workbench import Caught
bench = Caught(panes=["builder"])
for i in range(3):
    op(bench, f"c-{i}", "add_input", id=i, variable=f"x{i}", distribution={"name": "bernoulli"})
op(bench, "c-3", "add_product", id=3, children=[0, 1, 2])
"""


def kernel(ending: str, **environment: str) -> subprocess.Popen[str]:
    code = textwrap.dedent(DYING) + ending
    return subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=HERE,
        env={**os.environ, **environment},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


CRASH = """
while not list(kept.folder().glob("*.drawing")): time.sleep(0.01)
print("drawn", flush=True)
sys.stdin.readline()
os.kill(os.getpid(), 9)
"""


def test_what_a_killed_kernel_held_is_offered_and_not_before(bench: Caught, state_folder: Path) -> None:
    with kernel(CRASH) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "drawn\n"
        assert len(files(state_folder)) == 1
        assert (unsaved(), offers(bench)) == ([], []), "its kernel lives"
        process.communicate("die\n")
    (left,) = unsaved()
    assert (left.notebook, left.cell) == ("notes.ipynb", "cell 1")
    (offer,) = offers(bench)
    assert offer["id"] == left.id
    assert build(left.document()).document.state() == left.document().state()
    assert len(bench.document.blocks) == 0, "nothing is replaced unasked"
    assert answer(bench, "restore", drawing=offer["id"])["ok"]
    blocks = len(bench.document.blocks)
    assert blocks == offer["blocks"]
    assert unsaved() == []
    assert len(files(state_folder)) == 1, "the new builder keeps it"
    say(bench, kind="undo")
    assert len(bench.document.blocks) == blocks - 1, "its history came along"


def test_the_last_edit_before_an_orderly_end_is_kept(bench: Caught) -> None:
    """A restart from the menu ends Python in good order, and that is no reason to throw the drawing away."""
    with kernel("time.sleep(0.5)\nop(bench, 'c-4', 'rename', id=3, name='the last edit')\n") as process:
        process.communicate()
    assert process.returncode == 0
    (left,) = unsaved()
    assert left.document().blocks[3].name == "the last edit"
    (offer,) = offers(bench)
    assert answer(bench, "discard", drawing=offer["id"])["ok"]
    assert (unsaved(), offers(bench)) == ([], [])


def test_files_of_others_are_passed_over_and_old_drawings_go(
    bench: Caught, state_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept, "MOST_LEFT", 2)
    state_folder.mkdir(parents=True)
    (state_folder / "empty.drawing").write_text("")
    (state_folder / "alien.drawing").write_text('{"format": "something else"}\n{}')
    head = {"format": kept.FORMAT, "version": 1, "notebook": "n", "cell": "", "blocks": 1}
    for i in range(4):
        (state_folder / f"dead{i}-1.drawing").write_text(json.dumps(head | {"when": i}) + "\n{}")
    (state_folder / "newer-1.drawing").write_text(json.dumps(head | {"when": 9, "version": 2}) + "\n{}")
    assert [drawing.when for drawing in unsaved()] == [3, 2, 1, 0]
    with pytest.raises(FileFormatError, match="no drawing that this pcbench can read"):
        unsaved()[0].document()
    draw(bench, "a")
    assert wait_for(lambda: [drawing.when for drawing in unsaved()] == [3, 2])
    assert (state_folder / "newer-1.drawing").exists()


def test_the_place_is_the_notebook_where_jupyter_says_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JPY_SESSION_NAME", "/home/a/lesson.ipynb")
    assert kept.here().notebook == "/home/a/lesson.ipynb"
    monkeypatch.delenv("JPY_SESSION_NAME")
    assert kept.here() == Place(os.getcwd())
