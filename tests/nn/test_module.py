"""A circuit as a module: in and out, copies, moves, and training inside a neural model."""

from __future__ import annotations

import copy
import io
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

import pcbench
from pcbench import Bernoulli, Circuit, Evidence, Gaussian, InputBlock, Model, Parameter, SumBlock, Variables
from pcbench.errors import OptionError, QueryError
from pcbench.execute import forward
from pcbench.nn import CircuitModule
from pcbench.structures import hmm

from ..conformance.cases import CASES
from ..conformance.common import DTYPES, KERNELS, close, preferring
from ..learn.small import chain, rows
from ..strategies import circuits, evidences, examples


# ---- in and out -----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("dtype", DTYPES)
@examples(60)
@given(st.data(), st.sampled_from(KERNELS))
def test_a_model_goes_in_and_comes_out(dtype: torch.dtype, data: st.DataObject, kernel: str) -> None:
    circuit = data.draw(circuits(frozen=0.3))
    with preferring(kernel):
        model = Model.create(pcbench.compile(circuit, dtype=dtype))
    module = CircuitModule(model)
    again, before = module.model(), model.values()
    for parameter, value in again.values().items():
        exact = value if parameter.trainable else before[parameter]
        assert torch.equal(value, exact)
        close(value, before[parameter], dtype)
        zeros = before[parameter] == 0
        assert bool((value[zeros] == 0).all())
    Model.from_values(model.program, again.values())  # it is a model: normalised, in its domain
    evidence = data.draw(evidences(circuit, (1, 5), soft=True))
    close(module(evidence).detach(), forward(model, evidence), dtype)
    close(forward(again, evidence), forward(model, evidence), dtype)


def test_programs_and_circuits_start_as_models_do() -> None:
    data = rows(50, "gaussian")
    expected = Model.create(chain("gaussian"), seed=3, data=data)
    module = CircuitModule(chain("gaussian"), seed=3, data=data)
    close(module(data).detach(), forward(expected, data), torch.float32)
    assert "float32" in repr(module)
    assert not torch.equal(module(data), CircuitModule(chain("gaussian"), seed=4, data=data)(data))


def test_a_variance_at_its_bound_can_grow_again() -> None:
    variable = Variables.real(1)[0]
    leaf = InputBlock(variable, Gaussian(min_variance=0.01), 1, Parameter((2, 1), torch.tensor([[0.0], [0.01]])))
    module = CircuitModule(Model.create(pcbench.compile(Circuit(leaf), dtype=torch.float64)))
    assert float(module.model().values()[leaf.parameter][1, 0]) == pytest.approx(0.01, rel=2e-3)
    data = torch.tensor([[-1.0], [1.0]], dtype=torch.float64)
    optimiser = torch.optim.Adam(module.parameters(), lr=0.3)
    for _ in range(150):
        optimiser.zero_grad()
        (-module(data).mean()).backward()
        optimiser.step()
    assert float(module.model().values()[leaf.parameter][1, 0]) == pytest.approx(1.0, rel=0.02)


def test_models_taken_out_stay_as_they_are_and_may_be_recycled() -> None:
    module = CircuitModule(chain("categorical"))
    first = module.model()
    kept = first.values()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.mul_(0.5)
    second = module.model()
    assert all(torch.equal(v, kept[p]) for p, v in first.values().items())
    third = module.model(recycle=first)
    assert third.parameters.flat.data_ptr() == first.parameters.flat.data_ptr()
    data = rows(20, "categorical")
    assert torch.equal(forward(third, data), forward(second, data))
    with pytest.raises(OptionError, match="same program"):
        module.model(recycle=Model.create(chain("categorical")))


class Unfree(Bernoulli):
    """A family that somebody wrote before there were gradients."""

    def free(self, parameters: Tensor) -> Tensor:
        return pcbench.Distribution.free(self, parameters)


def test_what_a_module_cannot_be_made_of() -> None:
    with pytest.raises(OptionError, match="did you mean 'seed'"):
        CircuitModule(chain(), sed=3)  # type: ignore[call-arg]
    with pytest.raises(QueryError, match="bernoulli leaves have no unconstrained coordinates"):
        CircuitModule(Circuit(InputBlock(Variables.binary(1)[0], Unfree())))


# ---- state, copies, moves -------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("case", [c for c in CASES if c.tying == "free"], ids=str)
def test_state_dict_round_trip(case: object) -> None:
    circuit = case.circuit()  # type: ignore[attr-defined]
    module, other = CircuitModule(circuit, seed=0), CircuitModule(circuit, seed=1)
    file = io.BytesIO()
    torch.save(module.state_dict(), file)
    file.seek(0)
    evidence = case.evidence("entries", 7)  # type: ignore[attr-defined]
    changed = not torch.equal(module(evidence), other(evidence))
    assert changed == any(p.value is None for p in circuit.parameters)
    other.load_state_dict(torch.load(file, weights_only=True))
    assert torch.equal(module(evidence), other(evidence))


def test_state_of_another_circuit_is_refused() -> None:
    with pytest.raises(RuntimeError, match="size mismatch"):
        CircuitModule(chain(nodes=3)).load_state_dict(CircuitModule(chain(nodes=4)).state_dict())


def test_deep_copies_learn_apart() -> None:
    """Also of a circuit deeper than Python recurses, and of what weight averaging makes of a module."""
    deep = CircuitModule(hmm(latents=2, variables=Variables.binary(500)))
    assert copy.deepcopy(deep).program is deep.program
    module, data = CircuitModule(chain()), rows(30)
    before, twin = module(data).detach(), copy.deepcopy(module)
    average = torch.optim.swa_utils.AveragedModel(module)
    optimiser = torch.optim.SGD(twin.parameters(), lr=1.0)
    (-twin(data).mean()).backward()
    optimiser.step()
    assert torch.equal(module(data), before)
    assert not torch.equal(twin(data), before)
    assert torch.equal(average(data), before)


