"""PyJuice as far as ``pcbench bench`` calls it, on the CPU: nodes are stand-ins, and pcbench itself evaluates them.

What is tested with it is our side: the circuit built, the layouts of parameters and flows, ties, the check, the timing.
"""

from __future__ import annotations

import sys
import types
from typing import Any

import pytest
import torch
from torch import Tensor

import pcbench
from pcbench.bench.check import by_parameter
from pcbench.circuit import Circuit, Parameter
from pcbench.execute import Evidence, Model, expectation

from .io import pyjuice_nodes as stand_ins


class InputNodes(stand_ins.InputNodes):
    def duplicate(self, variable: int, tie_params: bool) -> InputNodes:
        assert tie_params
        return InputNodes([variable], self.dist, self.num_node_blocks, self.block_size, source=self)


class SumNodes(stand_ins.SumNodes):
    def duplicate(self, *chs: Any, tie_params: bool) -> SumNodes:
        assert tie_params
        return SumNodes(list(chs), self.num_node_blocks, self.block_size, self.edge_ids, source=self)

    def init_parameters(self, perturbation: float = 2.0) -> None:
        """Of everything below."""
        for seed, ns in enumerate(walk(self)):
            if ns.is_input() and not ns.is_tied():
                generator = torch.Generator().manual_seed(seed)
                categorical = isinstance(ns.dist, stand_ins.Categorical)
                columns = ns.dist.num_cats if categorical else 2  # mean and standard deviation
                raw = torch.rand(ns.num_node_blocks * ns.block_size, columns, generator=generator) + 0.1
                ns._params = (raw / raw.sum(1, keepdim=True) if categorical else raw).reshape(-1)
            elif ns.is_sum() and not ns.is_tied():
                stand_ins.weighted(ns, seed=seed)


def walk(root: Any) -> list[Any]:
    """Every node below, and the root, once."""
    seen: dict[Any, None] = {}
    stack = [root]
    while stack:
        ns = stack.pop()
        if ns not in seen:
            seen[ns] = None
            stack.extend(ns.chs)
    return list(seen)


def inputs(variable: int, num_node_blocks: int, block_size: int, dist: Any) -> InputNodes:
    return InputNodes([variable], dist, num_node_blocks, block_size)


def multiply(*chs: Any) -> stand_ins.ProdNodes:
    return stand_ins.ProdNodes(list(chs))


def summate(*chs: Any, num_node_blocks: int, block_size: int, edge_ids: Tensor) -> SumNodes:
    return SumNodes(list(chs), num_node_blocks, block_size, edge_ids)


class Layer:
    """An input layer that keeps a tied leaf's flows in two places, as PyJuice does with many ties."""

    def __init__(self, nodes: list[Any]) -> None:
        self.nodes, self.tied2source_nids = nodes, []
        length = 0
        for ns in nodes:
            if not ns.is_tied():
                size = ns.num_node_blocks * ns.block_size * ns.dist.num_cats
                ns._param_flow_range = (length, length + size)
                length += size
                if any(other.is_tied() and other.get_source_ns() is ns for other in nodes):
                    self.tied2source_nids.append([length - size, size, torch.tensor([length - size, length])])
                    length += size
        self.param_flows = torch.zeros(length)


