"""Freed memory is used again, and still counts against a limit."""

import subprocess
import sys

import pytest

from surefoot.core.allocation import keep_freed_memory

RUN = """
import resource, sys
import numpy as np
from surefoot.core.allocation import keep_freed_memory
from surefoot.core.memory import limited_memory

if sys.argv[1] == "kept":
    keep_freed_memory()
begin = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    several = [np.ones(2**20) for _ in range(8)]
    del several
faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - begin
try:
    with limited_memory(2**28):
        kept = [np.ones(2**20) for _ in range(64)]
    print(faults, "unlimited")
except MemoryError:
    print(faults, "refused")
"""


def _faults(how: str) -> tuple[int, str]:
    faults, limit = subprocess.run(
        [sys.executable, "-c", RUN, how], capture_output=True, text=True, check=True
    ).stdout.split()
    return int(faults), limit


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="mallopt is glibc's")
def test_freed_memory_is_used_again_and_a_limit_still_refuses() -> None:
    if not keep_freed_memory():
        pytest.skip("this C library has no mallopt")
    kept, limit = _faults("kept")
    returned, other = _faults("returned")
    assert 4 * kept < returned
    assert limit == other == "refused"


def test_it_has_no_effect_without_the_function(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ctypes.CDLL", lambda _: object())
    assert not keep_freed_memory()
