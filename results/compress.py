"""Exact compression of networks trained with an l1 penalty, and of public ones: compress*.json, and compress.md.

    python results/compress.py digits                                  30 minutes on one core
    python results/compress.py short                                   the same networks, trained less: 20 minutes
    python results/compress.py mnist --folder DATA/images/mnist        40 minutes a seed
    python results/compress.py public --folder DATA/weights            networks that others trained
    python results/compress.py training                                what l1 and adversarial training do to regions
    python results/compress.py left                                    what a minute a unit leaves open
    python results/compress.py million                                 a million inputs through ONNX Runtime

Each network goes on where it was stopped.
"""

import itertools
import math
import time
from pathlib import Path
from typing import Any

import harness
import numpy as np
import onnxruntime
import torch
import torch.nn.functional as F
from harness import Kept, mean, section
from torch import Tensor

from surefoot.compress.equal import equal
from surefoot.compress.regions import breakpoints, layer_counts, most_regions
from surefoot.compress.stability import stability
from surefoot.compress.transform import compress
from surefoot.data import load_data
from surefoot.graph.graph import Graph, GraphBuilder, evaluate
from surefoot.graph.onnx_out import onnx_of_graph
from surefoot.graph.ops import Linear, Relu
from surefoot.metrics import observe_reliability, read_ece
from surefoot.spec.input_set import InputSet
from surefoot.train.adversary import worst_in_one_step

NETS = {"2x100": (100, 100), "2x200": (200, 200), "3x100": (100, 100, 100)}
PENALTIES = (0.0, 1e-4, 3e-4, 1e-3)
SEEDS = (0, 1, 2)
EPOCHS, SHORT = 300, 120
MNIST_NETS = {
    **{f"2x{n}": (n, n) for n in (100, 200, 400, 800)},
    **{f"{depth}x100": (100,) * depth for depth in (3, 4, 5)},
}
MNIST_PENALTIES = (0.0, 1e-4, 2e-4, 4e-4)
MNIST_EPOCHS, MNIST_BATCH = 12, 128
TRAININGS = ((0.0, 0.0), (0.0, 1e-4), (0.0, 3e-4), (0.0, 1e-3), (0.05, 0.0), (0.1, 0.0), (0.1, 3e-4))  # radius, l1
PUBLIC = {  # dense networks in the key order of their files
    "mnist_mlp_100-100_exactcompression": "of the authors, l1 0",
    "mnist_mlp_2x20_abcrown": "of alpha-beta-CROWN's toys",
    "mnist_mlp_6x100_abcrown": "of ERAN's, by alpha-beta-CROWN",
}
LEFT = {("2x200", 1e-4, 0.0): 3, ("3x100", 1e-4, 0.0): 2, ("2x100", 0.0, 0.05): 1}  # by l1, radius: its table B
PATIENCE = 60.0
RADII = (0.1, 0.05, 0.02)
BOXES = 10
PROTOTYPE = {  # parameters removed with all rewrites, one seed each: our specification's table D
    ("2x100", 1e-4): 18.3, ("2x100", 3e-4): 24.4, ("2x100", 1e-3): 35.0, ("2x200", 1e-4): 20.8, ("2x200", 3e-4): 37.5,
    ("2x200", 1e-3): 66.9, ("3x100", 1e-4): 19.7, ("3x100", 3e-4): 38.3, ("3x100", 1e-3): 56.4,
}  # fmt: skip


