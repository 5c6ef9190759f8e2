"""Gradients of the log-likelihood: against differences of the oracle, and against what PyTorch expects of a function."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

import pcbench
from pcbench import (
    Bernoulli,
    Categorical,
    Circuit,
    Evidence,
    Finite,
    InputBlock,
    Model,
    Parameter,
    ProductBlock,
    SumBlock,
    Variables,
)
from pcbench.errors import CircuitError, DataError, OptionError
from pcbench.nn import CircuitModule
from pcbench.queries import log_likelihood

from .. import oracle
from ..conformance.cases import CASES, Case, retied
from ..conformance.common import DTYPES, KERNELS, close, preferring
from ..strategies import MISSING, circuits, evidences, examples
from .coordinates import Objective, gradients

pytestmark = pytest.mark.usefixtures("nan_filled")
SMALL = (1, 2, 5, 17)


def module_of(circuit: Circuit, dtype: torch.dtype = torch.float64, kernel: str = "usual", seed: int = 0) -> CircuitModule:
    with preferring(kernel):
        return CircuitModule(Model.create(pcbench.compile(circuit, dtype=dtype), seed=seed))


def backward(module: CircuitModule, evidence: Any, upstream: Any, **soft: Any) -> Tensor:
    """Gradients of ``Σ upstream · log-likelihood``; returns the log-likelihood."""
    module.zero_grad()
    out = module(evidence, **soft)
    if out.requires_grad:
        out.backward(torch.as_tensor(upstream))
    return out.detach()


def slopes_agree(module: CircuitModule, evidence: Evidence, seed: int = 0, directions: int = 2) -> None:
    """The module's gradient along random directions is the oracle's difference quotient."""
    rng = np.random.default_rng(seed)
    circuit, values = module.circuit, oracle.numbers(module.model().values())
    upstream = rng.normal(size=(len(evidence), circuit.num_outputs))
    objective = Objective(circuit, values, oracle.Rows.of(evidence), upstream)
    backward(module, evidence, upstream)
    found = gradients(module)
    assert all(np.isfinite(g).all() for g in found.values())
    for _ in range(directions):
        direction = objective.direction(rng)
        expected = objective.slope(direction)
        size = sum(float(np.abs(found[p] * d).sum()) for p, d in direction.items())
        got = sum(float((found[p] * d).sum()) for p, d in direction.items())
        assert got == pytest.approx(expected, rel=1e-6, abs=1e-7 * (1 + size))


# ---- the right numbers ----------------------------------------------------------------------------------------------------
@examples(100)
@given(st.data(), st.sampled_from(KERNELS))
def test_any_circuit_agrees_with_differences_of_the_oracle(data: st.DataObject, kernel: str) -> None:
    circuit = data.draw(circuits(frozen=0.2))
    evidence = data.draw(evidences(circuit, SMALL, soft=True))
    slopes_agree(module_of(circuit, kernel=kernel), evidence)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_every_structure_and_family_agrees_with_differences_of_the_oracle(case: Case) -> None:
    module = module_of(case.circuit())
    for seed, pattern in enumerate(MISSING):
        slopes_agree(module, case.evidence(pattern, 11), seed, directions=1)


@examples(40)
@given(st.data())
def test_gradcheck(data: st.DataObject) -> None:
    """PyTorch's own check, by parameters and by soft evidence: as likelihoods and as logs, for each row and for all."""
    circuit = data.draw(circuits(most=3))
    module = module_of(circuit)
    drawn = data.draw(evidences(circuit, (1, 3), soft=True))
    evidence = Evidence(drawn.values, drawn.observed)
    possible = torch.isfinite(log_likelihood(module.model(), drawn)).reshape(len(evidence), -1).all(1)
    if not bool(possible.all()):
        return
    names = [n for n, _ in module.named_parameters()]
    columns = list(drawn.soft)
    inputs = [*module.parameters(), *(s.log() if i % 2 else s for i, s in enumerate(drawn.soft.values()))]
    inputs = [t.detach().clone().requires_grad_() for t in inputs]

    def function(*tensors: Tensor) -> Tensor:
        soft = dict(zip(columns, tensors[len(names) :], strict=True))
        parted = {"soft": {v: soft[v] for v in columns[::2]}, "log_soft": {v: soft[v] for v in columns[1::2]}}
        parameters = dict(zip(names, tensors, strict=False))
        out = torch.func.functional_call(module, parameters, (evidence,), parted)
        assert isinstance(out, Tensor)
        return out

    if inputs:
        assert torch.autograd.gradcheck(function, inputs, fast_mode=True)


