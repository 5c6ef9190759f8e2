"""Levels that one launch computes, whose programs wait for each other, and weights that are updated while flows go on.

The interpreter runs programs one after the other: one that waits for a later one would wait for ever, and weights that are
updated too early would be read by the flows behind.
"""

from __future__ import annotations

import importlib

import pytest
import torch

import pcbench
from pcbench import Circuit, Model, Variables, structures
from pcbench.execute import Workspace, expectation, forward
from pcbench_kernels.gpu import Launches, chain

from .test_interpreted import counted, few_programs, fused, rows, same, same_steps

__all__ = ["few_programs"]

fuse_module = importlib.import_module("pcbench.compile.fuse")  # the package names a function of it so, too

#: Three branches of two variables below a path of three; the same with wide blocks, whose tiles several programs share.
TREE = [-1, 0, 1, 2, 2, 2, 3, 4, 5]
CIRCUITS: dict[str, Circuit] = {
    "tree": structures.hclt(latents=5, variables=Variables.finite(9, 3), tree=TREE),
    "path": structures.hclt(latents=5, variables=Variables.finite(6, 3), tree=[-1, 0, 1, 2, 3, 4]),
    "shared weights": structures.hmm(latents=5, variables=Variables.finite(6, 4)),
    "wide": structures.hclt(latents=80, variables=Variables.finite(5, 2), tree=[-1, 0, 1, 2, 3]),
}


def pair(name: str) -> tuple[Model, Model]:
    """(fused float32 model, the same parameters in float64 on the plain CPU engine)."""
    precise = Model.create(pcbench.compile(CIRCUITS[name], dtype=torch.float64), seed=2)
    return fused(precise.recompiled(pcbench.compile(CIRCUITS[name]))), precise


def launches(model: Model, size: int = 20) -> tuple[list[int], list[int]]:
    """Places of the launches of a pass, and how many levels each takes."""
    assert model.program.fused is not None
    found = Launches(model.program.fused.layers).of(size)
    return [layer.place for layer in found], [len(layer.places) for layer in found]


@pytest.mark.many_programs
@pytest.mark.parametrize("name", CIRCUITS)
def test_joined_levels_equal_the_float64_engine(name: str) -> None:
    model, precise = pair(name)
    assert max(launches(model)[1]) >= chain.LEVELS
    evidence, space = rows(model.circuit, 20, True), Workspace()
    for _ in range(2):  # what programs tell each other begins at 0 again
        same(forward(model, evidence, space), forward(precise, evidence), 1e-6)
        got, expected = expectation(model, evidence, space)[0], expectation(precise, evidence)[0]
        for one, two in zip(counted(got), counted(expected), strict=True):
            same(one, two, 1e-5)
    same_steps(model, precise, evidence, space)


@pytest.mark.parametrize("name", ["tree", "path"])
def test_joining_changes_nothing(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model, _ = pair(name)
    evidence = rows(model.circuit, 20, False)
    joined = (forward(model, evidence), *counted(expectation(model, evidence, Workspace())[0]))
    monkeypatch.setattr(chain, "LEVELS", 100)
    apart = fused(model.recompiled(pcbench.compile(model.circuit)))  # another program: launches are remembered
    assert set(launches(apart)[1]) == {1}
    for one, two in zip(
        joined, (forward(apart, evidence), *counted(expectation(apart, evidence, Workspace())[0])), strict=True
    ):
        assert torch.equal(one, two)


def test_launches_cover_every_level_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chain, "LONGEST", 3)
    for name in CIRCUITS:
        model, _ = pair(name)
        places, levels = launches(model)
        assert model.program.fused is not None
        assert [place for first, count in zip(places, levels, strict=True) for place in range(first, first + count)] == [
            *range(len(model.program.fused.layers))
        ]
        assert max(levels) <= 3


def test_levels_that_keep_a_gpu_busy_stay_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    model, _ = pair("path")
    monkeypatch.setattr(chain, "FILL", 4)
    assert max(launches(model, 64)[1]) > 1
    assert set(launches(model, 65)[1]) == {1}


@pytest.mark.parametrize("name", CIRCUITS)
def test_weights_are_updated_once_no_flow_reads_them(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fuse_module, "FILL", 1)
    monkeypatch.setattr(chain, "LEVELS", 100)  # a stage may begin behind every level
    model, precise = pair(name)
    plan = model.program.fused
    assert plan is not None
    afters = [stage.after for stage in plan.stages]
    assert afters == sorted(afters, reverse=True)
    assert afters[-1] == 0
    assert len(afters) > 1
    for stage in plan.stages:
        launched = [*stage.learning, *(edges for part in stage.late for edges in part.edges)]
        held = {int(w) for edges in launched for w in edges.weights_at}
        assert held
        assert not held & {int(w) for layer in plan.layers[: stage.after] for w in layer.weights_at}
    same_steps(model, precise, rows(model.circuit, 20, True), Workspace())
