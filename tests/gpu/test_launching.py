"""Launches that are rehearsed: nothing runs, every kernel is compiled once and side by side, and results stay the same."""

from __future__ import annotations

import dataclasses
import gc
import threading
import warnings
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import pytest
import torch

import pcbench
from pcbench import Evidence, Model, Variables, structures
from pcbench.compile.fuse import fuse
from pcbench.execute import Workspace, em_step, expectation, forward
from pcbench.execute.graphs import Graphs
from pcbench_kernels.gpu import down, launching, leafwise, rehearsal, up, update
from pcbench_kernels.gpu.launching import Launch, compile_together, launch


class Kernel:
    """Stands for a Triton kernel."""

    def __init__(self, fails: bool = False, meets: threading.Barrier | None = None) -> None:
        self.fails, self.meets = fails, meets
        self.ran: list[tuple[Any, ...]] = []
        self.compiled: list[tuple[Any, ...]] = []
        self.loaded = 0

    def __getitem__(self, grid: tuple[int, ...]) -> Any:
        return lambda *arguments, **options: self.ran.append((grid, arguments, options))

    def warmup(self, *arguments: Any, grid: tuple[int, ...], **options: Any) -> Kernel:
        if self.meets is not None:
            self.meets.wait(timeout=20)  # raises when nobody else comes
        if self.fails:
            raise RuntimeError("out of registers")
        self.compiled.append((grid, arguments, options))
        return self

    def _init_handles(self) -> None:
        self.loaded += 1


@pytest.fixture(autouse=True)
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(torch.cuda, "set_device", lambda _: None)
    monkeypatch.setattr(launching, "_compiled", set())
    monkeypatch.setattr(launching, "_cores", lambda: 4)


def test_a_launch_runs() -> None:
    kernel = Kernel()
    launch(kernel, (2, 3))(5, BN=16)
    assert kernel.ran == [((2, 3), (5,), {"BN": 16})]


def test_a_rehearsal_notes_each_kind_of_launch_once() -> None:
    kernel, other, noted = Kernel(), Kernel(), []
    with rehearsal(noted.extend):
        for size in (32, 64, 1, 33, 1 << 32):  # Triton compiles for multiples of 16, for 1, for others, and for 64 bits
            launch(kernel, (size,))(torch.zeros(4), size, BN=16)
        launch(kernel, (1,))(torch.zeros(4), 32, BN=32)
        launch(kernel, (1,))(torch.zeros(4, dtype=torch.float64), 32, BN=16)
        launch(other, (1,))(torch.zeros(4), 32, BN=16)
    assert not kernel.ran
    assert not other.ran
    assert [v.arguments[1] for v in noted[:4]] == [32, 1, 33, 1 << 32]
    assert len(noted) == 7
    launch(kernel, (1,))()
    assert kernel.ran  # the rehearsal is over


def test_a_rehearsal_that_raises_is_over() -> None:
    kernel = Kernel()
    with pytest.raises(ValueError, match="wrong"), rehearsal():
        raise ValueError("wrong")
    launch(kernel, (1,))()
    assert kernel.ran


def test_kernels_compile_side_by_side_and_once() -> None:
    barrier = threading.Barrier(3)
    kernels = [Kernel(), *(Kernel(meets=barrier) for _ in range(3))]  # the first goes ahead alone
    launches = [Launch(k, (7,), (16,), {"BN": 16}) for k in kernels]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        compile_together(launches)
        compile_together(launches)
    assert [k.compiled for k in kernels] == [[((7,), (16,), {"BN": 16})]] * 4
    assert [k.loaded for k in kernels] == [1] * 4
    assert not any(k.ran for k in kernels)


def test_a_kernel_that_does_not_compile_is_left_to_its_launch() -> None:
    kernels = [Kernel(), Kernel(fails=True), Kernel(), Kernel()]
    with pytest.warns(UserWarning, match="1 of 4; the first: RuntimeError: out of registers"):
        compile_together([Launch(k, (1,), (), {}) for k in kernels])
    assert [len(k.compiled) for k in kernels] == [1, 0, 1, 1]


def test_without_threads_kernels_are_left_to_their_launches(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*_: Any) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(launching, "ThreadPoolExecutor", none)
    with pytest.warns(UserWarning, match="can't start new thread"):
        compile_together([Launch(Kernel(), (1,), (), {}) for _ in range(4)])


