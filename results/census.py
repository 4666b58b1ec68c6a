"""Count which ONNX files are read, and what stops the others, one row an operation.

    python results/census.py FOLDER ...                 # of any folders; .onnx and .onnx.gz; prints the tables
    python results/census.py FOLDER ... --keep NAME     # the same, kept in census.json under a name
    python results/census.py --modules                  # modules of PyTorch, exported; kept
    python results/census.py --page                     # writes census.md from what was kept

A file counts as read if it comes through the door: ONNX Runtime takes it, and computes what was read, operation by operation.
"""

import re
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any, TypeAlias

import harness
from census_modules import exported
from harness import Kept, section, write_page

from surefoot.core.errors import FileError, InputError, SurefootError
from surefoot.core.onnx_file import load_onnx_model
from surefoot.graph.onnx_in import reading_of_onnx
from surefoot.spec.opening import open_onnx
from surefoot.spec.operations import products_of

Answer: TypeAlias = dict[str, Any]
LARGEST = 3 * 10**9  # products: from here on a file is read, and not run
_STOPS = re.compile(r"node .* \((\w+)\)(?:: | cannot be read: )(.*)", re.DOTALL)
_KINDS = {
    "which an output is meant": "outputs, say which",
    "of type": "the input's type",
    "open sides": "sides of inputs that are open",
    "opset": "the opset",
    "domain": "operations of other domains",
    "do not agree": "runtimes disagree",
    "does not take": "ONNX Runtime refuses it",
}


def main() -> None:
    """Count folders or modules, or write the page."""
    parser = harness.parser(__doc__)
    parser.add_argument("folders", nargs="*", type=Path)
    parser.add_argument("--keep", metavar="NAME")
    parser.add_argument("--modules", action="store_true")
    parser.add_argument("--page", action="store_true")
    asked = parser.parse_args()
    found: dict[str, Answer] = {}
    kept = Kept("census.json")
    for key, path in chain(_files(asked.folders, asked.keep or "files"), exported() if asked.modules else ()):
        if asked.keep or asked.modules:
            if key not in kept:
                kept.add(key, answer_of(path))
        else:
            found[key] = answer_of(path)
            print(key, found[key]["why"] or "read", flush=True)
    if found:
        print("\n\n".join(tables(found)))
    if asked.page:
        write_page("census.md", page())


def _files(folders: Iterable[Path], name: str) -> Iterator[tuple[str, Path]]:
    for folder in folders:
        for path in sorted([*folder.rglob("*.onnx"), *folder.rglob("*.onnx.gz")]):
            yield f"{name} {path.relative_to(folder)}", path


def answer_of(path: Path) -> Answer:
    """Say whether a file is read, and if not what stops it, and why."""
    begin, answer = time.perf_counter(), {"read": False, "stops": "", "why": "", "operations": []}
    try:
        model = load_onnx_model(path)
        answer["operations"] = sorted({node.op_type for node in model.graph.node})
        reading = reading_of_onnx(model)
        if sum(map(products_of, reading.nodes)) < LARGEST:
            open_onnx(path)
        answer["read"] = True
    except (FileError, InputError, SurefootError) as error:
        why = str(error).removeprefix(f"{path}: ")
        named = _STOPS.match(why)
        answer["stops"] = named[1] if named else next((say for word, say in _KINDS.items() if word in why), "else")
        answer["why"] = (named[2] if named else why)[:300]
    return answer | {"seconds": round(time.perf_counter() - begin, 1)}


def tables(found: dict[str, Answer]) -> list[str]:
    """Count by origin, and by what stops."""
    origins: dict[str, list[Answer]] = defaultdict(list)
    for key, answer in found.items():
        origins[_origin(key)].append(answer)
    counted = [[name, len(some), _share(some)] for name, some in origins.items()]
    counted.append(["**all**", len(found), _share(list(found.values()))])
    stops = Counter(answer["stops"] for answer in found.values() if not answer["read"])
    rows = [
        [what, times, *next((f"`{key}`", a["why"]) for key, a in found.items() if a["stops"] == what)]
        for what, times in stops.most_common()
    ]
    return [
        harness.table(["origin", "files", "read"], counted),
        harness.table(["what stops", "files", "such as", "why there"], rows) if rows else "Nothing stops any.",
    ]


def _origin(key: str) -> str:
    """Return the name that files were kept under, and their folder's."""
    name, path = key.split(" ", 1)
    return f"{name}: {path.split('/')[0]}" if "/" in path else name


def _share(answers: list[Answer]) -> str:
    read = sum(answer["read"] for answer in answers)
    return f"{read} ({read / len(answers):.0%})"


def page() -> list[str]:
    """Write what was kept."""
    kept = dict(Kept("census.json"))
    files = {key: a for key, a in kept.items() if not key.startswith("torch ")}
    modules = {key: a for key, a in kept.items() if key.startswith("torch ")}
    met = Counter(op for a in kept.values() for op in a["operations"])
    read = Counter(op for a in kept.values() if a["read"] for op in a["operations"])
    words = (
        "Read means: through the door, where ONNX Runtime computes every value and every operation as it was read. Real",
        "networks of the field's competitions and of ONNX's own tests (`onnx/backend/test/data`: architectures with constant",
        "weights, and what PyTorch exported in 2017, opset 6). Command: `python results/census.py FOLDER --keep NAME`.",
    )
    about_modules = (
        "Small modules of PyTorch as both of its exporters write them: `python results/census.py --modules`. One that an",
        "exporter does not write is left out.",
    )
    every = [[op, times, f"{read[op]}" + ("" if read[op] == times else " ←")] for op, times in sorted(met.items())]
    return [
        "# Which ONNX files are read", "\n".join(words), *tables(files),
        "## Modules of PyTorch", "\n".join(about_modules), *tables(modules),
        section("## Every operation that was met", ["In how many files it stands, and how many of these are read."],
                ["operation", "files", "read"], every),
    ]  # fmt: skip


if __name__ == "__main__":
    main()
