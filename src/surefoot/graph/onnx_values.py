"""What the names of an ONNX file stand for, and the building blocks that its operations are written with."""

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias

import numpy as np
import torch

from surefoot.core.errors import InputError
from surefoot.graph.graph import GraphBuilder
from surefoot.graph.ops import Concat, ElementwiseAffine, Gather, Reshape, Shape, Softmax

LARGEST_VALUE = 2**27  # numbers in one value, and in all of a network


Kind: TypeAlias = Literal["real", "whole", "truth"]


@dataclass(frozen=True)
class OnnxValue:
    """What a name stands for: the result of a node, with its shape as ONNX sees it, for a batch of one.

    `rows`: of a fixed batch that is read row by row, how many there are; the node holds one. `kind`: whether the file
    computes it as real numbers, whole ones, or true and false.
    """

    place: int
    full: Shape
    rows: int = 1
    kind: Kind = "real"

    @property
    def lead(self) -> bool:
        """Whether the first axis is the batch's."""
        return len(self.full) > 1 and self.full[0] == self.rows

    @property
    def sample(self) -> Shape:
        """The shape of one example; a number by itself is held as one of one."""
        return self.full[1:] if self.lead else self.full or (1,)


Known: TypeAlias = "OnnxValue | np.ndarray"


Read: TypeAlias = "Callable[[Values, list[Known | None], dict[str, Any], str], OnnxValue]"