@examples(40)
@given(st.data())
def test_real_values_have_gradients_and_others_none(data: st.DataObject) -> None:
    circuit = data.draw(circuits())
    evidence = data.draw(evidences(circuit, (1, 4)))
    if not evidence.values.is_floating_point():
        return
    module, rng = module_of(circuit), np.random.default_rng(0)
    upstream = rng.normal(size=(len(evidence), circuit.num_outputs))
    values = evidence.values.clone().requires_grad_()
    (module(Evidence(values, evidence.observed)) * torch.from_numpy(upstream)).nan_to_num(neginf=0.0).sum().backward()
    assert values.grad is not None
    rows = oracle.Rows.of(evidence)
    real = np.array([not isinstance(v.domain, Finite) for v in circuit.variables])[None] & rows.observed
    np.testing.assert_array_equal(values.grad.numpy()[~real], 0)
    objective = Objective(circuit, oracle.numbers(module.model().values()), rows, upstream)
    move = np.where(real, rng.normal(size=real.shape), 0.0)
    ends = [oracle.Rows(rows.values + step * move, rows.observed) for step in (1e-5, -1e-5)]
    expected = (objective.at({}, 0, ends[0]) - objective.at({}, 0, ends[1])) / 2e-5
    got = values.grad.numpy()
    assert float((got * move).sum()) == pytest.approx(expected, rel=1e-6, abs=1e-7 * (1 + np.abs(got * move).sum()))


@pytest.mark.parametrize("case", [c for c in CASES if c.tying == "free"], ids=str)
def test_float32_is_close_to_float64(case: Case) -> None:
    evidence = case.evidence("entries", 33)
    found = []
    for dtype in DTYPES:
        module = module_of(case.circuit(), dtype)
        found.append(backward(module, evidence, torch.linspace(-1, 2, 33)[:, None]))
        found.append(gradients(module))
    close(found[2], found[0], torch.float32)
    for parameter, grad in found[1].items():
        np.testing.assert_allclose(found[3][parameter], grad, atol=2e-4 * (1e-3 + np.abs(grad).max()))


# ---- what losses do with it -----------------------------------------------------------------------------------------------
@pytest.mark.parametrize("dtype", DTYPES)
def test_sign_scale_and_weight_of_every_row_are_respected(dtype: torch.dtype) -> None:
    case = next(c for c in CASES if c.leaf == "categorical" and c.structure.name == "hclt")
    module, evidence = module_of(case.circuit(), dtype), case.evidence("entries", 9)
    alone = []
    for row in range(9):
        backward(module, evidence[row : row + 1], [[1.0]])
        alone.append(gradients(module))
    weights = np.array([1.0, -2.5, 0.0, 3.0, 1e-3, -1.0, 7.0, 0.25, -0.5])
    for scale in (1.0, -1.0, 1e-30, 1e25):
        backward(module, evidence, weights[:, None] * scale)
        for parameter, grad in gradients(module).items():
            expected = scale * sum(w * g[parameter] for w, g in zip(weights, alone, strict=True))
            np.testing.assert_allclose(grad, expected, rtol=1e-4, atol=2e-5 * abs(scale) * np.abs(expected / scale).max())


@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize("dtype", DTYPES)
def test_nodes_that_underflow_in_the_linear_domain_have_gradients_of_either_sign(dtype: torch.dtype, sign: float) -> None:
    """Each of two paths is e^-700 (in float32: e^-80) somewhere, where the other is 1; so both matter in the end."""
    tiny = math.exp(-80) if dtype == torch.float32 else 1e-304
    x, y = Variables.binary(2)
    first, second = (Parameter((1, 2), torch.tensor([p], dtype=torch.float64)) for p in ([tiny, 0.9], [0.8, tiny]))
    chosen = [
        SumBlock([InputBlock(v, Bernoulli(), 2, p)], 2, parameter=Parameter((2, 2), torch.eye(2, dtype=torch.float64)))
        for v, p in ((x, first), (y, second))
    ]
    module = module_of(Circuit(SumBlock([ProductBlock(chosen)], 1)), dtype)
    data = torch.tensor([[1, 1], [1, 1]])
    values = oracle.numbers(module.model().values())
    upstream = np.array([[sign], [0.3]])
    objective = Objective(module.circuit, values, oracle.Rows.of(data), upstream)
    backward(module, data, upstream)
    found = gradients(module)
    for parameter in (first, second):
        for node in (0, 1):
            move = {p: np.zeros_like(f) for p, f in objective.free.items()}
            move[parameter][0, node] = 1.0
            assert found[parameter][0, node] == pytest.approx(objective.slope(move), rel=1e-4, abs=1e-6)
            assert abs(found[parameter][0, node]) > 0.01


