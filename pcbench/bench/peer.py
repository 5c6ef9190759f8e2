"""PyJuice beside us, in the same run where it is installed: whether it can be, and what it adds to a row."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import Any

from ..errors import OptionError
from .fresh import in_fresh_process

PEERS = ("auto", "pyjuice", "none")
#: The version whose calls are known; another one may name them differently, or mean something else by them.
VERSION = "2.6.3"


def why_no_peer(device: str) -> str:
    """Why PyJuice cannot be measured here; an empty text where it can."""
    if not device.startswith("cuda"):
        return f"PyJuice has no kernels for {device}"
    try:
        found = version("pyjuice")
    except PackageNotFoundError:
        return f"PyJuice is not installed (pip install pyjuice=={VERSION})"
    return "" if found == VERSION else f"PyJuice {found} is installed, {VERSION} is what is measured"


def peer_wanted(peer: str, device: str) -> tuple[bool, str]:
    """Whether to measure PyJuice, and if not although nobody forbade it, why.

    Raises:
        OptionError: when it was asked for by name, and cannot be.
    """
    if peer == "none":
        return False, ""
    reason = why_no_peer(device)
    if reason and peer == "pyjuice":
        raise OptionError(f"--peer pyjuice: {reason}")
    return not reason, reason


def peer_result(job: str, spec: dict[str, Any]) -> dict[str, Any]:
    """What PyJuice gives for a job; ``status`` is ok, differs, oom, failed or skipped."""
    batch = spec["batch"]
    if batch & (batch - 1):
        # With other sizes it drops samples from the flows of parameters, and says nothing.
        return {"status": "skipped", "error": f"PyJuice needs a power of two, a batch of {batch} is none"}
    return in_fresh_process(job, spec)


def beside(row: dict[str, Any], peer: dict[str, Any]) -> None:
    """Add PyJuice's training step to our row: its figures as ``peer_…``, and where both are right, the ratios.

    ``faster`` is its time by ours, ``memory_ratio`` our peak by its.
    """
    row.update({f"peer_{key}": value for key, value in peer.items()})
    if row["status"] == "ok" and peer["status"] == "ok":
        row["faster"] = peer["step_ms"] / row["step_ms"]
        row["memory_ratio"] = row["peak_gb"] / peer["peak_gb"]