class Compiled:
    """A ``TensorCircuit``."""

    def __init__(self, root: Any, wrong: str = "") -> None:
        self.root_ns, self.wrong = root, wrong
        self.circuit: Circuit = pcbench.from_pyjuice(root)
        self.model = Model.create(self.circuit)
        self.sources = [ns for ns in walk(root) if not ns.is_tied() and not ns.is_prod()]
        self.input_layer_group = [Layer([ns for ns in walk(root) if ns.is_input()])]
        self.param_flows, self.parflow_fusing_kwargs = torch.zeros(1), None
        self.holders = self.held_by()
        self.flows: dict[Any, Tensor] = {}
        self.calls: list[str] = []

    def to(self, device: torch.device) -> None:
        assert device.type == "cpu"

    def __call__(self, data: Tensor, record_cudagraph: bool = False) -> Tensor:
        self.calls.append("forward")
        self.statistics, values = expectation(self.model, data)
        return values.float() * (1.01 if self.wrong == "log-likelihood" else 1)

    def backward(self, data: Tensor, **options: Any) -> None:
        assert options == {
            "flows_memory": 0.0,
            "allow_modify_flows": False,
            "logspace_flows": True,
            "record_cudagraph": True,
        }
        self.calls.append("backward")
        counts = by_parameter(self.statistics)
        for parameter, found in counts.items():
            self.flows[self.holders[parameter]] = self.laid(self.holders[parameter], parameter, found)
        for layer in self.input_layer_group:
            for ns in layer.nodes:
                if not ns.is_tied():
                    start, stop = ns._param_flow_range
                    layer.param_flows[start:stop] = self.flows[ns]
            for start, length, parts in layer.tied2source_nids:
                layer.param_flows[parts[1] : parts[1] + length] = 0.75 * layer.param_flows[start : start + length]
                layer.param_flows[start : start + length] *= 0.25
        if self.wrong == "flows":
            self.input_layer_group[0].param_flows *= 1.5

    def held_by(self) -> dict[Parameter, Any]:
        """Parameters of the converted circuit → nodes, by their values, which are random."""
        out = {}
        for size in {ns._params.numel() for ns in self.sources}:
            alike = [ns for ns in self.sources if ns._params.numel() == size]
            ours = [p for p in self.circuit.parameters if p.value is not None and p.value.numel() == size]
            values = torch.stack([ns._params.reshape(-1) for ns in alike]).sort(1)[0]
            for parameter in ours:
                assert parameter.value is not None
                off = (values - parameter.value.reshape(-1).sort()[0]).abs().amax(1)
                out[parameter] = alike[int(off.argmin())]
        assert len(set(out.values())) == len(self.sources) == len(out)
        return out

    @staticmethod
    def laid(ns: Any, parameter: Parameter, values: Tensor) -> Tensor:
        """Our layout → PyJuice's, entry by entry."""
        values = values.float()
        if ns.is_input():
            return values.T.reshape(-1)
        if values.ndim != 2:
            return values.reshape(-1, ns.block_size, ns.ch_block_size)
        tall, wide = ns.block_size, ns.ch_block_size
        return torch.stack([values[i * tall : (i + 1) * tall, j * wide : (j + 1) * wide] for i, j in ns.edge_ids.T.tolist()])

    def get_node_param_flows(self, ns: Any) -> Tensor:
        return self.flows[ns]

    def mini_batch_em(self, step_size: float, pseudocount: float) -> None:
        self.calls.append("em")

    def update_parameters(self) -> None:
        if self.wrong == "parameters":
            for ns in self.sources:
                if ns.is_sum():
                    ns._params = ns._params.roll(1, -1)


class Queries:
    """``pyjuice.queries``; evidence is remembered between ``marginal`` and ``sample``, as there."""

    def __init__(self, wrong: str) -> None:
        self.wrong, self.evidence = wrong, Evidence(torch.zeros(0))

    def marginal(self, pc: Compiled, data: Tensor, missing_mask: Tensor) -> None:
        self.evidence = Evidence(data, ~missing_mask)

    def sample(self, pc: Compiled, num_samples: int | None = None, conditional: bool = False) -> Tensor:
        if not conditional:
            return pcbench.sample(pc.model, count=num_samples)
        given = self.evidence
        drawn = pcbench.sample(pc.model, evidence=given)
        # PyJuice draws observed variables anew, too; and the wrong one draws nothing at all.
        return torch.where(given.observed, 0, drawn) if self.wrong != "samples" else torch.zeros_like(drawn)

    def conditional(self, pc: Compiled, data: Tensor, missing_mask: Tensor) -> Tensor:
        found = pcbench.conditional(pc.model, Evidence(data, ~missing_mask))
        out = torch.zeros(len(data), data.shape[1], 256, dtype=torch.float64)
        for name, posterior in found.items():
            out[:, pc.circuit.variables[name].index] = posterior.probabilities
        return out


def install(monkeypatch: pytest.MonkeyPatch, wrong: str = "") -> types.ModuleType:
    """Put the fake where ``import pyjuice`` finds it."""
    juice: Any = types.ModuleType("pyjuice")
    juice.inputs, juice.multiply, juice.summate = inputs, multiply, summate
    families = types.SimpleNamespace(Categorical=stand_ins.Categorical, Gaussian=stand_ins.Gaussian)
    juice.nodes = types.SimpleNamespace(distributions=families)
    juice.queries, juice.compiled = Queries(wrong), []

    def compile_(root: Any) -> Compiled:
        juice.compiled.append(Compiled(root, wrong))
        return juice.compiled[-1]

    juice.compile = compile_
    backend: Any = types.ModuleType("pyjuice.model.backend")
    backend.compute_cum_par_flows = lambda *_: None
    monkeypatch.setitem(sys.modules, "pyjuice", juice)
    monkeypatch.setitem(sys.modules, "pyjuice.model.backend", backend)
    return juice