def train(
    x: Tensor,
    y: Tensor,
    hidden: tuple[int, ...],
    penalty: float,
    seed: int,
    epochs: int = EPOCHS,
    batch: int = 32,
    radius: float = 0.0,
) -> Graph:
    """Train a dense network by Adam on cross entropy and penalty times the l1 norm of its weights.

    With a radius, on the worst inputs within it that one step of the gradient finds, inside [0, 1].
    """
    torch.manual_seed(seed)
    widths = [x.shape[1], *hidden, 10]
    layers = [torch.nn.Linear(m, n) for m, n in itertools.pairwise(widths)]
    optimiser = torch.optim.Adam([p for layer in layers for p in layer.parameters()], 1e-3)

    def logits(h: Tensor) -> Tensor:
        for layer in layers[:-1]:
            h = F.relu(layer(h))
        return layers[-1](h)

    for _ in range(epochs):
        for rows in torch.randperm(len(x)).split(batch):
            inputs = worst_in_one_step(logits, x[rows], y[rows], radius, 0.0, 1.0) if radius else x[rows]
            loss = F.cross_entropy(logits(inputs), y[rows])
            if penalty:
                loss = loss + penalty * torch.stack([layer.weight.abs().sum() for layer in layers]).sum()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    return dense([(layer.weight.detach(), layer.bias.detach()) for layer in layers])


def dense(layers: list[tuple[Tensor, Tensor]]) -> Graph:
    """Build a dense network of weights and offsets, ReLUs between."""
    builder, last = GraphBuilder((layers[0][0].shape[1],)), 0
    for i, (weight, offset) in enumerate(layers):
        last = builder.add(Linear(weight.double(), offset.double()), last)
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


def treated(graph: Graph, x: Tensor, test: Tensor, labels: Tensor, balls: int = BOXES) -> dict[str, Any]:
    """Compress over [0, 1]^d and over balls around test images, compare. `x`: inputs that rule stability out."""
    d, units = x.shape[1], sum(node.shape[0] for node in graph.nodes if isinstance(node.op, Relu))
    domain = InputSet(np.zeros(d), np.ones(d))
    begin = time.process_time()
    found = stability(graph, domain, 2.0, x.double())
    seconds = time.process_time() - begin
    made = compress(graph, domain, 2.0, x.double())
    small = made.graph.to(torch.float32).to(torch.float64)
    gap = equal(graph, small, domain, known=found)
    before, old = measured(graph, test, labels)
    after, new = measured(small, test, labels)
    local = {}
    for radius in RADII if balls else ():
        gone, stable = [], []
        for image in test[:balls].double():
            around = InputSet.of((image - radius).clamp(0, 1), (image + radius).clamp(0, 1))
            here = compress(graph, around, 0.0)
            gone.append(1 - here.graph.parameters() / graph.parameters())
            stable.append(1 - here.stability.counts()[2] / units)
        local[str(radius)] = [float(np.mean(stable)), float(np.mean(gone))]
    active, inactive, open_ = found.counts()
    return {
        "before": old, "after": new, "active": active, "inactive": inactive, "neither": open_,
        "searched": found.searched, "unfinished": found.open, "seconds": seconds,
        "parameters": [graph.parameters(), made.graph.parameters()],
        "units": [units, units - sum(made.removed.values())],
        "removed": dict(made.removed), "bound": gap.largest, "confidence_met": float((before - after).abs().max()),
        "answers_changed": int((before.argmax(1) != after.argmax(1)).sum()), "balls": local,
    }  # fmt: skip


