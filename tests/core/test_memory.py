"""A limit of memory is kept by errors, and is gone afterwards."""

import numpy as np
import pytest
import torch

from surefoot.core.memory import GIB, free_memory, is_out_of_memory, limited_memory, memory_left
from surefoot.spec.runtime import values_of

resource = pytest.importorskip("resource", reason="this system has no limits")
pytestmark = pytest.mark.skipif(free_memory() is None, reason="this system does not say what memory is free")


def limit() -> int:
    return resource.getrlimit(resource.RLIMIT_DATA)[0]


@pytest.mark.parametrize(
    "allocate", [lambda: np.ones(GIB), lambda: torch.ones(GIB, dtype=torch.float64), lambda: bytearray(8 * GIB)]
)
def test_what_passes_the_limit_is_refused_as_out_of_memory(allocate) -> None:
    before = limit()
    with limited_memory(4 * GIB):
        with pytest.raises((MemoryError, RuntimeError)) as refused:
            allocate()
        assert is_out_of_memory(refused.value)
        assert np.ones(2**20).sum() == 2**20  # less is had still
    assert limit() == before


def test_processes_share_it_and_the_default_is_what_is_free() -> None:
    with limited_memory(8 * GIB, processes=4):
        assert limit() == 2 * GIB
    with limited_memory():
        assert 0 < limit() < (free_memory() or 0) + 16 * GIB


def test_what_is_left_is_less_than_the_limit_and_shrinks() -> None:
    with limited_memory(8 * GIB):
        left = memory_left()
        assert left is not None
        assert 0 < left < 8 * GIB
        kept = np.ones(GIB // 8)
        assert (memory_left() or 0) < left - GIB // 2
        assert kept[-1] == 1


def test_other_errors_are_not_taken_for_it() -> None:
    assert not is_out_of_memory(RuntimeError("shapes differ"))
    assert is_out_of_memory(RuntimeError("DefaultCPUAllocator: can't allocate memory"))
    assert is_out_of_memory(RuntimeError("could not create a primitive"))


def test_a_runtime_that_lacks_memory_does_not_put_it_down_to_the_network() -> None:
    class Session:
        def run(self, *_: object) -> list[np.ndarray]:
            raise Exception("[ONNXRuntimeError] : 1 : FAIL : Failed to allocate memory for requested buffer")

    with pytest.raises(MemoryError, match="Failed to allocate memory"):
        values_of(Session(), ["y"], {"x": np.zeros(2)})
