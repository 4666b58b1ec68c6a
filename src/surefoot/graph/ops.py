"""The closed list of operations that a graph is made of. Everything a file may contain is written in these.

An operation says what it does to a batch of values (n, *shape). The affine ones also say their linear part, its
adjoint, and the largest their result can be: that is all that sets, bounds and rounding need to know.
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, fields, replace
from functools import cached_property, lru_cache
from typing import Any, TypeAlias, TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from surefoot.core.errors import InputError
from surefoot.core.rounding import magnitude
from surefoot.graph.functions import Function, function_of

Shape: TypeAlias = tuple[int, ...]


_M = TypeVar("_M", bound="_Moves")


class _Moves:
    """Constants that can change their type: float64 to prove, float32 to search."""

    def to(self: _M, dtype: torch.dtype) -> _M:
        """Return it with every floating-point constant in another type."""
        moved: dict[str, Any] = {}
        for field in fields(self):  # type: ignore[arg-type]
            value = getattr(self, field.name)
            if isinstance(value, Tensor) and value.is_floating_point():
                moved[field.name] = value.to(dtype)
        return replace(self, **moved) if moved else self  # type: ignore[type-var]


class Affine(_Moves, ABC):
    """f(x) = W x + b of one input, b possibly 0."""

    @property
    @abstractmethod
    def terms(self) -> int:
        """The most products that are summed for one output: what rounding grows with."""

    @abstractmethod
    def shape(self, given: Shape) -> Shape:
        """Return the shape of the output."""

    @abstractmethod
    def linear(self, x: Float[Tensor, " n *shape"]) -> Float[Tensor, " n *out"]:
        """Return W x."""

    @abstractmethod
    def absolute(self, x: Float[Tensor, " n *shape"]) -> Float[Tensor, " n *out"]:
        """Return |W| x, with `magnitude` for |W|."""

    @abstractmethod
    def adjoint(self, a: Float[Tensor, " n *out"], given: Shape) -> Float[Tensor, " n *shape"]:
        """Return W' a, where the input has the shape `given`."""

    @abstractmethod
    def broadcast_bias(self) -> Float[Tensor, "*out"] | None:
        """Return b, of a shape that is broadcast to (n, *shape); None is 0."""

    def __call__(self, x: Tensor) -> Tensor:
        """Return W x + b."""
        b = self.broadcast_bias()
        return self.linear(x) if b is None else self.linear(x) + b


@dataclass(frozen=True, eq=False)
class Linear(Affine):
    """x W' + b along the last axis; weight (out, in), b (out,) or None; `rounded` as for `ElementwiseAffine`."""

    weight: Float[Tensor, "out in"]
    bias: Float[Tensor, " out"] | None = None
    rounded: str = ""

    @cached_property
    def _magnitude(self) -> Tensor:
        return magnitude(self.weight)

    @property
    def terms(self) -> int:
        """Terms a row."""
        return self.weight.shape[1]

    def shape(self, given: Shape) -> Shape:
        """Last axis from in to out."""
        if not given or given[-1] != self.weight.shape[1]:
            raise InputError(f"a linear layer of {self.weight.shape[1]} inputs was given values of shape {given}")
        return (*given[:-1], self.weight.shape[0])

    def linear(self, x: Float[Tensor, " n *shape"]) -> Float[Tensor, " n *out"]:
        """Multiply."""
        return x @ self.weight.T

    def absolute(self, x: Float[Tensor, " n *shape"]) -> Float[Tensor, " n *out"]:
        """Multiply by magnitudes."""
        return x @ self._magnitude.T

    def adjoint(self, a: Float[Tensor, " n *out"], given: Shape) -> Float[Tensor, " n *shape"]:
        """Multiply by the transpose."""
        return a @ self.weight

    def broadcast_bias(self) -> Float[Tensor, "*out"] | None:
        """Give the bias."""
        return self.bias


