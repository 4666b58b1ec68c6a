"""The door: what it lets through, in which type, and what it says of the rest."""

import numpy as np
import pytest
import torch

from surefoot.core.checks import check_bins, check_confidences, check_labels, check_logits, check_probs
from surefoot.core.errors import InputError


@pytest.mark.parametrize("make", [list, np.array, torch.tensor, lambda x: torch.tensor(x, dtype=torch.bfloat16)])
def test_lists_arrays_and_tensors_come_in(make):
    assert check_logits(make([[0.5, 2.0], [1.0, -1.0]])).tolist() == [[0.5, 2.0], [1.0, -1.0]]
    assert check_labels(np.array([0, 1]), 2, 2).dtype == np.int64


def test_tensors_with_gradients_come_in():
    assert check_logits(torch.zeros(2, 3, requires_grad=True)).shape == (2, 3)


def test_whole_floats_are_labels_and_halves_are_not():
    assert check_labels([0.0, 1.0], 2, 2).tolist() == [0, 1]
    with pytest.raises(InputError, match=r"row 1 is 0\.5"):
        check_labels([0.0, 0.5], 2, 2)


def test_stored_probabilities_may_be_rounded():
    assert check_probs(np.array([[0.3333, 0.3333, 0.3333]], dtype=np.float16)).dtype == np.float16
    with pytest.raises(InputError, match=r"sum 0\.9"):
        check_probs([[0.5, 0.4]])


def test_values_near_the_end_of_the_range_do_not_warn():
    assert check_logits(np.full((5, 3), 1e290)).shape == (5, 3)


@pytest.mark.parametrize("bad", [0, -1, 1.5, True, "15"])
def test_bins_are_counted(bad):
    with pytest.raises(InputError, match="number of bins"):
        check_bins(bad)


@pytest.mark.parametrize("bad", [[0.5, 1.1], [-0.1, 0.5], [0.5, float("nan")]])
def test_confidences_lie_between_0_and_1(bad):
    with pytest.raises(InputError, match="between 0 and 1"):
        check_confidences(bad)
    with pytest.raises(InputError, match="2 confidences but 3"):
        check_confidences([0.5, 0.5], 3)
    with pytest.raises(InputError, match="empty"):
        check_confidences([])


@pytest.mark.parametrize("large", [1e291, 1e308])
def test_logits_that_no_loss_can_be_computed_of_are_refused(large):
    with pytest.raises(InputError, match=r"row 1 holds .* in column 0"):
        check_logits([[1.0, 2.0], [large, -large]])


def test_the_least_number_of_float64_is_an_absent_class():
    masked = check_logits([[1.0, np.finfo(np.float64).min, 3.0], [1.0, 2.0, -1e300]])
    np.testing.assert_array_equal(masked, [[1.0, -np.inf, 3.0], [1.0, 2.0, -np.inf]])
    with pytest.raises(InputError, match="every column"):
        check_logits([[-1e308, -1e308]])
