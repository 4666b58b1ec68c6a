"""Ratios of CPU time between ways to do one thing: interleaved runs in one process, medians, one thread.

glibc is told to keep freed memory, for all ways alike: else the ratios are those of the kernel's page faults, and move
by half from run to run.
"""

import os
import platform
import statistics
import sys
import time
import tracemalloc
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch

_KEEP_MEMORY = {"MALLOC_MMAP_THRESHOLD_": "4294967296", "MALLOC_TRIM_THRESHOLD_": "17179869184"}
if not _KEEP_MEMORY.items() <= os.environ.items():
    os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | _KEEP_MEMORY)


def medians(ways: Mapping[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Run every way in turn, `repeats` times, and return the median CPU seconds of each.

    Each run follows an untimed one of the same way: none pays for the caches that the one before it left cold.
    """
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(repeats):
        for name, way in ways.items():
            way()
            start = time.process_time()
            way()
            times[name].append(time.process_time() - start)
    return {name: statistics.median(values) for name, values in times.items()}


def peak_of_torch(way: Callable[[], object]) -> int:
    """Return the most bytes of tensors that were alive at once, beyond those before."""
    way()
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
        way()
    alive = peak = 0
    for event in profile.profiler.kineto_results.events():  # type: ignore[union-attr]
        if event.name() == "[memory]":
            alive += event.nbytes()  # type: ignore[attr-defined]
            peak = max(peak, alive)
    return peak


def peak_of_numpy(way: Callable[[], object]) -> int:
    """Return the most bytes that NumPy and Python had allocated at once, beyond those before."""
    tracemalloc.start()
    way()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


class Results:
    """A table that is printed, and written beside the script as Markdown with the command and the machine."""

    def __init__(self, title: str, *columns: str) -> None:
        self.title, self.columns, self.rows = title, columns, []

    def add(self, *cells: object) -> None:
        """Add a row and show it."""
        self.rows.append([str(c) for c in cells])
        print(" | ".join(self.rows[-1]), flush=True)

    def write(self) -> None:
        """Write the table."""
        script = Path(sys.argv[0])
        lines = [
            f"# {self.title}",
            "",
            f"`python benchmarks/{script.name}`, {machine()}, one thread, CPU time, medians, freed memory kept.",
        ]
        lines += ["", "| " + " | ".join(self.columns) + " |", "|" + "---|" * len(self.columns)]
        lines += ["| " + " | ".join(row) + " |" for row in self.rows]
        target = script.parent / "results" / f"{script.stem}.md"
        target.parent.mkdir(exist_ok=True)
        target.write_text("\n".join(lines) + "\n")


def machine() -> str:
    """Describe where this ran."""
    model = "unknown processor"
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        model = next((x.split(":")[1].strip() for x in cpuinfo.read_text().splitlines() if "model name" in x), model)
    return f"{model}, Python {platform.python_version()}, torch {torch.__version__}, NumPy {np.__version__}"