def test_graphs_rehearse_a_key_once() -> None:
    graphs, device, calls = Graphs(), torch.device("cuda"), []

    def work() -> None:
        graphs.run("pass", lambda: calls.append(len(graphs.held)), device)

    graphs.rehearse("step", work, device)
    graphs.rehearse("step", work, device)
    assert calls == [0]
    assert not graphs.held  # nothing has run yet that a graph could be captured from
    work()
    assert calls == [0, 0]
    assert list(graphs.held) == ["pass"]
    graphs.rehearse("other", work, torch.device("cpu"))
    assert len(calls) == 2


def test_a_rehearsal_that_fails_leaves_graphs_usable() -> None:
    graphs, device, calls = Graphs(), torch.device("cuda"), []

    def work() -> None:
        raise MemoryError

    with pytest.raises(MemoryError):
        graphs.rehearse("step", work, device)
    graphs.run("pass", lambda: calls.append(1), device)
    assert calls == [1]
    assert list(graphs.held) == ["pass"]


def test_the_collector_rests_during_a_capture(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would destroy graphs that it found, which breaks the capture."""
    graphs, device, collects = Graphs(), torch.device("cuda"), []
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device: None)
    monkeypatch.setattr(torch.cuda, "CUDAGraph", lambda: SimpleNamespace(replay=lambda: None))
    monkeypatch.setattr(torch.cuda, "graph", lambda graph, capture_error_mode: nullcontext())
    for _ in range(2):  # the second captures
        graphs.run("pass", lambda: collects.append(gc.isenabled()), device)
    assert collects == [True, False]
    assert gc.isenabled()


CIRCUITS = {
    "hclt": structures.hclt(latents=5, variables=Variables.finite(4, 7), tree=[-1, 0, 0, 1]),
    "rat": structures.rat(latents=4, depth=2, repetitions=2, variables=Variables.finite(5, 3)),
    "hmm": structures.hmm(latents=19, variables=Variables.finite(3, 9)),
}


def fused(name: str) -> Model:
    program = pcbench.compile(CIRCUITS[name])
    tables = (program.layers, program.sum_tables, program.leaf_tables)
    plan = fuse(*tables, program.num_units, "exact", program.device, len(program.circuit.variables))
    return Model.create(dataclasses.replace(program, fused=plan), seed=3)


def results(model: Model, data: torch.Tensor) -> list[torch.Tensor]:
    """Everything that a step of EM, expected counts of two batches and a likelihood give."""
    space = Workspace()
    stepped = em_step(model, Evidence(data), 0.5, 0.1, space)
    counts, likelihood = expectation(model, Evidence(data), space)
    counts, _ = expectation(model, Evidence(data), space, counts)
    p = stepped.model.parameters
    likelihoods = [stepped.log_likelihood, likelihood, forward(model, Evidence(data), space)]
    return [*likelihoods, *counts.weights, *counts.leaves, *p.weights, *p.leaves]


@pytest.mark.parametrize("sorted_by_torch", [False, True])
@pytest.mark.parametrize("name", CIRCUITS)
def test_a_rehearsed_step_is_the_same_and_knows_its_kernels(
    name: str, sorted_by_torch: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if sorted_by_torch:
        monkeypatch.setattr(leafwise, "SORTED", 4)  # so that few samples take the way of many
    model = fused(name)
    data = torch.stack([torch.arange(6) % v.domain.size for v in model.circuit.variables], 1)
    plain = results(model, data)

    noted: list[Launch] = []
    launched: list[Launch] = []

    def rehearse(graphs: Graphs, what: Any, passed: Any, device: torch.device) -> None:
        with rehearsal(noted.extend):
            passed()

    def launch_for_real(kernel: Any, grid: tuple[int, ...]) -> Any:
        def run(*arguments: Any, **options: Any) -> None:
            if launching._note.get() is None:
                launched.append(Launch(kernel, grid, arguments, options))
            launch(kernel, grid)(*arguments, **options)

        return run

    monkeypatch.setattr(Graphs, "rehearse", rehearse)
    for module in (up, down, update, leafwise):
        monkeypatch.setattr(module, "launch", launch_for_real)
    for before, after in zip(plain, results(model, data), strict=True):
        # Atomics may come in another order.
        torch.testing.assert_close(after, before, rtol=1e-6, atol=1e-7)
    assert {v.key for v in launched} == {v.key for v in noted}
    assert len({v.kernel for v in noted}) >= 8
