"""Own format: what is loaded is what was saved."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open

import pcbench as pcb
from pcbench import (
    Bernoulli,
    Block,
    Circuit,
    InputBlock,
    Parameter,
    ProductBlock,
    Sparse,
    SumBlock,
    Variables,
)
from pcbench.errors import FileFormatError, OptionError, PCBenchError, SmoothnessError
from pcbench.execute.files import load, load_model, save, save_model
from pcbench.io import FORMATS, Stored, load_circuit, load_file, load_state, save_circuit, save_state
from tests.strategies import circuits


def tensors_equal(a: torch.Tensor | None, b: torch.Tensor | None) -> bool:
    """The same bits, dtype and shape."""
    if a is None or b is None:
        return a is b
    return a.dtype == b.dtype and a.shape == b.shape and torch.equal(a, b)


def assert_same_block(a: Block, b: Block, first: Circuit, second: Circuit) -> None:
    """Two blocks say the same, with children and parameters at the same places."""
    assert type(a) is type(b)
    assert (a.name, a.nodes, a.scope) == (b.name, b.nodes, b.scope)
    assert [first.index[c] for c in a.children] == [second.index[c] for c in b.children]
    if isinstance(a, InputBlock) and isinstance(b, InputBlock):
        assert (a.variable, a.distribution) == (b.variable, b.distribution)
    if isinstance(a, ProductBlock) and isinstance(b, ProductBlock):
        assert tensors_equal(a.index, b.index)
    else:
        assert first.parameters.index(a.parameter) == second.parameters.index(b.parameter)
    if isinstance(a, SumBlock) and isinstance(b, SumBlock):
        assert type(a.edges) is type(b.edges)
        for name in ("rows", "cols", "tile"):
            x, y = getattr(a.edges, name, None), getattr(b.edges, name, None)
            assert tensors_equal(x, y) if isinstance(x, torch.Tensor) else x == y


def assert_same(first: Circuit, second: Circuit) -> None:
    """Two circuits are equal in everything that a user can see."""
    assert first.variables == second.variables
    assert [first.index[r] for r in first.roots] == [second.index[r] for r in second.roots]
    assert len(first.blocks) == len(second.blocks)
    assert first.checked == second.checked
    for a, b in zip(first.parameters, second.parameters, strict=True):
        assert (a.shape, a.trainable, a.name) == (b.shape, b.trainable, b.name)
        assert tensors_equal(a.value, b.value)
    for x, y in zip(first.blocks, second.blocks, strict=True):
        assert_same_block(x, y, first, second)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("files")


@settings(max_examples=40)
@given(circuit=circuits())
def test_circuit_survives_a_file(circuit: Circuit, folder: Path) -> None:
    for form in FORMATS:
        if form.save is not None and form.name == "pcbench":
            form.save(Stored(circuit), folder / "a.pcb")
    assert_same(circuit, load_circuit(folder / "a.pcb"))
    save_circuit(load_circuit(folder / "a.pcb"), folder / "b.pcb")
    assert (folder / "a.pcb").read_bytes() == (folder / "b.pcb").read_bytes()


@settings(max_examples=20)
@given(circuit=circuits(), dtype=st.sampled_from([torch.float32, torch.float64]), seed=st.integers(0, 9))
def test_model_survives_a_file(circuit: Circuit, dtype: torch.dtype, seed: int, folder: Path) -> None:
    model = pcb.Model.create(pcb.compile(circuit, dtype=dtype), seed=seed)
    save(model, folder / "m.pcb", notes={"epochs": 3, "who": "é"})
    again = load(folder / "m.pcb")
    assert isinstance(again, pcb.Model)
    assert again.program.dtype == dtype
    assert_same(circuit, again.circuit)
    for a, b in zip(model.values().values(), again.values().values(), strict=True):
        assert tensors_equal(a, b)
    assert load_file(folder / "m.pcb").notes == {"epochs": 3, "who": "é"}
    assert_same(circuit, load_circuit(folder / "m.pcb"))


def small(value: torch.Tensor | None = None) -> Circuit:
    """Two tied leaves, a product with an index, a sparse sum."""
    over = Variables.binary(2, ("rain", "wet"))
    tied = Parameter((1, 3), value, trainable=False, name="coin")
    rain, wet = (InputBlock(v, Bernoulli(), 3, tied, name=f"leaf {v.name}") for v in over)
    both = ProductBlock([rain, wet], torch.tensor([[0, 2], [2, 1]]))
    return Circuit(SumBlock([both], 2, Sparse(torch.tensor([0, 1, 1]), torch.tensor([1, 0, 1])), name="top"), over)


def test_ties_names_and_flags_are_kept(tmp_path: Path) -> None:
    save(small(torch.tensor([[0.1, 0.5, 0.9]])), tmp_path / "c.pcb")
    circuit = load(tmp_path / "c.pcb")
    assert isinstance(circuit, Circuit)
    rain, wet = (b for b in circuit.blocks if isinstance(b, InputBlock))
    assert rain.parameter is wet.parameter
    assert (rain.parameter.name, rain.parameter.trainable) == ("coin", False)
    assert rain.parameter.value is not None
    assert rain.parameter.value.tolist() == torch.tensor([[0.1, 0.5, 0.9]]).tolist()
    assert [v.name for v in circuit.variables] == ["rain", "wet"]
    assert circuit.roots[0].name == "top"
    assert rain.distribution is wet.distribution


def test_the_same_likelihood_after_loading(tmp_path: Path) -> None:
    model = pcb.Model.create(small(), seed=4)
    save_model(model, tmp_path / "whatever.name")
    worlds = torch.cartesian_prod(torch.arange(2), torch.arange(2))
    again = load_model(tmp_path / "whatever.name")
    assert torch.equal(pcb.log_likelihood(model, worlds), pcb.log_likelihood(again, worlds))
    wide = load_model(tmp_path / "whatever.name", dtype=torch.float64)
    assert wide.program.dtype == torch.float64


def test_unchecked_circuits_stay_unchecked(tmp_path: Path) -> None:
    over = Variables.binary(2)
    unsmooth = SumBlock([InputBlock(over[0], Bernoulli()), InputBlock(over[1], Bernoulli())])
    save(Circuit(unsmooth, over, checked=False), tmp_path / "c.pcb")
    assert load_circuit(tmp_path / "c.pcb").checked is False
    with pytest.raises(SmoothnessError):
        Circuit(unsmooth, over)


def test_anyone_can_inspect_a_file(tmp_path: Path) -> None:
    """Any safetensors reader opens it; names say whose tensors they are; the description is JSON."""
    save(small(torch.tensor([[0.1, 0.5, 0.9]])), tmp_path / "c.pcb")
    with safe_open(tmp_path / "c.pcb", framework="pt") as file:
        names, metadata = set(file.keys()), file.metadata()
        coin = file.get_tensor("input#0.parameters")
    assert names == {"input#0.parameters", "product#2.index", "sum#3.rows", "sum#3.cols"}
    assert coin.tolist() == torch.tensor([[0.1, 0.5, 0.9]]).tolist()
    assert (metadata["format"], metadata["version"], metadata["content"]) == ("pcbench circuit", "1", "circuit")
    assert json.loads(metadata["variables"])[0] == {"name": "rain", "domain": "finite", "size": 2}
    blocks = json.loads(metadata["blocks"])
    assert blocks[0]["distribution"] == {"name": "bernoulli"}
    assert blocks[3]["children"] == [2]
    assert json.loads(metadata["roots"]) == [3]


LARGE = """
import sys, time
from pcbench import *
from pcbench.io import load_circuit, save_circuit
import torch
torch.set_num_threads(1)
over = Variables.binary(300)
top = InputBlock(over[0], Bernoulli(), 2)
weights = Parameter((2, 2), torch.tensor([[0.25, 0.75], [0.5, 0.5]]))
for i in range(1, 300):
    for _ in range(332):
        top = SumBlock([top], 2, parameter=weights)
    top = ProductBlock([top, InputBlock(over[i], Bernoulli(), 2)])
