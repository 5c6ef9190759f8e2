"""Steps that write new parameters over the old ones: the same numbers, and nothing where a batch cannot be learnt from."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

import pcbench
from pcbench import Evidence, Finite, Model
from pcbench.errors import DataError
from pcbench.execute import Statistics, Workspace, em_step, expectation
from pcbench.execute.graphs import Graphs
from pcbench_kernels.gpu import rehearsal

from .test_interpreted import counted, few_programs, fused, losing_mass, pair, rows, same

__all__ = ["few_programs"]


def state(model: Model) -> list[torch.Tensor]:
    """Everything that a step writes, copied (but for gaps between weights)."""
    p = model.parameters
    return [t.clone() for t in (*p.weights, *p.leaves, *p.gathered)]


def identical(one: list[torch.Tensor], two: list[torch.Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one, two, strict=True))


@pytest.mark.parametrize("name", ["hclt", "hmm, tied", "rat", "pd, holes", "normal", "mixed"])
def test_new_parameters_take_the_place_of_the_old(name: str) -> None:
    model, _ = pair(name)
    evidence, space = rows(model.circuit, 19, True), Workspace()
    elsewhere = model.clone()
    where = model.parameters.flat.data_ptr()
    for step_size in (0.5, 0.25):
        elsewhere = em_step(elsewhere, evidence, step_size, 0.01).model
        model = em_step(model, evidence, step_size, 0.01, space, recycle=model).model
    assert model.parameters.flat.data_ptr() == where
    assert identical(state(model), state(elsewhere))
    assert len(space.steps) == 1


def test_an_impossible_row_leaves_the_old_model() -> None:
    model, _ = pair("hclt")
    values = {p: torch.where(torch.arange(v.shape[0])[:, None] == 0, 0.0, v) if p.shape[0] == 7 else v
              for p, v in model.values().items()}  # fmt: skip
    values = {p: v / v.sum(0) if p.shape[0] == 7 else v for p, v in values.items()}  # no leaf gives category 0
    model = fused(Model.from_values(pcbench.compile(model.circuit), values))
    data = rows(model.circuit, 20, False).values.clamp(min=1)
    data[7] = 0
    before = state(model)
    with pytest.warns(RuntimeWarning, match="lost mass"):
        stepped = em_step(model, data, 0.5, 0.01, recycle=model)
    assert stepped.log_likelihood[7] == -torch.inf
    assert identical(state(model), before)
    possible = torch.arange(20) != 7
    learnt = em_step(model, data[possible], 0.5, 0.01).model.values()
    for parameter, value in stepped.model.values().items():
        same(value, learnt[parameter], 1e-5)


def test_a_value_outside_its_domain_changes_nothing() -> None:
    model, _ = pair("hclt")
    data = rows(model.circuit, 20, False).values
    data[3, 2] = 7
    before = state(model)
    with pytest.raises(DataError, match="row 3"):
        em_step(model, data, 0.5, 0.01, recycle=model)
    assert identical(state(model), before)


def test_lost_mass_is_computed_exactly_elsewhere() -> None:
    model, precise, data = losing_mass()
    before = state(model)
    with pytest.warns(RuntimeWarning, match="lost mass"):
        stepped = em_step(model, data, 0.5, 0.1, recycle=model)
    assert identical(state(model), before)
    learnt = em_step(precise, data, 0.5, 0.1).model.values()
    for parameter, value in stepped.model.values().items():
        same(value, learnt[parameter], 1e-5)


@pytest.mark.parametrize("asks", [False, True])
def test_a_run_keeps_one_model_and_those_that_somebody_asked_for(asks: bool) -> None:
    model, _ = pair("rat")
    data = rows(model.circuit, 24, False).values
    first = state(model)
    seen: list[tuple[Model, list[torch.Tensor]]] = []

    def look(event: pcbench.Event) -> None:
        if asks and event.kind == "step":
            seen.append((run.model, state(run.model)))

    run = pcbench.fit(model, data, epochs=2, batch_size=8, background=True, on_event=look)
    run.wait()
    assert identical(state(model), first)  # the caller's
    assert len({m.parameters.flat.data_ptr() for m, _ in seen}) == len(seen) == (6 if asks else 0)
    assert all(identical(state(m), then) for m, then in seen)
    alone = pcbench.fit(model, data, epochs=2, batch_size=8)
    assert identical(state(run.model), state(alone.model))


@pytest.mark.parametrize("name", ["hclt", "normal", "mixed", "hmm, tied"])
def test_a_rehearsal_leaves_what_is_there(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before kernels run for the first time, all of their work is done once without them: counts and parameters stay."""

    def rehearse(graphs: Graphs, key: object, work: Callable[[], object], device: torch.device) -> None:
        with rehearsal(lambda launches: None):
            work()

    model, precise = pair(name)
    parts = [rows(model.circuit, 9, True), rows(model.circuit, 12, False)]
    parts.append(Evidence(parts[0].values, parts[0].observed, soft_of(model)))
    monkeypatch.setattr(Graphs, "rehearse", rehearse)
    got, expected = Statistics.zeros(model.program), Statistics.zeros(precise.program)
    space = Workspace()
    for part in parts:
        expectation(model, part, space, got)
        expectation(precise, part, into=expected)
    for one, two in zip(counted(got), counted(expected), strict=True):
        same(one, two, 1e-5)
    learnt = em_step(precise, parts[1], 0.5, 0.01).model.values()
    for parameter, value in em_step(model, parts[1], 0.5, 0.01, space, recycle=model).model.values().items():
        same(value, learnt[parameter], 1e-5)


def soft_of(model: Model) -> dict[int, torch.Tensor]:
    """Likelihoods of the first variable's values, if it is finite."""
    domain = model.circuit.variables[0].domain
    return {0: torch.linspace(0.1, 1, domain.size)} if isinstance(domain, Finite) else {}
