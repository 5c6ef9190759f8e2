"""Checkpoints: everything that a run needs to go on as if it had never stopped, in one file that is safe to open.

Parameters are stored in the circuit's own shapes, so a checkpoint outlives a change of the compiled layout. The order of
rows needs no generator's state: it follows from the seed and the epoch (:meth:`~pcbench.learn.plan.Plan.order`).
"""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..circuit import Circuit, InputBlock, ProductBlock, SumBlock
from ..compile import Program
from ..errors import DataError, FileFormatError, OptionError, ParameterError
from ..execute import Model
from ..io import load_state, save_state
from .events import KINDS, Event, EventLog
from .learner import Memory
from .plan import Plan, fingerprint
from .position import Best, Position

KIND = "training checkpoint"


def save(path: Path, plan: Plan, position: Position, log: EventLog) -> None:
    """Write a checkpoint: the whole file, or none of it and the old one stays.

    Raises:
        OSError: when the disk refuses.
    """
    tensors = _parameters("model", position.model)
    best = position.best
    if best is not None and best.model is not position.model:
        tensors |= _parameters("best", best.model)
    memory = position.memory
    if memory is not None:
        tensors |= {f"memory.{name}": value for name, value in memory.tensors.items()}
    events = log.since()
    history, names, texts = _pack_events(events)
    meta = {
        "kind": KIND,
        "options": _options(plan),
        "epochs": plan.epochs,
        "data": {"train": fingerprint(plan.train), "valid": fingerprint(plan.valid)},
        "circuit": signature(plan.program.circuit),
        "position": {
            "step": position.step,
            "epoch": position.epoch,
            "batch": position.batch,
            "epoch_ll": position.epoch_ll,
            "epoch_rows": position.epoch_rows,
            "stale": position.stale,
            "step_size": position.step_size,
        },
        "best": None
        if best is None
        else {
            "is_model": best.model is position.model,
            "log_likelihood": best.log_likelihood,
            "step": best.step,
            "epoch": best.epoch,
        },
        "memory": None if memory is None else dict(memory.meta),
        "elapsed": log.elapsed,
        "metrics": names,
        "texts": texts,
    }
    save_state(path, tensors | history, meta)


def load(path: Path, plan: Plan) -> tuple[Position, EventLog]:
    """Where the run in a checkpoint stood, and what it had reported.

    Raises:
        FileFormatError: when the file is no checkpoint, or corrupt.
        OptionError: when it belongs to another circuit, or to a run with other options.
        DataError: when it belongs to other data.
        OSError: when it cannot be opened.
    """
    tensors, meta = _opened(path)
    try:
        _require_same(path, plan, meta)
        return _position(path, plan, tensors, meta), EventLog(_unpack_events(tensors, meta), meta["elapsed"])
    except (KeyError, IndexError, AttributeError, ParameterError, RuntimeError) as error:
        raise FileFormatError(f"{path} is corrupt: {type(error).__name__}: {error}") from None


def saved_events(path: str | os.PathLike[str]) -> list[Event]:
    """What the run in a checkpoint had reported, oldest first; nothing of its circuit or data is needed.

    Raises:
        FileFormatError: when the file is no checkpoint, or corrupt.
        OSError: when it cannot be opened.
    """
    tensors, meta = _opened(Path(path))
    try:
        return _unpack_events(tensors, meta)
    except (KeyError, IndexError, AttributeError, TypeError, ValueError) as error:
        raise FileFormatError(f"{path} is corrupt: {type(error).__name__}: {error}") from None


