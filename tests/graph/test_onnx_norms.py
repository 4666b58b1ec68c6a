"""Normalisations are what ONNX Runtime computes, over one row or images side by side."""

from functools import partial

import numpy as np
import pytest
from onnx import helper

from onnx_models import OneOp, add_case, agree, array, model_of
from surefoot.core.errors import InputError
from surefoot.graph.onnx_in import graph_of_onnx

IMAGE = [1, 2, 5, 6]
ONE_OP: dict[str, OneOp] = {}
case = partial(add_case, ONE_OP)
NORM = {"g": array(2), "b": array(2, seed=2), "m": array(2, seed=3), "v": np.abs(array(2))}
EACH = {"s": array(4), "b": array(4, seed=2)}
case("batch", "BatchNormalization", IMAGE, constants=NORM)
case("batch-7", "BatchNormalization", IMAGE, 7, NORM)
case("group-18", "GroupNormalization", [1, 4, 3, 3], 18, {"s": array(2), "b": array(2, seed=2)}, num_groups=2)
case("group-21", "GroupNormalization", [1, 4, 3, 3], 21, EACH, num_groups=2)
case("instance", "InstanceNormalization", [1, 4, 3, 3], 17, EACH, epsilon=1e-3)
case("instance-signal", "InstanceNormalization", [1, 4, 5], 17, EACH)
case("layer", "LayerNormalization", [1, 3, 4], constants=EACH, epsilon=1e-3)
case("layer-two-axes", "LayerNormalization", [1, 3, 4], constants={"s": array(3, 4)}, axis=-2)
case("lp-1", "LpNormalization", [1, 6], p=1)
case("lp-2", "LpNormalization", IMAGE, axis=1)
case("response", "LRN", [1, 6, 2, 3], size=3, alpha=0.5, beta=0.75, bias=2.0)
case("response-wide", "LRN", [1, 6, 2, 3], size=9)
case("root", "RMSNormalization", [1, 3, 4], 23, {"s": array(4)})


@pytest.mark.parametrize("name", ONE_OP)
def test_every_operation_is_what_the_runtime_computes(name: str) -> None:
    nodes, constants, shape, opset = ONE_OP[name]
    agree(model_of(nodes, constants, shape, opset), shape)


@pytest.mark.parametrize(("gamma", "mean"), [(1.4e-45, 0.0), (1e20, 1e25)])
def test_a_normalisation_that_float32_cannot_fold_is_refused(gamma: float, mean: float) -> None:
    given = {"a": gamma, "b": 0.0, "c": mean, "d": 2.25}
    node = helper.make_node("BatchNormalization", ["x", *given], ["y"])
    with pytest.raises(InputError, match="folded as runtimes do, leave float32"):
        graph_of_onnx(model_of([node], {n: np.array([v, v], np.float32) for n, v in given.items()}, [1, 2]))


def test_a_norm_over_the_batch_is_refused() -> None:
    with pytest.raises(InputError, match="the norm 2 over axis 0"):
        graph_of_onnx(model_of([helper.make_node("LpNormalization", ["x"], ["y"], axis=0)], {}, [1, 2]))
