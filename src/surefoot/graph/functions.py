"""Functions of one number as descriptions, from which values, gradients and all bounds of them follow.

A description of a smooth function says where it is convex and where concave, where it is defined, and how far the
values and derivatives that float64 gives may be from the exact ones; that of a step function, where it jumps: that is
all that a sound line above or below it needs.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

import torch
from torch import Tensor

from surefoot.core.errors import InputError

Error: TypeAlias = tuple[float, float]  # relative to the value as computed, and absolute
LOST = 1e-300  # more than a function loses whose value is too small for a float64
LARGEST_EXPONENT = 1024.0
FAR = 2.0**20  # up to here the places where a periodic function bends are known to 2^-30


@dataclass(frozen=True, eq=False)
class Steps:
    """How a function steps: between two neighbouring jumps it is constant, and it never falls.

    `before` and `after` enclose its limits at x from the left and the right; `first` and `last` are the least jump from
    x on and the greatest up to x, infinite where there is none: within a few parts in 2^53, so that of numbers beside
    a jump it may be the next one. Jumps are `apart`, all of one height. Without `exact` float64 may put a number on the
    other side of a jump: both sides then enclose it.
    """

    before: Callable[[Tensor], Tensor]
    after: Callable[[Tensor], Tensor]
    first: Callable[[Tensor], Tensor]
    last: Callable[[Tensor], Tensor]
    apart: float
    exact: bool = True

    def jumps(self, low: Tensor, high: Tensor) -> tuple[Tensor, ...]:
        """Return the first and the last jumps of intervals, two of each lest rounding leaves one out; or their ends."""
        first, last = self.first(low), self.last(high)
        found = (first, first + self.apart, last, last - self.apart)
        return tuple(torch.minimum(torch.maximum(jump, low), high) for jump in found)

    def greatest(self, value: Callable[[Tensor], Tensor], x: Tensor, high: Tensor) -> Tensor:
        """Bound f from above at x, and just after where x lies before the end of an interval."""
        return torch.where(x < high, self.after(x), value(x) if self.exact else self.after(x))

    def least(self, value: Callable[[Tensor], Tensor], x: Tensor, low: Tensor) -> Tensor:
        """Bound f from below at x, and just before where x lies after the begin of an interval."""
        return torch.where(x > low, self.before(x), value(x) if self.exact else self.before(x))


@dataclass(frozen=True, eq=False)
class Function:
    """A function f of one number.

    Between two neighbours of -inf, `breaks`, inf it is convex (1), concave (-1) or linear (0), as `curvature` says; its
    derivative at a break is that from the right. With `waves` it is of period 2 pi instead: concave from there on for
    pi, convex for pi, and known to be so up to `FAR`.

    A break that is no float64 number is off by d <= 2^-30: f'' is below d there, so that a function of the curvature
    that is stated differs from f by d^2 in slope. That is part of the derivative's absolute error.

    `least` is where it begins, `poles` are where it is not defined, `range` encloses its values. A step function has
    `steps` instead of breaks, and the derivative 0.
    """

    value: Callable[[Tensor], Tensor]
    derivative: Callable[[Tensor], Tensor]
    breaks: tuple[float, ...] = ()
    curvature: tuple[int, ...] = (1,)
    waves: float | None = None
    least: float = -math.inf
    poles: tuple[float, ...] = ()
    range: tuple[float, float] = (-math.inf, math.inf)
    error: Error = (2.0**-48, LOST)
    derivative_error: Error = (2.0**-48, 2.0**-48)
    steps: Steps | None = None

    def defined(self, low: Tensor, high: Tensor) -> Tensor:
        """Return whether it has a value at every number of intervals [low, high]."""
        inside = (low >= self.least) & (high >= low)
        for pole in self.poles:
            inside = inside & ((high < pole) | (low > pole))
        return inside

    def steepest(self, low: Tensor, high: Tensor) -> Tensor:
        """Bound |f'| over intervals: between breaks it is largest at an end. Infinite where f jumps or has no value."""
        if self.steps is not None:
            same = self.steps.least(self.value, low, low) == self.steps.greatest(self.value, high, high)
            return torch.where(same, 0.0, torch.inf).to(low.dtype)
        if self.waves is not None:
            return torch.ones_like(low)
        beside = [x for b in self.breaks for x in (math.nextafter(b, -math.inf), b)]
        points = [low, high, *(low.clamp(min=x).minimum(high) for x in beside)]
        size = torch.stack([self.derivative(x).abs() for x in points]).amax(0)
        size = size + self.derivative_error[0] * size + self.derivative_error[1]
        return torch.where(self.defined(low, high) & ~size.isnan(), size, torch.inf)

    def value_error(self, value: Tensor) -> Tensor:
        """Bound how far values as computed in float64 are from the exact ones."""
        return self.error[0] * value.abs() + self.error[1]


