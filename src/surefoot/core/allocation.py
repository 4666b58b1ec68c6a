"""Freed memory is kept: bounds allocate large arrays again and again, and the kernel takes long to map each."""

import contextlib
import ctypes

# Of glibc's malloc.h.
M_TRIM_THRESHOLD = -1
M_MMAP_THRESHOLD = -3
LARGEST_KEPT = 2**25  # bytes of one array: the most that glibc takes
KEPT = 2**28  # bytes that are free at the end of the heap, before they are given back


def keep_freed_memory() -> bool:
    """Let this process use freed memory again instead of giving it back; whether its C library can.

    What is allocated still counts against a limit (`core.memory`), and what is kept counts as allocated.
    """
    with contextlib.suppress(AttributeError, OSError, TypeError):  # no such function, or no such library
        mallopt = ctypes.CDLL(None).mallopt
        return bool(mallopt(M_MMAP_THRESHOLD, LARGEST_KEPT)) and bool(mallopt(M_TRIM_THRESHOLD, KEPT))
    return False