def page() -> list[str]:
    """Write the tables."""
    kept, short = Kept("compress.json"), Kept("compress_short.json")
    rows, around = [], []
    for name, penalty in itertools.product(NETS, PENALTIES):
        found = kept.of(name, penalty)
        if not found:
            continue
        same = all(f"{v['before']['ece']:.6f}" == f"{v['after']['ece']:.6f}" for v in found)
        before = PROTOTYPE.get((name, penalty))
        rows.append([
            name, f"{penalty:g}", f"{np.mean([v['before']['accuracy'] for v in found]):.1%}", *_searched(found),
            f"{_gone(found):.1%}", "" if before is None else f"{before}%", f"{_gone(short.of(name, penalty)):.1%}",
            f"{max(v['bound'] for v in found):.1g}", "to 6 digits" if same else "differ", *_moved(found),
        ])  # fmt: skip
        shares = np.mean([[v["balls"][str(radius)] for radius in RADII] for v in found], 0)
        around.append([name, f"{penalty:g}", *(f"{stable:.0%} / {gone:.0%}" for stable, gone in shares)])
    digits_words = (
        f"Dense networks on the digits (8 x 8, [0, 1]), cross entropy + l1, Adam, {EPOCHS} epochs;",
        f"mean of {len(SEEDS)} seeds. The domain is [0, 1]^64; an exact search takes at most",
        "2 s a unit. *Prototype*: what our specification's prototype removed, one seed, its training not",
        "told. *Bound*: proven, over the whole domain, of any logit, with weights rounded to float32. How much can go",
        f"depends on how long l1 acts: *after {SHORT}* is what goes of networks that were trained {SHORT} epochs.",
        "Command: `python results/compress.py` (and `short`).",
    )
    heads = (
        "network", "l1", "accuracy", *SEARCHED, "parameters removed", "prototype", f"after {SHORT}", "bound",
        "ECE before = after", *MOVED,
    )  # fmt: skip
    around_words = (
        f"The same networks over balls (l-infinity, within [0, 1]) around {BOXES} test images, by bounds alone: share",
        "of units that are stable / of parameters removed.",
    )
    return [
        section("# Exact compression", digits_words, heads, rows),
        section("## Around one image", around_words, ["network", "l1", *(f"{r:g}" for r in RADII)], around),
        *_mnist_part(), *_public_part(), *_training_part(), *_left_part(), *_million_part(),
    ]  # fmt: skip


SEARCHED = ("active / inactive / neither", "searched / unfinished", "CPU s")
MOVED = ("confidence moved", "answers changed")
TREATED = (
    "seeds", "accuracy", *SEARCHED, "units left", "parameters removed", "bound", "accuracy, NLL, ECE to 6 digits",
    *MOVED,
)  # fmt: skip


def _searched(found: list[dict[str, Any]]) -> list[str]:
    active, inactive, neither, searched, unfinished, seconds = (
        mean(found, key) for key in ("active", "inactive", "neither", "searched", "unfinished", "seconds")
    )
    return [f"{active:.0f} / {inactive:.0f} / {neither:.0f}", f"{searched:.1f} / {unfinished:.1f}", f"{seconds:.1f}"]


def _moved(found: list[dict[str, Any]]) -> list[str]:
    return [f"{max(v['confidence_met'] for v in found):.1g}", str(sum(v["answers_changed"] for v in found))]


def _gone(found: list[dict[str, Any]]) -> float:
    return float(np.mean([1 - v["parameters"][1] / v["parameters"][0] for v in found]))


def _treated(found: list[dict[str, Any]]) -> list[str]:
    same = all(f"{v['before'][m]:.6f}" == f"{v['after'][m]:.6f}" for v in found for m in ("accuracy", "nll", "ece"))
    return [
        str(len(found)), f"{np.mean([v['before']['accuracy'] for v in found]):.2%}", *_searched(found),
        f"{np.mean([v['units'][1] for v in found]):.0f} of {found[0]['units'][0]}", f"{_gone(found):.1%}",
        f"{max(v['bound'] for v in found):.1g}", "the same" if same else "differ", *_moved(found),
    ]  # fmt: skip


def _mnist_part() -> list[str]:
    kept = Kept("compress_mnist.json")
    words = (
        f"60,000 images less the held-out ones, {MNIST_EPOCHS} epochs (the authors: 120), batches of {MNIST_BATCH}.",
        "Command: `python results/compress.py mnist --folder ../shared/data/images/mnist`. Published: up to 56% of the",
        "*connections* of CIFAR-10 networks go with an l1 that does not worsen accuracy (Serra et al. 2021, abstract);",
        "their MNIST tables could not be reached.",
    )
    rows = [
        [name, f"{penalty:g}", *_treated(found)]
        for name, penalty in itertools.product(MNIST_NETS, MNIST_PENALTIES)
        if (found := kept.of(name, penalty))
    ]
    return [section("## MNIST", words, ["network", "l1", *TREATED], rows)] if kept else []