def _sech2(x: Tensor) -> Tensor:
    return 4 * torch.sigmoid(2 * x) * torch.sigmoid(-2 * x)


def _softplus(x: Tensor) -> Tensor:
    return x.clamp(min=0) + torch.log1p(torch.exp(-x.abs()))


_CUBE, _ROOT = 0.044715, math.sqrt(2 / math.pi)


def _gelu_argument(x: Tensor) -> Tensor:
    return _ROOT * x * (1 + _CUBE * x * x)


def _gelu_tanh_derivative(x: Tensor) -> Tensor:
    x = x.clamp(-1e3, 1e3)  # 0 and 1 long before, and its square is a number
    inner = _gelu_argument(x)
    return torch.sigmoid(2 * inner) + x / 2 * _sech2(inner) * _ROOT * (1 + 3 * _CUBE * x * x)


def _mish_derivative(x: Tensor) -> Tensor:
    soft = _softplus(x)
    return torch.tanh(soft) + x * torch.sigmoid(x) * _sech2(soft)


def _gelu(inverse: float = math.sqrt(0.5), factor: float = 1.0) -> Function:
    """Describe factor x (1 + erf(inverse x)) / 2, which bends at 1 / inverse and -1 / inverse."""
    if not (2.0**-100 < inverse < 2.0**100 and 0 < factor < 2.0**100):
        raise InputError(f"x (1 + erf({inverse:g} x)) times {factor:g}: numbers above 0, not far from 1, are needed")
    at, slope = 1 / inverse, inverse / math.sqrt(math.pi)
    return Function(
        lambda x: factor * (x / 2 * torch.special.erfc(-x * inverse)),
        lambda x: factor * (torch.special.erfc(-x * inverse) / 2 + x * slope * torch.exp(-((x * inverse) ** 2))),
        (-at, at),
        (-1, 1, -1),
        range=(-0.1203 * factor * at, math.inf),
        error=(2.0**-46, 2.0**-46 * max(factor * at, 1.0)),
        derivative_error=(2.0**-46, 2.0**-46 * max(factor, 1.0)),
    )


def _elu(alpha: float = 1.0) -> Function:
    return Function(
        lambda x: torch.where(x < 0, alpha * torch.expm1(x.clamp(max=0)), x),
        lambda x: torch.where(x < 0, alpha * torch.exp(x.clamp(max=0)), 1.0),
        breaks=(0.0,),
        curvature=(1 if alpha >= 0 else -1, 0),
        derivative_error=(2.0**-48, LOST),
    )


