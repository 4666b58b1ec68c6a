"""Measure the house at several commits: files, functions, imports between packages, mirrored tests; write structure.md.

python results/structure.py 950c29f HEAD
"""

import ast
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Set
from io import BytesIO
from pathlib import Path
from statistics import median

import harness
import networkx

PACKAGE = "surefoot"


def main() -> None:
    """Measure each commit that is named, and write the page."""
    commits = sys.argv[1:] or ["HEAD"]
    columns = [measured(commit) for commit in commits]
    rows = [[name, *(column[name] for column in columns)] for name in columns[0]]
    words = (
        f"`python results/structure.py {' '.join(commits)}`. An arrow is a pair of packages of which one imports the "
        "other, wherever it does; a mirrored test is `tests/ROOM/test_x.py` of `src/surefoot/ROOM/x.py`."
    )
    harness.write_page("structure.md", ["# The house in numbers", words, harness.table(["", *commits], rows)])


def measured(commit: str) -> dict[str, object]:
    """Measure the tree of a commit."""
    content = subprocess.run(["git", "archive", commit, "src", "tests"], capture_output=True, check=True).stdout
    with tempfile.TemporaryDirectory() as name:
        with tarfile.open(fileobj=BytesIO(content)) as archive:
            archive.extractall(name, filter="data")
        return of_tree(Path(name))


def of_tree(root: Path) -> dict[str, object]:
    """Measure the sources and tests below a folder."""
    source = root / "src" / PACKAGE
    trees = {path.relative_to(source): ast.parse(path.read_text()) for path in sorted(source.rglob("*.py"))}
    lines = {path: len((source / path).read_text().splitlines()) for path in trees}
    functions = {
        f"{path}: {node.name}": (node.end_lineno or 0) - node.lineno + 1
        for path, tree in trees.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef)
    }
    modules = {module_of(path) for path in trees}
    arrows = [(module_of(path), to) for path, tree in trees.items() for to in imports_of(tree, modules)]
    files = networkx.DiGraph(arrows)
    rooms = {(one.split(".")[1], two.split(".")[1]) for one, two in files.edges if one.count(".") and two.count(".")}
    circles = [part for part in networkx.strongly_connected_components(files) if len(part) > 1]
    own = [path for path in trees if path.name != "__init__.py"]
    mirrored = sum((root / "tests" / path.with_name(f"test_{path.name}")).exists() for path in own)
    return {
        "source files, lines": f"{len(lines)}, {sum(lines.values()):,}",
        "median and largest file, lines": f"{median(lines.values()):.0f}, {largest(lines)}",
        "median and largest function, lines": f"{median(functions.values()):.0f}, {largest(functions)}",
        "functions": f"{len(functions):,}",
        "arrows between packages": sum(one != two for one, two in rooms),
        "circles of imports": len(circles),
        "files with a mirrored test": f"{mirrored} of {len(own)} ({mirrored / len(own):.0%})",
    }


def largest(sizes: dict[Path, int] | dict[str, int]) -> str:
    """Name the largest."""
    name, size = max(sizes.items(), key=lambda item: item[1])
    return f"{size} (`{name}`)"


def module_of(path: Path) -> str:
    """Return the dotted name of a file."""
    return ".".join([PACKAGE, *path.with_suffix("").parts]).removesuffix(".__init__")


def imports_of(tree: ast.Module, modules: Set[str]) -> Iterator[str]:
    """Give the modules of the package that a file imports anywhere but for types alone."""
    branches = [node for node in ast.walk(tree) if isinstance(node, ast.If)]
    typing = {node for test in branches if ast.unparse(test.test) == "TYPE_CHECKING" for node in ast.walk(test)}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and node not in typing:
            yield from {f"{node.module}.{alias.name}" for alias in node.names} & modules or {node.module} & modules


if __name__ == "__main__":
    main()