class Values:
    """The graph that is being built, and how values are moved, broadcast and scaled in it."""

    def __init__(self, full: Shape, name: str, opset: int, rows: int = 1) -> None:
        self.opset = opset
        self.first = OnnxValue(0, full, rows)
        self.builder = GraphBuilder(self.first.sample, name)
        self.numbers = math.prod(full)  # in all values so far
        self.last = False  # whether what is read now is the network's output
        self.single = True  # whether all that was read is computed in float32 as it is written, but for rounding
        self.alone = True  # whether what is read now means the same of any values, and is computed as well of any

    def taken(self, value: OnnxValue, places: np.ndarray, name: str = "") -> OnnxValue:
        """Move data, given the places where they were, -1 for 0: a Reshape where the order stays, else a Gather."""
        moved = replace(value, full=tuple(places.shape))
        if math.prod(moved.full) == 0:
            raise InputError("nothing is left of the values")
        if value.rows > 1:
            places = _of_one_row(value, moved, places)
        stays = np.array_equal(places.ravel(), np.arange(places.size))
        if moved.sample == value.sample and stays:
            return moved
        if places.size == math.prod(value.sample) and stays:
            op: Reshape | Gather = Reshape(moved.sample)
        else:
            op = Gather(torch.from_numpy(np.ascontiguousarray(places).reshape(moved.sample)))
        return self.add(op, value, full=moved.full, name=name)

    def lifted(self, constant: np.ndarray) -> OnnxValue:
        """Make a constant a value like others: of no element of the input, and shifted."""
        nothing = self.taken(self.first, np.full(constant.shape, -1))
        return self.scaled(nothing, 1.0, constant, "")

    def add(self, op: Any, *values: OnnxValue, full: Shape | None = None, name: str = "") -> OnnxValue:
        """Add a node; the batch's axis stays where it was unless the full shape says otherwise."""
        place = self.builder.add(op, *(value.place for value in values), name=name)
        sample = self.builder.nodes[place].shape
        self.hold(math.prod(sample))
        if full is None:
            alone = not values[0].full and sample == (1,)
            full = (self.first.rows, *sample) if values[0].lead else () if alone else sample
        kinds: set[Kind] = {value.kind for value in values}
        return OnnxValue(place, full, self.first.rows, kinds.pop() if len(kinds) == 1 else "real")

    def stacked(self, values: list[OnnxValue], name: str) -> OnnxValue:
        """Join values of one row each along the first axis: then it is no batch any more."""
        if self.first.rows > 1:
            raise InputError("the batch's axis cannot be joined along")
        places = [self.builder.add(Reshape(value.full), value.place) for value in values]
        place = self.builder.add(Concat(0), *places, name=name)
        return OnnxValue(place, self.builder.nodes[place].shape, kind=values[0].kind)

    def is_softmax(self, value: OnnxValue) -> bool:
        """Whether a value is what the softmax at the end gave."""
        op = self.builder.nodes[value.place].op
        return isinstance(op, Softmax) and not op.log

    def hold(self, more: int) -> None:
        """Count numbers of a new value.

        Raises:
            InputError: all values together are too many to be held.
        """
        self.numbers += more
        if self.numbers > LARGEST_VALUE:
            raise InputError(f"the network has more than {LARGEST_VALUE} values up to here, too many to be held")

    def image(self, x: "Known | None") -> tuple[OnnxValue, int]:
        """Give images (c, h, w), signals (c, l) as ones of height 1; and how many lie side by side as more channels."""
        value = value_of(x)
        if len(value.full) not in (3, 4):
            raise InputError(f"an image (n, c, h, w) is needed; the values have the shape {value.full}")
        (n, c, *height, width), lead = value.full, value.rows if value.lead else 1
        return self.shaped(value, (lead, n // lead * c, *(height or [1]), width)), n // lead

    def shaped(self, value: OnnxValue, full: Shape) -> OnnxValue:
        """Give values another shape, in their order."""
        return self.taken(value, np.arange(math.prod(value.full)).reshape(full))

    def broadcast(self, value: OnnxValue, shape: Shape) -> OnnxValue:
        """Repeat values to a larger shape."""
        target = tuple(np.broadcast_shapes(value.full, shape))
        if target == value.full:
            return value
        guard(target)
        places = np.broadcast_to(np.arange(math.prod(value.full)).reshape(value.full), target)
        return self.taken(value, places)

    def scaled(
        self,
        value: OnnxValue,
        scale: np.ndarray | float,
        shift: np.ndarray | float | None,
        name: str,
        rounded: str = "",
    ) -> OnnxValue:
        """S x + t with constants that are broadcast as ONNX does; `rounded` names what they were computed from."""
        s = np.asarray(scale, dtype=np.float64)
        t = None if shift is None else np.asarray(shift, dtype=np.float64)
        value = self.broadcast(value, np.broadcast_shapes(s.shape, () if t is None else t.shape))

        def fit(x: np.ndarray) -> torch.Tensor:
            x = x.reshape((1,) * (len(value.full) - x.ndim) + x.shape)
            if value.lead and (x != x[:1]).any():
                raise InputError("its constants differ among the rows of the batch")
            return torch.tensor(x[0] if value.lead else x)

        return self.add(ElementwiseAffine(fit(s), None if t is None else fit(t), rounded), value, name=name)


def _of_one_row(value: OnnxValue, moved: OnnxValue, places: np.ndarray) -> np.ndarray:
    """Return where the first row's numbers come from, where all come from the like of their own row.

    Raises:
        InputError: rows of the batch meet.
    """
    if not moved.lead:
        if value.lead:
            raise InputError("rows of the batch meet in it")
        return places
    step = math.prod(value.sample) if value.lead else 0
    apart = places - step * np.arange(value.rows).reshape(-1, *[1] * (places.ndim - 1))
    if not np.array_equal(np.where(places < 0, -1, apart), np.broadcast_to(places[:1], places.shape)):
        raise InputError("rows of the batch meet in it")
    return places[0]


MIXTURE = "mixture"  # weights that runtimes compute in float32, by their places


def rounded_from(operation: str, *operands: np.ndarray | float) -> str:
    """Name what constants were computed from: the same name only for the same operation of the same numbers."""
    digest = hashlib.sha256(operation.encode())
    for x in operands:
        array = np.asarray(x, dtype=np.float64)
        digest.update(f"{array.shape}".encode() + array.tobytes())
    return f"{operation} {digest.hexdigest()}"


def inverted(c: np.ndarray | float) -> str:
    """Name what 1 / c was computed from; empty where it is exact, for powers of two."""
    powers = np.frexp(np.abs(c))[0] == 0.5
    return "" if powers.all() and np.abs(c).max() < 2.0**1000 else rounded_from("1 / c", c)


def guard(shape: "Shape | list[int]") -> None:
    """Refuse values that are too large to be meant.

    Raises:
        InputError: they are.
    """
    if any(int(n) < 0 for n in shape) or math.prod(int(n) for n in shape) > LARGEST_VALUE:
        raise InputError(f"values of shape {tuple(shape)} are too large; at most {LARGEST_VALUE} numbers")


def finite(constant: np.ndarray, what: str) -> np.ndarray:
    """Return a constant whose every number is one.

    Raises:
        InputError: NaN or infinity, and where.
    """
    if not np.isfinite(constant).all():
        at = np.unravel_index(int(np.argmin(np.isfinite(constant))), constant.shape)
        where = f" at {tuple(map(int, at))}" if at else ""
        raise InputError(f"{what} is {constant[at]}{where}; finite numbers are needed")
    return constant


def shape_of(x: "Known | None") -> Shape:
    """Return the shape of a value or a constant.

    Raises:
        InputError: it is missing.
    """
    if x is None:
        raise InputError("an input is missing")
    return x.full if isinstance(x, OnnxValue) else x.shape


def value_of(x: "Known | None") -> OnnxValue:
    """Return what depends on the input.

    Raises:
        InputError: it is constant.
    """
    if not isinstance(x, OnnxValue):
        raise InputError("its first input must depend on the network's input")
    return x
