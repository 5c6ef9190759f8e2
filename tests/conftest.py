"""What holds for every test: types and shapes are checked at run time, two threads at most, repeatable examples."""

from __future__ import annotations

import os
from collections.abc import Iterator

import jaxtyping
import pytest

# Before anything imports pcbench: from here on a tensor of another shape than annotated is an error.
# PCBENCH_TYPECHECK=0 leaves the checks out (to measure, or to step through without their frames).
if os.environ.get("PCBENCH_TYPECHECK", "1") != "0":
    jaxtyping.install_import_hook("pcbench", "beartype.beartype")

import hypothesis
import torch

hypothesis.settings.register_profile(
    "pcbench",
    deadline=None,
    # PCBENCH_EXAMPLES=20 looks twenty times as long, at examples that differ from run to run.
    derandomize="PCBENCH_EXAMPLES" not in os.environ,
    database=None,
    print_blob=True,
    suppress_health_check=[hypothesis.HealthCheck.too_slow, hypothesis.HealthCheck.data_too_large],
)
hypothesis.settings.load_profile("pcbench")


def pytest_configure(config: pytest.Config) -> None:
    # beartype looks at one item of a long list, picked by the global generator; no strategy of ours does.
    config.addinivalue_line("filterwarnings", "ignore:Do not use the `random` module inside strategies")


@pytest.fixture(scope="session", autouse=True)
def _few_threads() -> None:
    """Small circuits lose more to waking threads than they gain."""
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def nan_filled() -> Iterator[None]:
    """`torch.empty` returns NaN: whoever reads a buffer before writing it is found out."""
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True)
    assert torch.utils.deterministic.fill_uninitialized_memory  # PyTorch's default, on which this fixture rests
    yield
    torch.use_deterministic_algorithms(before)
