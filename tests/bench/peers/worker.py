"""The common part of all contestants: one process, told over standard input how long to step, answering in JSON lines.

``worker.serve(build)`` reads the configuration from the command line, limits threads and memory, calls
``build(configuration)`` for a step function and some facts, and then answers each line ``{"seconds": s, "most": n}`` by
stepping at least once and for at most about ``s`` seconds or ``n`` steps.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections.abc import Callable
from typing import Any

Step = Callable[[], float]


def serve(build: Callable[[dict[str, Any]], tuple[Step, dict[str, Any]]]) -> None:
    """Build, answer with the facts, then time steps until standard input ends."""
    config = json.loads(sys.argv[1])
    resource.setrlimit(resource.RLIMIT_AS, (config["memory"], config["memory"]))
    import torch

    torch.set_num_threads(config["threads"])
    torch.manual_seed(0)
    started = time.perf_counter()
    step, facts = build(config)
    facts["build_s"] = time.perf_counter() - started
    started = time.perf_counter()
    facts["log_likelihood"] = step()
    facts["first_ms"] = 1e3 * (time.perf_counter() - started)
    _answer(facts)
    for line in sys.stdin:
        order = json.loads(line)
        _answer(_timed(step, order["seconds"], order["most"]))


def _timed(step: Step, seconds: float, most: int) -> dict[str, Any]:
    times: list[float] = []
    cpu: list[float] = []
    value = 0.0
    busy, own, begin = _busy(), time.process_time(), time.perf_counter()
    while not times or (len(times) < most and time.perf_counter() - begin < seconds):
        started, used = time.perf_counter(), time.process_time()
        value = step()
        times.append(1e3 * (time.perf_counter() - started))
        cpu.append(1e3 * (time.process_time() - used))
    wall = time.perf_counter() - begin
    foreign = _busy() - busy - (time.process_time() - own)
    noise = max(0.0, foreign) / (wall * (os.cpu_count() or 1))
    return {"ms": times, "cpu_ms": cpu, "noise": noise, "log_likelihood": value}


def _busy() -> float:
    """CPU seconds used so far on this machine, by anyone, and those that a hypervisor took away."""
    try:
        with open("/proc/stat") as stat:
            user, nice, system, _idle, _wait, irq, softirq, steal = (int(f) for f in stat.readline().split()[1:9])
    except OSError:  # not Linux
        return 0.0
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def _answer(facts: dict[str, Any]) -> None:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # KiB on Linux
    print("ANSWER " + json.dumps({**facts, "peak_mb": peak / 1024}), flush=True)
