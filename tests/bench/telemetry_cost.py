"""What the dashboard costs a training run: steps with it and without it, in turns, in a kernel as a notebook has it.

    python tests/bench/telemetry_cost.py [--pairs 12] [--seconds 1.5] [--batch 512] [--latents 16] [--threads 1]

First the check: a run that is watched must report the same log-likelihoods, bit for bit, as one that is not. Then one run goes
on, and is watched (`monitor(run)`, whose messages a client reads, as a browser would) in every other stretch of time; the two
of a pair change places from pair to pair. The table gives medians over the pairs of

- step: median seconds of a step, and the training thread's CPU time in it, which other programs disturb less;
- report: share of wall time that the training thread spends in reporting (events, memory, use of the machine), watched or not;
- publisher: CPU time of the publisher's thread as a share of wall time.

The bars: report and publisher together at most 1 %, the step within 3 %. The machine's roofline is measured before, once: it
takes 0.2 s in a process. On a machine that other programs keep busy the ratio of wall times says nothing; the table tells the
spread.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import statistics
import sys
from pathlib import Path
from typing import Any

import torch
from jupyter_client.manager import start_new_kernel

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from tests.browser.kernel import execute

COST_LIMIT, STEP_LIMIT = 0.01, 0.03

SET_UP = """
import json, statistics, threading, time
import torch, pcbench
from pcbench.learn import trainer
from pcbench_widgets import feed, monitor

torch.set_num_threads(THREADS)
data = pcbench.datasets.mnist10k()
rows = data.train[:BATCH * 4]
circuit = pcbench.structures.hclt(rows, latents=LATENTS, variables=data.variables)
model = pcbench.Model.create(pcbench.compile(circuit), seed=0)
pcbench.telemetry.measure("cpu", torch.float32)

spent = {"report": 0.0, "publisher": 0.0}

def timed(name, function, clock):
    def call(*arguments, **options):
        start = clock()
        try:
            return function(*arguments, **options)
        finally:
            spent[name] += clock() - start
    return call

trainer.Trainer._report_step = timed("report", trainer.Trainer._report_step, time.perf_counter)
feed.RunFeed.publish = timed("publisher", feed.RunFeed.publish, time.thread_time)

cpu = {}

def begin(epochs):
    # Called in the training thread, with every event.
    def note(event):
        cpu[event.seq] = time.thread_time()
    return pcbench.fit(model, rows, epochs=epochs, batch_size=BATCH, background=True, on_event=note)

def learnt(watched):
    run = begin(6)
    bench = monitor(run) if watched else None
    run.wait()
    if bench is not None:
        bench.close()
    return [e.metrics["train_ll"] for e in run.events() if e.kind == "step"]

def stretch(run, watched, seconds):
    spent.update(report=0.0, publisher=0.0)
    bench = monitor(run) if watched else None
    first, start = run.step, time.perf_counter()
    time.sleep(seconds)
    last, wall = run.step, time.perf_counter() - start
    if bench is not None:
        bench.close()
    events = [e for e in run.events() if first < e.step <= last]
    parts = ("data_s", "forward_s", "backward_s", "update_s", "other_s")
    steps = [e for e in events if e.kind == "step"]
    pairs = zip(events, events[1:])
    return {
        "step": statistics.median(sum(e.metrics[p] for p in parts) for e in steps),
        "cpu": statistics.median(cpu[b.seq] - cpu[a.seq] for a, b in pairs if a.kind == b.kind == "step"),
        "report": spent["report"] / wall,
        "publisher": spent["publisher"] / wall,
    }
"""


def main() -> int:
    parser = argparse.ArgumentParser(description="What the dashboard costs a training run.")
    parser.add_argument("--pairs", type=int, default=12)
    parser.add_argument("--seconds", type=float, default=1.5, help="of each stretch")
    parser.add_argument("--batch", type=int, default=512)
    parser.add_argument("--latents", type=int, default=16)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="of PyTorch; 1 on a busy machine")
    options = parser.parse_args()
    manager, client = start_new_kernel(kernel_name="python3")

    def value(expression: str) -> Any:
        return json.loads(execute(client, f"print(json.dumps({expression}))", limit=300))

    try:
        set_up = SET_UP
        for name in ("batch", "latents", "threads"):
            set_up = set_up.replace(name.upper(), str(getattr(options, name)))
        execute(client, set_up, limit=300)
        if value("learnt(True)") != value("learnt(False)"):
            print("WRONG: a watched run learns something else")
            return 1
        print("check: a watched run learns the same, bit for bit")
        execute(client, "run = begin(1_000_000)\nwhile run.step < 10:\n    time.sleep(0.05)", limit=300)
        pairs = []
        for i in range(options.pairs):
            order = (True, False) if i % 2 else (False, True)
            pairs.append({watched: value(f"stretch(run, {watched}, {options.seconds})") for watched in order})
        execute(client, "run.stop()\nrun.wait()")
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    return report(pairs, options)


def report(pairs: list[dict[bool, dict[str, float]]], options: argparse.Namespace) -> int:
    """Prints the table; 1 when a bar is missed."""

    def median(watched: bool, what: str) -> float:
        return statistics.median(pair[watched][what] for pair in pairs)

    day = datetime.datetime.now(datetime.UTC).date().isoformat()
    print(f"{platform.processor() or platform.machine()}, {options.threads} threads, torch {torch.__version__}, {day}")
    print(f"load {os.getloadavg()[0]:.1f}; {len(pairs)} pairs of stretches, medians")
    print(f"hidden Chow-Liu tree, 784 pixels, K={options.latents}, batch {options.batch}\n")
    print("| dashboard | step | of it CPU | report | publisher |\n|---|---|---|---|---|")
    for watched in (False, True):
        times = " | ".join(f"{1e3 * median(watched, what):.2f} ms" for what in ("step", "cpu"))
        shares = " | ".join(f"{100 * median(watched, what):.2f} %" for what in ("report", "publisher"))
        print(f"| {'on' if watched else 'off'} | {times} | {shares} |")
    print()
    middle = {}
    for what, name in (("step", "wall time of a step"), ("cpu", "CPU time of a step")):
        low, middle[what], high = statistics.quantiles([pair[True][what] / pair[False][what] for pair in pairs], n=4)
        print(f"{name}, on by off: {middle[what]:.3f} (quartiles {low:.3f}, {high:.3f}); bar 1 ± {STEP_LIMIT}")
    cost = median(True, "report") + median(True, "publisher")
    print(f"telemetry: {100 * cost:.2f} % of wall time; bar {100 * COST_LIMIT:.0f} %")
    return int(cost > COST_LIMIT or abs(middle["step"] - 1) > STEP_LIMIT)


if __name__ == "__main__":
    sys.exit(main())
