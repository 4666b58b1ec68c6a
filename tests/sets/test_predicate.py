"""Predicates and their linear programs: any answer of any solver gives a sound bound."""

import numpy as np
import pytest
from scipy.optimize import linprog

from surefoot.core.errors import InputError
from surefoot.sets.predicate import Predicate, Solver


def random_predicate(seed: int) -> Predicate:
    rng = np.random.default_rng(seed)
    m, p = int(rng.integers(1, 8)), int(rng.integers(0, 10))
    lower = rng.normal(size=m)
    predicate = Predicate.box(lower, lower + rng.uniform(0.1, 2, m))
    inside = (predicate.lower + predicate.upper) / 2
    rows = rng.normal(size=(p, m))
    return predicate.with_constraints(rows, rows @ inside + rng.uniform(0, 0.5, p)) if p else predicate


@pytest.mark.parametrize("seed", range(40))
def test_the_minimum_is_scipy_s_and_never_above_it(seed: int) -> None:
    predicate = random_predicate(seed)
    solver = Solver(predicate)
    rng = np.random.default_rng(seed)
    for _ in range(5):
        f = rng.normal(size=predicate.variables) * 10.0 ** rng.integers(-6, 6)
        a = predicate.rows.toarray() if len(predicate.bounds) else None
        bounds = np.stack([predicate.lower, predicate.upper], 1)
        best = linprog(f, a, predicate.bounds if a is not None else None, bounds=bounds, method="highs").fun
        found = solver.minimum(f)
        assert found <= best + 1e-9 * np.abs(f).sum()
        # below it by no more than the solver's own tolerances cost
        assert found == pytest.approx(best, rel=1e-2, abs=1e-6 * np.abs(f).sum())
        for multipliers in (rng.normal(size=len(predicate.bounds)) * 10, np.full(len(predicate.bounds), np.nan)):
            assert predicate.dual_minimum(f, multipliers) <= best + 1e-9 * np.abs(f).sum()


def test_a_solver_that_fails_costs_tightness_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trap T3: no status of the solver means anything; only its multipliers are looked at."""
    predicate = random_predicate(3)
    solver = Solver(predicate)
    f = np.ones(predicate.variables)
    true = solver.minimum(f)

    class Broken:
        col_value = (np.nan,)
        row_dual = tuple(np.random.default_rng(0).normal(size=len(predicate.bounds)) * 1e6)

    class Model:
        def __getattr__(self, name: str):
            return (lambda *_: Broken()) if name == "getSolution" else (lambda *_: None)

    monkeypatch.setattr(solver, "_model", Model())
    assert solver.minimum(f) <= true + 1e-9
    assert np.isfinite(solver.minimum(f))


@pytest.mark.parametrize("seed", range(30))
def test_contraction_keeps_every_point(seed: int) -> None:
    predicate = random_predicate(seed)
    rng = np.random.default_rng(seed)
    row = rng.normal(size=predicate.variables)
    points = rng.uniform(predicate.lower, predicate.upper, (500, predicate.variables))
    bound = float(np.quantile(points @ row, rng.random()))
    smaller = predicate.contracted(row, bound)
    kept = points[points @ row <= bound]
    assert smaller is not None
    assert (kept >= smaller.lower).all()
    assert (kept <= smaller.upper).all()
    assert predicate.contracted(row, float((points @ row).min()) - 100) is None


def test_boxes_are_never_guessed() -> None:
    """Trap T2: a variable without bounds is refused, not given [-1, 1]."""
    with pytest.raises(InputError, match="needs finite bounds"):
        Predicate.box(np.array([-np.inf]), np.array([1.0]))
    with pytest.raises(InputError, match="variable 1 has the bounds 2 to 1"):
        Predicate.box(np.array([0.0, 2.0]), np.array([1.0, 1.0]))
    with pytest.raises(InputError, match="not those of one list"):
        Predicate.box(np.zeros(2), np.zeros(3))


def test_what_is_no_number_is_not_given_to_the_solver() -> None:
    """It would look for ever."""
    box = Predicate.box(-np.ones(2), np.ones(2))
    cut = box.with_constraints(np.array([[1.0, 1.0]]), np.zeros(1))
    assert Solver(cut).minimum(np.array([np.nan, 1.0])) == -np.inf
    assert Solver(cut).minimum(np.array([np.inf, 1.0])) == -np.inf
    broken = cut.with_constraints(np.array([[np.nan, 1.0]]), np.zeros(1))
    assert Solver(broken).minimum(np.ones(2)) == pytest.approx(-2)  # rows cut away: without them the bound is sound


def test_a_dual_bound_of_products_too_small_for_a_float64() -> None:
    """Rows times multipliers times bounds of variables: each 1e-150, and the least value is -1e-450, not 0."""
    predicate = Predicate.box(np.full(1, -1e-150), np.full(1, 1e-150)).with_constraints(
        np.array([[1e-150]]), np.zeros(1)
    )
    assert predicate.dual_minimum(np.zeros(1), np.full(1, 1e-150)) < 0


def test_a_predicate_without_variables_has_the_minimum_0() -> None:
    predicate = Predicate.box(np.zeros(0), np.zeros(0)).with_constraints(np.zeros((2, 0)), np.ones(2))
    assert Solver(predicate).minimum(np.zeros(0)) == 0
