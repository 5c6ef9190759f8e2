"""Keywords, options and questions that make no sense."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch

import pcbench
from pcbench import (
    Bernoulli,
    Binomial,
    Categorical,
    Circuit,
    Evidence,
    Finite,
    Gaussian,
    InputBlock,
    Model,
    Parameter,
    ProductBlock,
    SumBlock,
    Variables,
)
from pcbench.errors import (
    DataError,
    OptionError,
    PCBenchError,
    QueryError,
)
from pcbench.execute import Statistics, expectation, forward, maximise
from pcbench.queries import conditional, conditional_log_likelihood, log_likelihood, marginal, mpe, sample

from .models import DATA, GOOD, MIXED, MODELS, finite

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
