"""The one rule that divides rows."""

import pytest
import torch

from surefoot.core.errors import InputError
from surefoot.data import Part, divide
from surefoot.data.splits import divide_published


def pictures(n, k=2, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return Part(torch.randint(256, (n, 1, 4, 4), generator=generator, dtype=torch.uint8), torch.arange(n) % k)


def as_set(part):
    return {row.numpy().tobytes() for row in part.x}


def test_a_class_that_never_occurs_is_no_obstacle():
    data = divide("d", torch.zeros(40, 2), torch.arange(40) % 2 * 2, ("a", "b", "c"))
    assert set(data.train.y.tolist()) == {0, 2}


def test_published_parts_are_kept_and_a_tenth_of_training_is_held_out():
    train, test = pictures(200), pictures(50, seed=1)
    data = divide_published("d", train, test, ("a", "b"), seed=3)
    assert [len(data.train), len(data.validation), len(data.test)] == [180, 20, 50]
    assert torch.equal(data.test.x, test.x)
    assert as_set(data.train) | as_set(data.validation) == as_set(train)
    assert torch.bincount(data.validation.y).tolist() == [10, 10]
    assert data.division == "published test part; 20 rows of the training part held out by class, seed 3"
    again = divide_published("d", train, test, ("a", "b"), seed=3)
    assert torch.equal(again.validation.x, data.validation.x)
    other = divide_published("d", train, test, ("a", "b"), seed=4)
    assert not torch.equal(other.validation.x, data.validation.x)


def test_no_image_is_in_two_parts_though_the_files_repeat_some():
    train, test = pictures(200), pictures(50, seed=1)
    train.x[:30] = test.x[:30]  # copies of test images to train on
    train.x[100:140] = train.x[60:100]  # and copies within the training part
    data = divide_published("d", train, test, ("a", "b"))
    parts = [as_set(data.train), as_set(data.validation), as_set(data.test)]
    assert not parts[0] & parts[1]
    assert not parts[0] & parts[2]
    assert not parts[1] & parts[2]
    assert len(data.test) == 50


def test_a_published_validation_part_is_used():
    train, validation, test = pictures(60), pictures(20, seed=1), pictures(20, seed=2)
    data = divide_published("d", train, test, ("a", "b"), validation=validation)
    assert torch.equal(data.train.x, train.x)
    assert torch.equal(data.validation.x, validation.x)
    assert torch.equal(data.test.x, test.x)


def test_fewer_rows_to_train_on_keep_every_class_and_leave_the_rest_alone():
    data = divide_published("d", pictures(400, k=4), pictures(40, k=4, seed=1), tuple("abcd"))
    few = data.with_train_rows(40)
    assert torch.bincount(few.train.y).tolist() == [10, 10, 10, 10]
    assert as_set(few.train) <= as_set(data.train)
    assert torch.equal(few.validation.x, data.validation.x)
    assert data.with_train_rows(len(data.train)) is data
    for wrong in (3, 100_000):
        with pytest.raises(InputError, match=r"d has 360 rows to train on"):
            data.with_train_rows(wrong)


def test_a_class_of_one_row_is_refused_by_name():
    train = pictures(21)
    train.y[:] = 0
    train.y[5] = 1
    with pytest.raises(InputError, match="class 1 has one row"):
        divide_published("d", train, pictures(4), ("a", "b"))
