"""Mistakes of users: each has its own exception and a message with place, value and expectation, and changes nothing."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import pcbench
from pcbench import (
    Bernoulli,
    Binomial,
    BlockSparse,
    Categorical,
    Circuit,
    Evidence,
    Finite,
    Gaussian,
    InputBlock,
    Model,
    Parameter,
    ProductBlock,
    Real,
    Sparse,
    SumBlock,
    Variables,
)
from pcbench.circuit import topological_order
from pcbench.errors import (
    CircuitError,
    CycleError,
    DataError,
    DecomposabilityError,
    FileFormatError,
    OptionError,
    ParameterError,
    PCBenchError,
    QueryError,
    SmoothnessError,
)
from pcbench.execute import Statistics, expectation, forward, maximise, node_flows, node_values
from pcbench.execute.files import load, save
from pcbench.queries import conditional, conditional_log_likelihood, log_likelihood, marginal, mpe, sample

MIXED = Variables([Finite(3), Finite(2), Real()], ["colour", "coin", "height"])


def mixed() -> Circuit:
    leaves = [
        InputBlock(MIXED[0], Categorical(3), 2),
        InputBlock(MIXED[1], Bernoulli(), 2),
        InputBlock(MIXED[2], Gaussian(), 2),
    ]
    return Circuit(SumBlock([ProductBlock(leaves)], 1, name="top"), MIXED)


def finite() -> Circuit:
    over = Variables.finite(3, 4, ["a", "b", "c"])
    return Circuit(SumBlock([ProductBlock([InputBlock(v, Categorical(4), 2) for v in over])], 1, name="top"), over)


MODELS = {"mixed": Model.create(mixed(), seed=1), "finite": Model.create(finite(), seed=1)}
GOOD = {
    "mixed": torch.tensor([[0.0, 1.0, 0.5], [2.0, 0.0, -3.0]], dtype=torch.float64),
    "finite": torch.tensor([[0, 1, 2], [3, 3, 3]]),
}


@pytest.fixture(autouse=True)
def nothing_changes() -> Iterator[None]:
    """Whatever a test does wrong, the models hold and answer afterwards what they held and answered before."""
    held = {n: {p: v.clone() for p, v in m.values().items()} for n, m in MODELS.items()}
    answers = {n: forward(m, GOOD[n]) for n, m in MODELS.items()}
    yield
    for name, model in MODELS.items():
        assert torch.equal(forward(model, GOOD[name]), answers[name])
        for parameter, value in model.values().items():
            assert torch.equal(value, held[name][parameter])


# -- data ------------------------------------------------------------------------------------------------------------------
def changed(which: str, row: int, column: int, value: float) -> torch.Tensor:
    data = GOOD[which].clone()
    data[row, column] = value
    return data


def masked(*shape: int, dtype: torch.dtype = torch.bool) -> Callable[[], Evidence]:
    return lambda: Evidence(GOOD["finite"], torch.ones(shape, dtype=dtype))


def softened(column: int, likelihood: torch.Tensor, which: str = "finite") -> Callable[[], Evidence]:
    return lambda: Evidence(GOOD[which], None, {column: likelihood})


#: name → (which model, how to make the evidence, what the message must say)
BAD_DATA: dict[str, tuple[str, Callable[[], Any], str]] = {
    "category too high": ("finite", lambda: changed("finite", 1, 2, 4), r"row 1, variable 'c'.*4.*0…3"),
    "category negative": ("finite", lambda: changed("finite", 0, 0, -1), r"row 0, variable 'a'.*-1.*0…3"),
    "category too high in a float tensor": ("mixed", lambda: changed("mixed", 0, 0, 3), r"row 0, variable 'colour'.*3.*0…2"),
    "category between two": ("mixed", lambda: changed("mixed", 1, 1, 0.5), r"row 1, variable 'coin'.*0.5.*not an integer"),
    "more categories than declared": ("finite", lambda: torch.full((5, 3), 9, dtype=torch.uint8), r"row 0, variable 'a'.*9"),
    "NaN": ("mixed", lambda: changed("mixed", 1, 2, math.nan), r"row 1, variable 'height'.*nan.*observed=False"),
    "NaN as a category": ("mixed", lambda: changed("mixed", 0, 1, math.nan), r"row 0, variable 'coin'.*nan"),
    "infinity": ("mixed", lambda: changed("mixed", 0, 2, -math.inf), r"row 0, variable 'height'.*-inf.*finite"),
    "too few columns": ("finite", lambda: GOOD["finite"][:, :2], r"shape \[rows, 3\], got \[2, 2\]"),
    "a vector": ("finite", lambda: GOOD["finite"][0], r"shape \[rows, 3\], got \[3\]"),
    "three dimensions": ("finite", lambda: GOOD["finite"][None], r"shape \[rows, 3\], got \[1, 2, 3\]"),
    "complex": ("mixed", lambda: GOOD["mixed"].to(torch.complex64), "complex64"),
    "booleans": ("finite", lambda: GOOD["finite"] > 0, "bool"),
    "a list": ("finite", lambda: [[0, 1, 2]], "list"),
    "text": ("finite", lambda: np.array([["a", "b", "c"]]), "array of"),
    "an empty batch": ("finite", lambda: GOOD["finite"][:0], "empty"),
    "a mask too long": ("finite", masked(4), r"observed needs shape \[2, 3\] or \[3\], got \[4\]"),
    "a mask of other rows": ("finite", masked(3, 3), r"observed needs shape \[2, 3\] or \[3\], got \[3, 3\]"),
    "a mask of one column": ("finite", masked(2, 1), r"got \[2, 1\]"),
    "a mask of numbers": ("finite", masked(2, 3, dtype=torch.uint8), "booleans.*uint8"),
    "soft evidence on no column": ("finite", softened(3, torch.ones(4)), "column 3.*3 variables"),
    "soft evidence on a real variable": ("mixed", softened(2, torch.ones(2), "mixed"), "'height'"),
    "soft evidence of another size": ("finite", softened(0, torch.ones(3)), r"'a'.*\[2, 4\] or \[4\], got \[3\]"),
    "soft evidence of other rows": ("finite", softened(0, torch.ones(3, 4)), r"'a'.*got \[3, 4\]"),
    "soft evidence below zero": ("finite", softened(0, torch.tensor([0.1, -0.1, 0.5, 0.5])), "'a'.*≥ 0"),
    "soft evidence that is no number": ("finite", softened(1, torch.tensor([0.1, math.nan, 0.5, 0.5])), "'b'.*finite"),
}
QUESTIONS: dict[str, Callable[..., Any]] = {
    "forward": forward,
    "expectation": expectation,
    "node_values": node_values,
    "node_flows": node_flows,
    "log_likelihood": log_likelihood,
    "mpe": mpe,
    "conditional": conditional,
    "sample": lambda model, data: sample(model, evidence=data),
    "marginal": lambda model, data: marginal(model, data, [0]),
    "conditional_log_likelihood": lambda model, data: conditional_log_likelihood(model, data, data),
}


@pytest.mark.parametrize("question", QUESTIONS)
@pytest.mark.parametrize("mistake", BAD_DATA)
def test_data_that_does_not_fit(mistake: str, question: str) -> None:
    which, make, message = BAD_DATA[mistake]
    with pytest.raises(DataError, match=message):
        QUESTIONS[question](MODELS[which], make())


def test_every_mistake_has_a_message_of_its_own() -> None:
    messages = []
    for which, make, _ in BAD_DATA.values():
        with pytest.raises(DataError) as caught:
            forward(MODELS[which], make())
        messages.append(str(caught.value))
    assert len(set(messages)) == len(messages)


def test_values_that_are_not_observed_may_hold_anything() -> None:
    observed = torch.tensor([[True, True, False], [False, True, False]])
    nonsense = torch.tensor([[0.0, 1.0, math.nan], [77.0, 0.0, math.inf]], dtype=torch.float64)
    zeros = torch.where(observed, nonsense, 0.0)
    assert torch.equal(
        forward(MODELS["mixed"], Evidence(nonsense, observed)), forward(MODELS["mixed"], Evidence(zeros, observed))
    )


# -- keywords ----------------------------------------------------------------------------------------------------------------
DATA = GOOD["finite"]
MISSPELT: dict[str, tuple[Callable[[], Any], str, str]] = {
    "compile": (lambda: pcbench.compile(finite(), dtyp=torch.float32), "dtyp", "dtype"),  # type: ignore[call-arg]
    "create": (lambda: Model.create(finite(), sed=1), "sed", "seed"),  # type: ignore[call-arg]
    "from_values": (lambda: Model.from_values(MODELS["finite"].program, vals={}), "vals", "values"),  # type: ignore[call-arg]
    "Evidence": (lambda: Evidence(DATA, obseved=None), "obseved", "observed"),  # type: ignore[call-arg]
    "log_likelihood": (lambda: log_likelihood(MODELS["finite"], DATA, batchsize=2), "batchsize", "batch_size"),  # type: ignore[call-arg]
    "sample": (lambda: sample(MODELS["finite"], coun=3), "coun", "count"),  # type: ignore[call-arg]
    "mpe": (lambda: mpe(MODELS["finite"], evidense=DATA), "evidense", "evidence"),  # type: ignore[call-arg]
    "conditional": (lambda: conditional(MODELS["finite"], DATA, variable=["a"]), "variable", "variables"),  # type: ignore[call-arg]
    "expectation": (lambda: expectation(MODELS["finite"], DATA, work_space=None), "work_space", "workspace"),  # type: ignore[call-arg]
    "maximise": (lambda: maximise(MODELS["finite"], None, stepsize=1.0), "stepsize", "step_size"),  # type: ignore[call-arg,arg-type]
    "InputBlock": (lambda: InputBlock(MIXED[0], Categorical(3), node=2), "node", "nodes"),  # type: ignore[call-arg]
    "SumBlock": (lambda: SumBlock([], edge=None), "edge", "edges"),  # type: ignore[call-arg]
    "ProductBlock": (lambda: ProductBlock([], indx=None), "indx", "index"),  # type: ignore[call-arg]
    "Parameter": (lambda: Parameter((1,), valu=None), "valu", "value"),  # type: ignore[call-arg]
    "Circuit": (lambda: Circuit([], varables=None), "varables", "variables"),  # type: ignore[call-arg]
    "Variables": (lambda: Variables([], name=["x"]), "name", "names"),  # type: ignore[call-arg]
    "Variables.finite": (lambda: Variables.finite(count=2, sise=3), "sise", "size"),  # type: ignore[call-arg]
    "Categorical": (lambda: Categorical(siz=3), "siz", "size"),  # type: ignore[call-arg]
    "Binomial": (lambda: Binomial(trails=3), "trails", "trials"),  # type: ignore[call-arg]
    "Gaussian": (lambda: Gaussian(minvariance=3.0), "minvariance", "min_variance"),  # type: ignore[call-arg]
    "Finite": (lambda: Finite(siez=3), "siez", "size"),  # type: ignore[call-arg]
}


@pytest.mark.parametrize("place", MISSPELT)
def test_misspelt_keyword_gets_the_right_spelling(place: str) -> None:
    call, wrong, right = MISSPELT[place]
    with pytest.raises(OptionError, match=f"no option '{wrong}'; did you mean '{right}'"):
        call()


BAD_OPTIONS: dict[str, tuple[Callable[[], Any], str]] = {
    "batch size": (lambda: log_likelihood(MODELS["finite"], DATA, batch_size=0), "batch_size must be at least 1, got 0"),
    "count": (lambda: sample(MODELS["finite"], -2), "count must be at least 1, got -2"),
    "no count": (lambda: sample(MODELS["finite"]), "count, or evidence"),
    "step size 0": (lambda: maximise(MODELS["finite"], counted(), step_size=0.0), r"\(0, 1\], got 0"),
    "step size 1.5": (lambda: maximise(MODELS["finite"], counted(), step_size=1.5), r"\(0, 1\], got 1.5"),
    "step size NaN": (lambda: maximise(MODELS["finite"], counted(), step_size=math.nan), r"\(0, 1\], got nan"),
    "pseudocount": (lambda: maximise(MODELS["finite"], counted(), pseudocount=-0.1), "≥ 0, got -0.1"),
    "pseudocount ∞": (lambda: maximise(MODELS["finite"], counted(), pseudocount=math.inf), "finite.*inf"),
    "dtype": (lambda: pcbench.compile(finite(), dtype=torch.float16), "float16.*float32"),
    "device": (lambda: pcbench.compile(finite(), device="cuda:7"), "cuda:7"),
    "device unknown": (lambda: pcbench.compile(finite(), device="gpu"), "gpu"),
    "tile": (lambda: pcbench.compile(finite(), tile=12), "power of two, got 12"),
}


def counted() -> Statistics:
    return expectation(MODELS["finite"], DATA)[0]


@pytest.mark.parametrize("option", BAD_OPTIONS)
def test_options_that_make_no_sense(option: str) -> None:
    call, message = BAD_OPTIONS[option]
    with pytest.raises(OptionError, match=message):
        call()


@pytest.mark.parametrize("output", [1, -1])
@pytest.mark.parametrize("question", [mpe, conditional])
def test_an_output_that_the_circuit_lacks(question: Callable[..., Any], output: int) -> None:
    evidence = Evidence(DATA, torch.tensor([True, False, True]))
    with pytest.raises(PCBenchError, match=rf"output.*{output}"):
        question(MODELS["finite"], evidence, output=output)
    with pytest.raises(PCBenchError, match=rf"output.*{output}"):
        sample(MODELS["finite"], 2, output=output)


def test_statistics_of_no_rows_or_of_another_program() -> None:
    with pytest.raises(DataError, match="no rows"):
        maximise(MODELS["finite"], Statistics.zeros(MODELS["finite"].program))
    other = expectation(MODELS["mixed"], GOOD["mixed"])[0]
    with pytest.raises(PCBenchError):
        maximise(MODELS["finite"], other)
    with pytest.raises(PCBenchError):
        expectation(MODELS["finite"], DATA, into=other)


# -- queries ----------------------------------------------------------------------------------------------------------------
def test_evidence_of_probability_zero() -> None:
    variable = Variables.finite(2, 2)
    literal = Parameter((1, 1), torch.tensor([[1.0]]))
    circuit = Circuit(ProductBlock([InputBlock(variable[0], Bernoulli(), 1, literal), InputBlock(variable[1], Bernoulli())]))
    model = Model.create(circuit)
    evidence = Evidence(torch.tensor([[1, 0], [0, 0]]), torch.tensor([True, False]))
    assert forward(model, evidence)[1].item() == -math.inf
    for question in (conditional, mpe, lambda m, e: sample(m, evidence=e)):
        with pytest.raises(QueryError, match="row 1: the evidence has probability zero"):
            question(model, evidence)
        with pytest.raises(QueryError, match="row 1: the evidence has probability zero"):
            question(model, evidence[torch.tensor([0, 1])])
    with pytest.raises(QueryError, match="row 1: the given evidence has probability zero"):
        conditional_log_likelihood(model, Evidence(evidence.values, torch.tensor([False, True])), evidence)


def test_questions_that_contradict_their_evidence() -> None:
    model = MODELS["finite"]
    with pytest.raises(QueryError, match="'b' is observed in row 0"):
        conditional(model, DATA, ["b"])
    with pytest.raises(PCBenchError, match=r"no variable 'bb'.*did you mean 'b'"):
        conditional(model, Evidence(DATA, torch.zeros(3, dtype=torch.bool)), ["bb"])
    with pytest.raises(PCBenchError, match="7"):
        marginal(model, DATA, [7])
    with pytest.raises(QueryError, match="row 0: query and given disagree on 'a'"):
        conditional_log_likelihood(model, DATA, (DATA + 1) % 4)
    with pytest.raises(DataError, match=r"2 rows.*1"):
        conditional_log_likelihood(model, DATA, DATA[:1])


# -- circuits ---------------------------------------------------------------------------------------------------------------
X, Y, Z = Variables.finite(3, 2, ["x", "y", "z"])


def leaf(variable: pcbench.Variable, nodes: int = 2) -> InputBlock:
    return InputBlock(variable, Bernoulli(), nodes)


BAD_CIRCUITS: dict[str, tuple[type[Exception], Callable[[], Any], str]] = {
    "overlapping scopes": (
        DecomposabilityError,
        lambda: Circuit(ProductBlock([leaf(X), ProductBlock([leaf(X), leaf(Y)])], name="both")),
        r"both is not decomposable.*input#.*\{x\}",
    ),
    "unsmooth sum": (
        SmoothnessError,
        lambda: Circuit(SumBlock([leaf(X), ProductBlock([leaf(X), leaf(Y)])], name="mix")),
        r"mix is not smooth.*input#.*\{y\}",
    ),
    "no roots": (CircuitError, lambda: Circuit([]), "at least one root"),
    "a gap in the columns": (CircuitError, lambda: Circuit(leaf(Z)), "column 0.*variables="),
    "two variables for one column": (
        CircuitError,
        lambda: Circuit(ProductBlock([leaf(X), InputBlock(Variables.finite(1, 2, ["u"])[0], Bernoulli(), 2)])),
        "column 0|decomposable",
    ),
    "a variable of other variables": (CircuitError, lambda: Circuit(leaf(X), Variables.finite(1, 3)), "column 0"),
    "sum without children": (CircuitError, lambda: SumBlock([], name="s"), "sum block s: needs at least one child"),
    "product without children": (CircuitError, lambda: ProductBlock([], name="p"), "product block p: needs at least one"),
    "no nodes": (CircuitError, lambda: leaf(X, 0), "at least one node, got nodes=0"),
    "no sum nodes": (CircuitError, lambda: SumBlock([leaf(X)], 0), "at least one node, got nodes=0"),
    "children of different sizes": (CircuitError, lambda: ProductBlock([leaf(X, 2), leaf(Y, 3)]), r"\[2, 3\].*index"),
    "index out of range": (CircuitError, lambda: ProductBlock([leaf(X), leaf(Y)], torch.tensor([[0, 2]])), "0…1, got 2"),
    "index negative": (CircuitError, lambda: ProductBlock([leaf(X), leaf(Y)], torch.tensor([[-1, 0]])), "0…1, got -1"),
    "index of floats": (CircuitError, lambda: ProductBlock([leaf(X), leaf(Y)], torch.zeros(2, 2)), "integers.*float32"),
    "index of another width": (CircuitError, lambda: ProductBlock([leaf(X), leaf(Y)], torch.zeros(2, 3).long()), "3"),
    "family of another domain": (CircuitError, lambda: InputBlock(X, Gaussian()), "'x'.*0…1"),
    "too many categories": (CircuitError, lambda: InputBlock(X, Categorical(5)), "'x'.*0…1"),
    "edge out of range": (
        CircuitError,
        lambda: SumBlock([leaf(X)], 1, Sparse(torch.tensor([0]), torch.tensor([2]))),
        "edge columns.*0…1, got 2",
    ),
    "edge twice": (
        CircuitError,
        lambda: SumBlock([leaf(X)], 1, Sparse(torch.tensor([0, 0]), torch.tensor([1, 1]))),
        "same edge.*more than once",
    ),
    "node without edges": (
        CircuitError,
        lambda: SumBlock([leaf(X)], 2, Sparse(torch.tensor([0]), torch.tensor([1]))),
        "node 1 has no edges",
    ),
    "edge lists of different lengths": (
        CircuitError,
        lambda: SumBlock([leaf(X)], 1, Sparse(torch.tensor([0, 0]), torch.tensor([1]))),
        "equally long",
    ),
    "tile that does not fit": (
        CircuitError,
        lambda: SumBlock([leaf(X, 4)], 3, BlockSparse(2, torch.tensor([0]), torch.tensor([0]))),
        "3 nodes and 4 elements are not multiples of the tile 2",
    ),
    "two variables of one name": (CircuitError, lambda: Variables.binary(2, ["x", "x"]), "'x' is used more than once"),
    "names missing": (CircuitError, lambda: Variables.binary(3, ["x"]), "3 domains but 1 names"),
    "an empty domain": (CircuitError, lambda: Finite(0), "size=0"),
    "no categories": (CircuitError, lambda: Categorical(0), "size ≥ 1, got 0"),
    "no trials": (CircuitError, lambda: Binomial(0), "trials ≥ 1, got 0"),
    "a spike": (CircuitError, lambda: Gaussian(0.0), "min_variance > 0"),
    "unchecked": (
        CircuitError,
        lambda: pcbench.compile(Circuit(SumBlock([leaf(X), leaf(Y)]), checked=False)),
        "checked=False",
    ),
}


@pytest.mark.parametrize("mistake", BAD_CIRCUITS)
def test_circuits_that_are_none(mistake: str) -> None:
    kind, make, message = BAD_CIRCUITS[mistake]
    with pytest.raises(kind, match=message):
        make()


def test_cycles_are_named_along_their_way() -> None:
    with pytest.raises(CycleError, match="b → c → b"):
        topological_order(["a"], {"a": ["b"], "b": ["c"], "c": ["b"]})
    loop = ProductBlock([leaf(X)], name="loop")
    above = SumBlock([loop], 2, name="above")
    object.__setattr__(loop, "children", (above,))  # only by force: blocks are frozen
    with pytest.raises(CycleError, match="descendant"):
        Circuit(above)


# -- parameters -------------------------------------------------------------------------------------------------------------
def weights(*values: float) -> Callable[[], Any]:
    tensor = torch.tensor([values], dtype=torch.float64)
    return lambda: SumBlock([leaf(X, tensor.shape[1])], 1, parameter=Parameter(tuple(tensor.shape), tensor), name="s")


def coins(*values: float) -> Callable[[], Any]:
    tensor = torch.tensor([values], dtype=torch.float64)
    return lambda: InputBlock(X, Bernoulli(), tensor.shape[1], Parameter(tuple(tensor.shape), tensor))


BAD_PARAMETERS: dict[str, tuple[Callable[[], Any], str]] = {
    "negative weight": (weights(1.2, -0.2), r"s: weights must not be negative, got -0.2 at \(0, 1\)"),
    "unnormalised weights": (weights(0.5, 0.4), "s: weights of node 0 sum to 0.9, expected 1"),
    "weights a little off": (weights(0.5, 0.50002), "node 0 sum to 1.00002"),
    "weight NaN": (weights(0.5, math.nan), "finite"),
    "weight infinite": (weights(0.5, math.inf), "finite"),
    "coin above one": (coins(0.5, 1.5), r"\[0, 1\].*1.5"),
    "coin below zero": (coins(-0.5, 0.5), r"\[0, 1\].*-0.5"),
    "coin NaN": (coins(0.5, math.nan), "finite"),
    "value of another shape": (lambda: Parameter((2, 2), torch.zeros(2, 3)), r"\(2, 2\), got \(2, 3\)"),
    "shape of another block": (lambda: SumBlock([leaf(X)], 1, parameter=Parameter((2, 2))), r"\(1, 2\), got \(2, 2\)"),
    "shape of another leaf": (lambda: InputBlock(X, Bernoulli(), 2, Parameter((2, 2))), r"\(1, 2\), got \(2, 2\)"),
    "categories that do not sum to one": (
        lambda: InputBlock(X, Categorical(2), 1, Parameter((2, 1), torch.tensor([[0.5], [0.6]]))),
        "sum to 1.*0.1",
    ),
    "variance zero": (
        lambda: InputBlock(MIXED[2], Gaussian(), 1, Parameter((2, 1), torch.tensor([[0.0], [0.0]]))),
        "positive, got 0",
    ),
}


@pytest.mark.parametrize("mistake", BAD_PARAMETERS)
def test_parameters_that_are_none(mistake: str) -> None:
    make, message = BAD_PARAMETERS[mistake]
    with pytest.raises(ParameterError, match=message):
        make()


def test_values_for_a_model_are_checked_one_by_one() -> None:
    model = MODELS["finite"]
    top = model.circuit.roots[0].parameter  # type: ignore[union-attr]
    good = model.values()
    spoilt = {
        "no value": {p: v for p, v in good.items() if p is not top},
        r"needs shape \(1, 2\), got \(2,\)": good | {top: torch.tensor([0.5, 0.5])},
        "must not be negative, got -0.5": good | {top: torch.tensor([[1.5, -0.5]])},
        "sum to 0.5, expected 1": good | {top: torch.tensor([[0.25, 0.25]])},
        "finite": good | {top: torch.tensor([[math.nan, 0.25]])},
    }
    for message, values in spoilt.items():
        with pytest.raises(ParameterError, match=f"top.*{message}"):
            Model.from_values(model.program, values)


def test_tied_blocks_need_the_same_edges() -> None:
    shared = Parameter((2,))
    one = SumBlock([leaf(X)], 2, Sparse(torch.tensor([0, 1]), torch.tensor([0, 1])), shared)
    two = SumBlock([leaf(X)], 2, Sparse(torch.tensor([0, 1]), torch.tensor([1, 0])), shared)
    with pytest.raises(ParameterError, match="tied"):
        pcbench.compile(Circuit(SumBlock([one, two])))


@pytest.mark.parametrize("order", [1, -1])
def test_tied_leaves_need_the_same_family(order: int) -> None:
    shared = Parameter((1, 2))
    blocks = [InputBlock(X, Bernoulli(), 2, shared), InputBlock(X, Binomial(1), 2, shared)][::order]
    with pytest.raises(ParameterError, match="tied"):
        pcbench.compile(Circuit(SumBlock(blocks)))


@pytest.mark.parametrize("order", [1, -1])
def test_weights_cannot_be_tied_to_leaves(order: int) -> None:
    shared = Parameter((1, 2))
    lower = InputBlock(X, Bernoulli(), 2, shared)
    parts = [SumBlock([lower], 1, parameter=shared), InputBlock(Y, Bernoulli(), 1)][::order]
    with pytest.raises(ParameterError, match="tied"):
        pcbench.compile(Circuit(ProductBlock(parts)))


# -- data that is legal but awkward --------------------------------------------------------------------------------------------
def test_a_constant_column_trains_and_stays_finite() -> None:
    data = torch.cat((GOOD["mixed"].repeat(20, 1)[:, :2], torch.full((40, 1), 1.5, dtype=torch.float64)), 1)
    data[:, 0] = 1
    model = Model.create(mixed(), data=data)
    for _ in range(10):
        model = maximise(model, expectation(model, data)[0])
    assert torch.isfinite(forward(model, data)).all()
    gaussian = next(v for p, v in model.values().items() if p.shape == (2, 2))
    assert float(gaussian[1].min()) == pytest.approx(Gaussian().min_variance)


# -- files, and interrupts --------------------------------------------------------------------------------------------------
def damage_truncate(content: bytes) -> bytes:
    return content[:-3]


def damage_flip(content: bytes) -> bytes:
    return content[:20] + bytes([content[20] ^ 0xFF]) + content[21:]


def damage_version(content: bytes) -> bytes:
    start = content.index(b"version")
    digit = next(i for i in range(start, len(content)) if 48 <= content[i] <= 57)
    return content[:digit] + b"9" + content[digit + 1 :]


FILES: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "truncated": (damage_truncate, "truncated"),
    "corrupt": (damage_flip, "JSON|corrupt"),
    "newer": (damage_version, "version 9|newer"),
    "empty": (lambda content: b"", "empty"),
    "of another kind": (lambda content: b"\x89PNG\r\n" + content, "no known format"),
    "a pickle": (lambda content: b"\x80\x04" + content, "pickle"),
}


@pytest.mark.parametrize("damage", FILES)
def test_files_that_cannot_be_opened(damage: str, tmp_path: Path) -> None:
    change, message = FILES[damage]
    path = tmp_path / "model.pcb"
    save(MODELS["finite"], path)
    path.write_bytes(change(path.read_bytes()))
    before = path.read_bytes()
    with pytest.raises(FileFormatError, match=message) as caught:
        load(path)
    assert str(path) in str(caught.value)
    assert path.read_bytes() == before


def test_interrupt_in_the_middle_of_a_save(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "model.pcb"
    save(MODELS["finite"], path)
    before = path.read_bytes()

    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    for name in ("replace", "fsync"):
        with monkeypatch.context() as patch:
            patch.setattr(os, name, interrupted)
            with pytest.raises(KeyboardInterrupt):
                save(MODELS["mixed"], path)
        assert path.read_bytes() == before
        assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("call", [0, 1])
def test_interrupt_in_the_middle_of_a_step(call: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Broken off in a kernel, a step leaves model and workspace as good as before."""
    from pcbench.execute import Workspace
    from pcbench_kernels.cpu import sum_dense

    model, space = MODELS["finite"], Workspace()
    expected, found = expectation(model, DATA)
    after = maximise(model, expected).values()
    name = ("apply", "apply_transposed")[call]

    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(sum_dense.DenseSum, name, interrupted)
        with pytest.raises(KeyboardInterrupt):
            expectation(model, DATA, space)
    statistics, again = expectation(model, DATA, space)
    assert torch.equal(found, again)
    for parameter, value in maximise(model, statistics).values().items():
        assert torch.equal(value, after[parameter])