def test_each_root_has_its_own_gradient() -> None:
    variables = Variables.binary(2)
    leaves = [InputBlock(v, Bernoulli(), 3) for v in variables]
    circuit = Circuit([SumBlock([ProductBlock(leaves)], 2), SumBlock([ProductBlock(leaves)], 1)])
    module, data = module_of(circuit), torch.tensor([[0, 1], [1, 1]])
    backward(module, data, [[0.0, 0.0, 1.0], [0.0, 0.0, -1.0]])
    first, second = (r.parameter for r in circuit.roots)  # type: ignore[union-attr]
    found = gradients(module)
    assert np.abs(found[second]).max() > 1e-3
    np.testing.assert_array_equal(found[first], 0)


@pytest.mark.parametrize("case", [c for c in CASES if c.tying == "free" and c.leaf != "gaussian"], ids=str)
def test_tied_parameters_collect_the_gradients_of_all_their_places(case: Case) -> None:
    tied, _ = retied(case.circuit(), tied=True)
    values = Model.create(pcbench.compile(tied, dtype=torch.float64)).values()
    apart, origin = retied(tied, tied=False)
    same = Model.from_values(pcbench.compile(apart, dtype=torch.float64), {new: values[old] for new, old in origin.items()})
    one = CircuitModule(Model.from_values(pcbench.compile(tied, dtype=torch.float64), values))
    other, evidence = CircuitModule(same), case.evidence("entries", 13)
    upstream = torch.linspace(-1, 3, 13)[:, None]
    close(backward(one, evidence, upstream), backward(other, evidence, upstream))
    total: dict[Any, np.ndarray] = {}
    for parameter, grad in gradients(other).items():
        total[origin[parameter]] = total.get(origin[parameter], 0) + grad
    for parameter, grad in gradients(one).items():
        close(grad, total[parameter])


def literal_or(rate: float = 0.3) -> Circuit:
    """Says « 1, then anything » for sure: a first value of 0 is impossible."""
    x, y = Variables.binary(2)
    sure = InputBlock(x, Bernoulli(), 1, Parameter((1, 1), torch.tensor([[1.0]])))
    return Circuit(ProductBlock([sure, InputBlock(y, Bernoulli(), 1, Parameter((1, 1), torch.tensor([[rate]])))]))


@pytest.mark.parametrize("dtype", DTYPES)
def test_rows_of_probability_zero_have_no_part_in_any_gradient(dtype: torch.dtype) -> None:
    module = module_of(literal_or(), dtype)
    data = torch.tensor([[1, 1], [0, 1], [1, 0], [0, 0]])
    soft = torch.tensor([[0.5, 0.5]] * 4, dtype=dtype, requires_grad=True)
    out = module(data, soft={"x1": soft})
    assert torch.isfinite(out[:, 0]).tolist() == [True, False, True, False]
    loss = -out.mean()
    assert loss.item() == math.inf  # the loss tells; the gradient is that of the other rows
    loss.backward()
    assert soft.grad is not None
    np.testing.assert_allclose(soft.grad, [[-0.35, -0.15], [0, 0], [-0.35, -0.15], [0, 0]], rtol=1e-5)
    hard = module_of(literal_or(), dtype)
    (-hard(data).mean()).backward()
    (learnt,) = [g for g in gradients(hard).values() if np.abs(g).max() > 0]
    # rows 0 and 2 of 4: −(1 − p + 0 − p) / 4
    np.testing.assert_allclose(learnt, [[-(1 - 0.6) / 4]], rtol=1e-5)


