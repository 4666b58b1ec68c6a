"""Exact compression of digits networks trained with an l1 penalty. Writes `compress.json`, then `compress.md`.

    python results/compress.py

Each network goes on where it was stopped. About 20 minutes on one core.
"""

import itertools
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from surefoot.compress.equal import equal
from surefoot.compress.stable import stability
from surefoot.compress.transform import compress
from surefoot.core.files import read_json, write_json, write_text
from surefoot.data import load_data
from surefoot.graph.graph import Graph, GraphBuilder, evaluate
from surefoot.graph.ops import Linear, Relu
from surefoot.metrics import observe_reliability, read_ece

HERE = Path(__file__).parent
NETS = {"2x100": (100, 100), "2x200": (200, 200), "3x100": (100, 100, 100)}
PENALTIES = (0.0, 1e-4, 3e-4, 1e-3)
SEEDS = (0, 1, 2)
EPOCHS = 120
RADII = (0.1, 0.05, 0.02)
BOXES = 10
PROTOTYPE = {  # parameters removed with all rewrites, one seed each: our specification's table D
    ("2x100", 1e-4): 18.3, ("2x100", 3e-4): 24.4, ("2x100", 1e-3): 35.0, ("2x200", 1e-4): 20.8, ("2x200", 3e-4): 37.5,
    ("2x200", 1e-3): 66.9, ("3x100", 1e-4): 19.7, ("3x100", 3e-4): 38.3, ("3x100", 1e-3): 56.4,
}  # fmt: skip


def train(x: Tensor, y: Tensor, hidden: tuple[int, ...], penalty: float, seed: int) -> Graph:
    """Train a dense network by Adam on cross entropy and penalty times the l1 norm of its weights."""
    torch.manual_seed(seed)
    widths = [x.shape[1], *hidden, 10]
    layers = [torch.nn.Linear(m, n) for m, n in itertools.pairwise(widths)]
    optimiser = torch.optim.Adam([p for layer in layers for p in layer.parameters()], 1e-3)
    for _ in range(EPOCHS):
        for rows in torch.randperm(len(x)).split(32):
            h = x[rows]
            for layer in layers[:-1]:
                h = F.relu(layer(h))
            loss = F.cross_entropy(layers[-1](h), y[rows])
            if penalty:
                loss = loss + penalty * torch.stack([layer.weight.abs().sum() for layer in layers]).sum()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    builder, last = GraphBuilder((x.shape[1],)), 0
    for i, layer in enumerate(layers):
        assert layer.bias is not None
        last = builder.add(Linear(layer.weight.detach().double(), layer.bias.detach().double()), last)
        last = builder.add(Relu(), last) if i < len(layers) - 1 else last
    return builder.build(last)


def measured(graph: Graph, x: Tensor, y: Tensor) -> tuple[Tensor, dict[str, float]]:
    """Return float32 probabilities, and accuracy, NLL and ECE."""
    probs = F.softmax(evaluate(graph.to(torch.float32), x), 1).double()
    p, labels = probs.numpy(), y.numpy()
    nll = float(-np.log(p[np.arange(len(p)), labels].clip(1e-300)).mean())
    return probs, {
        "accuracy": float((p.argmax(1) == labels).mean()),
        "nll": nll,
        "ece": read_ece(observe_reliability(p, labels)),
    }


def one(x: Tensor, y: Tensor, test: Tensor, labels: Tensor, name: str, penalty: float, seed: int) -> dict[str, Any]:
    """Train, compress over [0, 1]^64 and over balls around test images, compare."""
    graph = train(x, y, NETS[name], penalty, seed)
    low, high = torch.zeros(64).double(), torch.ones(64).double()
    begin = time.process_time()
    found = stability(graph, low, high, 2.0, x.double())
    seconds = time.process_time() - begin
    made = compress(graph, low, high, 2.0, x.double())
    small = made.graph.to(torch.float32).to(torch.float64)
    gap = equal(graph, small, low, high, known=found)
    before, old = measured(graph, test, labels)
    after, new = measured(small, test, labels)
    balls = {}
    for radius in RADII:
        gone, stable = [], []
        for image in test[:BOXES].double():
            lo, hi = (image - radius).clamp(0, 1), (image + radius).clamp(0, 1)
            local = compress(graph, lo, hi, 0.0)
            gone.append(1 - local.graph.parameters() / graph.parameters())
            stable.append(1 - local.stability.counts()[2] / sum(NETS[name]))
        balls[str(radius)] = [float(np.mean(stable)), float(np.mean(gone))]
    active, inactive, open_ = found.counts()
    return {
        "before": old, "after": new, "active": active, "inactive": inactive, "neither": open_,
        "searched": found.searched, "unfinished": found.open, "seconds": seconds,
        "parameters": [graph.parameters(), made.graph.parameters()], "removed": dict(made.removed),
        "bound": gap.largest, "confidence_met": float((before - after).abs().max()),
        "answers_changed": int((before.argmax(1) != after.argmax(1)).sum()), "balls": balls,
    }  # fmt: skip


