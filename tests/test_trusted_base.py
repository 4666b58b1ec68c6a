"""docs/trusted_base.md names every file that `surefoot check` depends on, with its lines.

python tests/test_trusted_base.py    # writes the table anew
"""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
SOURCE, PAGE = ROOT / "src", ROOT / "docs" / "trusted_base.md"
START = "surefoot.cli.check"
ROOMS = ("proof", "graph", "core", "spec", "cli")
LARGEST = 300  # lines of a file of `proof`: each is read in one sitting


def imported(module: str) -> set[str]:
    """Return our modules that a module imports, wherever in it."""
    tree = ast.parse(path_of(module).read_text(encoding="utf-8"))
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    return {name for name in names if name.startswith("surefoot.") and path_of(name).is_file()}


def path_of(module: str) -> Path:
    return SOURCE / f"{module.replace('.', '/')}.py"


def trusted() -> list[str]:
    """Return the command and the modules below that it reaches, options of the command line apart."""
    known = {START}
    todo = [START]
    while todo:
        for name in imported(todo.pop()) - known:
            if not name.startswith("surefoot.cli."):
                known.add(name)
                todo.append(name)
    return sorted(known, key=lambda name: (ROOMS.index(name.split(".")[1]), name))


def table() -> str:
    rows = ["| file | lines | what it is |", "|---|---|---|"]
    total: dict[str, int] = dict.fromkeys(ROOMS, 0)
    for name in trusted():
        text = path_of(name).read_text(encoding="utf-8")
        lines = len(text.splitlines())
        what = (ast.get_docstring(ast.parse(text)) or "").split("\n")[0]
        total[name.split(".")[1]] += lines
        rows.append(f"| `{name.removeprefix('surefoot.').replace('.', '/')}.py` | {lines} | {what} |")
    parts = ", ".join(f"{lines:,} of `{part}`" for part, lines in total.items())
    return "\n".join([*rows, f"| together | {sum(total.values()):,} | {parts} |"])


def with_table(page: str) -> str:
    return re.sub(r"(?s)(<!-- files -->\n).*?(\n<!-- end -->)", lambda m: f"{m[1]}\n{table()}\n{m[2]}", page)


def test_the_page_names_the_files_and_their_lines() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert page == with_table(page), "run python tests/test_trusted_base.py"


def test_the_base_is_small_and_reaches_no_search() -> None:
    names = trusted()
    assert {name.split(".")[1] for name in names} == set(ROOMS)
    assert [name for name in names if name.startswith("surefoot.cli.")] == [START]
    assert {name for name in names if name.startswith("surefoot.spec.")} <= {
        "surefoot.spec.cases", "surefoot.spec.checking", "surefoot.spec.exact", "surefoot.spec.float32",
        "surefoot.spec.formula", "surefoot.spec.input_set", "surefoot.spec.opening", "surefoot.spec.operations",
        "surefoot.spec.outputs", "surefoot.spec.query", "surefoot.spec.runtime", "surefoot.spec.vnnlib",
    }  # fmt: skip
    for path in (SOURCE / "surefoot" / "proof").glob("*.py"):
        assert len(path.read_text(encoding="utf-8").splitlines()) <= LARGEST, path.name


if __name__ == "__main__":
    PAGE.write_text(with_table(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
