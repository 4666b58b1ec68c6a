"""Questions: about inputs, with something unsafe."""

from dataclasses import replace

import numpy as np
import pytest

from surefoot.core.errors import InputError
from surefoot.spec.input_set import InputSet, Origin
from surefoot.spec.query import Query, other_classes, robustness

SQUARE = InputSet(np.zeros(2), np.ones(2))


def test_another_class_is_unsafe_where_it_ties() -> None:
    query = robustness(SQUARE, 1, 3)
    assert len(query.unsafe) == 2
    assert query.broken_by(np.array([1.0, 1.0, 0.0]))
    assert not query.broken_by(np.array([0.5, 1.0, 0.0]))
    assert query.slack(np.array([[0.5, 1.0, 0.0], [0.0, 0.0, 2.0]])).tolist() == [0.5, -2.0]


def test_what_is_no_question_is_refused() -> None:
    with pytest.raises(InputError, match="nothing is unsafe"):
        Query(SQUARE, ())
    with pytest.raises(InputError, match="region_to_query"):
        Query(replace(SQUARE, origin=Origin(np.zeros(3), np.zeros((2, 3)))), other_classes(0, 2))
    with pytest.raises(InputError, match="label 3 is not one of 3"):
        other_classes(3, 3)