def _opened(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    tensors, meta = load_state(path)
    if meta.get("kind") != KIND:
        raise FileFormatError(f"{path} holds no training checkpoint but {meta.get('kind')!r}")
    return tensors, meta


def signature(circuit: Circuit) -> str:
    """A hash of everything about a circuit but its parameters' values and its names."""
    places = {p: i for i, p in enumerate(circuit.parameters)}
    digest = hashlib.sha256()
    for block in circuit.blocks:
        children = [circuit.index[c] for c in block.children]
        if isinstance(block, InputBlock):
            own = f"{block.variable.index} {block.variable.domain} {block.distribution} {places[block.parameter]}"
        elif isinstance(block, SumBlock):
            own = f"{type(block.edges).__name__} {places[block.parameter]} {block.parameter.trainable}"
            for name in ("rows", "cols"):
                if hasattr(block.edges, name):
                    digest.update(getattr(block.edges, name).numpy().tobytes())
        else:
            assert isinstance(block, ProductBlock)
            own = "product"
            if block.index is not None:
                digest.update(block.index.numpy().tobytes())
        digest.update(f"{children} {block.nodes} {own}\n".encode())
    digest.update(f"{[circuit.index[r] for r in circuit.roots]}".encode())
    return digest.hexdigest()


def _options(plan: Plan) -> dict[str, Any]:
    """The options that a continuation must share, as JSON data. Epochs and patience may change."""
    return {
        "method": plan.method.meta(),
        "batch_size": plan.batch_size,
        "validate_every": plan.validate_every,
        "seed": plan.seed,
        "dtype": str(plan.program.dtype)[6:],
    }


def _require_same(path: Path, plan: Plan, meta: dict[str, Any]) -> None:
    if meta["circuit"] != signature(plan.program.circuit):
        raise OptionError(f"{path} belongs to another circuit: resume= needs the one that the run began with")
    for name, now in _options(plan).items():
        before = meta["options"][name]
        if before != now:
            raise OptionError(
                f"{path} was made with {name}={before}, but now {name}={now}: that would be no continuation. Pass the same, "
                "or start a new run from the old one's model"
            )
    for which, evidence in (("train", plan.train), ("valid", plan.valid)):
        if meta["data"][which] != fingerprint(evidence):
            what = {"train": "training", "valid": "validation"}[which]
            raise DataError(f"{path} was made with other {what} data: a continuation needs the same rows in the same order")


def _parameters(prefix: str, model: Model) -> dict[str, Tensor]:
    values = model.values()
    return {f"{prefix}.{i}": values[p].contiguous() for i, p in enumerate(model.circuit.parameters)}


def _model(program: Program, tensors: dict[str, Tensor], prefix: str) -> Model:
    return Model.from_values(program, {p: tensors[f"{prefix}.{i}"] for i, p in enumerate(program.circuit.parameters)})


def _position(path: Path, plan: Plan, tensors: dict[str, Tensor], meta: dict[str, Any]) -> Position:
    program = plan.program
    model, best, at = _model(program, tensors, "model"), None, meta["best"]
    if at is not None:
        kept = model if at["is_model"] else _model(program, tensors, "best")
        best = Best(kept, at["log_likelihood"], at["step"], at["epoch"])
    counts = {k: meta["position"][k] for k in _COUNTS}
    by_hand = meta["position"].get("step_size")  # older files have none
    if by_hand is not None:
        try:
            by_hand = plan.method.checked_step_size(by_hand)
        except OptionError as error:
            raise FileFormatError(f"{path} is corrupt: {error}") from None
    return Position(model, best=best, memory=_memory(program, tensors, meta), step_size=by_hand, **counts)


def _memory(program: Program, tensors: dict[str, Tensor], meta: dict[str, Any]) -> Memory | None:
    held = meta.get("memory")  # files of methods that remember nothing, and older ones, have none
    if held is None:
        return None
    prefix = "memory."
    return Memory({n.removeprefix(prefix): t.to(program.device) for n, t in tensors.items() if n.startswith(prefix)}, held)


_COUNTS = ("step", "epoch", "batch", "epoch_ll", "epoch_rows", "stale")


def _pack_events(events: Sequence[Event]) -> tuple[dict[str, Tensor], list[str], dict[str, str]]:
    """Columns of numbers, the names of the metrics, and the texts by sequence number."""
    names = sorted({name for e in events for name in e.metrics})
    nan = math.nan
    rows = [[e.metrics.get(name, nan) for name in names] for e in events]
    tensors = {
        "events.place": torch.tensor([[e.seq, KINDS.index(e.kind), e.step, e.epoch] for e in events]).view(-1, 4),
        "events.time": torch.tensor([e.time for e in events], dtype=torch.float64),
        "events.metrics": torch.tensor(rows, dtype=torch.float64).view(len(events), len(names)),
    }
    return tensors, names, {str(e.seq): e.text for e in events if e.text}


def _unpack_events(tensors: dict[str, Tensor], meta: dict[str, Any]) -> list[Event]:
    names, texts = meta["metrics"], meta["texts"]
    places, times = tensors["events.place"].tolist(), tensors["events.time"].tolist()
    events = []
    for (seq, kind, step, epoch), when, row in zip(places, times, tensors["events.metrics"].tolist(), strict=True):
        metrics = {name: value for name, value in zip(names, row, strict=True) if not math.isnan(value)}
        events.append(Event(seq, KINDS[kind], step, epoch, when, metrics, texts.get(str(seq), "")))
    return events
