"""A search that was made is not made again; what a journal says is believed only if it is shown anew."""

import importlib
from pathlib import Path

import numpy as np
import pytest

from planted import hard
from surefoot.compress.checkpoint import Journal, covers
from surefoot.compress.stability import Stability, stability
from surefoot.core.errors import FileError
from surefoot.reach.relaxation import Choice
from surefoot.spec.input_set import InputSet
from surefoot.verify.relu_subproblems import Subproblem

module = importlib.import_module("surefoot.compress.stability")  # the face has a function of its name

CUBE = InputSet(np.zeros(3), np.ones(3))


def searched(monkeypatch: pytest.MonkeyPatch, journal: Journal | None) -> tuple[Stability, int]:
    count = 0
    split = module.prove_by_relu_splitting

    def counted(*arguments: object) -> object:
        nonlocal count
        count += 1
        return split(*arguments)  # pyright: ignore[reportArgumentType]

    with monkeypatch.context() as patched:
        patched.setattr(module, "prove_by_relu_splitting", counted)
        return stability(hard(), CUBE, 5.0, journal=journal), count


def test_what_was_found_is_read_shown_again_and_damage_is_searched_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, searches = searched(monkeypatch, None)
    assert searches > 0
    assert plain.counts()[1] > 0
    journal = Journal(tmp_path / "journal")
    first, made = searched(monkeypatch, journal)
    second, again = searched(monkeypatch, journal)
    assert made == searches
    assert again == 0
    for found in (first, second):
        assert found.counts() == plain.counts()
        assert len(found.proof().leaves) == len(plain.proof().leaves)
    files = sorted(journal.folder.iterdir())
    files[0].write_bytes(files[0].read_bytes()[:40])
    third, repaired = searched(monkeypatch, journal)
    assert repaired == 1
    assert third.counts() == plain.counts()
    journal.forget()
    assert not journal.folder.exists()


def test_a_forged_proof_is_not_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts that leave something out, and parts that bound nothing."""
    journal = Journal(tmp_path / "journal")
    searched(monkeypatch, journal)
    keys = [path.stem for path in journal.folder.iterdir()]
    for key in keys:
        found = journal.read(key)
        assert found is not None
        journal.write(key, (*found[0][:-1], Subproblem(0, ((2, 0, 1),), Choice())), 5.0)
    plain, searches = searched(monkeypatch, None)
    forged, again = searched(monkeypatch, journal)
    assert forged.counts() == plain.counts()
    assert again >= searches - sum(len((journal.read(k) or ((), 0))[0]) == 1 for k in keys)


def test_covers() -> None:
    graph = hard()

    def parts(*signs: tuple[tuple[int, int, int], ...]) -> tuple[Subproblem, ...]:
        return tuple(Subproblem(0, s) for s in signs)

    assert covers(parts(()), graph)
    assert covers(parts(((2, 0, 1),), ((2, 0, -1),)), graph)
    assert covers(parts(((2, 0, 1), (2, 1, 1)), ((2, 0, 1), (2, 1, -1)), ((2, 0, -1),)), graph)
    assert not covers((), graph)
    # a chain of 60 halvings, whole, and without its smallest leaf, which is lost among floating-point shares
    chain = [(2, i, 1) for i in range(60)]
    leaves = [(*chain[:i], (2, i, -1)) for i in range(60)]
    assert covers(parts(tuple(chain), *leaves), graph)
    assert not covers(parts(*leaves), graph)
    assert not covers(parts(((2, 0, 1),)), graph)
    assert not covers(parts(((2, 0, 1),), ((2, 1, -1),)), graph)
    assert not covers(parts(((2, 0, 1),), ((2, 0, 1),)), graph)
    assert not covers(parts(((2, 0, 1), (2, 0, 1)), ((2, 0, -1), (2, 0, -1)), ((2, 1, 1),)), graph)
    assert not covers(parts(((99, 0, 1),), ((99, 0, -1),)), graph)


def test_keys_are_of_all_that_a_search_depends_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = Journal(tmp_path / "journal")
    searched(monkeypatch, journal)
    before = len(list(journal.folder.iterdir()))
    stability(hard(), InputSet(CUBE.lower, 0.999 * CUBE.upper), 5.0, journal=journal)
    assert len(list(journal.folder.iterdir())) > before


def test_only_its_own_files_are_removed(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal")
    journal.must_be_own()
    journal.write("0" * 32, (), 1.0)
    journal.must_be_own()
    (journal.folder / "thesis.txt").write_text("all of it")
    with pytest.raises(FileError, match=r"thesis\.txt"):
        journal.must_be_own()
    journal.forget()
    assert [file.name for file in journal.folder.iterdir()] == ["thesis.txt"]
    (journal.folder / "thesis.txt").unlink()
    journal.write("0" * 32, (), 1.0)
    journal.forget()
    assert not journal.folder.exists()