def page(kept: dict[str, Any]) -> str:
    """Write the tables."""
    lines = [
        "# Exact compression\n",
        "Dense networks on the digits (8 x 8, [0, 1]), cross entropy + l1, Adam, "
        f"{EPOCHS} epochs;\nmean of {len(SEEDS)} seeds. The domain is [0, 1]^64; an exact search takes at most",
        "2 s a unit. *Prototype*: what our specification's prototype removed, one seed, other training. *Bound*:",
        "proven, over the whole domain, of any logit, with weights rounded to float32.",
        "Command: `python results/compress.py`.\n",
        "| network | l1 | accuracy | active / inactive / neither | searched / unfinished | CPU s | parameters removed |"
        " prototype | bound | ECE before = after | confidence moved | answers changed |",
        "|" + "---|" * 12,
    ]
    for name in NETS:
        for penalty in PENALTIES:
            found = [kept[k] for s in SEEDS if (k := f"{name} {penalty} {s}") in kept]
            if not found:
                continue

            def mean(key: str, rows: list[dict[str, Any]] = found) -> float:
                return float(np.mean([v[key] for v in rows]))

            gone = [1 - v["parameters"][1] / v["parameters"][0] for v in found]
            same = all(f"{v['before']['ece']:.6f}" == f"{v['after']['ece']:.6f}" for v in found)
            before = PROTOTYPE.get((name, penalty))
            lines.append(
                f"| {name} | {penalty:g} | {np.mean([v['before']['accuracy'] for v in found]):.1%} | "
                f"{mean('active'):.0f} / {mean('inactive'):.0f} / {mean('neither'):.0f} | {mean('searched'):.1f} / "
                f"{mean('unfinished'):.1f} | {mean('seconds'):.1f} | {np.mean(gone):.1%} | "
                f"{'' if before is None else f'{before}%'} | {max(v['bound'] for v in found):.1g} | "
                f"{'to 6 digits' if same else 'differ'} | {max(v['confidence_met'] for v in found):.1g} | "
                f"{sum(v['answers_changed'] for v in found)} |"
            )
    lines += [
        "\n## Around one image\n",
        f"The same networks over balls (l-infinity, within [0, 1]) around {BOXES} test images, by bounds alone: share",
        "of units that are stable / of parameters removed.\n",
        "| network | l1 | " + " | ".join(f"{r:g}" for r in RADII) + " |",
        "|" + "---|" * (2 + len(RADII)),
    ]
    for name in NETS:
        for penalty in PENALTIES:
            found = [kept[k] for s in SEEDS if (k := f"{name} {penalty} {s}") in kept]
            if found:
                cells = [np.mean([v["balls"][str(r)] for v in found], 0) for r in RADII]
                lines.append(f"| {name} | {penalty:g} | " + " | ".join(f"{a:.0%} / {b:.0%}" for a, b in cells) + " |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run what is missing, write the page."""
    torch.set_num_threads(1)
    path = HERE / "compress.json"
    kept = read_json(path) if path.exists() else {}
    data = load_data("digits")
    for seed in SEEDS:
        for name in NETS:
            for penalty in PENALTIES:
                key = f"{name} {penalty} {seed}"
                if key not in kept:
                    x, test = (part.x.flatten(1).float() for part in (data.train, data.test))
                    kept[key] = one(x, data.train.y, test, data.test.y, name, penalty, seed)
                    write_json(path, kept)
                    shown = {k: v for k, v in kept[key].items() if k not in ("balls", "after")}
                    print(key, shown, flush=True)
                write_text(HERE / "compress.md", page(kept))


if __name__ == "__main__":
    main()