circuit = Circuit(top, over)
start = time.process_time()
save_circuit(circuit, sys.argv[1])
again = load_circuit(sys.argv[1])
spent = time.process_time() - start
assert len(again.blocks) == len(circuit.blocks) > 99_000
assert len(again.parameters) == len(circuit.parameters) == 301
print(spent)
"""


@pytest.mark.alone
def test_a_hundred_thousand_blocks(tmp_path: Path) -> None:
    """In a process of its own, without run-time type checks. 3 s on a core of 2026; the bar catches what is quadratic."""
    command = [sys.executable, "-c", LARGE, str(tmp_path / "c.pcb")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert float(done.stdout) < 20


def test_save_refuses_what_it_cannot_hold(tmp_path: Path) -> None:
    with pytest.raises(TypeError):  # the project's own, or the type checker's where tests check types
        save({"a": 1}, tmp_path / "c.pcb")  # type: ignore[arg-type]
    with pytest.raises(FileFormatError, match=r"the end of the name says no format .*known: \.pcb"):
        save(small(), tmp_path / "c.jpc")
    with pytest.raises(FileFormatError, match="notes cannot be written as JSON"):
        save(small(), tmp_path / "c.pcb", notes={"a": object()})
    with pytest.raises(OptionError, match="did you mean 'notes'"):
        save(small(), tmp_path / "c.pcb", note={})  # type: ignore[call-arg]
    with pytest.raises(FileFormatError, match="is a folder"):
        save_circuit(small(), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_circuit_is_no_model(tmp_path: Path) -> None:
    save(small(), tmp_path / "c.pcb")
    with pytest.raises(FileFormatError, match="not trained, expected a model"):
        load_model(tmp_path / "c.pcb")


def test_state_survives_a_file(tmp_path: Path) -> None:
    tensors = {
        "rng": torch.get_rng_state(),
        "scalar": torch.tensor(2.5, dtype=torch.float64),
        "empty": torch.zeros(0, 3),
        "flags": torch.tensor([True, False, True]),
        "half": torch.ones(3, dtype=torch.bfloat16),
        "turned": torch.arange(6).reshape(2, 3).T,
    }
    meta = {"best": float("-inf"), "step": 7, "list": [1, None, "é"], "deep": {"a": True}}
    save_state(tmp_path / "s", tensors, meta)
    again, data = load_state(tmp_path / "s")
    assert data == meta
    assert set(again) == set(tensors)
    assert all(tensors_equal(again[k], tensors[k]) for k in tensors)
    with pytest.raises(FileFormatError, match="'pcbench state' file, expected 'pcbench circuit'"):
        load_circuit(tmp_path / "s")
    save_circuit(small(), tmp_path / "c")
    with pytest.raises(FileFormatError, match="'pcbench circuit' file, expected 'pcbench state'"):
        load_state(tmp_path / "c")
    with pytest.raises(PCBenchError, match="complex64"):
        save_state(tmp_path / "s", {"z": torch.zeros(1, dtype=torch.complex64)}, {})
    assert load_state(tmp_path / "s")[1] == meta
