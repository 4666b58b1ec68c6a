"""What the scripts here share: results that are kept so that a stopped run goes on, pages, options, the machine.

Import it before NumPy and PyTorch: a script computes in one thread, and shares its work among processes.
"""

import argparse
import os
import platform
import statistics
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, TypeVarTuple, cast

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(
    0, str(Path(__file__).parents[1] / "tests")
)  # the attacks and the simulated sets, of which tests run a few

from joblib import Parallel, delayed

from surefoot.core.files import read_json, write_json, write_text

HERE = Path(__file__).parent
Case = TypeVarTuple("Case")
Result = TypeVar("Result")


class Kept(Mapping[str, Any]):
    """Results by key, in a JSON file that is written whole after each: a run that was stopped goes on where it was.

        kept = Kept("compress_mnist.json")
        for key in keys:
            if key not in kept:
                kept.add(key, computed(key))

    Property: whenever a run is stopped, the next computes what is missing, and that alone.
    """

    def __init__(self, name: str | Path) -> None:
        self.path = HERE / name
        self._results = self._read()

    def _read(self) -> dict[str, Any]:
        return read_json(self.path) if self.path.exists() else {}

    def __getitem__(self, key: str) -> Any:
        return self._results[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._results)

    def __len__(self) -> int:
        return len(self._results)

    def of(self, *words: object) -> list[Any]:
        """Return the results whose keys start with these words."""
        return [result for key, result in self.items() if key.startswith(" ".join(map(str, words)) + " ")]

    def add(self, key: str, result: Any) -> None:
        """Keep one more result and show it; read the file again first, for another process may work on another part."""
        self._results = {**self._read(), key: result}
        write_json(self.path, self._results)
        print(key, result, flush=True)


def mean(results: Iterable[Mapping[str, Any]], key: str) -> float:
    """Return the mean of one number over results."""
    return statistics.fmean(result[key] for result in results)


def parser(doc: str | None, jobs: int | None = None) -> argparse.ArgumentParser:
    """Make a parser that shows a script's docstring as it stands, with `--jobs` where processes share the work."""
    made = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    if jobs is not None:
        made.add_argument("--jobs", type=int, default=jobs, help=f"processes at once; default: {jobs}")
    return made


def spread(parallel: Parallel, function: Callable[[*Case], Result], cases: Iterable[tuple[*Case]]) -> list[Result]:
    """Call a function for each case, in processes; return the results in the order of the cases."""
    return cast(list[Result], parallel(delayed(function)(*case) for case in cases))


def processor() -> str:
    """Name the processor."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def row(cells: Iterable[object]) -> str:
    """Write one row of a Markdown table."""
    return "| " + " | ".join(map(str, cells)) + " |"


def table(heads: Sequence[str], rows: Iterable[Iterable[object]]) -> str:
    """Write a Markdown table."""
    return "\n".join([row(heads), "|" + "---|" * len(heads), *map(row, rows)])


def section(title: str, words: Iterable[str], heads: Sequence[str], rows: Iterable[Iterable[object]]) -> str:
    """Write a heading, a paragraph given line by line, and a table."""
    return "\n\n".join([title, "\n".join(words), table(heads, rows)])


def write_page(name: str, parts: Iterable[str]) -> None:
    """Write a page of parts, with empty lines between, beside the scripts."""
    write_text(HERE / name, "\n\n".join(parts) + "\n")
