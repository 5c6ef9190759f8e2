"""A circuit as a ``torch.nn.Module``."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial
from typing import Any, cast

import torch
from jaxtyping import Float64
from torch import Tensor, nn

from ..circuit import Circuit
from ..compile import LeafTable, Program, SumTable, compile
from ..errors import OptionError, hinted
from ..execute import Data, Evidence, Model, Parameters, Spaces, Statistics, Targets, differentiable_log_likelihood
from ..execute.free import assemble, free_leaves, free_weights, joined, leaf_target, sum_gradient, weights_of, with_limits
from ..scope import Finite
from .soft import Soft, with_soft


class CircuitModule(nn.Module):
    """A circuit whose log-likelihood is differentiable in its parameters and in soft evidence.

    It is a module like any other: part of larger ones, trained by any torch optimiser, saved by ``state_dict()``, moved by
    ``to()``. Its parameters are unconstrained: one number for each sum edge, of which the weights are the softmax;
    probabilities of leaves as logits, variances as logarithms above their bound. There is one tensor for each table of the
    compiled program (``sum_0``, ``leaf_0``, …), not one for each block. What is tied moves together, and collects the
    gradients of all its places. A :class:`~pcbench.Parameter` with ``trainable=False`` is a buffer and gets no gradient.
    What stands at its border in the first place stays there: weights of zero, probabilities of 0 and 1.

    Args:
        model: a model to start from (not changed), or a program or circuit, whose parameters are then made as by
            :meth:`Model.create <pcbench.Model.create>`.
        seed: of the random values that a program or circuit starts with.
        data: ``[B, V]``; leaves of a program or circuit then start at the location and scale of their column.

    Raises:
        QueryError: for leaves of a family without unconstrained coordinates.
    """

    @hinted
    def __init__(self, model: Model | Program | Circuit, seed: int = 0, data: Tensor | None = None) -> None:
        super().__init__()
        if not isinstance(model, Model | Program | Circuit):
            raise OptionError(f"CircuitModule() takes a Model, Program or Circuit, got {type(model).__name__}")
        start = model if isinstance(model, Model) else Model.create(model, seed=seed, data=data)
        self.program: Program = start.program
        self._precision = "fast" if start.program.fused is None else start.program.fused.precision
        self._spaces = Spaces()
        # Follows the others wherever `to()` takes them, also where a circuit has nothing to learn.
        self.register_buffer("_place", torch.empty(0, dtype=self.program.dtype, device=self.program.device), persistent=False)
        with torch.no_grad():
            for t, sums in enumerate(self.program.sum_tables):
                self._store(f"sum_{t}", sums, start.parameters.weights[t], free_weights)
            for t, leaf in enumerate(self.program.leaf_tables):
                self._store(f"leaf_{t}", leaf, start.parameters.leaves[t], partial(free_leaves, leaf))

    def _store(
        self, name: str, table: SumTable | LeafTable, values: Tensor, free: Callable[[Tensor], tuple[Tensor, Tensor | None]]
    ) -> None:
        """Keep a table: coordinates of its trainable rows as a parameter, all else as buffers."""
        learns = table.trainable
        if learns is not None and not bool(learns.all()):
            self.register_buffer(f"{name}_frozen", values[~learns].clone())
            values = values[learns]
        if len(values):
            coordinates, limits = free(values)
            self.register_parameter(name, nn.Parameter(coordinates.clone()))
            if limits is not None:
                self.register_buffer(f"{name}_limits", limits)

    @property
    def circuit(self) -> Circuit:
        return self.program.circuit

    # ---- evaluation --------------------------------------------------------------------------------------------------
    @hinted
    def forward(
        self, evidence: Data, soft: Soft | None = None, log_soft: Soft | None = None
    ) -> Float64[Tensor, "batch outputs"]:
        """Log-likelihood in nats, ``[B, outputs]`` float64 on the module's device: −∞ where the evidence is impossible.

        Differentiable once in the parameters, in soft evidence and in real-valued evidence. A row of probability zero has no
        derivative; its part of every gradient is zero (never NaN), so look at the value of a loss. Soft evidence that leaves
        a leaf without any mass sends that leaf nothing; ``log_soft``, or likelihoods above zero, avoid that.

        Args:
            evidence: values ``[B, V]`` (any device), or :class:`~pcbench.Evidence` with missing values or soft evidence.
            soft: for some finite variables, by name or column, likelihoods ``[B, C]`` or ``[C]`` of their values, each ≥ 0:
                what the network has seen. The variable then counts as observed through them, whatever ``evidence`` holds.
            log_soft: the same as log-likelihoods (any real number or −∞), as networks give them; they do not underflow.

        Raises:
            DataError: naming row, variable and value that do not fit.
            QueryError: from a second backward pass through the first (``create_graph=True``).
        """
        merged, rest = with_soft(Evidence.of(evidence), soft, log_soft, self.circuit)
        parameters, targets = self._tables(torch.is_grad_enabled())
        out = differentiable_log_likelihood(self.program, parameters, merged, targets, self._spaces)
        return out if rest is None else out + rest.to(out.device)

    def _tables(self, differentiable: bool) -> tuple[Parameters, Targets]:
        """The engine's parameters, and the tensors that a gradient by coordinates goes through."""
        targets, logs = Targets(), []
        for t in range(len(self.program.sum_tables)):
            if (free := self._get(f"sum_{t}")) is not None:
                targets.sums[t] = free
        for t, leaf in enumerate(self.program.leaf_tables):
            with torch.set_grad_enabled(differentiable):
                if (free := self._get(f"leaf_{t}")) is not None:
                    targets.leaves[t] = leaf_target(leaf, free, self._get(f"leaf_{t}_limits"))
            logs.append(None if leaf.categories is None else self._log_table(t, leaf, targets.leaves.get(t)))
        with torch.no_grad():
            return assemble(self.program, self._weights(), self._leaves(), logs), targets

    @torch.no_grad()
    def _log_table(self, index: int, table: LeafTable, learnt: Tensor | None) -> Tensor:
        frozen = self._get(f"leaf_{index}_frozen")
        assert table.categories is not None
        known = None if frozen is None else table.distribution.log_table(frozen, Finite(table.categories))
        return joined(table.trainable, learnt, known)

    def _weights(self) -> list[Tensor]:
        """Every sum table's weights, trainable and frozen."""
        out = []
        for t, table in enumerate(self.program.sum_tables):
            free = self._get(f"sum_{t}")
            learnt = None if free is None else weights_of(table, free, self._get(f"sum_{t}_limits"))
            out.append(joined(table.trainable, learnt, self._get(f"sum_{t}_frozen")))
        return out

    def _leaves(self) -> list[Tensor]:
        """Every leaf table's parameters, trainable and frozen."""
        out = []
        for t, table in enumerate(self.program.leaf_tables):
            free = self._get(f"leaf_{t}")
            learnt = None if free is None else table.distribution.from_free(with_limits(free, self._get(f"leaf_{t}_limits")))
            out.append(joined(table.trainable, learnt, self._get(f"leaf_{t}_frozen")))
        return out

    def _get(self, name: str) -> Tensor | None:
        found = getattr(self, name, None)
        assert found is None or isinstance(found, Tensor)
        return found

    # ---- in and out --------------------------------------------------------------------------------------------------
    @hinted
    @torch.no_grad()
    def model(self, recycle: Model | None = None) -> Model:
        """The present parameters as a frozen model, for queries and files; later training does not change it.

        Args:
            recycle: an older model of this module that nobody needs any more; its memory is used.
        """
        if recycle is not None and recycle.program is not self.program:
            raise OptionError("recycle must be a model of the same program")
        return Model(self.program, assemble(self.program, self._weights(), self._leaves(), recycle=recycle))

    @torch.no_grad()
    def add_gradients(self, statistics: Statistics, scale: float) -> None:
        """Add ``scale · ∂ Σ log-likelihood / ∂ p`` to ``p.grad`` of every parameter ``p``, from expected counts of some rows.

        For circuits over finite variables without soft evidence, whose counts say all: a training step may then take them
        from :func:`~pcbench.execute.expectation` under :meth:`model`, on whatever path that has.
        """
        statistics.require(self.program)
        weights = self._weights()
        for t, sums in enumerate(self.program.sum_tables):
            if (free := self._get(f"sum_{t}")) is not None:
                _add_gradient(free, sum_gradient(sums, weights[t], statistics.weights[t]) * scale)
        for t, leaf in enumerate(self.program.leaf_tables):
            if (free := self._get(f"leaf_{t}")) is not None:
                assert leaf.categories is not None
                counts = statistics.leaves[t][:, :-1] if leaf.trainable is None else statistics.leaves[t][leaf.trainable, :-1]
                with torch.enable_grad():
                    target = leaf_target(leaf, free, self._get(f"leaf_{t}_limits"))
                _add_gradient(free, torch.autograd.grad(target, free, counts * scale)[0])

    # ---- being a module ----------------------------------------------------------------------------------------------
    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> CircuitModule:
        """``to()``, ``double()``, ``cuda()`` and the like: the program is compiled again where these ask for another one.

        Raises:
            OptionError: for a device or dtype that the engine has no kernels for; nothing was moved then.
        """
        place, program = fn(cast("Tensor", self._place)), self.program
        if (place.device, place.dtype) != (program.device, program.dtype):
            program = compile(self.circuit, place.device, place.dtype, program.tile, self._precision)
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        if program is not self.program:
            self.program, self._spaces = program, Spaces()
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> CircuitModule:
        memo[id(self.program)] = self.program  # frozen, and deeper than Python may recurse
        new = self.__class__.__new__(self.__class__)
        memo[id(self)] = new
        new.__dict__.update(copy.deepcopy(self.__dict__, memo))
        return new

    def extra_repr(self) -> str:
        return f"{self.circuit!r}, {str(self.program.dtype)[6:]}, {self.program.device}"


def _add_gradient(parameter: Tensor, gradient: Tensor) -> None:
    if parameter.grad is None:
        parameter.grad = gradient
    else:
        parameter.grad.add_(gradient)