def _public_part() -> list[str]:
    kept = Kept("compress_public.json")
    words = ["Command: `python results/compress.py public --folder ../shared/data/weights`."]
    rows = [[f"{name}, {PUBLIC[name]}", *_treated([v])] for name, v in kept.items()]
    return [section("## Networks that others trained", words, ["network", *TREATED], rows)] if kept else []


def _training_part() -> list[str]:
    kept = Kept("compress_training.json")
    words = (
        f"Digits, 2x100, mean of {len(SEEDS)} seeds. *Pieces*: crossed by a segment between test images, mean of 60.",
        "*Regions*: the bound of Serra and Ramalingam, which counts stable units, as a power of 10. *Attacked*:",
        "accuracy after one step of 0.1. Command: `python results/compress.py training`.",
    )
    heads = (
        "radius", "l1", "accuracy", "attacked", "ECE", "stable of 200", "parameters removed", "pieces",
        "regions at most",
    )  # fmt: skip
    rows = []
    for radius, penalty in TRAININGS:
        found = kept.of(radius, penalty)
        if found:
            m = {key: mean(found, key) for key in found[0]}
            rows.append([
                f"{radius:g}", f"{penalty:g}", f"{m['accuracy']:.1%}", f"{m['attacked']:.1%}", f"{m['ece']:.1%}",
                f"{m['stable']:.0f}", f"{m['removed']:.1%}", f"{m['segment']:.1f}", f"1e{m['at_most']:.0f}",
            ])  # fmt: skip
    parts = [section("## What l1 and adversarial training do", words, heads, rows)] if kept else []
    plain, hard = kept.of(0.0, 0.0), kept.of(0.1, 0.0)
    if plain and hard:
        more = mean(hard, "segment") / mean(plain, "segment") - 1
        parts.append(
            f"l1 lowers the number of pieces, as Kumar et al. 2019 report. Adversarial training (one step) "
            f"{'raised' if more > 0 else 'lowered'} it by {abs(more):.0%} here, "
            f"{'against' if more > 0 else 'as in'} what they report."
        )
    return parts


def _left_part() -> list[str]:
    kept = Kept("compress_left.json")
    words = (
        f"Units whose sign is open after {PATIENCE:g} s of search each, where searches are hardest: little l1, or",
        "none and training on attacked inputs. *Largest*: by how much the proven bound of such a unit misses 0.",
        "*Prototype*: its number, one network each, as long. Command: `python results/compress.py left`.",
    )
    heads = (
        "network", "l1", "radius", "epochs", "seed", "accuracy", "searched", "open", "largest", "CPU s", "prototype",
    )  # fmt: skip
    rows = []
    for key, v in kept.items():
        name, penalty, radius, epochs, seed = key.split()
        rows.append([
            name, f"{float(penalty):g}", f"{float(radius):g}", epochs, seed, f"{v['accuracy']:.1%}", v["searched"],
            v["open"], f"{v['largest']:.1g}", f"{v['seconds']:.0f}", LEFT[name, float(penalty), float(radius)],
        ])  # fmt: skip
    return [section("## What a minute leaves open", words, heads, rows)] if kept else []


def _million_part() -> list[str]:
    kept = Kept("compress_million.json")
    kinds = ("random", "corners", "borders", "attacks")
    words = (
        "Digits, seed 0, float32: how many inputs, the largest change of a logit, how many answers changed. *Borders*:",
        "where a ReLU changes its sign. *Attacks*: test images moved by 0.1 to where the loss is larger.",
        "Command: `python results/compress.py million`.",
    )
    rows = []
    for key, v in kept.items():
        cells = [f"{n:,}: {gap:.1g}, {changed}" for n, gap, changed in (v["kinds"][kind] for kind in kinds)]
        name, penalty = key.split()
        rows.append([name, f"{float(penalty):g}", f"{_gone([v]):.1%}", *cells])
    heads = ("network", "l1", "parameters removed", *kinds)
    return [section("## A million inputs through ONNX Runtime", words, heads, rows)] if kept else []