def _pow(exponent: float) -> Function:
    r = exponent
    if not abs(r) <= LARGEST_EXPONENT or r in (0.0, 1.0):
        raise InputError(
            f"the exponent is {r:g}; one other than 0 and 1, at most {LARGEST_EXPONENT:g} in size, is needed"
        )
    whole = r == math.trunc(r)
    sign = 1 if r > 1 or r < 0 else -1  # of the curvature where x > 0
    odd = whole and r % 2 == 1
    return Function(
        lambda x: torch.pow(x, r),
        lambda x: r * torch.pow(x, r - 1),
        breaks=(0.0,) if whole else (),
        curvature=((-1 if odd else 1), sign) if whole else (sign,),
        least=-math.inf if whole else 0.0,
        poles=(0.0,) if r < 0 else (),
        range=(-math.inf, math.inf) if odd else (0.0, math.inf),
        error=(2.0**-47, LOST),
        derivative_error=(2.0**-47, LOST),
    )


def _stepping(value: Callable[[Tensor], Tensor], steps: Steps, range_: tuple[float, float]) -> Function:
    return Function(value, torch.zeros_like, range=range_, error=(0.0, 0.0), derivative_error=(0.0, 0.0), steps=steps)


def _at_zero(value: Callable[[Tensor], Tensor], least: float) -> Function:
    """Describe a step from `least` to 1 at 0, whatever its value there."""

    def there(jump: Tensor, none: float) -> Tensor:
        return torch.where(jump, 0.0, none)

    steps = Steps(
        lambda x: torch.where(x > 0, 1.0, least).to(x.dtype),
        lambda x: torch.where(x < 0, least, 1.0).to(x.dtype),
        lambda x: there(x <= 0, math.inf).to(x.dtype),
        lambda x: there(x >= 0, -math.inf).to(x.dtype),
        math.inf,
    )
    return _stepping(value, steps, (least, 1.0))


def _round(scale: float = 1.0) -> Function:
    """round(x / scale), halves to the even number. Where the quotient is rounded, both sides of a near jump count."""
    if not (scale > 0 and 2.0**-200 < scale < 2.0**200):
        raise InputError(f"the scale is {scale:g}; one above 0 is needed, and neither near 0 nor infinity")
    exact = math.frexp(scale)[0] == 0.5
    slack = 0.0 if exact else 2.0**-50

    def spare(x: Tensor) -> Tensor:
        return slack * (1 + (x / scale).abs())

    steps = Steps(
        lambda x: torch.ceil(x / scale - 0.5 - spare(x)),
        lambda x: torch.floor(x / scale + 0.5 + spare(x)),
        lambda x: scale * (torch.ceil(x / scale - 0.5) + 0.5),
        lambda x: scale * (torch.floor(x / scale - 0.5) + 0.5),
        scale,
        exact,
    )
    return _stepping(lambda x: torch.round(x / scale), steps, (-math.inf, math.inf))


_FLOOR = Steps(lambda x: torch.ceil(x) - 1, torch.floor, torch.ceil, torch.floor, 1.0)
_CEIL = Steps(torch.ceil, lambda x: torch.floor(x) + 1, torch.ceil, torch.floor, 1.0)
_EVERYWHERE = (-math.inf, math.inf)

_UNIT = (2.0**-48, 2.0**-48)
_SMALL = (2.0**-48, LOST)
_BOUNDED = (2.0**-46, 2.0**-46)