@dataclass(frozen=True, eq=False)
class Conv2d(Affine):
    """A convolution of images (c, h, w); weight (out, c / groups, kh, kw), padding (left, right, top, bottom)."""

    weight: Float[Tensor, "out in height width"]
    bias: Float[Tensor, " out"] | None = None
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1

    @cached_property
    def _magnitude(self) -> Tensor:
        return magnitude(self.weight)

    @property
    def terms(self) -> int:
        """Terms of one dot product."""
        return math.prod(self.weight.shape[1:])

    def shape(self, given: Shape) -> Shape:
        """Count the places of the kernel."""
        if len(given) != 3 or given[0] != self.weight.shape[1] * self.groups:
            raise InputError(
                f"a convolution of {self.weight.shape[1] * self.groups} channels was given values of shape {given}"
            )
        left, right, top, bottom = self.padding
        sides = (given[1] + top + bottom, given[2] + left + right)
        out = [
            (n - d * (k - 1) - 1) // s + 1
            for n, d, k, s in zip(sides, self.dilation, self.weight.shape[2:], self.stride, strict=True)
        ]
        if min(out) < 1:
            raise InputError(f"a kernel of {tuple(self.weight.shape[2:])} does not fit an image of {sides}")
        return (self.weight.shape[0], *out)

    def _convolve(self, x: Tensor, weight: Tensor) -> Tensor:
        left, right, top, bottom = self.padding
        if left == right and top == bottom:
            return F.conv2d(x, weight, None, self.stride, (top, left), self.dilation, self.groups)
        return F.conv2d(F.pad(x, self.padding), weight, None, self.stride, 0, self.dilation, self.groups)

    def linear(self, x: Float[Tensor, " n *shape"]) -> Float[Tensor, " n *out"]:
        """Convolve."""
        return self._convolve(x, self.weight)

    def absolute(self, x: Float[Tensor, " n *shape"]) -> Float[Tensor, " n *out"]:
        """Convolve with magnitudes."""
        return self._convolve(x, self._magnitude)

    def adjoint(self, a: Float[Tensor, " n *out"], given: Shape) -> Float[Tensor, " n *shape"]:
        """Convolve transposed, then cut the padding off."""
        left, right, top, bottom = self.padding
        sides = (given[1] + top + bottom, given[2] + left + right)
        spare = [
            n - ((o - 1) * s + d * (k - 1) + 1)
            for n, o, s, d, k in zip(sides, a.shape[2:], self.stride, self.dilation, self.weight.shape[2:], strict=True)
        ]
        x = F.conv_transpose2d(a, self.weight, None, self.stride, 0, 0, self.groups, self.dilation)
        x = F.pad(x, (0, spare[1], 0, spare[0]))
        return x[:, :, top : top + given[1], left : left + given[2]]

    def broadcast_bias(self) -> Float[Tensor, "*out"] | None:
        """Give the bias of each channel."""
        return None if self.bias is None else self.bias[:, None, None]


@dataclass(frozen=True, eq=False)
class ElementwiseAffine(Affine):
    """s x + t, element by element; s and t broadcast to the values' shape.

    `rounded` names what the constants were computed from, where reading rounded them (1 / 3): the file's own are within
    a few parts in 2^53. It is empty where they are exact.
    """

    scale: Float[Tensor, "..."]
    bias: Float[Tensor, "..."] | None = None
    rounded: str = ""

    @cached_property
    def _magnitude(self) -> Tensor:
        return magnitude(self.scale)

    @property
    def terms(self) -> int:
        """One product."""
        return 1

    def shape(self, given: Shape) -> Shape:
        """Stay the same."""
        for constant in (self.scale, self.bias):
            if constant is not None and np.broadcast_shapes(constant.shape, given) != given:
                raise InputError(f"constants of shape {tuple(constant.shape)} do not fit values of shape {given}")
        return given

    def linear(self, x: Float[Tensor, " n *shape"]) -> Float[Tensor, " n *out"]:
        """ElementwiseAffine."""
        return x * self.scale

    def absolute(self, x: Float[Tensor, " n *shape"]) -> Float[Tensor, " n *out"]:
        """Scale by magnitudes."""
        return x * self._magnitude

    def adjoint(self, a: Float[Tensor, " n *out"], given: Shape) -> Float[Tensor, " n *shape"]:
        """ElementwiseAffine."""
        return a * self.scale

    def broadcast_bias(self) -> Float[Tensor, "*out"] | None:
        """Give the shift."""
        return self.bias


