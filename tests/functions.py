"""The catalogue of functions at 50 digits: an independent judge of values, derivatives and curvature."""

from collections.abc import Callable
from typing import Any, TypeAlias

import mpmath
import numpy as np
import torch

from surefoot.graph.functions import CATALOG, FAR, Function, function_of

DIGITS = 50
Real: TypeAlias = Any  # a number of mpmath
Case: TypeAlias = tuple[str, tuple[float, ...]]
EXPONENTS = (2.0, 3.0, 4.0, 7.0, -1.0, -2.0, -3.0, 0.5, 1.5, -0.5)
ALPHAS = (1.0, 1.6732632, 2.0, 0.5, -0.5)
SCALES = (1.0, 0.25, 0.1, 3.0)
STEPS: list[Case] = [
    *((name, ()) for name in ("Sign", "Greater", "GreaterOrEqual", "Floor", "Ceil")),
    *(("Round", (scale,)) for scale in SCALES),
]
SMOOTH: list[Case] = [
    *((name, ()) for name in CATALOG if name not in ("Pow", "Elu", "Round") and (name, ()) not in STEPS),
    *(("Pow", (r,)) for r in EXPONENTS),
    *(("Elu", (alpha,)) for alpha in ALPHAS),
    *(("Gelu", parameters) for parameters in ((0.7071067690849304, 2.0), (1.5, 0.25), (0.125, 1.0))),
]
CASES = SMOOTH + STEPS
_HUGE = 10**6  # erfc of more is 0 or 2 to all digits


def _sigmoid(x: Real) -> Real:
    return 1 / (1 + mpmath.exp(-x))


def _softplus(x: Real) -> Real:
    return max(x, 0) + mpmath.log1p(mpmath.exp(-abs(x)))


def _erfc(x: Real) -> Real:
    return mpmath.mpf(2 * (x < 0)) if abs(x) > _HUGE else mpmath.erfc(x)


def _gelu(x: Real, inverse: float | None = None, factor: float = 1.0) -> Real:
    c = 1 / mpmath.sqrt(2) if inverse is None else mpmath.mpf(inverse)
    return factor * x / 2 * _erfc(-x * c)


def _gelu_derivative(x: Real, inverse: float | None = None, factor: float = 1.0) -> Real:
    c = 1 / mpmath.sqrt(2) if inverse is None else mpmath.mpf(inverse)
    return factor * (_erfc(-x * c) / 2 + x * c * mpmath.exp(-((c * x) ** 2)) / mpmath.sqrt(mpmath.pi))


def _gelu_argument(x: Real) -> Real:
    return mpmath.sqrt(2 / mpmath.pi) * (x + mpmath.mpf("0.044715") * x**3)


def _power(x: Real, r: float) -> Real:
    return x ** int(r) if r == int(r) else x ** mpmath.mpf(r)


_VALUES: dict[str, Callable[..., Real]] = {
    "Sigmoid": _sigmoid,
    "Tanh": mpmath.tanh,
    "Exp": mpmath.exp,
    "Log": mpmath.log,
    "Sqrt": mpmath.sqrt,
    "Reciprocal": lambda x: 1 / x,
    "Pow": _power,
    "Sin": mpmath.sin,
    "Cos": mpmath.cos,
    "Softplus": _softplus,
    "Erf": lambda x: mpmath.sign(x) if abs(x) > _HUGE else mpmath.erf(x),
    "Gelu": _gelu,
    "GeluTanh": lambda x: x * _sigmoid(2 * _gelu_argument(x)),
    "Silu": lambda x: x * _sigmoid(x),
    "Mish": lambda x: x * mpmath.tanh(_softplus(x)),
    "Elu": lambda x, alpha: mpmath.mpf(alpha) * mpmath.expm1(x) if x < 0 else x,
    "HardSwish": lambda x: x * min(max(x + 3, 0), 6) / 6,
    "Softsign": lambda x: x / (1 + abs(x)),
    "Sign": mpmath.sign,
    "Greater": lambda x: mpmath.mpf(x > 0),
    "GreaterOrEqual": lambda x: mpmath.mpf(x >= 0),
    "Floor": mpmath.floor,
    "Ceil": mpmath.ceil,
    "Round": lambda x, scale=1.0: mpmath.nint(x / mpmath.mpf(scale)),
}


def exact(case: Case, x: float | Real) -> Real:
    """Return a function's value at a number."""
    name, parameters = case
    return _VALUES[name](mpmath.mpf(x), *parameters)


def _mish_derivative(x: Real) -> Real:
    soft = _softplus(x)
    return mpmath.tanh(soft) + x * _sigmoid(x) * mpmath.sech(soft) ** 2


def _gelu_tanh_derivative(x: Real) -> Real:
    inner = _gelu_argument(x)
    rise = mpmath.sqrt(2 / mpmath.pi) * (1 + 3 * mpmath.mpf("0.044715") * x**2)
    return _sigmoid(2 * inner) + x / 2 * mpmath.sech(inner) ** 2 * rise


