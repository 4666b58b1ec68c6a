"""Count which ONNX files are read, and what stops the others, one row an operation.

    python results/census.py FOLDER ...                 # of any folders; .onnx and .onnx.gz; prints the tables
    python results/census.py FOLDER ... --keep NAME     # the same, kept in census.json under a name
    python results/census.py --modules                  # modules of PyTorch, exported; kept
    python results/census.py --learners                 # classifiers of scikit-learn, exported by skl2onnx; kept
    python results/census.py --page                     # writes census.md from what was kept

A file counts as read if it comes through the door: ONNX Runtime takes it, and computes what was read, one operation
after another.
"""

import re
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any, TypeAlias

import census_modules
import harness
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
    "say which is meant": "several outputs, none named",
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
    parser.add_argument("--learners", action="store_true")
    parser.add_argument("--page", action="store_true")
    asked = parser.parse_args()
    found: dict[str, Answer] = {}
    kept = Kept("census.json")
    parts = [_files(asked.folders, asked.keep or "files")]
    parts += [census_modules.exported()] if asked.modules else []
    if asked.learners:
        import census_learners  # noqa: PLC0415  (needs skl2onnx)

        parts.append(census_learners.exported())
    for key, path in chain(*parts):
        if asked.keep or asked.modules or asked.learners:
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
    sizes = Counter(map(_folder, found))
    origins: dict[str, list[Answer]] = defaultdict(list)
    for key, answer in found.items():
        folder = _folder(key)
        origins[folder if sizes[folder] > 1 else key.split(" ", 1)[0]].append(answer)
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


def _folder(key: str) -> str:
    """Return the name that a file was kept under, and its folder's."""
    name, path = key.split(" ", 1)
    return ": ".join([name, *path.split("/")[:-1][:2]])


def _share(answers: list[Answer]) -> str:
    read = sum(answer["read"] for answer in answers)
    return f"{read} ({read / len(answers):.0%})"


def page() -> list[str]:
    """Write what was kept."""
    kept = dict(Kept("census.json"))
    files = {key: a for key, a in kept.items() if not key.startswith(("torch ", "scikit-learn "))}
    modules = {key: a for key, a in kept.items() if key.startswith("torch ")}
    learners = {key: a for key, a in kept.items() if key.startswith("scikit-learn ")}
    met = Counter(op for a in kept.values() for op in a["operations"])
    read = Counter(op for a in kept.values() if a["read"] for op in a["operations"])
    words = (
        "Read means: through the door, where ONNX Runtime computes every value and every operation as it was read.",
        "Networks of the field's competitions (`verify`), and files of ONNX's own tests (`onnx/backend/test/data`):",
        "what PyTorch exported in 2017, opset 6, mostly of a fixed batch. Command: `python results/census.py FOLDER",
        "--keep NAME`. What the page is not: a sample of networks that people have.",
    )
    about_modules = (
        "Small modules of PyTorch as both of its exporters write them: `python results/census.py --modules`. What an",
        "exporter does not write is left out.",
    )
    about_learners = (
        "Fitted to irises, exported by skl2onnx with its default options, read up to the probabilities (or scores):",
        "`python results/census.py --learners`.",
    )
    every = [[op, times, f"{read[op]}" + ("" if read[op] == times else " ←")] for op, times in sorted(met.items())]
    return [
        "# Which ONNX files are read", "\n".join(words), *tables(files),
        "## Modules of PyTorch", "\n".join(about_modules), *tables(modules),
        "## Classifiers of scikit-learn", "\n".join(about_learners), *tables(learners),
        section("## Every operation that was met", ["In how many files it stands, and how many of these are read."],
                ["operation", "files", "read"], every),
    ]  # fmt: skip


if __name__ == "__main__":
    main()
