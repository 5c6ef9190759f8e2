"""A training step of PyJuice on the same circuit: checked against ours, then timed. Runs in a process of its own.

PyJuice is used as its own examples use it: passes captured in CUDA graphs, flows in log space, mini-batch EM. Its CUTLASS path
is switched off (``fresh.py``): its steps are no faster, and its first one takes minutes of nvcc.
"""

from __future__ import annotations

import importlib
import time
from typing import Any

import torch
from torch import Tensor

from ..circuit import Circuit, Parameter, SumBlock
from ..compile import compile
from ..execute import Clock, Model, expectation
from ..io.pyjuice import converted
from . import cases, check
from .measure import PSEUDOCOUNT, STEP_SIZE, forget_peak, outcome_of, peak_gb, synchronise, timed
from .pyjuice_nodes import Nodes, pyjuice_nodes

#: PyJuice may be off by so much from float64: beyond, it is another circuit that it trains. Its operands are TF32 or bfloat16,
#: too, and its counts of hclt-64 were off by 5 %; what they are off by stands in the table.
TOLERANCE = check.Tolerance(1e-3, 1e-1)


class Peer:
    """PyJuice's circuit, compiled, and a batch."""

    def __init__(self, juice: Any, circuit: Circuit, case: str, data: Tensor, device: torch.device) -> None:
        self.nodes: Nodes = pyjuice_nodes(juice, circuit, case)
        self.nodes.root.init_parameters()
        self.pc = juice.compile(self.nodes.root)
        self.pc.to(device)
        self.circuit, self.data, self.device = circuit, data.to(device), device

    def passes(self, data: Tensor, clock: Clock | None = None) -> Tensor:
        """Forward and backward; log-likelihoods ``[B]``."""
        with torch.no_grad():
            values: Tensor = self.pc(data, record_cudagraph=True)
            self._lap(clock, "forward")
            self.pc.backward(data, flows_memory=0.0, allow_modify_flows=False, logspace_flows=True, record_cudagraph=True)
            self._lap(clock, "backward")
        return values

    def step(self, clock: Clock | None = None) -> None:
        """Forward, backward, mini-batch EM."""
        self.passes(self.data, clock)
        self.pc.mini_batch_em(step_size=STEP_SIZE, pseudocount=PSEUDOCOUNT)
        self._lap(clock, "update")

    def steps(self, count: int) -> None:
        """Steps one after the other: nothing waits for the GPU in between."""
        for _ in range(count):
            self.step()

    def _lap(self, clock: Clock | None, part: str) -> None:
        """A part ends when the GPU has done it."""
        if clock is not None:
            synchronise(self.device)
            clock.lap(part)

    def verify(self) -> check.Verdict:
        """The step as it is timed, against the circuit that ``from_pyjuice`` makes of it, in float64 on the CPU."""
        batch = len(self.data)
        count = min(batch, check.ROWS if self.circuit.num_edges <= check.MANY_EDGES else check.FEW_ROWS)
        few = cases.rows(self.circuit, count, seed=2)
        repeated = torch.arange(batch) % count
        values = self.passes(few[repeated].to(self.device)).reshape(batch).cpu().double()
        flows = self.flows()
        self.pc.update_parameters()
        circuit, held = converted(self.nodes.root, self.circuit.variables)
        twins = self.twins(circuit, held)
        statistics, truth = expectation(Model.create(compile(circuit, dtype=torch.float64)), few)
        expected = check.by_parameter(statistics)
        truth = truth[:, 0]
        off = (values - truth[repeated]).abs() / truth[repeated].abs().clamp(min=1)
        times = batch // count  # both are powers of two
        errors = torch.tensor([check.relative(flows[mine], times * expected[twin]) for mine, twin in twins.items()])
        return check.Verdict(count, float(off.max()), float(errors.max()), 0.0, TOLERANCE)

    def twins(self, circuit: Circuit, held: dict[Any, Parameter]) -> dict[Parameter, Parameter]:
        """Each parameter of our circuit → the same one of the converted ``circuit``; ``held``: those of PyJuice's nodes.

        PyJuice's compiler puts sums of its own below sums whose children lie on different levels: one child, no mixing (until
        its EM with a pseudocount trains them, too). They may come on top.

        Raises:
            Disagreement: when they are not the same: ``from_pyjuice`` is wrong, or the circuit built in PyJuice is.
        """
        twins = {mine: held[holder] for mine, holder in self.nodes.holders.items() if holder in held}
        own = [b for b in circuit.blocks if isinstance(b, SumBlock) and len(b.children) == 1 and b.nodes == b.children[0].nodes]
        more = set(circuit.parameters) - set(twins.values()) - {b.parameter for b in own}
        if more or set(twins) != set(self.circuit.parameters) or any(a.shape != b.shape for a, b in twins.items()):
            raise check.Disagreement(f"the circuit converted from PyJuice differs: {circuit!r}, not {self.circuit!r}")
        for a, b in twins.items():
            values = self.nodes.layouts[a](torch.as_tensor(self.nodes.holders[a].get_params()).detach().cpu())
            if b.value is None or not torch.allclose(values.double(), b.value.double(), rtol=1e-3, atol=1e-6):
                raise check.Disagreement(f"a parameter of shape {a.shape} converted from PyJuice has other values")
        return twins

    def flows(self) -> dict[Parameter, Tensor]:
        """Expected counts of the last backward pass, for each parameter in our shape. The next pass starts anew."""
        backend = importlib.import_module("pyjuice.model.backend")
        pc, out = self.pc, {}
        backend.compute_cum_par_flows(pc.param_flows, pc.parflow_fusing_kwargs)
        ranges: dict[Any, tuple[Any, tuple[int, int]]] = {}
        for layer in pc.input_layer_group:
            for start, length, parts in layer.tied2source_nids:
                # Tied leaves count in several places; ``parts`` are their starts, the source's own among them.
                total = sum(layer.param_flows[at : at + length] for at in parts.tolist())
                layer.param_flows[start : start + length] = total
            ranges.update({ns: (layer, ns._param_flow_range) for ns in layer.nodes if not ns.is_tied()})
        for parameter, ns in self.nodes.holders.items():
            if ns.is_sum():
                found = pc.get_node_param_flows(ns)
            else:
                layer, (start, stop) = ranges[ns]
                found = layer.param_flows[start:stop]
            out[parameter] = self.nodes.layouts[parameter](found.detach().cpu().double())
        return out


