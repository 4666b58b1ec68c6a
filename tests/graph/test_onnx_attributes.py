"""Attributes that are not known are refused by name; those without effect are not."""

import pytest

from surefoot.core.errors import InputError
from surefoot.graph.onnx_attributes import ATTRIBUTES, MORE_OUTPUTS, known_attributes
from surefoot.graph.onnx_ops import READERS


@pytest.mark.parametrize("op", [*ATTRIBUTES, "Relu", "Add"])
def test_no_operation_takes_what_it_does_not_know(op: str) -> None:
    known_attributes(op, dict.fromkeys(ATTRIBUTES.get(op, ()), 1))
    with pytest.raises(InputError, match=r"'colour' .* is not read: export the network without it"):
        known_attributes(op, {"colour": 1})


def test_a_value_that_changes_nothing_is_let_through_and_no_other() -> None:
    known_attributes("BatchNormalization", {"spatial": 1})
    with pytest.raises(InputError, match="'spatial'"):
        known_attributes("BatchNormalization", {"spatial": 0})
    with pytest.raises(InputError, match="'storage_order'"):
        known_attributes("MaxPool", {"storage_order": 1})


def test_operations_with_more_outputs_are_read() -> None:
    assert set(READERS) >= MORE_OUTPUTS