def digits(file: str, epochs: int) -> None:
    """Train and treat what is missing of the digits table."""
    kept, data = Kept(file), load_data("digits")
    x, test = (part.x.flatten(1).float() for part in (data.train, data.test))
    for seed, name, penalty in itertools.product(SEEDS, NETS, PENALTIES):
        key = f"{name} {penalty} {seed}"
        if key not in kept:
            graph = train(x, data.train.y, NETS[name], penalty, seed, epochs)
            _keep(kept, key, treated(graph, x, test, data.test.y))


def mnist(folder: Path, seeds: int) -> None:
    """Train and treat what is missing of the MNIST table."""
    kept, data = Kept("compress_mnist.json"), load_data("mnist", folder=folder)
    x, test = (part.x.flatten(1).float() / 255 for part in (data.train, data.test))
    for seed, name, penalty in itertools.product(range(seeds), MNIST_NETS, MNIST_PENALTIES):
        key = f"{name} {penalty} {seed}"
        if key not in kept:
            graph = train(x, data.train.y, MNIST_NETS[name], penalty, seed, MNIST_EPOCHS, MNIST_BATCH)
            balls = 2 if name in ("2x100", "3x100") else 0
            _keep(kept, key, treated(graph, x[:20_000], test, data.test.y, balls))


def public(folder: Path) -> None:
    """Treat networks that others trained."""
    kept, data = Kept("compress_public.json"), load_data("mnist", folder=folder.parent / "images" / "mnist")
    x, test = (part.x.flatten(1).float() / 255 for part in (data.train, data.test))
    for name in PUBLIC:
        if name not in kept:
            held = list(np.load(folder / f"{name}.npz").values())
            layers = [(torch.tensor(w), torch.tensor(b)) for w, b in zip(held[::2], held[1::2], strict=True)]
            _keep(kept, name, treated(dense(layers), x[:20_000], test, data.test.y, balls=2))


def training() -> None:
    """Count what l1 and adversarial training do to stable units, to regions on segments, and to compression."""
    kept, data = Kept("compress_training.json"), load_data("digits")
    x, test = (part.x.flatten(1).float() for part in (data.train, data.test))
    domain = InputSet(np.zeros(64), np.ones(64))
    for seed, (radius, penalty) in itertools.product(SEEDS, TRAININGS):
        key = f"{radius} {penalty} {seed}"
        if key in kept:
            continue
        graph = train(x, data.train.y, NETS["2x100"], penalty, seed, radius=radius)
        made = compress(graph, domain, 2.0, x.double())
        counts = layer_counts(made.stability)
        assert counts is not None
        segments = [len(breakpoints(graph, a, b)) - 1 for a, b in itertools.pairwise(test[:61].double())]
        attacked = evaluate(graph.to(torch.float32), _attacked(graph, test, data.test.y)).argmax(1)
        _keep(kept, key, {
            **measured(graph, test, data.test.y)[1],
            "attacked": float((attacked == data.test.y).double().mean()),
            "stable": sum(made.stability.counts()[:2]),
            "removed": 1 - made.graph.parameters() / graph.parameters(),
            "segment": float(np.mean(segments)),
            "at_most": math.log10(most_regions(64, *counts)),
        })  # fmt: skip


