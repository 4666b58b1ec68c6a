"""What a description says of its function is true: values, derivatives, curvature and range, at 50 digits."""

import math

import mpmath
import numpy as np
import pytest
import torch

from functions import CASES, DIGITS, Case, bend, described, differences_agree, exact, exact_derivative, nasty_points
from surefoot.core.errors import InputError
from surefoot.graph.functions import function_of


@pytest.mark.parametrize("case", CASES, ids=str)
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


@pytest.mark.parametrize("case", CASES, ids=str)
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
