"""Values of ONNX names: the batch axis, broadcasting, and what is too large, not finite or constant."""

import numpy as np
import pytest
import torch

from surefoot.core.errors import InputError
from surefoot.graph.graph import evaluate
from surefoot.graph.onnx_values import (
    LARGEST_VALUE,
    OnnxValue,
    Values,
    finite,
    guard,
    inverted,
    rounded_from,
    value_of,
)
from surefoot.graph.ops import Gather, Reshape


def test_the_first_axis_is_the_batchs_where_it_is_one_of_several() -> None:
    assert OnnxValue(0, (1, 2, 3)).sample == (2, 3)
    assert OnnxValue(0, (2, 3)).sample == (2, 3)
    assert OnnxValue(0, (1,)).sample == (1,)


@pytest.mark.parametrize("scale", [np.float64(2), np.arange(1.0, 4), np.array([[1.0], [-2.0]])])
@pytest.mark.parametrize("shift", [None, np.array([[[0.5]], [[1.0]]])])
def test_scaling_broadcasts_as_numpy_does(scale: np.ndarray, shift: np.ndarray | None) -> None:
    values = Values((1, 2, 3), "x", 17)
    value = values.scaled(values.first, scale, shift, "y")
    x = np.random.default_rng(0).normal(size=(1, 2, 3))
    want = x * scale + (0 if shift is None else shift)
    got = evaluate(values.builder.build(value.place), torch.from_numpy(x)).numpy()
    assert value.full == want.shape
    assert np.array_equal(got.reshape(want.shape), want)


def test_moves_are_nothing_a_reshape_or_a_gather() -> None:
    values = Values((1, 2, 3), "x", 17)
    places = np.arange(6)
    assert values.taken(values.first, places.reshape(1, 2, 3)).place == 0
    flat = values.taken(values.first, places.reshape(1, 6))
    turned = values.taken(values.first, places.reshape(1, 2, 3).transpose(0, 2, 1))
    assert [type(values.builder.nodes[v.place].op) for v in (flat, turned)] == [Reshape, Gather]
    assert turned.full == (1, 3, 2)
    with pytest.raises(InputError, match="nothing is left"):
        values.taken(values.first, places[:0].reshape(1, 0))


def test_values_that_are_too_many_are_refused() -> None:
    guard((LARGEST_VALUE,))
    for shape in ((LARGEST_VALUE, 2), (3, -1)):
        with pytest.raises(InputError, match="too large"):
            guard(shape)
    values = Values((1, 2), "x", 17)
    values.hold(LARGEST_VALUE - 2)
    with pytest.raises(InputError, match="too many to be held"):
        values.hold(1)


def test_constants_that_are_not_finite_are_named_with_their_place() -> None:
    assert finite(np.ones(2), "w").tolist() == [1.0, 1.0]
    with pytest.raises(InputError, match=r"w is inf at \(1, 0\)"):
        finite(np.array([[1.0, 2.0], [np.inf, 3.0]]), "w")
    with pytest.raises(InputError, match="must depend on the network's input"):
        value_of(np.ones(2))


def test_rounding_is_named_by_operation_and_numbers() -> None:
    third = rounded_from("1 / c", 3.0)
    assert third == rounded_from("1 / c", np.array(3.0)) == inverted(3.0)
    assert (
        len({third, rounded_from("1 / c", 5.0), rounded_from("c * d", 3.0), rounded_from("1 / c", np.array([3.0]))})
        == 4
    )
    assert inverted(np.array([0.5, -4.0])) == ""  # exact for powers of two
    assert inverted(np.array([0.5, 3.0])) != ""
