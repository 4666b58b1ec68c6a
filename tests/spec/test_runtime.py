"""Networks as they are deployed: ONNX Runtime and graphs in float32 give the same, and refusals fit on a line."""

import numpy as np
import onnx
import pytest
import torch
from onnx import helper

from networks import random_network
from onnx_models import array, model_of
from surefoot.core.errors import InputError
from surefoot.graph.graph import GraphBuilder, evaluate
from surefoot.graph.onnx_out import onnx_of_graph
from surefoot.graph.ops import Linear, Reshape, Softmax
from surefoot.spec.runtime import one_line, runner_of_graph, runner_of_onnx, session_of, values_of


@pytest.mark.parametrize("seed", range(5))
def test_a_file_and_its_graph_give_the_same(seed: int) -> None:
    graph = random_network(seed)
    x = np.random.default_rng(seed).normal(size=(4, int(np.prod(graph.input_shape)))).astype(np.float32)
    ours, theirs = runner_of_graph(graph)(x), runner_of_onnx(onnx_of_graph(graph))(x)
    assert ours.dtype == theirs.dtype == np.float64
    assert ours.shape == theirs.shape == (4, *graph.output_shape)
    assert np.allclose(ours, theirs, rtol=1e-4, atol=1e-4)


def test_each_row_is_run_alone() -> None:
    """A batch may be summed in another order: what is said of one input must not depend on its neighbours."""
    graph = random_network(3)
    x = np.random.default_rng(0).normal(size=(30, int(np.prod(graph.input_shape)))).astype(np.float32)
    for run in (runner_of_graph(graph), runner_of_onnx(onnx_of_graph(graph))):
        assert np.array_equal(run(x), np.concatenate([run(row[None]) for row in x]))


@pytest.mark.parametrize("log", [False, True])
def test_logits_are_what_stands_before_the_softmax(log: bool) -> None:
    builder = GraphBuilder((3,))
    last = builder.add(Linear(torch.from_numpy(array(4, 3)).double()), 0)
    logits = builder.build(last)
    builder.add(Softmax(log), last)
    model = onnx_of_graph(builder.build())
    x = array(5, 3, seed=2)
    want = evaluate(logits, torch.from_numpy(x).double())
    assert np.allclose(runner_of_onnx(model, logits=True)(x), want.numpy(), atol=1e-5)
    follows = want.log_softmax(1) if log else want.softmax(1)
    assert np.allclose(runner_of_onnx(model)(x), follows.numpy(), atol=1e-5)
    assert np.array_equal(
        runner_of_onnx(onnx_of_graph(logits), logits=True)(x), runner_of_onnx(onnx_of_graph(logits))(x)
    )


def test_a_softmax_behind_moves_of_data_is_found() -> None:
    nodes = [
        helper.make_node("Softmax", ["x"], ["s"]),
        helper.make_node("Identity", ["s"], ["i"]),
        helper.make_node("Flatten", ["i"], ["y"]),
    ]
    x = array(2, 6)
    assert np.array_equal(runner_of_onnx(model_of(nodes, {}, [1, 6]), logits=True)(x), x.astype(np.float64))


def test_named_values_come_as_they_are() -> None:
    nodes = [helper.make_node("Relu", ["x"], ["h"]), helper.make_node("Neg", ["h"], ["y"])]
    model = model_of(nodes, {}, [1, 2, 3])
    model.graph.output.append(helper.make_tensor_value_info("h", onnx.TensorProto.FLOAT, None))
    x = array(6)
    h, y = values_of(session_of(model.SerializeToString()), ["h", "y"], {"x": x.reshape(1, 2, 3)})
    assert np.array_equal(h, x.clip(min=0).reshape(1, 2, 3))
    assert np.array_equal(y, -h)


def test_what_the_runtime_refuses_is_refused_on_one_line() -> None:
    broken = model_of([helper.make_node("Relu", ["x"], ["h"])], {}, [1, 6])  # nothing gives y
    with pytest.raises(InputError, match="does not take this network") as loaded:
        runner_of_onnx(broken, "y")
    unfit = model_of([helper.make_node("Reshape", ["x", "s"], ["y"])], {"s": np.array([5])}, [1, 6])
    run = runner_of_onnx(unfit)
    with pytest.raises(InputError, match="does not run this network") as ran:
        run(array(1, 6))
    for refused in (loaded, ran):
        assert "\n" not in str(refused.value)
    assert one_line(ValueError("a\n  b")) == "a b"
    assert len(one_line(ValueError("x" * 1000))) == 300


def test_what_is_run_in_a_graph_is_float32() -> None:
    builder = GraphBuilder((1, 1))
    builder.add(Linear(torch.ones(1, 1).double(), torch.tensor([1e8]).double()), builder.add(Reshape((1,)), 0))
    assert runner_of_graph(builder.build())(np.ones((1, 1), np.float32)).tolist() == [[1e8]]
