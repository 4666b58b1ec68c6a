"""Two files over a domain: no bound lies below what is met, and only outputs of one meaning are compared."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from surefoot.compress.file_equality import (
    ends_of,
    equal_files,
    logits_of_file,
    replayed,
    same_answer_files,
    same_polynomial_files,
    within_files,
)
from surefoot.core.errors import InputError
from surefoot.graph.onnx_out import write_onnx
from surefoot.graph.torch_in import graph_of_module
from surefoot.spec.input_set import InputSet
from surefoot.spec.query import Holds, Violated

UNIT = InputSet(np.zeros(4), np.ones(4))


def written(path: Path, seed: int, moved: float = 0.0, end: nn.Module | None = None) -> Path:
    torch.manual_seed(seed)
    layers: list[nn.Module] = [nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3)]
    module = nn.Sequential(*layers, *([end] if end is not None else []))
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.mul_(1 + moved)
    write_onnx(graph_of_module(module.eval(), torch.zeros(2, 4)), path)
    return path


@pytest.mark.parametrize("seed", range(3))
def test_no_bound_lies_below_what_is_met(tmp_path: Path, seed: int) -> None:
    one, two = written(tmp_path / "one.onnx", seed), written(tmp_path / "two.onnx", seed, moved=0.01)
    bound = equal_files(one, two, UNIT).largest
    x = torch.rand(500, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    met = float(np.abs(logits_of_file(one, x) - logits_of_file(two, x)).max())
    assert 0 < met <= bound
    assert isinstance(within_files(one, two, UNIT, 2 * bound, 10), Holds)
    broken = within_files(one, two, UNIT, met / 2, 10)
    assert isinstance(broken, Violated)
    assert replayed(one, two, broken.input)[0] >= met / 2


def test_a_file_is_equal_to_itself_and_is_no_polynomial(tmp_path: Path) -> None:
    one = written(tmp_path / "one.onnx", 0)
    assert equal_files(one, one, UNIT).largest == 0
    assert same_polynomial_files(one, one) is None


def test_logits_are_not_compared_with_probabilities(tmp_path: Path) -> None:
    one, two = written(tmp_path / "one.onnx", 0), written(tmp_path / "two.onnx", 0, end=nn.Softmax(1))
    assert ends_of(two, two) == "softmax"
    with pytest.raises(InputError, match=r"gives logits and .* probabilities: their outputs differ by what they mean"):
        equal_files(one, two, UNIT)


def test_inputs_of_shapes_that_differ_by_sides_of_one_are_the_same(tmp_path: Path) -> None:
    torch.manual_seed(0)
    layers = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3)).eval()
    shaped = nn.Sequential(nn.Flatten(), *layers).eval()
    one, two = tmp_path / "one.onnx", tmp_path / "two.onnx"
    write_onnx(graph_of_module(layers, torch.zeros(2, 4)), one)
    write_onnx(graph_of_module(shaped, torch.zeros(2, 1, 4, 1)), two)
    for pair in ((one, two), (two, one)):
        assert equal_files(*pair, UNIT).largest == 0
        assert isinstance(within_files(*pair, UNIT, 1e-6, 5), Holds)
        assert isinstance(same_answer_files(*pair, UNIT, 5), Holds)
    write_onnx(graph_of_module(shaped, torch.zeros(2, 2, 2)), two)
    with pytest.raises(InputError, match="cannot be compared"):
        equal_files(one, two, UNIT)
