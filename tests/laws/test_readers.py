"""What is read is what ONNX Runtime computes, or it is refused in one line."""

import pytest

from fuzz import batches, operations, readers


@pytest.mark.parametrize("seed", range(2))
def test_graphs_are_read_as_the_runtime_runs_them(seed: int) -> None:
    met = readers.attack(1000 + seed, 120)
    assert not met.faults
    assert met.outcomes["read"] > 30
    assert met.outcomes["seen"] > 10


@pytest.mark.parametrize("seed", range(2))
def test_operations_are_read_as_the_runtime_runs_them_and_the_door_sees_those_that_are_not(seed: int) -> None:
    met = operations.attack(1000 + seed, 160)
    assert not met.faults
    assert met.outcomes["read"] > 40
    assert met.outcomes["planted and seen"] > 30


def test_batches_inputs_and_steps_are_read_as_the_runtime_runs_them() -> None:
    met = batches.attack(1000, 400)
    assert not met.faults
    assert met.outcomes["read"] > 100
    assert met.outcomes["read row by row"] > 100
