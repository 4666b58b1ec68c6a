"""Networks as files: run by ONNX Runtime, and moved a little."""

import numpy as np
import onnxruntime
import torch

from surefoot.graph.graph import Graph, GraphBuilder
from surefoot.graph.ops import Linear

KINDS = ("inactive", "active", "constant", "proportional", "dependent", "unused")


def run(path: str, x: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {session.get_inputs()[0].name: x.astype(np.float32)})[0])


def moved(graph: Graph, by: float) -> Graph:
    """Add random numbers to all weights."""
    rng = np.random.default_rng(0)
    builder = GraphBuilder(graph.input_shape)
    for node in graph.nodes[1:]:
        op = node.op
        if isinstance(op, Linear):
            op = Linear(op.weight + by * torch.from_numpy(rng.normal(size=tuple(op.weight.shape))), op.bias)
        builder.add(op, *node.inputs)
    return builder.build()