def test_all_rows_impossible() -> None:
    module = module_of(literal_or())
    (-module(torch.tensor([[0, 1], [0, 0]])).sum()).backward()
    for grad in gradients(module).values():
        np.testing.assert_array_equal(grad, 0)


# ---- parameters that stay -------------------------------------------------------------------------------------------------
def test_frozen_parameters_are_no_parameters_and_stay() -> None:
    variables = Variables.finite(2, 3)
    fixed = Parameter((3, 2), torch.tensor([[0.7, 0.1], [0.2, 0.1], [0.1, 0.8]]), trainable=False)
    free = Parameter((3, 2), torch.tensor([[0.4, 0.3], [0.3, 0.3], [0.3, 0.4]]))
    held = Parameter((1, 4), torch.tensor([[0.1, 0.2, 0.3, 0.4]]), trainable=False)
    leaves = [InputBlock(variables[0], Categorical(3), 2, p) for p in (fixed, free)]
    other = InputBlock(variables[1], Categorical(3), 4)
    circuit = Circuit(SumBlock([ProductBlock([SumBlock(leaves, 4), other])], 1, parameter=held))
    module = module_of(circuit)
    before = module.model().values()
    optimiser = torch.optim.AdamW(module.parameters(), lr=0.1, weight_decay=0.5)
    for _ in range(5):
        optimiser.zero_grad()
        (-module(torch.tensor([[0, 1], [0, 2], [1, 1]])).mean()).backward()
        optimiser.step()
    after = module.model().values()
    assert set(gradients(module)) == {p for p in circuit.parameters if p.trainable}
    for parameter in circuit.parameters:
        assert torch.equal(before[parameter], after[parameter]) == (not parameter.trainable)


def test_a_circuit_with_nothing_to_learn_still_has_gradients_by_soft_evidence() -> None:
    variable = Variables.finite(1, 3)[0]
    fixed = Parameter((3, 1), torch.tensor([[0.2], [0.3], [0.5]]), trainable=False)
    module = module_of(Circuit(InputBlock(variable, Categorical(3), 1, fixed)))
    assert list(module.parameters()) == []
    logits = torch.zeros(1, 3, dtype=torch.float64, requires_grad=True)
    module(Evidence.none(1, Variables([variable.domain])), soft={0: logits.softmax(-1)}).backward()
    np.testing.assert_allclose(logits.grad, np.array([[0.2, 0.3, 0.5]]) - 1 / 3, atol=1e-7)
    assert not module.double().model().program.leaf_tables[0].trainable.any()  # type: ignore[union-attr]


@pytest.mark.parametrize("optimiser", [torch.optim.Adam, torch.optim.SGD, torch.optim.AdamW])
def test_zeros_stay_zeros_and_never_turn_into_nan(optimiser: Any) -> None:
    """A weight of zero has an infinite logit; weight decay on it would be NaN."""
    variable = Variables.finite(1, 3)[0]
    leaf = InputBlock(variable, Categorical(3), 2, Parameter((3, 2), torch.tensor([[0.5, 0.0], [0.5, 0.2], [0.0, 0.8]])))
    coin = SumBlock([leaf], 2, parameter=Parameter((2, 2), torch.tensor([[1.0, 0.0], [0.4, 0.6]])))
    module = module_of(Circuit(SumBlock([coin])))
    steps = optimiser(module.parameters(), lr=0.1, weight_decay=0.1)
    for _ in range(10):
        steps.zero_grad()
        (-module(torch.tensor([[0], [1], [2]])).mean()).backward()
        steps.step()
    values = module.model().values()
    assert values[leaf.parameter][2, 0] == values[leaf.parameter][0, 1] == 0
    assert values[coin.parameter][0].tolist() == [1.0, 0.0]
    assert abs(float(values[coin.parameter][1, 0]) - 0.4) > 1e-3
    assert all(bool(torch.isfinite(p).all()) for p in module.parameters())


