"""A graph is written as a valid file that means the same, whatever its nodes are called."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from functions import CASES, Case
from networks import random_network
from onnx_models import runtime
from surefoot.core.errors import InputError
from surefoot.graph.graph import Graph, GraphBuilder, Node, evaluate
from surefoot.graph.onnx_in import graph_of_onnx
from surefoot.graph.onnx_out import onnx_of_graph, write_onnx
from surefoot.graph.ops import Elementwise
from surefoot.graph.passes.affine import fused
from surefoot.graph.passes.pools import pools_as_relus

NAMES = ["fc", "fc_weight", "fc_bias", "fc_scaled", "fc_1", "", "relu_1", "input", "a/b:0", "é"]


@settings(max_examples=15)
@given(st.integers(0, 30), st.lists(st.sampled_from(NAMES), min_size=60, max_size=60))
def test_names_may_repeat_collide_or_lack(seed: int, names: list[str]) -> None:
    graph = random_network(seed)
    graph = Graph(tuple(Node(name, n.op, n.inputs, n.shape) for name, n in zip(names, graph.nodes, strict=False)))
    model = onnx_of_graph(graph)
    onnx.checker.check_model(model, full_check=True)
    outputs = [name for node in model.graph.node for name in node.output]
    assert len({*outputs, *(t.name for t in model.graph.initializer)}) == len(outputs) + len(model.graph.initializer)
    x = torch.from_numpy(np.random.default_rng(seed).normal(size=(3, *graph.input_shape))).float()
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (seen,) = session.run(None, {session.get_inputs()[0].name: x.numpy()})
    wanted = evaluate(graph, x.double()).numpy()
    assert np.allclose(np.asarray(seen), wanted, rtol=1e-4, atol=1e-4 * (1 + np.abs(wanted).max()))
    again = evaluate(graph_of_onnx(model).to(torch.float64), x.double()).numpy()
    assert np.allclose(
        again, wanted, rtol=1e-5, atol=1e-6 * (1 + np.abs(wanted).max())
    )  # the file's weights are float32


def test_a_clip_needs_a_number_to_clip_to(tmp_path: Path) -> None:
    graph = random_network(0)
    low = torch.full(graph.input_shape, 0.1, dtype=torch.float64)
    with pytest.raises(InputError, match=r"input 0 lies between 0\.1 and 0\.1, where there is no float32 number"):
        write_onnx(graph, tmp_path / "net.onnx", clip=(low, low))


@pytest.mark.parametrize("seed", range(25))
def test_random_networks_written_and_rewritten_are_the_same_function(seed: int) -> None:
    graph = random_network(seed, products=True)
    x = torch.from_numpy(np.random.default_rng(seed).normal(size=(5, *graph.input_shape)))
    y = evaluate(graph, x)
    scale = 1 + float(y.abs().max())
    for same in (fused(graph), pools_as_relus(graph), fused(pools_as_relus(graph))):
        assert torch.allclose(evaluate(same, x), y, atol=1e-10 * scale)
    assert len(fused(graph).nodes) <= len(graph.nodes)
    model = onnx_of_graph(graph)
    assert np.allclose(runtime(model, x.float().numpy()), y.numpy(), atol=1e-4 * scale)
    again = graph_of_onnx(model)
    assert torch.allclose(evaluate(again, x), y, atol=1e-5 * scale)


@pytest.mark.parametrize("case", [c for c in CASES if c[0] != "Elu" or c[1][0] in (0.5, -0.5)], ids=str)
def test_every_function_is_written(case: Case) -> None:
    """ONNX Runtime computes what the graph does, on what every function is defined for."""
    builder = GraphBuilder((40,))
    builder.add(Elementwise(*case), 0)
    graph = builder.build()
    x = np.exp(np.random.default_rng(0).normal(size=(1, 40))).astype(np.float32)
    theirs = runtime(onnx_of_graph(graph), x)
    ours = evaluate(graph, torch.from_numpy(x).double()).numpy()
    assert np.allclose(theirs, ours, rtol=5e-6, atol=5e-6)


def test_an_alpha_that_the_file_cannot_hold_is_refused() -> None:
    builder = GraphBuilder((2,))
    builder.add(Elementwise("Elu", (0.1,)), 0)
    with pytest.raises(InputError, match="float32"):
        onnx_of_graph(builder.build())
