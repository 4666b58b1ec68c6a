"""A limit of memory: what goes beyond it is refused with an error, where the system would kill the process."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

try:
    import resource
except ModuleNotFoundError:  # not on Windows: no limit there
    resource = None  # type: ignore[assignment]

GIB = 2**30
SPARE = 0.95  # of what is free
# In the words of PyTorch, C++, ONNX Runtime and oneDNN, whose errors have no type of their own. A convolution of oneDNN
# that finds no memory for its code or its scratchpad says that it could not create something, and no more.
ALLOCATORS = (
    "DefaultCPUAllocator", "not enough memory", "bad_alloc", "bad allocation", "Failed to allocate memory",
    "could not create a primitive", "could not create a memory",
)  # fmt: skip
_CGROUPS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current"))


def free_memory() -> int | None:
    """Return how many bytes are free, of the machine and of the container; None where that cannot be told."""
    known = []
    machine = Path("/proc/meminfo")
    if machine.exists():
        words = dict(line.split(":") for line in machine.read_text().splitlines())
        known.append(int(words["MemAvailable"].split()[0]) * 1024)
    if all(path.exists() for path in _CGROUPS):
        most, used = (path.read_text().strip() for path in _CGROUPS)
        if most != "max":
            known.append(max(int(most) - int(used), 0))
    return min(known, default=None)


@contextmanager
def limited_memory(size: float | None = None, processes: int = 1) -> Iterator[None]:
    """Refuse allocations beyond so many bytes, shared by so many processes; the default is what is free.

    Processes that are started within have the limit too. What counts is memory that is written to (RLIMIT_DATA of the
    kernel), not files that are mapped. No effect where the kernel knows no such limit.
    """
    free = free_memory()
    if resource is None or (size is None and free is None):
        yield
        return
    if size is None:
        assert free is not None
        size = SPARE * free + _allocated()
    before, hard = resource.getrlimit(resource.RLIMIT_DATA)
    most = int(size / processes)
    resource.setrlimit(resource.RLIMIT_DATA, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (before, hard))


def memory_left() -> int | None:
    """Return how many bytes may still be allocated, of the limit and of what is free; None if neither is known."""
    known = [size for size in (free_memory(),) if size is not None]
    if resource is not None:
        limit, _ = resource.getrlimit(resource.RLIMIT_DATA)
        if limit != resource.RLIM_INFINITY:
            known.append(max(limit - _allocated(), 0))
    return min(known, default=None)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory could not be had.

    >>> [is_out_of_memory(error) for error in (MemoryError(), RuntimeError("std::bad_alloc"), RuntimeError())]
    [True, True, False]
    """
    return isinstance(error, MemoryError) or any(word in str(error) for word in ALLOCATORS)


def within_memory(call: Callable[[], object]) -> bool:
    """Call; return whether it came to its end with the memory that may be used."""
    try:
        call()
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        return False
    return True


def _allocated() -> int:
    """Return how many bytes of data this process has."""
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmData:")), 0)