# ---- soft evidence ----------------------------------------------------------------------------------------------------------
@examples(40)
@given(st.data(), st.sampled_from(DTYPES))
def test_logs_of_soft_evidence_say_the_same(data: st.DataObject, dtype: torch.dtype) -> None:
    circuit = data.draw(circuits(real=False))
    drawn = data.draw(evidences(circuit, (3,), soft=True))
    module, plain = module_of(circuit, dtype), Evidence(drawn.values, drawn.observed)
    names = {circuit.variables[v].name: s for v, s in drawn.soft.items()}
    expected = module(drawn).detach()
    close(module(plain, soft=names).detach(), expected, dtype)
    shift = {n: torch.linspace(-300, 300, s.numel() // s.shape[-1]).view(*s.shape[:-1], 1) for n, s in names.items()}
    got = module(plain, log_soft={n: s.log() + shift[n] for n, s in names.items()}).detach()
    for root, column in ((r, c) for i, r in enumerate(circuit.roots) for c in _columns(circuit, i)):
        added = sum(shift[v.name].view(-1) for v in circuit.variables if v.name in names and root.scope >> v.index & 1)
        close(got[:, column], expected[:, column] + added, dtype)


def _columns(circuit: Circuit, root: int) -> range:
    first = sum(r.nodes for r in circuit.roots[:root])
    return range(first, first + circuit.roots[root].nodes)


@pytest.mark.parametrize("dtype", DTYPES)
def test_log_soft_evidence_far_apart_does_not_underflow(dtype: torch.dtype) -> None:
    variable = Variables.finite(1, 2)[0]
    sure = [InputBlock(variable, Categorical(2), 1, Parameter((2, 1), torch.eye(2)[:, i : i + 1])) for i in (0, 1)]
    module = module_of(Circuit(SumBlock(sure, 1, parameter=Parameter((1, 2), torch.tensor([[0.5, 0.5]])))), dtype)
    only = module_of(Circuit(sure[1]), dtype)
    logs = torch.tensor([[0.0, -400.0], [-9e4, -9e4 - 300.0]], requires_grad=True)
    nothing = Evidence.none(2, Variables([variable.domain]))
    np.testing.assert_allclose(module(nothing, log_soft={0: logs}).detach()[:, 0], [math.log(0.5), -9e4 + math.log(0.5)])
    out = only(nothing, log_soft={0: logs})
    np.testing.assert_allclose(out.detach()[:, 0], [-400.0, -90300.0])
    out.sum().backward()
    np.testing.assert_allclose(logs.grad, [[0, 1], [0, 1]], atol=1e-12)


def test_impossible_log_soft_evidence() -> None:
    module = module_of(literal_or())
    logs = torch.tensor([[0.0, -torch.inf], [-torch.inf, 0.0], [-torch.inf, -torch.inf]], requires_grad=True)
    out = module(torch.tensor([[1, 1]] * 3), log_soft={"x0": logs})
    np.testing.assert_allclose(out.detach()[:, 0], [-torch.inf, math.log(0.3), -torch.inf])
    out.sum().backward()
    assert logs.grad is not None
    np.testing.assert_allclose(logs.grad, [[0, 0], [0, 1], [0, 0]])


def test_soft_evidence_that_makes_no_sense() -> None:
    module, data = module_of(literal_or()), torch.tensor([[1, 1], [1, 0]])
    good = torch.full((2, 2), 0.5)
    for error, match, soft in [
        (DataError, r"'x1' needs shape \[2, 2\] or \[2\], got \[3, 2\]", {"soft": {"x1": torch.ones(3, 2)}}),
        (DataError, r"'x1' needs shape \[2, 2\] or \[2\], got \[3, 2\]", {"log_soft": {"x1": torch.zeros(3, 2)}}),
        (DataError, r"'x1' needs shape \[rows, 2\] or \[2\], got \[2, 3\]", {"log_soft": {"x1": torch.zeros(2, 3)}}),
        (DataError, "'x1' must be finite floats ≥ 0", {"soft": {"x1": -good}}),
        (DataError, "'x1': log likelihoods must be floats below infinity", {"log_soft": {"x1": good * math.inf}}),
        (DataError, "'x1': log likelihoods must be floats below infinity, and not NaN", {"log_soft": {1: good * math.nan}}),
        (DataError, "'x1' must be a tensor, got list", {"soft": {"x1": [[0.5, 0.5]] * 2}}),
        (OptionError, "two pieces of soft evidence on 'x1'", {"soft": {"x1": good}, "log_soft": {1: good}}),
        (CircuitError, "no variable 'y'", {"soft": {"y": good}}),
        (OptionError, "no option 'logsoft'; did you mean 'log_soft'", {"logsoft": {"x1": good}}),
    ]:
        with pytest.raises(error, match=match):
            module(data, **soft)
