"""Files that are corrupt, truncated, hostile, or something else; and interrupts while saving. Each has its own message."""

from __future__ import annotations

import io
import json
import os
import pickle
import signal
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import pcbench as pcb
from pcbench.errors import CycleError, FileFormatError
from pcbench.execute.files import load, save
from pcbench.io import container, load_circuit, load_state, recognise
from tests.io.test_native import small

COIN = torch.tensor([[0.1, 0.5, 0.9]])


@pytest.fixture
def file(tmp_path: Path) -> Path:
    save(small(COIN), tmp_path / "c.pcb")
    return tmp_path / "c.pcb"


@pytest.fixture
def model_file(tmp_path: Path) -> Path:
    save(pcb.Model.create(small(COIN), seed=1), tmp_path / "m.pcb")
    return tmp_path / "m.pcb"


def forge(path: Path, **changes: Callable[[Any], Any]) -> None:
    """Rewrite a file's metadata (JSON entries) and tensors as a forger would: the container itself stays sound."""
    tensors, metadata = container.read(path)
    for key, change in changes.items():
        if key == "tensors":
            tensors = change(tensors)
        elif key in ("format", "version", "content"):
            metadata[key] = change(metadata[key])
        else:
            metadata[key] = json.dumps(change(json.loads(metadata[key])))
    container.write(path, tensors, metadata)


def put(place: int, **entries: Any) -> Callable[[list[dict[str, Any]]], list[dict[str, Any]]]:
    """Change entries of one item of a list."""

    def change(items: list[dict[str, Any]]) -> list[dict[str, Any]]:
        items[place].update(entries)
        return items

    return change


def tensor(name: str, value: torch.Tensor | None) -> Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]:
    """Put another tensor in, or take one away."""
    return lambda t: {k: v for k, v in t.items() if k != name} | ({} if value is None else {name: value})


# Places of small(): 0, 1 inputs · 2 product · 3 sum.
FORGERIES: dict[str, tuple[dict[str, Callable[[Any], Any]], str]] = {
    "newer version": ({"version": lambda _: "7"}, r"has version 7 .* reads up to version 1: install a newer one"),
    "version is no number": ({"version": lambda _: "one"}, "its version is 'one', expected a number"),
    "other format": ({"format": lambda _: "llm"}, "is a 'llm' file, expected 'pcbench circuit'"),
    "other content": ({"content": lambda _: "poem"}, "its content is 'poem', expected 'circuit' or 'model'"),
    "tensor missing": ({"tensors": tensor("input#0.parameters", None)}, "tensor 'input#0.parameters' is missing"),
    "index missing": ({"tensors": tensor("product#2.index", None)}, "tensor 'product#2.index' is missing"),
    "tensor too many": ({"tensors": tensor("sum#9.weights", torch.ones(1))}, "tensor 'sum#9.weights' belongs to no block"),
    "wrong shape": ({"tensors": tensor("input#0.parameters", COIN.T)}, r"shape \[3, 1\], expected \[1, 3\]"),
    "wrong dtype": ({"tensors": tensor("input#0.parameters", COIN > 0)}, "is torch.bool, expected numbers"),
    "NaN": ({"tensors": tensor("input#0.parameters", COIN * torch.nan)}, "success probabilities must be finite"),
    "above one": ({"tensors": tensor("input#0.parameters", COIN + 1)}, r"must lie in \[0, 1\]"),
    "float index": ({"tensors": tensor("product#2.index", torch.ones(2, 2))}, "index needs integers, got torch.float32"),
    "index out of range": ({"tensors": tensor("product#2.index", torch.tensor([[0, 9]] * 2))}, r"must lie in 0…2, got 9"),
    "edge out of range": ({"tensors": tensor("sum#3.cols", torch.tensor([5, 0, 1]))}, r"edge columns must lie in 0…1, got 5"),
    "edges of two lengths": ({"tensors": tensor("sum#3.cols", torch.tensor([0, 1]))}, "must be equally long lists"),
    "child out of range": ({"blocks": put(3, children=[8])}, r"block 3: its children contain 8, expected numbers in 0…3"),
    "negative child": ({"blocks": put(3, children=[-1])}, "its children contain -1"),
    "children no list": ({"blocks": put(3, children="all")}, "its children are 'all', expected a list"),
    "children true": ({"blocks": put(3, children=[True])}, "its children contain True"),
    "no root": ({"roots": lambda _: []}, "needs at least one root"),
    "root out of range": ({"roots": lambda _: [4]}, r"list of roots contain 4"),
    "block below no root": ({"roots": lambda _: [2]}, "block 3 lies below no root"),
    "unknown kind": ({"blocks": put(3, kind="quotient")}, "its kind is 'quotient', expected 'input', 'product' or 'sum'"),
    "unknown edges": ({"blocks": put(3, edges="Wavy")}, "its edges are 'Wavy'"),
    "unknown family": ({"blocks": put(0, distribution={"name": "bernuolli"})}, "did you mean 'bernoulli'"),
    "unknown option": ({"blocks": put(0, distribution={"name": "bernoulli", "p": 1})}, "bernoulli: unknown entry 'p'"),
    "option missing": ({"blocks": put(0, distribution={"name": "categorical"})}, "categorical needs 'size'"),
    "option of another type": (
        {"blocks": put(0, distribution={"name": "categorical", "size": "2"})},
        "expected a whole number",
    ),
    "family that does not fit": ({"blocks": put(0, distribution={"name": "gaussian"})}, "Gaussian models real values"),
    "unknown entry": ({"blocks": put(3, nodse=3)}, "unknown entry 'nodse'; did you mean 'nodes'"),
    "no nodes": ({"blocks": put(0, nodes=0)}, "'nodes' is 0, expected a number"),
    "more nodes than edges": ({"blocks": put(3, nodes=10**12)}, "1000000000000 nodes, but edges for 3 at most"),
    "variable out of range": ({"blocks": put(0, variable=10**12)}, r"'variable' is 1000000000000, expected a number in 0…1"),
    "parameter out of range": ({"blocks": put(0, parameter=5)}, "'parameter' is 5"),
    "parameter of another shape": ({"blocks": put(3, parameter=0)}, "weights need shape"),
    "name no text": ({"blocks": put(0, name=3)}, "'name' is 3, expected text"),
    "domain unknown": ({"variables": put(0, domain="complex")}, "its domain is 'complex', expected 'finite' or 'real'"),
    "domain too small": ({"variables": put(0, size=0)}, "'size' is 0"),
    "same name twice": ({"variables": put(0, name="wet")}, "variable name 'wet' is used more than once"),
    "huge parameter": ({"parameters": put(1, shape=[2**40])}, "weights need shape"),
    "shape no list": ({"parameters": put(0, shape=3)}, "its shape is 3, expected a list of sizes"),
    "blocks no list": ({"blocks": lambda _: {"0": 1}}, "its blocks are no list of dictionaries"),
    "notes no dictionary": ({"notes": lambda _: 3}, "its notes are a int, expected a dictionary"),
    "overlapping product": ({"blocks": put(1, variable=0)}, "not decomposable"),
}