@dataclass(frozen=True, eq=False)
class Gather(Affine):
    """Element i of the output is element index[i] of the flattened input, or 0 where the index is -1.

    Every movement of data is one of these: transposing, slicing, splitting, padding, flipping.
    """

    index: Int[Tensor, "*out"]

    @property
    def terms(self) -> int:
        """Nothing is added."""
        return 0

    def shape(self, given: Shape) -> Shape:
        """Take the index's shape."""
        if int(self.index.max()) >= math.prod(given):
            raise InputError(f"element {int(self.index.max())} was asked of values of shape {given}")
        return tuple(self.index.shape)

    def linear(self, x: Float[Tensor, " n *shape"]) -> Float[Tensor, " n *out"]:
        """Gather."""
        index = self.index.flatten()
        taken = x.flatten(1)[:, index.clamp(min=0)]
        if bool((index < 0).any()):
            taken = taken * (index >= 0).to(x.dtype)
        return taken.reshape(-1, *self.index.shape)

    def absolute(self, x: Float[Tensor, " n *shape"]) -> Float[Tensor, " n *out"]:
        """Gather: its weights are 1."""
        return self.linear(x)

    def adjoint(self, a: Float[Tensor, " n *out"], given: Shape) -> Float[Tensor, " n *shape"]:
        """Scatter and add."""
        index = self.index.flatten()
        kept = (index >= 0).nonzero().squeeze(1)
        x = a.new_zeros(a.shape[0], math.prod(given))
        x = x.index_add(1, index[kept], a.flatten(1)[:, kept])
        return x.reshape(-1, *given)

    def broadcast_bias(self) -> Float[Tensor, "*out"] | None:
        """Add nothing."""
        return None


@dataclass(frozen=True)
class Reshape(Affine):
    """The same numbers in another shape."""

    target: Shape

    @property
    def terms(self) -> int:
        """Nothing is added."""
        return 0

    def shape(self, given: Shape) -> Shape:
        """Take the target."""
        if math.prod(given) != math.prod(self.target):
            raise InputError(f"values of shape {given} cannot take the shape {self.target}")
        return self.target

    def linear(self, x: Float[Tensor, " n *shape"]) -> Float[Tensor, " n *out"]:
        """Reshape."""
        return x.reshape(-1, *self.target)

    def absolute(self, x: Float[Tensor, " n *shape"]) -> Float[Tensor, " n *out"]:
        """Reshape."""
        return self.linear(x)

    def adjoint(self, a: Float[Tensor, " n *out"], given: Shape) -> Float[Tensor, " n *shape"]:
        """Reshape back."""
        return a.reshape(-1, *given)

    def broadcast_bias(self) -> Float[Tensor, "*out"] | None:
        """Add nothing."""
        return None


@dataclass(frozen=True)
class Input(_Moves):
    """What the network is given."""


@dataclass(frozen=True)
class Relu(_Moves):
    """max(x, 0)."""


@dataclass(frozen=True)
class Elementwise(_Moves):
    """A smooth function of each value, by its name and parameters in `graph.functions`."""

    name: str
    parameters: tuple[float, ...] = ()

    @property
    def function(self) -> Function:
        """Its description."""
        return function_of(self.name, self.parameters)


@dataclass(frozen=True)
class MaxPool2d(_Moves):
    """The largest of each window of an image (c, h, w). What lies in the padding is never the largest."""

    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)  # left, right, top, bottom
    dilation: tuple[int, int] = (1, 1)

    def windows(self, given: Shape) -> Int[Tensor, "windows places"]:
        """Return which elements of the flattened image each window holds: (c * oh * ow, kh * kw), -1 for padding."""
        return _windows(self, given)

    def shape(self, given: Shape) -> Shape:
        """Count the windows.

        Raises:
            InputError: not an image, or a window that lies in the padding alone.
        """
        out = Conv2d(torch.zeros(given[0], 1, *self.kernel), None, self.stride, self.padding, self.dilation, given[0])
        shape = out.shape(given)
        if bool((self.windows(given).max(1).values < 0).any()):
            raise InputError("a pooling window lies in the padding alone: its largest value is minus infinity")
        return shape


@lru_cache(maxsize=16)
def _windows(pool: MaxPool2d, given: Shape) -> Tensor:
    place = torch.arange(math.prod(given), dtype=torch.float64).reshape(1, *given)
    padded = F.pad(place, pool.padding, value=-1.0)
    windows = F.unfold(padded.transpose(0, 1), pool.kernel, pool.dilation, 0, pool.stride)
    return windows.transpose(1, 2).reshape(-1, windows.shape[1]).long()


@dataclass(frozen=True)
class Add(_Moves):
    """x + y, of the same shape."""


@dataclass(frozen=True)
class Mul(_Moves):
    """x y, element by element, of the same shape."""


@dataclass(frozen=True)
class Concat(_Moves):
    """All inputs one after another along an axis (counted without the batch's)."""

    axis: int


@dataclass(frozen=True)
class Softmax(_Moves):
    """exp x_j / sum exp x_i along the last axis, or its logarithm. Only as the last operation."""

    log: bool = False


Op: TypeAlias = (
    Input | Linear | Conv2d | ElementwiseAffine | Gather | Reshape | Relu | Elementwise | MaxPool2d | Add | Mul | Concat
    | Softmax
)  # fmt: skip