# By name of ONNX's operation, or nearly; each takes its parameters.
CATALOG: dict[str, Callable[..., Function]] = {
    "Sigmoid": lambda: Function(
        torch.sigmoid, lambda x: torch.sigmoid(x) * torch.sigmoid(-x), (0.0,), (1, -1), range=(0.0, 1.0)
    ),
    "Tanh": lambda: Function(torch.tanh, _sech2, (0.0,), (1, -1), range=(-1.0, 1.0)),
    "Exp": lambda: Function(torch.exp, torch.exp, range=(0.0, math.inf), derivative_error=_SMALL),
    "Log": lambda: Function(
        torch.log, torch.reciprocal, curvature=(-1,), least=0.0, poles=(0.0,), derivative_error=_SMALL
    ),
    "Sqrt": lambda: Function(
        torch.sqrt, lambda x: 0.5 / torch.sqrt(x), curvature=(-1,), least=0.0, range=(0.0, math.inf),
        derivative_error=_SMALL,
    ),
    "Reciprocal": lambda: Function(
        torch.reciprocal, lambda x: -1 / x / x, (0.0,), (-1, 1), poles=(0.0,), derivative_error=_SMALL
    ),
    "Pow": _pow,
    "Sin": lambda: Function(torch.sin, torch.cos, waves=0.0, range=(-1.0, 1.0), error=_UNIT),
    "Cos": lambda: Function(
        torch.cos, lambda x: -torch.sin(x), waves=-math.pi / 2, range=(-1.0, 1.0), error=_UNIT
    ),
    "Softplus": lambda: Function(_softplus, torch.sigmoid, range=(0.0, math.inf)),
    "Erf": lambda: Function(
        torch.erf, lambda x: 2 / math.sqrt(math.pi) * torch.exp(-x * x), (0.0,), (1, -1), range=(-1.0, 1.0),
        error=_UNIT,
    ),
    "Gelu": _gelu,
    "GeluTanh": lambda: Function(
        lambda x: x * torch.sigmoid(2 * _gelu_argument(x)), _gelu_tanh_derivative,
        (-1.418504008790828, 1.418504008790828), (-1, 1, -1), range=(-0.1701, math.inf), error=_BOUNDED,
        derivative_error=_BOUNDED,
    ),
    "Silu": lambda: Function(
        lambda x: x * torch.sigmoid(x), lambda x: torch.sigmoid(x) * (1 + x * torch.sigmoid(-x)),
        (-2.3993572805154677, 2.3993572805154677), (-1, 1, -1), range=(-0.2785, math.inf), error=_BOUNDED,
        derivative_error=_BOUNDED,
    ),
    "Mish": lambda: Function(
        lambda x: x * torch.tanh(_softplus(x)), _mish_derivative, (-2.256376396360793, 1.4905711794854285), (-1, 1, -1),
        range=(-0.3089, math.inf), error=_BOUNDED, derivative_error=_BOUNDED,
    ),
    "Elu": _elu,
    "HardSwish": lambda: Function(
        lambda x: x * ((x + 3) / 6).clamp(0, 1),
        lambda x: torch.where(x < -3, 0.0, torch.where(x < 3, (2 * x + 3) / 6, 1.0)),
        (-3.0, 3.0), (0, 1, 0), range=(-0.3751, math.inf), error=_BOUNDED,
    ),
    "Sign": lambda: _at_zero(torch.sign, -1.0),
    "Greater": lambda: _at_zero(lambda x: torch.sign(x).clamp(min=0), 0.0),  # than 0; differentiable, unlike x > 0
    "GreaterOrEqual": lambda: _at_zero(lambda x: 1 - torch.sign(-x).clamp(min=0), 0.0),
    "Floor": lambda: _stepping(torch.floor, _FLOOR, _EVERYWHERE),
    "Ceil": lambda: _stepping(torch.ceil, _CEIL, _EVERYWHERE),
    "Round": _round,
    "Softsign": lambda: Function(
        lambda x: x / (1 + x.abs()), lambda x: 1 / (1 + x.abs()) / (1 + x.abs()), (0.0,), (1, -1), range=(-1.0, 1.0)
    ),
}  # fmt: skip


@lru_cache(maxsize=256)
def function_of(name: str, parameters: tuple[float, ...] = ()) -> Function:
    """Look a function up.

    Raises:
        InputError: there is none of that name, or none with such parameters.

    >>> function_of("Sigmoid").value(torch.zeros(1)).item()
    0.5
    """
    if name not in CATALOG:
        raise InputError(f"there is no function {name!r}; there are {', '.join(CATALOG)}")
    try:
        return CATALOG[name](*parameters)
    except TypeError as error:
        raise InputError(f"the function {name} does not take the parameters {parameters}") from error