def job(case: str, batch: int, device: str, repeat: int) -> dict[str, Any]:
    """One cell in PyJuice; ``status`` is ok, differs, oom or failed."""
    row: dict[str, Any] = {"status": "ok"}
    with outcome_of(row):
        _measure(row, importlib.import_module("pyjuice"), case, batch, torch.device(device), repeat)
    return row


def attempt(case: str, batch: int, device: str, repeat: int) -> dict[str, Any]:
    """Whether a circuit trains in memory at all, unchecked; its peak, from its first parameters on, and the time of a step."""
    row: dict[str, Any] = {"status": "ok"}
    with outcome_of(row):
        circuit, place = cases.build(case), torch.device(device)
        forget_peak(place)
        peer = Peer(importlib.import_module("pyjuice"), circuit, case, cases.rows(circuit, batch), place)
        row.update(timed(peer, place, repeat))
        row["peak_gb"] = peak_gb(place)
    return row


def _measure(row: dict[str, Any], juice: Any, case: str, batch: int, device: torch.device, repeat: int) -> None:
    start = time.perf_counter()
    circuit = cases.build(case)
    peer = Peer(juice, circuit, case, cases.rows(circuit, batch), device)
    peer.step()
    synchronise(device)
    row["first_step_s"] = time.perf_counter() - start
    try:
        verdict = peer.verify()
    except check.Disagreement as error:
        row["status"], row["error"] = "differs", str(error)
        return
    row["log_likelihood_error"], row["flow_error"] = verdict.log_likelihood_error, verdict.flow_error
    if not verdict.right:
        row["status"] = "differs"
        return
    forget_peak(device)
    row.update(timed(peer, device, repeat))
    row["peak_gb"] = peak_gb(device)