_DERIVATIVES: dict[str, Callable[..., Real]] = {
    "Sigmoid": lambda x: _sigmoid(x) * _sigmoid(-x),
    "Tanh": lambda x: mpmath.sech(x) ** 2,
    "Exp": mpmath.exp,
    "Log": lambda x: 1 / x,
    "Sqrt": lambda x: 1 / (2 * mpmath.sqrt(x)),
    "Reciprocal": lambda x: -1 / x**2,
    "Pow": lambda x, r: r * _power(x, r - 1),
    "Sin": mpmath.cos,
    "Cos": lambda x: -mpmath.sin(x),
    "Softplus": _sigmoid,
    "Erf": lambda x: 2 / mpmath.sqrt(mpmath.pi) * mpmath.exp(-(x**2)),
    "Gelu": _gelu_derivative,
    "GeluTanh": _gelu_tanh_derivative,
    "Silu": lambda x: _sigmoid(x) * (1 + x * _sigmoid(-x)),
    "Mish": _mish_derivative,
    "Elu": lambda x, alpha: mpmath.mpf(alpha) * mpmath.exp(x) if x < 0 else mpmath.mpf(1),
    "HardSwish": lambda x: mpmath.mpf(0) if x < -3 else (2 * x + 3) / 6 if x < 3 else mpmath.mpf(1),
    "Softsign": lambda x: 1 / (1 + abs(x)) ** 2,
}


def exact_derivative(case: Case, x: float | Real) -> Real:
    """Return its derivative from the right."""
    name, parameters = case
    return _DERIVATIVES[name](mpmath.mpf(x), *parameters)


def bend(case: Case, x: float) -> Real:
    """Return its second derivative, by differences."""
    with mpmath.workdps(4 * DIGITS):
        step = mpmath.mpf(10) ** -DIGITS
        return (exact_derivative(case, mpmath.mpf(x) + step) - exact_derivative(case, x)) / step


def differences_agree(case: Case, x: float) -> bool:
    """Whether the judge's two tables are of one function at a point."""
    with mpmath.workdps(4 * DIGITS):
        step = mpmath.mpf(10) ** -DIGITS
        rise = (exact(case, mpmath.mpf(x) + step) - exact(case, x)) / step
        return abs(rise - exact_derivative(case, x)) <= mpmath.mpf(10) ** -20 * (1 + abs(rise))


def bends_of(function: Function) -> list[float]:
    """Return where a function bends, or some of the places where it jumps."""
    if function.steps is None:
        return list(function.breaks)
    jumps = function.steps.first(torch.tensor([-2.6, -0.9, -0.2, 0.0, 0.3, 2.6], dtype=torch.float64))
    return [jump for jump in jumps.tolist() if np.isfinite(jump)]


def nasty_points(function: Function, rng: np.random.Generator) -> list[float]:
    """Return points of a function's domain: ordinary, of every size, at and beside breaks, subnormal, huge."""
    spread = np.exp(rng.normal(size=60) * 30) * rng.choice([-1, 1], 60)
    points = [*(rng.normal(size=20) * s for s in (1e-8, 0.1, 1, 5, 30, 400)), spread]
    x = [float(v) for part in points for v in part]
    x += [0.0, 5e-324, -1e-310, 1e300, -1e300, 709.0, -709.0, -745.0, -38.0, 38.0, 1e6, FAR, 3.0, -3.0]
    x += [b + d for b in bends_of(function) for d in (0.0, 1e-9, -1e-9, 4e-16, -4e-16)]
    return [
        v for v in x if bool(function.defined(*[torch.tensor(v)] * 2)) and (function.waves is None or abs(v) <= FAR)
    ]


def random_intervals(function: Function, rng: np.random.Generator, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Draw intervals of a function's domain: thin and wide, single points, and with ends at breaks."""
    low = rng.normal(size=count) * np.exp(rng.normal(size=count) * 1.5)
    low = np.where(rng.random(count) < 0.2, rng.choice([0.0, *bends_of(function)], count), low)
    width = np.exp(rng.normal(size=count) * rng.choice([1.0, 4.0, 12.0], count)) * (rng.random(count) < 0.95)
    high = np.where(rng.random(count) < 0.15, rng.choice([0.0, *bends_of(function)], count), low + width)
    low, high = np.minimum(low, high), np.maximum(low, high)
    if function.least == 0:
        low, high = np.minimum(np.abs(low), np.abs(high)), np.maximum(np.abs(low), np.abs(high))
    ends = torch.from_numpy(low), torch.from_numpy(high)
    kept = function.defined(*ends)
    return ends[0][kept], ends[1][kept]


def described(case: Case) -> Function:
    """Look the case up."""
    return function_of(*case)
