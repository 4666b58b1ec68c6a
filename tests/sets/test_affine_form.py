"""A form with generators of one entry kept as indices is the same as with all of them written out."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

import surefoot.sets.affine_form as forms
from surefoot.sets.affine_form import AffineForm
from surefoot.sets.patches import Patches
from surefoot.sets.predicate import Predicate

SHAPE = (2, 3, 4)


def some_form(seed: int, dense: int = 2, units: int = 5) -> AffineForm:
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    places = torch.randint(24, (units,), generator=generator)  # two may share a place
    # a centre whose numbers do not lie in order in memory, as a transposition leaves it
    centre = normal(4, 3, 2).permute(2, 1, 0)
    return AffineForm(centre, normal(dense, *SHAPE), normal(*SHAPE).abs() * 1e-9, places, normal(units))


def box_of(form: AffineForm, seed: int) -> Predicate:
    ends = np.sort(np.random.default_rng(seed).normal(size=(2, form.variables)), axis=0)
    return Predicate.box(ends[0], ends[1])


def same(a: AffineForm, b: AffineForm) -> None:
    a, b = a.dense(), b.dense()
    variables = max(a.variables, b.variables)
    torch.testing.assert_close(a.stacked(variables), b.stacked(variables), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(a.error, b.error, rtol=1e-12, atol=1e-20)


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("at_once", [1, 2**24])
def test_every_operation_agrees_with_dense_generators(seed: int, at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forms, "BATCH_NUMBERS", at_once)
    form = some_form(seed)
    dense, predicate = form.dense(), box_of(form, seed)
    assert len(form.places)
    assert not len(dense.places)
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(7, 24, generator=generator, dtype=torch.float64)
    bias = torch.randn(7, generator=generator, dtype=torch.float64)

    def linear(x: Tensor) -> Tensor:
        return x.flatten(1) @ weight.T

    def absolute(x: Tensor) -> Tensor:
        return x.flatten(1) @ weight.abs().T

    same(*(f.affine(linear, absolute, bias, 1e-14, predicate) for f in (form, dense)))
    other = some_form(seed + 100, 1, 3)
    same(form.plus(other, predicate), dense.plus(other.dense(), predicate))
    ends = (*form.box(predicate), form.size(predicate))
    for a, b in zip(ends, (*dense.box(predicate), dense.size(predicate)), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-13, atol=1e-13)
    values = torch.randn(form.variables, generator=generator, dtype=torch.float64)
    torch.testing.assert_close(form.at(values), dense.at(values))
    which = torch.randint(24, (6,), generator=generator)
    np.testing.assert_array_equal(form.columns(which, 9), dense.columns(which, 9))
    np.testing.assert_array_equal(form.columns(which, 9)[:, : form.variables], dense.flat()[1][:, which].T)


@pytest.mark.parametrize("seed", range(10))
def test_what_a_walk_does_to_forms_agrees_with_dense_generators(seed: int) -> None:
    form = some_form(seed)
    dense = form.dense()
    generator = torch.Generator().manual_seed(seed)
    factor = torch.rand(24, generator=generator, dtype=torch.float64).round(decimals=1)
    same(form.scaled(factor, form.error), dense.scaled(factor, form.error))
    same(form.padded(12), dense.padded(12))
    for overlap in (False, True):  # windows that share their largest value, as overlapping pools have them
        which = torch.randint(24, (9,), generator=generator) if overlap else torch.randperm(24, generator=generator)[:9]
        keep = torch.rand(9, generator=generator) < 0.7
        error = torch.rand(9, generator=generator, dtype=torch.float64)
        same(form.gathered(which, keep, error), dense.gathered(which, keep, error))
    places = torch.randperm(24, generator=generator)[:3]
    by = torch.randn(3, generator=generator, dtype=torch.float64)
    moved = form.shifted(places, by, by.abs())
    assert torch.equal(moved.centre.flatten()[places], form.centre.flatten()[places] + by)
    assert torch.equal(moved.error.flatten()[places], form.error.flatten()[places] + by.abs())
    wider = moved.with_units(places, by, 9)
    assert wider.variables == 12
    assert torch.equal(wider.stacked(12)[1 + 9 :].flatten(1)[torch.arange(3), places], by)
    same(form.reshaped((24,)).reshaped(SHAPE), form)


def with_windows(seed: int) -> AffineForm:
    """Make a form whose generators are of all three kinds."""
    form = some_form(seed)
    generator = torch.Generator().manual_seed(seed + 1)
    values = torch.randn(3, 2, 2, 2, generator=generator, dtype=torch.float64)
    top, left = (torch.randint(-1, side, (3,), generator=generator) for side in SHAPE[1:])
    return replace(form, patches=(Patches(values, top, left, SHAPE).cut(),))


@pytest.mark.parametrize("seed", range(20))
def test_windows_are_the_same_as_dense_generators(seed: int) -> None:
    form = with_windows(seed)
    dense, predicate = form.dense(), box_of(form, seed)
    assert form.variables == dense.variables == len(form.reach())
    torch.testing.assert_close(form.reach(), dense.reach())
    for a, b in zip(
        (*form.box(predicate), form.size(predicate)), (*dense.box(predicate), dense.size(predicate)), strict=True
    ):
        torch.testing.assert_close(a, b, rtol=1e-13, atol=1e-13)
    generator = torch.Generator().manual_seed(seed)
    factor = torch.rand(24, generator=generator, dtype=torch.float64)
    same(form.scaled(factor, form.error), dense.scaled(factor, dense.error))
    same(form.reshaped((24,)), dense.reshaped((24,)))
    which = torch.randint(24, (6,), generator=generator)
    np.testing.assert_array_equal(form.columns(which, 12), dense.columns(which, 12))
    keep, error = torch.rand(6, generator=generator) < 0.7, torch.rand(6, generator=generator).double()
    same(form.gathered(which, keep, error), dense.gathered(which, keep, error))
    same(form.plus(some_form(seed + 1), predicate), dense.plus(some_form(seed + 1), predicate))


@pytest.mark.parametrize("seed", range(20))
def test_generators_that_are_dropped_are_in_the_error(seed: int) -> None:
    form = with_windows(seed)
    generator = torch.Generator().manual_seed(seed)
    keep = torch.rand(form.variables, generator=generator) < 0.5
    radius = torch.rand(form.variables, generator=generator, dtype=torch.float64)
    merged = form.merged(keep, radius)
    assert merged.variables == int(keep.sum())
    for _ in range(20):
        a = (2 * torch.rand(form.variables, generator=generator, dtype=torch.float64) - 1) * radius
        off = (form.at(a) - merged.at(a[keep])).abs()
        assert bool((off <= merged.error - form.error + 1e-15).all())
    torch.testing.assert_close(merged.dense().generators, form.dense().generators[keep])


def test_how_many_numbers_generators_will_take() -> None:
    form = with_windows(0)
    numbers = form.numbers(lambda patches: patches, 10**9)
    assert numbers.tolist() == [1e9, 1e9, *(8.0 if form.patches[0].share <= 0.5 else 1e9,) * 3, *(2.0,) * 5]
    assert form.numbers(None, 10).tolist() == [10.0] * form.variables