@pytest.mark.parametrize("name", FORGERIES)
def test_forged_file(name: str, file: Path) -> None:
    changes, message = FORGERIES[name]
    forge(file, **changes)
    with pytest.raises(FileFormatError, match=message) as caught:
        load(file)
    assert str(file) in str(caught.value)


def test_every_message_is_its_own() -> None:
    assert len({message for _, message in FORGERIES.values()}) >= len(FORGERIES) - 1


def test_cycle(file: Path) -> None:
    forge(file, blocks=put(2, children=[0, 3]))
    with pytest.raises(CycleError, match=r"its own descendant: 3 → 2 → 3") as caught:
        load(file)
    assert str(file) in str(caught.value)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (torch.tensor([1.0, torch.nan, 0.5]), "weights must be finite"),
        (torch.tensor([1.0, -0.5, 1.5]), "weights must not be negative, got -0.5"),
        (torch.tensor([1.0, 0.5, 0.6]), "weights of node 1 sum to 1.1"),
        (torch.tensor([1.0, 1.0]), r"has shape \[2\], expected \[3\]"),
        (None, "tensor 'sum#3.weights' is missing"),
    ],
)
def test_forged_model(value: torch.Tensor | None, message: str, model_file: Path) -> None:
    forge(model_file, tensors=tensor("sum#3.weights", value))
    with pytest.raises(FileFormatError, match=message):
        load(model_file)


def test_every_truncation_is_told(file: Path) -> None:
    whole = file.read_bytes()
    for length in (*range(24), *range(24, len(whole), 5)):
        file.write_bytes(whole[:length])
        with pytest.raises(FileFormatError, match=r"truncated|empty"):
            load_circuit(file)
    file.write_bytes(whole + b"\0")
    with pytest.raises(FileFormatError, match="1 bytes follow after its last tensor"):
        load_circuit(file)


