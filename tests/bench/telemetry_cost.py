"""What the dashboard costs a training run: steps with it and without it, in turns, in a kernel as a notebook has it.

    python tests/bench/telemetry_cost.py [--seconds 8] [--rounds 5] [--batch 512]

First the check: a run that is watched must report the same log-likelihoods, bit for bit, as one that is not. Then rounds of
two runs, one watched (`monitor(run)`, whose messages a client reads, as a browser would) and one not; which comes first
changes from round to round. The table gives medians over the rounds of

- step: median seconds of a step;
- report: share of wall time that the training thread spends in reporting (events, memory, roofline), watched or not;
- publisher: CPU time of the publisher's thread as a share of wall time;
- ratio: watched by not watched, of the step.

The bars: report and publisher together at most 1 %, ratio within 3 %. The machine's roofline is measured before, once: it
takes 0.2 s in a process.
"""

from __future__ import annotations

import argparse
import datetime
import json
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

def one(watched, seconds, steps=None):
    spent.update(report=0.0, publisher=0.0)
    epochs = 1_000_000 if steps is None else steps // 4
    start = time.perf_counter()
    run = pcbench.fit(model, rows, epochs=epochs, batch_size=BATCH, background=True)
    bench = monitor(run) if watched else None
    if steps is None:
        time.sleep(seconds)
        run.stop()
    run.wait()
    wall = time.perf_counter() - start
    if bench is not None:
        bench.close()
    events = [e for e in run.events() if e.kind == "step"][2:]
    parts = ("data_s", "forward_s", "backward_s", "update_s", "other_s")
    return {
        "step": statistics.median(sum(e.metrics[p] for p in parts) for e in events),
        "steps": len(events) / wall * 1.0,
        "report": spent["report"] / wall,
        "publisher": spent["publisher"] / wall,
        "ll": [e.metrics["train_ll"] for e in events],
    }
"""


def main() -> int:
    parser = argparse.ArgumentParser(description="What the dashboard costs a training run.")
    parser.add_argument("--seconds", type=float, default=8.0, help="of each run")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch", type=int, default=512)
    parser.add_argument("--latents", type=int, default=16)
    options = parser.parse_args()
    manager, client = start_new_kernel(kernel_name="python3")
    try:
        execute(client, SET_UP.replace("BATCH", str(options.batch)).replace("LATENTS", str(options.latents)), limit=300)

        def one(watched: bool, seconds: float = options.seconds, steps: int | None = None) -> dict[str, Any]:
            text = execute(client, f"print(json.dumps(one({watched}, {seconds}, {steps})))", limit=seconds + 120)
            answer: dict[str, Any] = json.loads(text)
            return answer

        if one(True, 0, 24)["ll"] != one(False, 0, 24)["ll"]:
            print("WRONG: a watched run learns something else")
            return 1
        print("check: a watched run learns the same, bit for bit")
        rounds = [{w: one(w) for w in ((True, False) if i % 2 else (False, True))} for i in range(options.rounds)]
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    return report(rounds, options.batch, options.latents)


def report(rounds: list[dict[bool, dict[str, Any]]], batch: int, latents: int) -> int:
    """Prints the table; 1 when a bar is missed."""

    def median(watched: bool, what: str) -> float:
        return statistics.median(r[watched][what] for r in rounds)

    day = datetime.datetime.now(datetime.UTC).date().isoformat()
    print(f"{platform.processor() or platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}, {day}")
    print(f"hidden Chow-Liu tree on 784 pixels, K={latents}, batch {batch}; {len(rounds)} rounds, medians\n")
    print("| dashboard | step | steps / s | report | publisher |\n|---|---|---|---|---|")
    for watched in (False, True):
        step, rate = 1e3 * median(watched, "step"), median(watched, "steps")
        shares = " | ".join(f"{100 * median(watched, what):.2f} %" for what in ("report", "publisher"))
        print(f"| {'on' if watched else 'off'} | {step:.2f} ms | {rate:.1f} | {shares} |")
    ratios = [r[True]["step"] / r[False]["step"] for r in rounds]
    ratio, cost = statistics.median(ratios), median(True, "report") + median(True, "publisher")
    print(f"\nratio of the steps {ratio:.4f} (rounds: {', '.join(f'{x:.3f}' for x in ratios)}); bar 1 ± {STEP_LIMIT}")
    print(f"telemetry {100 * cost:.2f} % of wall time; bar {100 * COST_LIMIT:.0f} %")
    return int(cost > COST_LIMIT or abs(ratio - 1) > STEP_LIMIT)


if __name__ == "__main__":
    sys.exit(main())
