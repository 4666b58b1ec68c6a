"""What a description says of its function is true: values, derivatives, curvature and range, at 50 digits."""

import math

import mpmath
import numpy as np
import pytest
import torch

from functions import (
    CASES,
    DIGITS,
    SMOOTH,
    STEPS,
    Case,
    bend,
    described,
    differences_agree,
    exact,
    exact_derivative,
    nasty_points,
)
from surefoot.core.errors import InputError
from surefoot.graph.functions import function_of


@pytest.mark.parametrize("case", SMOOTH, ids=str)
def test_values_and_derivatives_err_by_no_more_than_is_stated(case: Case) -> None:
    function = described(case)
    points = nasty_points(function, np.random.default_rng(0))
    x = torch.tensor(points, dtype=torch.float64)
    kinds = (
        (function.value, exact, function.error),
        (function.derivative, exact_derivative, function.derivative_error),
    )
    with mpmath.workdps(DIGITS):
        for computed, judge, (relative, absolute) in kinds:
            for at, value in zip(points, computed(x).tolist(), strict=True):
                if judge is exact_derivative and at in function.poles:
                    continue
                if not math.isfinite(value):
                    assert abs(at) > 100 or at == 0 or abs(at) < 1e-100, at
                    continue
                assert abs(mpmath.mpf(value) - judge(case, at)) <= relative * abs(value) + absolute, at


@pytest.mark.parametrize("case", SMOOTH, ids=str)
def test_it_is_bent_where_it_is_said_to_be(case: Case) -> None:
    function = described(case)
    rng = np.random.default_rng(1)
    if function.waves is None:
        edges = [-math.inf, *function.breaks, math.inf]
        points = [*rng.normal(size=60) * 4]
        points += [b + s * d for b in function.breaks for s in (-1, 1) for d in (1e-3, 2.0**-51 * abs(b) or 1e-12)]
        pieces = [(x, function.curvature[sum(x >= edge for edge in edges[1:-1])]) for x in map(float, points)]
    else:
        cycles = (rng.uniform(-9, 9, 60) - function.waves) / math.pi
        pieces = [(function.waves + c * math.pi, 1 if math.floor(c) % 2 else -1) for c in cycles.tolist()]
    seen = set()
    for x, curvature in pieces:
        if x < function.least or x in function.poles:
            continue
        second = bend(case, x)
        assert differences_agree(case, x)
        assert second * curvature >= 0, x
        if curvature == 0:
            assert second == 0 or abs(second) < 1e-20
        seen.add(curvature)
    assert seen >= (set(function.curvature) if function.waves is None and function.least < 0 else set())


@pytest.mark.parametrize("case", STEPS, ids=str)
def test_steps_are_where_they_are_said_to_be(case: Case) -> None:
    function = described(case)
    steps = function.steps
    assert steps is not None
    points = [x for x in nasty_points(function, np.random.default_rng(0)) if abs(x) < 2**40]
    x = torch.tensor(points, dtype=torch.float64)
    parts = (x, function.value(x), steps.before(x), steps.after(x), steps.first(x), steps.last(x))
    assert bool((function.derivative(x) == 0).all())
    with mpmath.workdps(DIGITS):
        for at, value, before, after, first, last in zip(*(part.tolist() for part in parts), strict=True):
            near = mpmath.mpf(2) ** -60 * abs(mpmath.mpf(at)) or mpmath.mpf(2) ** -2000
            left, true, right = (exact(case, mpmath.mpf(at) + d) for d in (-near, 0, near))
            assert before <= left <= true <= right <= after, at
            assert steps.exact is False or (value == true and (before < after) == (left < right)), at
            assert before <= value <= after, at
            assert last <= at + 1e-15 * abs(at), at
            assert first >= at - 1e-15 * abs(at), at
            inside = [mpmath.mpf(at) + (mpmath.mpf(jump) - at) / 2 for jump in (first, last) if math.isfinite(jump)]
            assert not steps.exact or all(exact(case, x) in (left, true, right) for x in inside), at


def test_a_step_is_steep_where_it_jumps_alone() -> None:
    floor, low = function_of("Floor"), torch.tensor([0.0, 0.5, -1e-9], dtype=torch.float64)
    assert floor.steepest(low, low + 0.5).tolist() == [0.0, math.inf, math.inf]
    near = torch.tensor([0.05], dtype=torch.float64)  # 0.1 / 2, which no float64 is
    assert function_of("Round", (0.1,)).steepest(near, near).tolist() == [math.inf]
    with pytest.raises(InputError, match="the scale is 0"):
        function_of("Round", (0.0,))


@pytest.mark.parametrize("case", CASES, ids=str)
def test_its_values_are_in_its_range(case: Case) -> None:
    function = described(case)
    with mpmath.workdps(DIGITS):
        for x in [*nasty_points(function, np.random.default_rng(2)), *np.linspace(-4, 4, 200).tolist()]:
            if x >= function.least and x not in function.poles:
                assert function.range[0] <= exact(case, x) <= function.range[1], x


@pytest.mark.parametrize(
    "case", [("Sine", ()), ("Sigmoid", (1.0,)), ("Pow", ()), ("Pow", (1.0,)), ("Pow", (math.nan,))]
)
def test_what_is_not_in_the_catalogue_is_refused(case: Case) -> None:
    with pytest.raises(InputError):
        function_of(*case)
