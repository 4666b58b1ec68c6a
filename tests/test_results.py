"""The scripts in `results/`: a run that is stopped loses no result, and the pages say what was kept."""

import importlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

RESULTS = Path(__file__).parents[1] / "results"
KEYS = [f"key {i}" for i in range(8)]
SCRIPT = f"""
import os, sys
from harness import Kept
kept, last = Kept(sys.argv[1]), int(sys.argv[2])
for key in {KEYS}:
    if key in kept:
        continue
    print("computed", key, flush=True)
    if last == 0:
        os.kill(os.getpid(), 9)
    kept.add(key, {{"value": key}})
    last -= 1
"""


PAGES = (
    "attacks", "census", "competition", "compress", "equal_pairs", "language", "pinets", "pinets_data", "standard",
    "verify", "vgg",
)  # fmt: skip


@pytest.fixture
def harness(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """Give the harness as the scripts import it, from their own folder; leave no trace of it to other tests."""
    before = set(sys.modules)
    monkeypatch.setenv("OMP_NUM_THREADS", os.environ.get("OMP_NUM_THREADS", "1"))
    monkeypatch.syspath_prepend(RESULTS)
    yield importlib.import_module("harness")
    for name in set(sys.modules) - before:
        if str(RESULTS) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


def test_a_run_that_is_killed_goes_on_and_no_result_is_lost_or_computed_twice(
    harness: ModuleType, tmp_path: Path
) -> None:
    kept, computed = tmp_path / "kept.json", []
    for results_until_killed in (0, 3, 1, len(KEYS)):
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT, str(kept), str(results_until_killed)],
            cwd=RESULTS, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == (0 if results_until_killed == len(KEYS) else -9), done.stderr
        started = [line.removeprefix("computed ") for line in done.stdout.splitlines() if line.startswith("computed ")]
        computed += started[:results_until_killed]
    assert computed == KEYS
    assert harness.Kept(kept) == {key: {"value": key} for key in KEYS}


def test_what_cannot_be_written_leaves_what_was_kept(harness: ModuleType, tmp_path: Path) -> None:
    kept = harness.Kept(tmp_path / "kept.json")
    kept.add("a", 1)
    with pytest.raises(ValueError, match="JSON"):
        kept.add("b", float("nan"))
    assert harness.Kept(kept.path) == {"a": 1}
    assert list(tmp_path.iterdir()) == [kept.path]


def test_two_processes_with_different_parts_keep_the_results_of_both(harness: ModuleType, tmp_path: Path) -> None:
    one, two = (harness.Kept(tmp_path / "kept.json") for _ in range(2))
    one.add("a b", 1)
    two.add("a c", 2)
    one.add("ab d", 3)
    assert dict(one) == dict(harness.Kept(one.path)) == {"a b": 1, "a c": 2, "ab d": 3}
    assert one.of("a") == [1, 2]


def test_a_table(harness: ModuleType) -> None:
    text = harness.section("# Title", ["One", "two."], ["a", "b"], [[1, ""], ["x", 2.5]])
    assert text == "# Title\n\nOne\ntwo.\n\n| a | b |\n|---|---|\n| 1 |  |\n| x | 2.5 |"


@pytest.mark.parametrize("name", PAGES)
def test_the_page_says_what_was_kept(harness: ModuleType, name: str) -> None:
    parts = importlib.import_module(name).page()
    text = (RESULTS / f"{name}.md").read_text(encoding="utf-8")
    # the machine that runs the tests is not the one that ran the attacks
    assert [part for part in parts if part not in text and harness.processor() not in part] == []
