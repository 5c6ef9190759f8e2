"""``fit(method=Gradient(…))``: it learns as much as EM does, with any optimiser, and goes on where it was."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np
import pytest
import torch

import pcbench
from pcbench import Evidence, Model, Parameter, SumBlock
from pcbench.circuit import Circuit
from pcbench.errors import DataError, FileFormatError, OptionError
from pcbench.execute import forward
from pcbench.io import load_state, save_state
from pcbench.learn import EM, Constant, Cosine, Gradient, fit
from pcbench.learn.gradient import GradientLearner
from pcbench.nn import CircuitModule

from .small import LEAVES, chain, rows
from .test_checkpoint import assert_same, options


def mean_ll(model: Model, data: Any) -> float:
    return float(forward(model, data).mean())


@pytest.mark.parametrize("leaf", LEAVES)
def test_adam_reaches_about_what_em_does(leaf: str) -> None:
    data = rows(200, leaf)
    start = mean_ll(Model.create(chain(leaf), data=data), data)
    em = fit(chain(leaf), data, method=EM(), epochs=40)
    run = fit(chain(leaf), data, method=Gradient(learning_rate=Cosine(0.2, 0.01)), epochs=80, batch_size=100)
    reached, gained = mean_ll(run.model, data), mean_ll(em.model, data) - start
    assert reached > start + 0.9 * gained
    assert run.step == run.total_steps == 160
    steps, curve = run.curve("train_ll")
    assert len(steps) == 160
    assert np.isfinite(curve).all()
    assert run.curve("step_size")[1][0] == pytest.approx(0.2)


@pytest.mark.parametrize("leaf", ["categorical", "gaussian"])
def test_a_step_is_the_optimisers_own(leaf: str) -> None:
    """The same numbers as a training loop written by hand: finite leaves from counts, real ones by autograd."""
    data, circuit = rows(60, leaf), chain(leaf)
    program = pcbench.compile(circuit, dtype=torch.float64)
    model = Model.create(program, seed=2)
    make = functools.partial(torch.optim.SGD, momentum=0.5)
    run = fit(model, data, method=Gradient(make, Constant(0.5)), epochs=4, batch_size=60, seed=0)
    module = CircuitModule(model)
    optimiser = make(module.parameters(), lr=0.5)
    losses = []
    for _ in range(4):
        optimiser.zero_grad()
        loss = -module(data).mean()
        loss.backward()
        optimiser.step()
        losses.append(-loss.item())
    np.testing.assert_allclose(run.curve("train_ll")[1], losses, rtol=1e-9)
    for mine, by_hand in zip(run.model.values().values(), module.model().values().values(), strict=True):
        torch.testing.assert_close(mine, by_hand, rtol=1e-7, atol=1e-9)


def test_two_roots_count_half_each() -> None:
    data, circuit = rows(40), chain()
    below = circuit.roots[0].children[0]
    twice = Circuit([circuit.roots[0], SumBlock([below])])
    model = Model.create(pcbench.compile(twice, dtype=torch.float64))
    run = fit(model, data, method=Gradient("sgd", 0.3), epochs=1, batch_size=40)
    module = CircuitModule(model)
    (-module(data).mean()).backward()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter -= 0.3 * parameter.grad  # type: ignore[operator]
    for mine, by_hand in zip(run.model.values().values(), module.model().values().values(), strict=True):
        torch.testing.assert_close(mine, by_hand)


@pytest.mark.parametrize("leaf", ["bernoulli", "gaussian"])
def test_missing_and_soft_evidence(leaf: str) -> None:
    data = rows(120, leaf)
    mask = torch.rand(data.shape, generator=torch.Generator().manual_seed(0)) < 0.6
    soft = {2: torch.rand(120, 2, generator=torch.Generator().manual_seed(1)) + 0.1} if leaf == "bernoulli" else {}
    evidence = Evidence(data, mask, soft)
    run = fit(chain(leaf), evidence, valid=evidence[:30], epochs=20, batch_size=60, method=Gradient(learning_rate=0.1))
    assert run.curve("epoch_train_ll")[1][-1] > run.curve("epoch_train_ll")[1][0] + 0.05
    assert run.best_valid_ll is not None
    assert all(bool(torch.isfinite(v).all()) for v in run.model.values().values())


@pytest.mark.parametrize("name", ["adam", "adamw", "sgd", "rmsprop"])
def test_optimisers_by_name(name: str) -> None:
    data = rows(100)
    run = fit(chain(), data, epochs=5, batch_size=50, method=Gradient(name, 0.05))
    assert run.curve("epoch_train_ll")[1][-1] > run.curve("epoch_train_ll")[1][0]
    assert fit(chain(), data, epochs=1, method="gradient").step == 1


def test_an_impossible_row_is_named() -> None:
    circuit = chain("categorical")
    model = Model.create(pcbench.compile(circuit))
    values = model.values()
    first = circuit.blocks[0].parameter  # type: ignore[union-attr]
    values[first] = torch.tensor([[0.5], [0.5], [0.0], [0.0]]).expand(4, 4)
    broken = Model.from_values(model.program, values)
    data = rows(30, "categorical") % 2
    data[17, 0] = 3
    with pytest.raises(DataError, match=r"row 17 of the training data.*probability zero"):
        fit(broken, data, epochs=1, method=Gradient())
    with pytest.raises(DataError, match=r"row 17 of the training data.*probability zero"):  # with soft evidence: by autograd
        fit(broken, Evidence(data, soft={1: torch.ones(30, 4)}), epochs=1, method=Gradient())


# ---- options --------------------------------------------------------------------------------------------------------------
def test_methods_are_values() -> None:
    assert Gradient("adam", 1).learning_rate == 1.0
    assert Gradient() == Gradient()
    partial = functools.partial(torch.optim.SGD, momentum=0.5)
    assert "SGD(momentum=0.5)" in Gradient(partial).meta()["optimiser"]
    assert Gradient(partial).meta() != Gradient(torch.optim.SGD).meta()
    assert Gradient(learning_rate=0.1).meta() != Gradient(learning_rate=Constant(0.1)).meta()
    assert Gradient(learning_rate=50.0).step_size(3, 9) == 50.0


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: Gradient("adm"), "there is no optimiser 'adm'; did you mean 'adam'"),
        (lambda: Gradient(learning_rate=0), "positive number, got 0"),
        (lambda: Gradient(learning_rate=-0.1), "positive number, got -0.1"),
        (lambda: Gradient(learning_rate=math.nan), "positive number, got nan"),
        (lambda: Gradient(learning_rate=Cosine(2.0)), "start is a step size"),
        (lambda: Gradient(lr=0.1), "no option 'lr'"),  # type: ignore[call-arg]
        (lambda: fit(chain(), rows(10), method=Gradient(torch.optim.LBFGS)), "LBFGS evaluates a batch several times"),
        (lambda: fit(chain(), rows(10), method=Gradient(lambda p, lr: 3)), "must make a torch.optim.Optimizer, got 3"),
        (lambda: fit(chain(), rows(10), method=Gradient(lambda p: 3)), "cannot be made by optimiser"),
        (lambda: fit(frozen(), rows(10), method=Gradient()), "no parameter of this circuit is trainable"),
    ],
)
def test_nonsense_is_refused(make: Any, match: str) -> None:
    with pytest.raises(OptionError, match=match):
        make()


def frozen() -> Circuit:
    variables = pcbench.Variables.binary(6)
    leaves = [
        pcbench.InputBlock(v, pcbench.Bernoulli(), 1, Parameter((1, 1), torch.tensor([[0.5]]), trainable=False))
        for v in variables
    ]
    return Circuit(pcbench.ProductBlock(leaves))


# ---- going on -------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("optimiser", ["adamw", "sgd", "rmsprop", functools.partial(torch.optim.Adam, amsgrad=True)], ids=str)
def test_any_optimiser_resumes_bit_for_bit(tmp_path: Any, optimiser: Any) -> None:
    given = options("bernoulli", Gradient(optimiser, Cosine(0.1, 0.01)))
    path = tmp_path / "run.ckpt"
    whole = fit(chain(), **given)
    fit(chain(), checkpoint=path, **{**given, "epochs": 6}, on_event=_interrupt(3))
    assert_same(whole, fit(chain(), resume=path, **given))


def _interrupt(epoch: int):
    def callback(event) -> None:
        if event.kind == "epoch" and event.epoch == epoch:
            raise KeyboardInterrupt

    return callback


def test_an_interrupt_within_a_step_leaves_the_optimiser_of_the_step_before(tmp_path: Any, monkeypatch: Any) -> None:
    """Parameters and moments were already moved when the key was pressed; the checkpoint knows nothing of it."""
    given = options("bernoulli", Gradient(learning_rate=Cosine(0.1, 0.01)))
    whole, path, calls = fit(chain(), **given), tmp_path / "run.ckpt", []
    real = torch.optim.Adam.step

    def step(self: Any, *args: Any) -> Any:
        out = real(self, *args)
        calls.append(1)
        if len(calls) == 8:
            raise KeyboardInterrupt
        return out

    monkeypatch.setattr(torch.optim.Adam, "step", step)
    half = fit(chain(), checkpoint=path, **given)
    monkeypatch.undo()
    assert half.step == 7
    assert_same(whole, fit(chain(), resume=path, **given))


def test_weights_that_rounded_to_zero_can_come_back_after_a_resume() -> None:
    """Their logits are finite; a start from the model alone would take them for structural zeros."""
    learner = Gradient().learner(Model.create(chain()), None)
    assert isinstance(learner, GradientLearner)
    with torch.no_grad():
        learner._module.get_parameter("sum_0")[:, 0, 0] -= 300
    model = learner._module.model()
    assert any(bool((v == 0).any()) for v in model.values().values())
    assert "sum_0_limits" in CircuitModule(model).state_dict()
    again = Gradient().learner(model, learner.remember())
    assert isinstance(again, GradientLearner)
    before, after = learner._module.state_dict(), again._module.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_a_checkpoint_of_another_optimiser_or_without_its_state(tmp_path: Any) -> None:
    given, path, holed = options("bernoulli", Gradient()), tmp_path / "run.ckpt", tmp_path / "holed"
    fit(chain(), checkpoint=path, **{**given, "epochs": 1})
    with pytest.raises(OptionError, match="method="):
        fit(chain(), resume=path, **{**given, "method": Gradient("sgd")})
    tensors, meta = load_state(path)
    assert any(name.startswith("memory.state.0.exp_avg") for name in tensors)
    save_state(holed, {k: v for k, v in tensors.items() if k != "memory.free.sum_0"}, meta)
    with pytest.raises(FileFormatError, match="does not fit the circuit: sum_0"):
        fit(chain(), resume=holed, **given)