def test_moving_compiles_again() -> None:
    module, data = CircuitModule(chain("categorical")), rows(40, "categorical")
    single = module(data).detach()
    names = [id(p) for p in module.parameters()]
    assert module.double() is module
    assert [id(p) for p in module.parameters()] == names  # an optimiser made before still knows them
    assert module.program.dtype == torch.float64
    assert all(p.dtype == torch.float64 for p in module.parameters())
    close(module(data).detach(), single, torch.float32)
    module(data).sum().backward()
    module.float()
    assert torch.equal(module(data), single)
    for move in (lambda: module.half(), lambda: module.to("meta"), lambda: module.to(torch.bfloat16)):
        with pytest.raises(OptionError, match=r"expected torch\.float32|there are kernels for 'cpu'"):
            move()
        assert torch.equal(module(data), single)  # nothing was moved


def test_module_in_a_module() -> None:
    parent = nn.ModuleDict({"circuit": CircuitModule(chain()), "linear": nn.Linear(2, 2)})
    assert any(name.startswith("circuit.sum_0") for name, _ in parent.named_parameters())
    parent.double()
    assert parent["circuit"](rows(5)).isfinite().all()
    parent.requires_grad_(False)
    assert not parent["circuit"](rows(5)).requires_grad


# ---- training -------------------------------------------------------------------------------------------------------------
def noisy_sequences(count: int, seed: int) -> tuple[Tensor, Tensor]:
    """States that tend to stay, and what two blurred sensors see of them at each of 8 moments: ``[B, 8]``, ``[B, 8, 2]``."""
    generator = torch.Generator().manual_seed(seed)
    change = (torch.rand(count, 8, generator=generator) < 0.15).long()
    states = change.cumsum(1) % 3
    centres = torch.tensor([[0.0, 1.2], [1.0, -0.6], [-1.0, -0.6]])
    return states, centres[states] + 0.9 * torch.randn(count, 8, 2, generator=generator)


class Reader(nn.Module):
    """A small network looks at each moment alone; a circuit knows which sequences make sense."""

    def __init__(self) -> None:
        super().__init__()
        self.look = nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Linear(16, 3))
        self.circuit = CircuitModule(hmm(latents=3, variables=Variables.finite(8, 3)), seed=1)

    def forward(self, states: Tensor, seen: Tensor) -> Tensor:
        """log p(states | seen), where what is seen speaks for each state as soft evidence."""
        logs = self.look(seen).log_softmax(-1)
        soft = {v: logs[:, v] for v in range(8)}
        nothing = Evidence.none(len(seen), self.circuit.circuit.variables)
        joint = self.circuit(states)[:, 0] + logs.gather(2, states[:, :, None])[..., 0].double().sum(1)
        out = joint - self.circuit(nothing, log_soft=soft)[:, 0]
        assert isinstance(out, Tensor)
        return out


def test_a_neural_model_trains_end_to_end() -> None:
    torch.manual_seed(0)
    model, (states, seen), (held, heard) = Reader(), noisy_sequences(400, 0), noisy_sequences(200, 1)
    optimiser = torch.optim.Adam(model.parameters(), lr=0.03)
    losses = []
    for _ in range(80):
        optimiser.zero_grad()
        loss = -model(states, seen).mean()
        loss.backward()
        assert all(p.grad is not None and bool(p.grad.isfinite().all()) for p in model.parameters())
        optimiser.step()
        losses.append(loss.item())
    assert losses[0] > 7.0  # it starts at about 8 · log 3
    assert losses[-1] < 0.5 * losses[0]
    with torch.no_grad():
        together = -model(held, heard).mean()
        alone = -model.look(heard).log_softmax(-1).gather(2, held[:, :, None]).sum((1, 2)).mean()
    assert together < 4.0
    assert together < alone - 0.5  # what a sequence is like helps to read it
    assert all(math.isfinite(x) for x in losses)


@pytest.mark.parametrize("make", [torch.optim.SGD, torch.optim.RMSprop, torch.optim.Adam], ids=lambda m: m.__name__)
def test_any_optimiser_climbs(make: type[torch.optim.Optimizer]) -> None:
    module, data = CircuitModule(chain("binomial")), rows(200, "binomial")
    optimiser = make(module.parameters(), lr=0.05)  # type: ignore[call-arg]
    curve = []
    for _ in range(30):
        optimiser.zero_grad()
        loss = -module(data).mean()
        loss.backward()
        optimiser.step()
        curve.append(loss.item())
    assert curve[-1] < curve[0] - 0.3
    assert np.isfinite(curve).all()


def test_a_learning_rate_that_shatters_everything_does_not_give_nan() -> None:
    """Logits run away to ±1000: weights round to 0 and 1, and gradients stay numbers."""
    x = Variables.binary(1)[0]
    module = CircuitModule(Circuit(SumBlock([InputBlock(x, Bernoulli(), 3)])))
    optimiser = torch.optim.SGD(module.parameters(), lr=1e5)
    data = torch.tensor([[0], [1], [1]])
    for _ in range(5):
        optimiser.zero_grad()
        out = module(data)
        (-out.mean()).backward()
        assert not bool(out.isnan().any())
        assert all(bool(p.grad.isfinite().all()) for p in module.parameters() if p.grad is not None)
        optimiser.step()
