"""Every source file has its tests under its own name: src/surefoot/ROOM/x.py in tests/ROOM/test_x.py.

A test may stand elsewhere too (laws, soundness, what was met once); but whoever changes a file finds its own here.
"""

import ast
from pathlib import Path

ROOT = Path(__file__).parents[1]
SOURCE, TESTS = ROOT / "src" / "surefoot", ROOT / "tests"
LEAST = 0.9  # of all files but `__init__.py`, which say what a package exports: tests/test_api.py


def sources() -> list[Path]:
    return sorted(p.relative_to(SOURCE) for p in SOURCE.rglob("*.py") if p.name != "__init__.py")


def mirror_of(source: Path) -> Path:
    return TESTS / source.with_name(f"test_{source.name}")


def has_tests(file: Path) -> bool:
    """Whether there is a file with a test in it."""
    if not file.is_file():
        return False
    nodes = ast.walk(ast.parse(file.read_text(encoding="utf-8")))
    return any(isinstance(node, ast.FunctionDef) and node.name.startswith("test_") for node in nodes)


def test_nine_in_ten_source_files_have_tests_of_their_name() -> None:
    every = sources()
    missing = [str(source) for source in every if not has_tests(mirror_of(source))]
    assert len(every) > 200
    assert len(missing) <= (1 - LEAST) * len(every), f"{len(missing)} of {len(every)} lack theirs: {', '.join(missing)}"


def test_a_file_without_a_test_is_no_mirror(tmp_path: Path) -> None:
    for name, text, found in (("a", "", False), ("b", "def helper(): ...", False), ("c", "def test_x(): ...", True)):
        (tmp_path / name).write_text(text, encoding="utf-8")
        assert has_tests(tmp_path / name) == found
    assert not has_tests(tmp_path / "absent")
    assert mirror_of(Path("compress/rewrites/unused.py")) == TESTS / "compress" / "rewrites" / "test_unused.py"