@settings(max_examples=150)
@given(data=st.data())
def test_random_damage_never_ends_otherwise(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Flipped bytes give a circuit or an exception of ours, nothing else."""
    path = tmp_path_factory.getbasetemp() / "damaged.pcb"
    save(small(COIN), path)
    raw = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(raw)
    try:
        load(path)
    except (FileFormatError, CycleError) as error:
        told = str(error)
    else:
        told = str(path)
    assert str(path) in told


def with_header(header: bytes, body: bytes = b"") -> bytes:
    """A container with the given header."""
    return len(header).to_bytes(8, "little") + header + body


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ((1 << 60).to_bytes(8, "little") + b"{}", "no safetensors file"),
        ((1 << 39).to_bytes(8, "little") + b"{}", "announces a header of 549,755,813,888 bytes"),
        ((1 << 20).to_bytes(8, "little") + b"{}", "truncated: its header has 1,048,576 bytes, but only 2 are there"),
        (b"GIF89a" + bytes(40), "no safetensors file"),
        (with_header(b'{"a": '), "header is not readable JSON"),
        (with_header(b'{"a": "\xff"}'), "header is not readable JSON"),
        (with_header(b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}"), "nested too deeply"),
        (with_header(b'{"a":1,"a":1}'), "'a' stands in it twice"),
        (with_header(b'{"a":3}'), "tensor 'a' has dtype None"),
        (with_header(b'{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,9]}}', bytes(9)), "needs 8 bytes, but has 9"),
        (with_header(b'{"a":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}}', bytes(8)), r"has shape \[-2\]"),
        (with_header(b'{"a":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}}', bytes(8)), "has -8"),
        (with_header(b'{"a":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}}', bytes(12)), "starts at byte 4, expected 0"),
        (with_header(b'{"a":{"dtype":"F32","shape":[0,4611686018427387000,4],"data_offsets":[0,0]}}'), "no tensor can have"),
        (with_header(b'{"__metadata__":{"format":3}}'), "not a dictionary of strings"),
        (with_header(b'{"__metadata__":{}}'), "safetensors file of another program"),
    ],
)
def test_hostile_container(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "evil.pcb"
    path.write_bytes(content)
    tracemalloc.start()
    try:
        with pytest.raises(FileFormatError, match=message):
            load_circuit(path)
        assert tracemalloc.get_traced_memory()[1] < 64 << 20
    finally:
        tracemalloc.stop()


class Bomb:
    """Leaves a trace when it is unpickled."""

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return os.mkdir, (os.environ["PCBENCH_TEST_TRACE"],)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_pickles_are_named_and_never_opened(protocol: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PCBENCH_TEST_TRACE", str(tmp_path / "trace"))
    (tmp_path / "c.jpc").write_bytes(pickle.dumps(Bomb(), protocol))
    with pytest.raises(FileFormatError, match=r"c\.jpc is a Python pickle \(a PyJuice .*never unpickles"):
        load(tmp_path / "c.jpc")
    assert not (tmp_path / "trace").exists()


def test_torch_archives_are_pickles_too(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    torch.save({"a": torch.ones(2)}, buffer)
    (tmp_path / "c.pt").write_bytes(buffer.getvalue())
    with pytest.raises(FileFormatError, match="is a Python pickle"):
        load(tmp_path / "c.pt")


def test_other_files_are_named(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("c a comment\n")
    with pytest.raises(FileFormatError, match=r"of no known format .*b'c a comment\\n'.*known: pcbench"):
        recognise(tmp_path / "notes.txt")
    (tmp_path / "empty").write_bytes(b"")
    with pytest.raises(FileFormatError, match="is empty"):
        load(tmp_path / "empty")
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "nothing.pcb")


@pytest.mark.parametrize("place", ["write", "fsync", "replace"])
@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
def test_interrupt_while_saving(place: str, error: type[BaseException], file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = file.read_bytes()

    def stop(*_: object) -> None:
        raise error("now")

    if place == "write":
        tensors = {"a": torch.zeros(4), "b": torch.zeros(4, device="meta")}  # the second cannot be fetched
        with pytest.raises((NotImplementedError, RuntimeError)):
            container.write(file, tensors, {})
    else:
        monkeypatch.setattr(os, place, stop)
        with pytest.raises(error):
            save(small(), file)
        monkeypatch.undo()
    assert file.read_bytes() == before
    assert [p.name for p in file.parent.iterdir()] == ["c.pcb"]


def test_a_killed_save_leaves_the_old_file(file: Path) -> None:
    """Ctrl-C in another process, in the middle of writing a large file over this one."""
    before = file.read_bytes()
    script = (
        "import os, signal, sys, torch\n"
        "from pcbench.io import container\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "class Slow(dict):\n"
        "    left = 3  # sorting, the header, and then the data of z: half of the file is written\n"
        "    def __getitem__(self, key):\n"
        "        self.left -= key == 'z'\n"
        "        if not self.left: os.kill(os.getpid(), signal.SIGINT)\n"
        "        return super().__getitem__(key)\n"
        "container.write(sys.argv[1], Slow(a=torch.zeros(1000), z=torch.zeros(1000)), {})\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(file)], capture_output=True, text=True, env={**os.environ})
    assert "KeyboardInterrupt" in done.stderr
    assert done.returncode in (1, 130, -signal.SIGINT)
    assert file.read_bytes() == before
    assert [p.name for p in file.parent.iterdir()] == ["c.pcb"]


def test_a_link_stays_a_link(file: Path) -> None:
    link = file.with_name("latest.pcb")
    link.symlink_to(file)
    before = file.read_bytes()
    save(small(), link)
    assert link.is_symlink()
    assert file.read_bytes() != before


def test_damaged_state(tmp_path: Path) -> None:
    container.write(tmp_path / "s", {}, {"format": "pcbench state", "version": "1", "meta": "[1]"})
    with pytest.raises(FileFormatError, match="its data is a list, expected a dictionary"):
        load_state(tmp_path / "s")
    container.write(tmp_path / "s", {}, {"format": "pcbench state", "version": "2", "meta": "{}"})
    with pytest.raises(FileFormatError, match="version 2 of 'pcbench state'"):
        load_state(tmp_path / "s")
    container.write(tmp_path / "s", {}, {"format": "pcbench state", "version": "1"})
    with pytest.raises(FileFormatError, match="its data is not readable JSON"):
        load_state(tmp_path / "s")
