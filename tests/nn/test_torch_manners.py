"""Circuits as PyTorch expects modules to behave: second derivatives, repeated and interleaved passes, memory, autocast."""

from __future__ import annotations

import gc
import weakref

import pytest
import torch

from pcbench import (
    Categorical,
    Circuit,
    Evidence,
    InputBlock,
    Variables,
)
from pcbench.errors import QueryError
from pcbench.execute import Workspace, expectation
from pcbench.nn import CircuitModule
from pcbench.queries import log_likelihood

from ..conformance.cases import CASES, Case
from ..conformance.common import close
from .coordinates import gradients
from .test_gradients import module_of

pytestmark = pytest.mark.usefixtures("nan_filled")


def some() -> tuple[CircuitModule, Evidence]:
    case = next(c for c in CASES if c.leaf == "gaussian" and c.structure.name == "hclt")
    return module_of(case.circuit()), case.evidence("entries", 9)


def test_a_second_derivative_is_refused_and_a_first_with_its_graph_is_not() -> None:
    module, evidence = some()
    weights = list(module.parameters())
    (plain,) = torch.autograd.grad(module(evidence).sum(), weights[:1])
    (kept,) = torch.autograd.grad(module(evidence).sum(), weights[:1], create_graph=True)
    assert torch.equal(plain, kept.detach())
    with pytest.raises(QueryError, match="differentiated once"):
        kept.square().sum().backward()


def test_backward_twice() -> None:
    module, evidence = some()
    out = module(evidence).sum()
    out.backward(retain_graph=True)
    once = [p.grad.clone() for p in module.parameters() if p.grad is not None]
    out.backward()
    for grad, parameter in zip(once, module.parameters(), strict=True):
        assert parameter.grad is not None
        torch.testing.assert_close(parameter.grad, 2 * grad)
    with pytest.raises(RuntimeError, match="second time"):
        out.backward()


def test_forward_passes_do_not_disturb_one_another() -> None:
    module, evidence = some()
    parts = [evidence[:4], evidence[4:]]
    module(evidence).sum().backward()
    whole = [p.grad.clone() for p in module.parameters() if p.grad is not None]
    module.zero_grad()
    outs = [module(part).sum() for part in parts]
    for out in outs:
        out.backward()
    for grad, parameter in zip(whole, module.parameters(), strict=True):
        torch.testing.assert_close(parameter.grad, grad)


def test_evidence_overwritten_before_the_backward_pass_is_noticed() -> None:
    module, evidence = some()
    values = evidence.values.clone()
    out = module(values.nan_to_num())
    out.sum().backward()
    buffer = values.nan_to_num()
    out = module(buffer)
    buffer.zero_()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        out.sum().backward()


def test_a_step_between_forward_and_backward_does_not_change_the_gradient() -> None:
    """It is the one at the parameters of the forward pass, not at a mixture of old and new."""
    module, evidence = some()
    module(evidence).sum().backward()
    expected = [p.grad.clone() for p in module.parameters() if p.grad is not None]
    module.zero_grad()
    out = module(evidence).sum()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(1.0)
    out.backward()
    for grad, parameter in zip(expected, module.parameters(), strict=True):
        torch.testing.assert_close(parameter.grad, grad)


def test_a_result_that_is_dropped_frees_its_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    import pcbench.execute.gradient as gradient

    made: list[weakref.ref[Workspace]] = []

    class Seen(Workspace):
        def __init__(self) -> None:
            super().__init__()
            made.append(weakref.ref(self))

    monkeypatch.setattr(gradient, "Workspace", Seen)
    module, evidence = some()
    gc.disable()
    try:
        out = module(evidence)
        assert made[-1]() is not None
        del out
        assert made[-1]() is None
        for _ in range(3):
            module(evidence).sum().backward()
        assert len(made) == 2  # handed back and used again
    finally:
        gc.enable()


def test_autocast_does_not_cost_digits() -> None:
    module, evidence = some()
    variable = Variables.finite(1, 200)[0]
    other = module_of(Circuit(InputBlock(variable, Categorical(200))), torch.float32)
    soft = torch.rand(3, 200, generator=torch.Generator().manual_seed(0)).requires_grad_()
    nothing = Evidence.none(3, Variables([variable.domain]))
    found = []
    for enabled in (False, True):
        soft.grad = None
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            out = other(nothing, soft={0: soft})
            found.append(module(evidence).detach())
        out.sum().backward()
        found += [out.detach(), soft.grad, *(p.grad.clone() for p in other.parameters() if p.grad is not None)]
        other.zero_grad()
    half = len(found) // 2
    for a, b in zip(found[:half], found[half:], strict=True):
        assert torch.equal(a, b)


def test_without_gradients_the_answer_is_that_of_the_query() -> None:
    module, evidence = some()
    expected = log_likelihood(module.model(), evidence)
    with torch.inference_mode():
        close(module(evidence)[:, 0].clone(), expected)
    out = module(evidence)
    assert out.requires_grad
    assert out.dtype == torch.float64
    close(out.detach()[:, 0], expected)
    with torch.no_grad():
        assert not module(evidence).requires_grad
    module(evidence).sum().backward()  # after inference mode, buffers are written again


@pytest.mark.parametrize("case", [c for c in CASES if c.leaf != "gaussian"], ids=str)
def test_expected_counts_give_the_same_gradient(case: Case) -> None:
    module, evidence = module_of(case.circuit()), case.evidence("entries", 13)
    module(evidence).sum().backward()
    expected = gradients(module)
    module.zero_grad()
    module.add_gradients(expectation(module.model(), evidence)[0], 2.0)
    module.add_gradients(expectation(module.model(), evidence)[0], -1.0)
    for parameter, grad in gradients(module).items():
        close(grad, expected[parameter])
