"""Steps that write new parameters over the old ones: the same numbers, and nothing where a batch cannot be learnt from."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
import torch

import pcbench
from pcbench import Evidence, Finite, Model
from pcbench.errors import DataError
from pcbench.execute import Statistics, Workspace, em_step, em_steps, expectation, launch_step, settled_step
from pcbench.execute.fused_pass import WRONG
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


class TestStepsUnderWay:
    """Steps launched before the one before them has been waited for. (The interpreter has done them by then; what they leave to
    each other is the same.)"""

    @pytest.mark.parametrize("name", ["hclt", "hmm, tied", "mixed"])
    def test_give_what_steps_one_after_the_other_give(self, name: str) -> None:
        model, _ = pair(name)
        batches = [rows(model.circuit, size, True) for size in (11, 11, 11, 10, 11, 11)]
        alone, likelihoods = model.clone(), []
        for batch in batches:
            alone, likelihood = em_step(alone, batch, 0.5, 0.01, recycle=alone)
            likelihoods.append(likelihood)
        space = Workspace()
        got = list(em_steps(model, batches, 0.5, 0.01, space))
        assert all(torch.equal(one.log_likelihood, two) for one, two in zip(got, likelihoods, strict=True))
        assert identical(state(got[-1].model), state(alone))
        assert not space.under_way

    @pytest.mark.parametrize("broken", ["outside", "mass", "count"])
    def test_change_nothing_behind_one_that_may_not(self, broken: str, monkeypatch: pytest.MonkeyPatch) -> None:
        if broken == "mass":
            model, _, bad = losing_mass()
            good = bad
        else:
            model, _ = pair("hclt")
            bad = rows(model.circuit, 20, False).values
            good = bad.clone()
            if broken == "outside":
                bad[3, 2] = 7
        space = Workspace()
        first = launch_step(model, Evidence(good), 0.5, 0.01, space, model) if broken != "mass" else None
        if first is not None:
            settled_step(first)
        before = state(model)
        one = launch_step(model, Evidence(bad), 0.5, 0.01, space, model)
        assert one is not None
        if broken == "count":
            one.step._raised[WRONG] = 1.0
            one.step.up.flags[WRONG] = 1
            before = state(model)
        two = launch_step(one.new, Evidence(good), 0.5, 0.01, space, one.new)
        assert two is not None
        assert identical(state(model), before)
        if broken == "mass":
            with pytest.warns(RuntimeWarning, match="lost mass"):
                assert one.settle() is None
        else:
            with pytest.raises(DataError):
                one.settle()
        assert two.void
        assert two.settle() is None
        again = em_step(model, good, 0.5, 0.01, space, recycle=model)  # held no longer
        if broken != "mass":
            assert not identical(state(again.model), before)

    def test_that_lost_mass_are_done_anew_and_so_are_those_behind(self) -> None:
        model, precise, data = losing_mass()
        with pytest.warns(RuntimeWarning, match="lost mass"):
            got = [s.log_likelihood for s in em_steps(model, [data] * 3, 0.5, 0.1)]
        expected = []
        for _ in range(3):
            precise, log_likelihood = em_step(precise, data, 0.5, 0.1)
            expected.append(log_likelihood)
        for one, two in zip(got, expected, strict=True):
            same(one, two, 1e-5)


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


def test_a_run_that_launches_ahead_gives_whole_steps_to_whoever_asks() -> None:
    model, _ = pair("rat")
    data = rows(model.circuit, 24, False).values
    run = pcbench.fit(model, data, epochs=12, batch_size=8, background=True)
    seen: list[tuple[Model, list[torch.Tensor]]] = []
    while run.state == "running":
        if len(seen) < 5:
            seen.append((run.model, state(run.model)))
        time.sleep(0.1)
    run.wait()
    assert all(identical(state(m), then) for m, then in seen)
    assert identical(state(run.model), state(pcbench.fit(model, data, epochs=12, batch_size=8).model))
    assert [e.step for e in run.events() if e.kind == "step"] == list(range(1, 37))


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
