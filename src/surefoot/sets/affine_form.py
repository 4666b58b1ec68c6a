"""Affine forms: values as affine functions of a star's variables, and how far the true values can be from that."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from surefoot.core.deadline import tick
from surefoot.core.rounding import LEAST, UPWARD, magnitude, step_error, sum_error
from surefoot.sets.patches import Patches
from surefoot.sets.predicate import Predicate

LARGEST_WINDOW = 0.5  # of an image: a larger one is written out
BATCH_NUMBERS = 2**21  # of generators that are worked on together: a limit of time is seen between two lots


@dataclass(frozen=True, eq=False)
class AffineForm:
    """x = centre + sum_i a_i generators[i] + sum_j a_(m+j) sizes[j] at places[j] + e, |e| <= error, for any shape.

    Shared variables keep their places, so forms of two branches add generator by generator; missing ones are 0.
    The last n generators have one entry each and are kept as its place and size: what a ReLU adds, and the pixels
    of a box, so that layers of large images fit. On large images a convolution makes windows of them (`Patches`), which
    are generators between the dense ones and those of one entry; any other affine map makes them dense.
    The error holds what rounding may have lost: it passes through ReLUs and maxima unchanged, since these never
    enlarge a difference.
    """

    centre: Float[Tensor, "*shape"]
    generators: Float[Tensor, " m *shape"]
    error: Float[Tensor, "*shape"]
    places: Int[Tensor, " n"] = field(default_factory=lambda: torch.zeros(0, dtype=torch.long))  # in the flat image
    sizes: Float[Tensor, " n"] = field(default_factory=lambda: torch.zeros(0, dtype=torch.float64))
    patches: tuple[Patches, ...] = ()

    @property
    def variables(self) -> int:
        """How many variables it speaks of."""
        return self.shaped + len(self.places)

    @property
    def shaped(self) -> int:
        """How many of them are dense or windows."""
        return len(self.generators) + sum(map(len, self.patches))

    def _patches(self) -> Iterator[tuple[int, Patches]]:
        """Give the windows, with the number of their first variable."""
        begin = len(self.generators)
        for patches in self.patches:
            yield begin, patches
            begin += len(patches)

    def padded(self, variables: int) -> "AffineForm":
        """Return the same form over so many variables."""
        missing = variables - self.variables
        places = torch.cat([self.places, self.places.new_zeros(missing)])
        return replace(self, places=places, sizes=torch.cat([self.sizes, self.sizes.new_zeros(missing)]))

    def with_units(self, places: Int[Tensor, " n"], sizes: Float[Tensor, " n"], variables: int) -> "AffineForm":
        """Add a variable for each place, after the first `variables`."""
        padded = self.padded(variables)
        return replace(self, places=torch.cat([padded.places, places]), sizes=torch.cat([padded.sizes, sizes]))

    def scaled(self, factor: Float[Tensor, "..."], error: Float[Tensor, "..."]) -> "AffineForm":
        """Multiply each value by a factor (any shape); the error is given."""
        flat, shaped = factor.flatten(), factor.reshape(self.centre.shape)
        sizes = self.sizes * flat[self.places]
        patches = tuple(patches.scaled(shaped) for patches in self.patches)
        generators, error = self.generators * shaped, error.reshape(shaped.shape)
        return AffineForm(self.centre * shaped, generators, error, self.places, sizes, patches)

    def shifted(self, places: Int[Tensor, " w"], by: Float[Tensor, " w"], error: Float[Tensor, " w"]) -> "AffineForm":
        """Add to the centre, and to the error, at some places (w,) of the flat image, each named once."""
        shape = self.centre.shape
        centre = self.centre.flatten().index_add(0, places, by).reshape(shape)
        return replace(self, centre=centre, error=self.error.flatten().index_add(0, places, error).reshape(shape))

    def reshaped(self, shape: tuple[int, ...]) -> "AffineForm":
        """Give the values another shape, in the same order."""
        form = self if tuple(self.centre.shape) == shape else self.without_patches()
        centre, error = form.centre.reshape(shape), form.error.reshape(shape)
        return AffineForm(centre, form.generators.reshape(-1, *shape), error, form.places, form.sizes, form.patches)

    def gathered(self, which: Int[Tensor, " w"], keep: Bool[Tensor, " w"], error: Float[Tensor, " w"]) -> "AffineForm":
        """Take the values of some places, (w,) in the flat image, and 0 where `keep` (w,) is not; flat."""
        form = self.without_patches()
        form = form if bool((torch.bincount(which[keep], minlength=1) <= 1).all()) else form.dense()
        target = torch.full((self.centre.numel(),), -1, dtype=torch.long)
        target[which[keep]] = torch.arange(len(which))[keep]
        places = target[form.places]
        centre = torch.where(keep, form.centre.flatten()[which], 0.0)
        generators = form.generators.flatten(1)[:, which]
        generators[:, ~keep] = 0.0
        return AffineForm(centre, generators, error, places.clamp(min=0), torch.where(places < 0, 0.0, form.sizes))

    def taken(
        self,
        which: Int[Tensor, " w"],
        keep: Bool[Tensor, " w"],
        error: Float[Tensor, " w"],
        shape: tuple[int, ...],
        windowed: Callable[[Patches], Patches],
    ) -> "AffineForm":
        """Return what `gathered` does, of a shape; `windowed` does it to windows."""
        if not self.patches:
            return self.gathered(which, keep, error).reshaped(shape)
        dense = AffineForm(self.centre, self.generators, self.error).gathered(which, keep, error).reshaped(shape)
        units = AffineForm(self.centre, self.generators[:0], self.error, self.places, self.sizes)
        units = units.gathered(which, keep, error).reshaped(shape)
        patches = tuple(_in_lots(windowed, patches) for patches in self.patches)
        if not len(units.generators):
            return replace(dense, places=units.places, sizes=units.sizes, patches=patches)
        written = (patches.dense() for patches in patches)  # two took one value, which is no longer one entry
        return replace(dense, generators=torch.cat([dense.generators, *written, units.generators]))

    def without_patches(self) -> "AffineForm":
        """Return the same form with its windows written out."""
        if not self.patches:
            return self
        generators = torch.cat([self.generators, *(patches.dense() for patches in self.patches)])
        return replace(self, generators=generators, patches=())

    def dense(self) -> "AffineForm":
        """Return the same form with every generator written out."""
        if not len(self.places):
            return self.without_patches()
        return AffineForm(self.centre, self.stacked(self.variables)[1:], self.error)

    def _units(self, begin: int, end: int) -> Tensor:
        places = self.places[begin:end]
        out = self.centre.new_zeros(len(places), self.centre.numel())
        out[torch.arange(len(places)), places] = self.sizes[begin:end]
        return out.reshape(-1, *self.centre.shape)

    def stacked(self, variables: int) -> Float[Tensor, " columns *shape"]:
        """Return (1 + variables, *shape): the centre, then all generators written out, missing ones 0."""
        missing = self.centre.new_zeros(variables - self.variables, *self.centre.shape)
        units = self._units(0, len(self.places))
        windows = (patches.dense() for patches in self.patches)
        return torch.cat([self.centre.unsqueeze(0), self.generators, *windows, units, missing])

    def columns(self, which: Int[Tensor, " w"], variables: int) -> Float[np.ndarray, "w variables"]:
        """Return what some places (w,) of the flat image owe to each variable, (w, variables)."""
        out = np.zeros((len(which), variables))
        out[:, : len(self.generators)] = self.generators.flatten(1)[:, which].T.numpy()
        for begin, patches in self._patches():
            out[:, begin : begin + len(patches)] = patches.columns(which).numpy()
        out[:, self.shaped : self.variables] = torch.where(which.unsqueeze(1) == self.places, self.sizes, 0.0).numpy()
        return out

    def weighted(self, weights: Float[Tensor, " variables"], absolute: bool) -> Float[Tensor, "*shape"]:
        """Return the sum of the generators, or of their absolute values, by weight (variables,)."""
        m, total = len(self.generators), torch.zeros_like(self.centre)
        if not bool(weights.any()):
            return total
        step = max(BATCH_NUMBERS // max(total.numel(), 1), 1)
        for begin in range(0, m, step):
            chunk = self.generators[begin : begin + step]
            total += torch.tensordot(weights[begin : min(begin + step, m)], chunk.abs() if absolute else chunk, 1)
        flat = total.flatten()
        for begin, patches in self._patches():
            most = max(BATCH_NUMBERS // max(patches.values[:1].numel(), 1), 1)
            for i in range(0, len(patches), most):
                part = patches.part(i, i + most)
                part.added(flat, weights[begin + i : begin + i + len(part)], absolute)
        sizes = weights[self.shaped :] * (self.sizes.abs() if absolute else self.sizes)
        return flat.index_add(0, self.places, sizes).reshape(total.shape)

    def at(self, a: Float[Tensor, " variables"]) -> Float[Tensor, "*shape"]:
        """Return the value for variables a (variables,), without the error."""
        return self.centre + self.weighted(a, absolute=False)

    def size(self, predicate: Predicate) -> Float[Tensor, "*shape"]:
        """Return |centre| + sum |generators| |a|: what rounding is relative to, as `rounding.magnitude` has it."""
        radius = torch.from_numpy(predicate.radius[: self.variables])
        size = self.centre.abs() + self.weighted(radius, absolute=True)
        nothing = size == 0
        if bool(nothing.any()):  # or its products were too small
            nothing &= self.weighted(torch.ones_like(radius), absolute=True) == 0
        return torch.where(nothing, 0.0, size + LEAST * (1 + radius.sum()))

    def affine(
        self,
        linear: Callable[[Tensor], Tensor],
        absolute: Callable[[Tensor], Tensor],
        bias: Tensor | None,
        relative: float,
        predicate: Predicate,
        windowed: Callable[[Patches], Patches] | None = None,
    ) -> "AffineForm":
        """Map by W x + b; `relative` bounds the rounding of one output relative to |W| |x| + |b|. Exact otherwise.

        `windowed` maps generators that are windows, if that is possible: on large images small ones stay windows.
        """
        size = self.size(predicate)
        if relative:
            error = magnitude(self.error) * (1 + 2 * relative) + 2 * relative * size
            spread = absolute(magnitude(error).unsqueeze(0))[0]
        else:  # nothing is added, only moved
            spread = absolute(self.error.unsqueeze(0))[0]
        centre = linear(self.centre.unsqueeze(0))[0]
        if bias is not None:
            centre = centre + bias
            spread = spread + 2 * relative * magnitude(bias)
        large = self.variables * max(self.centre.numel(), centre.numel()) > BATCH_NUMBERS
        form = self._in_windows() if windowed is not None and large else self.without_patches()
        patches = tuple(_in_lots(windowed, patches) for patches in form.patches) if windowed is not None else ()
        return AffineForm(centre, form._moved(linear, centre), UPWARD * spread, patches=patches)

    def numbers(self, windowed: Callable[[Patches], Patches] | None, size: int) -> Float[Tensor, " variables"]:
        """Return how many numbers each generator takes behind an affine operation whose result has so many values."""
        out = torch.full((self.variables,), float(size), dtype=torch.float64)
        if windowed is None or self.variables * size <= BATCH_NUMBERS:
            return out
        for begin, patches in self._patches():
            if len(patches) and patches.share <= LARGEST_WINDOW:
                out[begin : begin + len(patches)] = windowed(patches.part(0, 1)).values.numel()
        if len(self.places):
            one = Patches.of_units(self.places[:1], self.sizes[:1], tuple(self.centre.shape))
            out[self.shaped :] = windowed(one).values.numel()
        return out

    def reach(self) -> Float[Tensor, " variables"]:
        """Return the sum of each generator's absolute values."""
        parts = [self.generators.abs().flatten(1).sum(1)]
        parts += [patches.values.abs().flatten(1).sum(1) for patches in self.patches]
        return torch.cat([*parts, self.sizes.abs()])

    def merged(self, keep: Bool[Tensor, " variables"], radius: Float[Tensor, " variables"]) -> "AffineForm":
        """Drop generators; what their variables, of size at most `radius`, can add goes into the error."""
        lost = self.weighted(torch.where(keep, 0.0, radius), absolute=True)
        error = UPWARD * (self.error + lost) + torch.where(lost > 0, LEAST, 0.0)
        units = keep[self.shaped :]
        patches = tuple(p.pick(keep[begin : begin + len(p)]) for begin, p in self._patches())
        generators = self.generators[keep[: len(self.generators)]]
        patches = tuple(p for p in patches if len(p))
        return AffineForm(self.centre, generators, error, self.places[units], self.sizes[units], patches)

    def _in_windows(self) -> "AffineForm":
        """Make windows of generators of one entry, and write out those that grew too large: the oldest."""
        patches, generators = list(self.patches), [self.generators]
        while patches and patches[0].share > LARGEST_WINDOW:
            generators.append(patches.pop(0).dense())
        if len(self.places):
            patches.append(Patches.of_units(self.places, self.sizes, tuple(self.centre.shape)))
        return AffineForm(self.centre, torch.cat(generators), self.error, patches=tuple(patches))

    def _moved(self, linear: Callable[[Tensor], Tensor], centre: Tensor) -> Tensor:
        """Map the dense generators and those of one entry; large ones in lots: never two copies of all."""
        units = len(self.places)
        if units + len(self.generators) and (units + len(self.generators)) * centre.numel() <= BATCH_NUMBERS:
            return linear(torch.cat([self.generators, self._units(0, units)]))
        moved = centre.new_empty(len(self.generators) + units, *centre.shape)
        m, step = len(self.generators), max(BATCH_NUMBERS // max(self.centre.numel(), centre.numel()), 1)
        for begin in range(0, m, step):
            tick()
            chunk = self.generators[begin : begin + step]
            moved[begin : begin + len(chunk)] = linear(chunk)
        for begin in range(0, units, step):
            tick()
            chunk = self._units(begin, begin + step)
            moved[m + begin : m + begin + len(chunk)] = linear(chunk)
        return moved

    def plus(self, other: "AffineForm", predicate: Predicate) -> "AffineForm":
        """Add a form over the same variables."""
        variables = max(self.variables, other.variables)
        total = self.stacked(variables) + other.stacked(variables)
        error = self.error + other.error + step_error(1, self.size(predicate) + other.size(predicate))
        return AffineForm(total[0], total[1:], UPWARD * error)

    def flat(self) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, "variables n"]]:
        """Return the centre (n,) and all generators (variables, n)."""
        return self.centre.flatten().numpy(), self.dense().generators.flatten(1).numpy()

    def box(self, predicate: Predicate) -> tuple[Float[Tensor, "*shape"], Float[Tensor, "*shape"]]:
        """Bound the form without its error over the predicate's box: by the sign of each generator, not at corners."""
        low = torch.from_numpy(predicate.lower[: self.variables])
        high = torch.from_numpy(predicate.upper[: self.variables])
        middle, radius = (low + high) / 2, (high - low) / 2
        centre, spread = self.at(middle), self.weighted(radius, absolute=True)
        spread = spread + sum_error(self.variables, self.size(predicate))
        return centre - spread, centre + spread


def _in_lots(move: Callable[[Patches], Patches], patches: Patches) -> Patches:
    step = max(BATCH_NUMBERS // max(patches.values[:1].numel(), 1), 1)
    parts = []
    for begin in range(0, len(patches), step):
        tick()
        parts.append(move(patches.part(begin, begin + step)))
    return Patches.joined(parts)