def left() -> None:
    """Search as long as the prototype did, where it left units open."""
    kept, data = Kept("compress_left.json"), load_data("digits")
    x, test = (part.x.flatten(1).float() for part in (data.train, data.test))
    domain = InputSet(np.zeros(64), np.ones(64))
    for seed, (name, penalty, radius), epochs in itertools.product(SEEDS, LEFT, (SHORT, EPOCHS)):
        key = f"{name} {penalty} {radius} {epochs} {seed}"
        if key in kept:
            continue
        graph = train(x, data.train.y, NETS[name], penalty, seed, epochs, radius=radius)
        begin = time.process_time()
        found = stability(graph, domain, PATIENCE, x.double())
        seconds = time.process_time() - begin
        missed = [0.0]
        for at, signs in list(found.signs.items())[1:]:  # of the first layer intervals are exact
            box, (least, most) = found.boxes[graph.nodes[at].inputs[0]], found.seen[graph.nodes[at].inputs[0]]
            one_sided = (signs == 0) & ((least >= 0) | (most <= 0))
            missed += torch.minimum(-box.lower[0], box.upper[0])[one_sided].tolist()
        _keep(kept, key, {
            "accuracy": measured(graph, test, data.test.y)[1]["accuracy"],
            "searched": found.searched, "open": found.open, "largest": max(missed), "seconds": seconds,
        })  # fmt: skip


def million() -> None:
    """Run a million inputs through a network and its smaller one: random, corners, borders of regions, attacks."""
    kept, data = Kept("compress_million.json"), load_data("digits")
    x, test = (part.x.flatten(1).float() for part in (data.train, data.test))
    domain = InputSet(np.zeros(64), np.ones(64))
    for name, penalty in itertools.product(NETS, (3e-4, 1e-3)):
        key = f"{name} {penalty}"
        if key in kept:
            continue
        graph = train(x, data.train.y, NETS[name], penalty, 0)
        small = compress(graph, domain, 2.0, x.double()).graph
        sessions = [
            onnxruntime.InferenceSession(onnx_of_graph(g).SerializeToString(), providers=["CPUExecutionProvider"])
            for g in (graph, small)
        ]
        generator = torch.Generator().manual_seed(0)
        anywhere = torch.rand(250_000, 64, generator=generator)
        corners = torch.randint(2, (250_000, 64), generator=generator).float()
        ends = torch.rand(4000, 2, 64, generator=generator).double()
        borders = torch.cat([
            a + t.unsqueeze(1) * (b - a) for a, b in ends for t in [breakpoints(graph, a, b)]
        ])[:250_000].float()  # fmt: skip
        seeds = test[torch.randint(len(test), (250_000,), generator=generator)]
        labels = evaluate(graph.to(torch.float32), seeds).argmax(1)
        attacks = torch.cat(
            [_attacked(graph, s, y) for s, y in zip(seeds.split(50_000), labels.split(50_000), strict=True)]
        )
        found = {}
        for kind, inputs in (("random", anywhere), ("corners", corners), ("borders", borders), ("attacks", attacks)):
            one, two = (np.asarray(s.run(None, {s.get_inputs()[0].name: inputs.numpy()})[0]) for s in sessions)
            found[kind] = [len(inputs), float(np.abs(one - two).max()), int((one.argmax(1) != two.argmax(1)).sum())]
        _keep(kept, key, {"kinds": found, "parameters": [graph.parameters(), small.parameters()]})


def _attacked(graph: Graph, x: Tensor, y: Tensor) -> Tensor:
    torch.manual_seed(0)
    single = graph.to(torch.float32)
    return worst_in_one_step(lambda z: evaluate(single, z), x, y, 0.1, 0.0, 1.0)


def _keep(kept: Kept, key: str, result: dict[str, Any]) -> None:
    """Keep one more result, and write the page of what there is: a table takes hours."""
    kept.add(key, result)
    harness.write_page("compress.md", page())


def main() -> None:
    """Run what is missing of one table, write the page."""
    parser = harness.parser(__doc__)
    parser.add_argument(
        "part",
        choices=("digits", "short", "mnist", "public", "training", "left", "million", "page"),
        nargs="?",
        default="digits",
    )
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--seeds", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(1)
    match args.part:
        case "digits":
            digits("compress.json", EPOCHS)
        case "short":
            digits("compress_short.json", SHORT)
        case "mnist":
            mnist(args.folder, args.seeds)
        case "public":
            public(args.folder)
        case "training":
            training()
        case "left":
            left()
        case "million":
            million()
    harness.write_page("compress.md", page())


if __name__ == "__main__":
    main()
