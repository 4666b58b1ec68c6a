"""A small over-confident network, its rows, and the command that assesses it."""

from pathlib import Path

import numpy as np
import torch

from surefoot.compress.file_equality import read_logits
from surefoot.graph.graph import GraphBuilder, evaluate
from surefoot.graph.onnx_out import write_onnx
from surefoot.graph.ops import Linear, Relu, Softmax


def network(path: Path, softmax: bool = False, sharp: float = 3.0) -> None:
    """Six inputs, three classes, over-confident by `sharp`; some units are inactive on [0, 1]."""
    rng = np.random.default_rng(0)
    builder = GraphBuilder((6,))
    weight, offset = rng.normal(size=(12, 6)), rng.normal(size=12)
    offset[:4] = -30.0
    last = builder.add(Linear(torch.from_numpy(weight), torch.from_numpy(offset)), 0)
    out = sharp * rng.normal(size=(3, 12)) / 3
    last = builder.add(Linear(torch.from_numpy(out), torch.zeros(3).double()), builder.add(Relu(), last))
    if softmax:
        last = builder.add(Softmax(), last)
    write_onnx(builder.build().to(torch.float32), path)


def network_and_rows(folder: Path) -> None:
    """Write the network, the one that the labels follow, and inputs to calibrate on and to measure."""
    network(folder / "net.onnx")
    network(folder / "truth.onnx", sharp=1.0)
    rng = np.random.default_rng(1)
    for name, n in (("validation", 400), ("test", 600)):
        x = rng.random((n, 6)).astype(np.float32)
        z = evaluate(read_logits(folder / "truth.onnx"), torch.from_numpy(x).double()).numpy()
        y = (z + rng.gumbel(size=z.shape)).argmax(1)
        np.savez(folder / f"{name}.npz", x=x, y=y, group=np.where(x[:, 0] > 0.5, "north", "south"))


ASSESS = (
    "assess", "net.onnx", "--images", "test.npz", "--calibration", "validation.npz", "--range", "0,1",
    "--eps", "0,0.005,0.02", "--certify", "10", "-o", "out",
)  # fmt: skip
