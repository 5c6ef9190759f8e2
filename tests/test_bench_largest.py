"""``pcbench bench --largest``: the search, with engines whose memory is a formula."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from click.testing import CliRunner

from pcbench.bench import largest, measure
from pcbench.bench.largest import STEP, TRIES, OutOfReach
from pcbench.bench.plan import Plan
from pcbench.cli import main

ROOM = 80e9


def quadratic(a: float, b: float, c: float, room: float = ROOM) -> largest.Try:
    def attempt(size: int) -> float | None:
        needed = a * size * size + b * size + c
        return needed if needed <= room else None

    return attempt


@pytest.mark.parametrize(
    ("a", "b", "c"),
    [(1e4, 1e6, 1e8), (3e4, 2e6, 1e9), (100, 2e6, 0), (2e5, 0, 0), (1e6, 0, 0), (9e3, 0, 7e10), (0, 9e7, 0)],
)
def test_the_largest_is_found_in_few_tries(a: float, b: float, c: float) -> None:
    attempt = quadratic(a, b, c)
    seen = largest.largest(attempt, ROOM)
    best = max((s for s, needed in seen.items() if needed is not None), default=0)
    assert attempt(best + STEP) is None
    assert best + STEP in seen or best == 0  # the next one was tried, not presumed
    assert len(seen) <= 12


def test_memory_that_is_no_parabola_is_searched_all_the_same() -> None:
    def attempt(size: int) -> float | None:
        return 1e9 if size <= 3000 else None  # what is held does not grow, and then something else does not fit

    seen = largest.largest(attempt, ROOM)
    assert max(s for s, needed in seen.items() if needed is not None) == 2944
    assert len(seen) < TRIES


def test_a_search_without_end_ends() -> None:
    assert len(largest.largest(lambda size: 1.0, ROOM)) == TRIES


def plan() -> Plan:
    return Plan((("hclt", 256),), torch.device("cuda"), 1, True, True)


def test_an_engine_that_fails_keeps_what_it_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(job: str, spec: dict[str, Any]) -> dict[str, Any]:
        size = int(spec["case"].removeprefix("hclt-"))
        assert (job, spec["batch"]) == ("pyjuice try", 256)
        if size > 512:
            return {"status": "failed", "error": "its process ended with signal 9: Killed"}
        return {"status": "ok", "peak_gb": size / 100, "step_ms": 5.0}

    monkeypatch.setattr(largest, "in_fresh_process", answer)
    row = largest.search("PyJuice", "pyjuice try", 256, plan(), ROOM)
    assert (row["status"], row["latents"], row["peak_gb"]) == ("failed", 512, 5.12)
    assert "K=768" in row["error"]
    assert not largest.bad(row)
    assert largest.bad({**row, "engine": "pcbench"})
    assert "then FAILED K=768" in largest.told(row)


def test_both_engines_stand_in_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(job: str, spec: dict[str, Any]) -> dict[str, Any]:
        needed = quadratic(1e4 if job == "try" else 9e4, 0, 0)(int(spec["case"].removeprefix("hclt-")))
        return {"status": "oom", "error": ""} if needed is None else {"status": "ok", "peak_gb": needed / 1e9, "step_ms": 5.0}

    monkeypatch.setattr(largest, "in_fresh_process", answer)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: type("Properties", (), {"total_memory": ROOM})())
    ours, theirs = largest.measured(plan())
    assert (ours["engine"], ours["latents"]) == ("pcbench", 2816)  # √8e6 = 2828
    assert (theirs["engine"], theirs["latents"]) == ("PyJuice", 896)  # √(8e6/9) = 943
    facts = {"device": "GPU", "torch": "2", "date": "today", "repeat": 1}
    assert largest.table([ours, theirs], facts).row_count == 2
    assert "K=2,816" in largest.told(ours)


def test_a_try_says_what_it_takes() -> None:
    row = measure.attempt("sparse-6", 8, "cpu", 1)
    assert row["status"] == "ok"
    assert min(row["step_ms"], row["peak_gb"]) > 0


def test_it_needs_a_gpu() -> None:
    result = CliRunner().invoke(main, ["bench", "--largest", "--device", "cpu"])
    assert result.exit_code == 2
    assert "memory of a GPU" in result.output
    result = CliRunner().invoke(main, ["bench", "--largest", "rat-64", "--device", "cpu"])
    assert "not 'rat-64'" in result.output
    assert issubclass(OutOfReach, Exception)
