"""A circuit as Python: a program that builds an equal one in a fresh kernel."""

from __future__ import annotations

import base64
from collections import Counter

import torch
from torch import Tensor

from pcbench import Circuit, Dense, Finite, InputBlock, Parameter, ProductBlock, SumBlock
from pcbench.circuit import Block, BlockSparse, SumEdges

_SPELT_OUT = 64
"""Numbers of a tensor that are written one by one; longer ones are packed, exactly."""

_HELPER = '''
def packed(text, dtype, *shape):
    """A tensor from its bytes."""
    return torch.frombuffer(bytearray(base64.b64decode(text)), dtype=dtype).reshape(shape)
'''


def source_of(circuit: Circuit) -> str:
    """Python that leaves an equal circuit in the variable ``circuit``: structure, names, ties and values to the bit."""
    holders = Counter(block.parameter for block in circuit.blocks if not isinstance(block, ProductBlock))
    tied = {parameter: f"shared{i}" for i, parameter in enumerate(p for p, count in holders.items() if count > 1)}
    names = {block: f"b{i}" for i, block in enumerate(circuit.blocks)}
    lines = [f"{name} = {_parameter(parameter)}" for parameter, name in tied.items()]
    lines += [f"{names[block]} = {_block(block, names, tied)}" for block in circuit.blocks]
    roots = ", ".join(names[root] for root in circuit.roots)
    checked = "" if circuit.checked else ", checked=False"
    lines.append(f"circuit = pcbench.Circuit([{roots}], variables{checked})")
    body = "\n".join([_variables(circuit), *lines])
    head = ["import pcbench"]
    if "torch." in body or "packed(" in body:
        head.append("import torch")
    if "packed(" in body:
        head = ["import base64", "", *head, "", _HELPER]
    return "\n".join([*head, "", body, ""])


def _variables(circuit: Circuit) -> str:
    domains = [v.domain for v in circuit.variables]
    names = [v.name for v in circuit.variables]
    first = domains[0] if domains else None
    if first is not None and all(domain == first for domain in domains):
        listed = f"[pcbench.{_domain(first)}] * {len(domains)}"
    else:
        listed = "[" + ", ".join(f"pcbench.{_domain(domain)}" for domain in domains) + "]"
    return f"variables = pcbench.Variables({listed}, {names!r})"


def _domain(domain: object) -> str:
    return f"Finite({domain.size})" if isinstance(domain, Finite) else "Real()"


def _block(block: Block, names: dict[Block, str], tied: dict[Parameter, str]) -> str:
    name = "" if block.name is None else f", name={block.name!r}"
    if isinstance(block, InputBlock):
        values = _held(block.parameter, tied)
        return (
            f"pcbench.InputBlock(variables[{block.variable.name!r}], pcbench.{block.distribution!r}, {block.nodes}"
            f"{values}{name})"
        )
    children = ", ".join(names[child] for child in block.children)
    if isinstance(block, ProductBlock):
        index = "" if block.index is None else f", {_tensor(block.index)}"
        return f"pcbench.ProductBlock([{children}]{index}{name})"
    assert isinstance(block, SumBlock)
    return f"pcbench.SumBlock([{children}], {block.nodes}{_edges(block.edges)}{_held(block.parameter, tied)}{name})"


def _edges(edges: SumEdges) -> str:
    if isinstance(edges, Dense):
        return ""
    places = f"{_tensor(edges.rows)}, {_tensor(edges.cols)}"
    if isinstance(edges, BlockSparse):
        return f", edges=pcbench.BlockSparse({edges.tile}, {places})"
    return f", edges=pcbench.Sparse({places})"


def _held(parameter: Parameter, tied: dict[Parameter, str]) -> str:
    if parameter in tied:
        return f", parameter={tied[parameter]}"
    if parameter.value is None and parameter.trainable and parameter.name is None:
        return ""  # the block makes such a one itself
    return f", parameter={_parameter(parameter)}"


def _parameter(parameter: Parameter) -> str:
    value = "" if parameter.value is None else f", {_tensor(parameter.value)}"
    fixed = "" if parameter.trainable else ", trainable=False"
    name = "" if parameter.name is None else f", name={parameter.name!r}"
    return f"pcbench.Parameter({parameter.shape}{value}{fixed}{name})"


def _tensor(value: Tensor) -> str:
    value = value.detach().cpu().contiguous()
    if value.numel() <= _SPELT_OUT:
        return f"torch.tensor({value.tolist()!r}, dtype={value.dtype})"
    text = base64.b64encode(value.reshape(-1).view(torch.uint8).numpy().tobytes()).decode()
    return f"packed({text!r}, {value.dtype}, {', '.join(map(str, value.shape))})"
