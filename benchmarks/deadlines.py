"""Is a limit of time kept? Wall time of every command that has one, less start-up, over the limit, idle and busy.

    python benchmarks/deadlines.py              # about 20 minutes on an idle machine; rewrites results/deadlines.md
    python benchmarks/deadlines.py --of idle    # that half alone; the other stays as it was measured last
    python benchmarks/deadlines.py --commands verify    # those rows alone
    python benchmarks/deadlines.py --quick      # limits of half a second and one second, printed alone

Start-up is the same command with a limit of 0: the interpreter, libraries, reading the files, and what is said in any
case. It varies by tenths of a second, so limits up to 5 s are measured in turn with it, and medians compared. Busy: two
processes that compute all the time run beside it; start-up then varies by up to a second, and limits below 5 s say
nothing. Networks are random, so that no search ends before its limit, but
where an answer is quick.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from harness import machine

from surefoot.core.files import read_json, write_json, write_text
from surefoot.graph.graph import Graph, GraphBuilder
from surefoot.graph.onnx_out import write_onnx
from surefoot.graph.ops import Conv2d, Linear, MaxPool2d, Relu, Reshape

LIMITS, LONG = (0.5, 1.0, 5.0), 30.0
REPEATS = 3
BUSY = 2
ALLOWED = 1.1


def dense(inputs: int, hidden: tuple[int, ...], outputs: int, seed: int) -> Graph:
    """Make a network of random weights."""
    generator = torch.Generator().manual_seed(seed)
    builder, last, width = GraphBuilder((inputs,)), 0, inputs
    for units in (*hidden, outputs):
        weight = torch.randn(units, width, generator=generator) * (2 / width) ** 0.5
        last = builder.add(Linear(weight, 0.1 * torch.randn(units, generator=generator)), last)
        last = last if units == outputs else builder.add(Relu(), last)
        width = units
    return builder.build(last)


def convolutional(side: int, blocks: tuple[tuple[int, ...], ...], classes: int, seed: int) -> Graph:
    """Make a network like VGG, of random weights."""
    generator = torch.Generator().manual_seed(seed)
    builder, last, channels = GraphBuilder((3, side, side)), 0, 3
    for block in blocks:
        for out in block:
            weight = torch.randn(out, channels, 3, 3, generator=generator) * (2 / (channels * 9)) ** 0.5
            last = builder.add(Relu(), builder.add(Conv2d(weight, torch.zeros(out), (1, 1), (1, 1, 1, 1)), last))
            channels = out
        last = builder.add(MaxPool2d((2, 2), (2, 2), (0, 0, 0, 0)), last)
    size = int(np.prod(builder.nodes[last].shape))
    last = builder.add(Reshape((size,)), last)
    return builder.build(
        builder.add(Linear(torch.randn(classes, size, generator=generator) * size**-0.5, torch.zeros(classes)), last)
    )


def moved(graph: Graph, by: float) -> Graph:
    """Change every weight by so much of it."""
    generator = torch.Generator().manual_seed(9)
    for node in graph.nodes:
        for value in vars(node.op).values():
            if isinstance(value, torch.Tensor) and value.is_floating_point():
                value.mul_(1 + by * torch.randn(value.shape, generator=generator))
    return graph


def boxes(count: int, inputs: int, outputs: int) -> str:
    """Write a property of so many boxes that no output passes."""
    rng = np.random.default_rng(0)
    lines = [f"(declare-const X_{i} Real)" for i in range(inputs)] + [
        f"(declare-const Y_{i} Real)" for i in range(outputs)
    ]
    cases = []
    for low in rng.uniform(-1, 0.9, (count, inputs)):
        ends = " ".join(f"(>= X_{i} {v:.4f}) (<= X_{i} {v + 0.1:.4f})" for i, v in enumerate(low))
        cases.append(f"(and {ends} (>= Y_0 100.0))")
    return "\n".join([*lines, f"(assert (or {' '.join(cases)}))"])


def files(folder: Path) -> None:
    """Write networks and properties."""
    deep = dense(5, (50,) * 6, 5, 0)
    write_onnx(deep, folder / "deep.onnx")
    write_onnx(moved(dense(5, (50,) * 6, 5, 0), 0.05), folder / "deep_moved.onnx")
    ends = "\n".join(f"(assert (>= X_{i} -1.0)) (assert (<= X_{i} 1.0))" for i in range(5))
    names = "\n".join(f"(declare-const {x}_{i} Real)" for x in "XY" for i in range(5))
    (folder / "deep.vnnlib").write_text(f"{names}\n{ends}\n(assert (>= Y_0 6.0))\n")
    write_onnx(dense(3, (20, 20), 2, 1), folder / "small.onnx")
    (folder / "boxes.vnnlib").write_text(boxes(1000, 3, 2))
    write_onnx(dense(64, (200, 200), 10, 2), folder / "wide.onnx")
    blocks = ((32, 32), (64, 64), (128,))
    vgg = convolutional(64, blocks, 100, 3)
    write_onnx(vgg, folder / "vgg.onnx")
    write_onnx(moved(convolutional(64, blocks, 100, 3), 0.01), folder / "vgg_moved.onnx")
    rng = np.random.default_rng(0)
    np.savez(folder / "images.npz", x=rng.random((1, 3, 64, 64)).astype(np.float32), y=np.zeros(1, dtype=int))


COMMANDS = {
    "verify, 5 inputs, 6 x 50": "verify deep.onnx deep.vnnlib --timeout",
    "verify, with a certificate": "verify deep.onnx deep.vnnlib --certificate proof.npz --timeout",
    "verify, 1,000 boxes": "verify small.onnx boxes.vnnlib --timeout",
    "verify, an image, like VGG": "verify vgg.onnx --images images.npz --eps 1/255 --timeout",
    "certify, the same": "certify vgg.onnx --images images.npz --eps 1/255 --limit",
    "compress, 2 x 200": "compress wide.onnx --domain 0,1 -o out.onnx --certificate out.npz --limit",
    "equal, 6 x 50": "equal deep.onnx deep_moved.onnx --domain=-1,1 --limit",
    "equal --within, 6 x 50": "equal deep.onnx deep_moved.onnx --domain=-1,1 --within 0.5 --limit",
    "equal, like VGG": "equal vgg.onnx vgg_moved.onnx --domain 0,1 --limit",
    "regions --count": "regions deep.onnx --domain=-1,1 --count --most 1000000 --limit",
}
LONGER = ("verify, 5 inputs, 6 x 50", "verify, an image, like VGG", "equal, 6 x 50", "equal --within, 6 x 50")


def seconds(command: str, limit: float, folder: Path) -> float:
    """Run a command; return its wall time."""
    run = [sys.executable, "-m", "surefoot.cli.main", *command.split(), f"{limit:g}"]
    plain = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}  # of the harness
    begin = time.monotonic()
    done = subprocess.run(run, cwd=folder, capture_output=True, text=True, check=False, env=plain)
    if done.returncode not in (0, 1):
        raise RuntimeError(f"{command} {limit:g}: {done.stderr}")
    return time.monotonic() - begin


@contextmanager
def beside(processes: int) -> Iterator[None]:
    """Keep so many processes busy."""
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(processes)]
    try:
        yield
    finally:
        for process in busy:
            process.kill()
            process.wait()


def measured(commands: dict[str, str], limits: tuple[float, ...], folder: Path) -> dict[str, dict[float, float]]:
    """Return, for each command and limit, wall time less start-up over the limit."""
    ratios: dict[str, dict[float, float]] = {}
    for name, command in commands.items():
        times: dict[float, list[float]] = {limit: [] for limit in (0.0, *limits)}
        for _ in range(REPEATS):
            for limit, walls in times.items():
                walls.append(seconds(command, limit, folder))
        if name in LONGER and limits[-1] == LIMITS[-1]:
            times[LONG] = [seconds(command, LONG, folder)]
        start, *rest = (statistics.median(walls) for walls in times.values())
        ratios[name] = {limit: (wall - start) / limit for limit, wall in zip(list(times)[1:], rest, strict=True)}
        told = ", ".join(f"{limit:g} s: {ratio:.2f}" for limit, ratio in ratios[name].items())
        spread = max(times[0.0]) - min(times[0.0])
        print(f"{name}: start-up {start:.1f} s (differing by {spread:.1f} s); {told}", flush=True)
    return ratios


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--of", choices=("idle", "busy"))
    parser.add_argument("--commands", default="", help="those whose names hold this")
    options = parser.parse_args()
    commands = {name: command for name, command in COMMANDS.items() if options.commands in name}
    results = Path(__file__).parent / "results"
    kept = read_json(results / "deadlines.json") if (results / "deadlines.json").exists() else {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files(folder)
        for how in (options.of,) if options.of else ("idle", "busy"):
            limits = LIMITS[:2] if options.quick else LIMITS if how == "idle" else LIMITS[-1:]
            with beside(BUSY if how == "busy" else 0):
                ratios = measured(commands, limits, folder)
            kept[how] = kept.get(how, {}) | {
                command: {f"{limit:g}": ratio for limit, ratio in row.items()} for command, row in ratios.items()
            }
            if not options.quick:
                write_json(results / "deadlines.json", kept)
                write_text(results / "deadlines.md", page(kept))


def page(kept: dict[str, dict[str, dict[str, float]]]) -> str:
    """Write the page of what was measured."""
    wanted = {"idle": (*LIMITS, LONG), "busy": (LIMITS[-1], LONG)}
    columns = [(how, f"{limit:g}") for how in kept for limit in wanted[how]]
    ratios = {(name, *column): kept[column[0]].get(name, {}).get(column[1]) for name in COMMANDS for column in columns}
    cells = {at: "" if ratio is None else f"{ratio:.2f}" for at, ratio in ratios.items()}
    rows = [[name, *(cells[name, *column] for column in columns)] for name in COMMANDS]
    worst = max(ratio for ratio in ratios.values() if ratio is not None)
    heads = ["command", *(f"{limit} s, {how}" for how, limit in columns)]
    text = [
        "# Are limits of time kept?",
        f"`python benchmarks/deadlines.py`, {machine()}. Wall time of a command less that with a limit of 0, over "
        f"the limit, medians of {REPEATS} runs in turn (of one at {LONG:g} s); {ALLOWED} is allowed, the worst is "
        f"{worst:.2f}. Much less than 1: an answer came before. Busy: beside {BUSY} processes that compute all the "
        "time, where start-up itself varies by up to a second, so that shorter limits say nothing.",
        "\n".join("| " + " | ".join(row) + " |" for row in [heads, ["---"] * len(heads), *rows]),
    ]
    return "\n\n".join(text) + "\n"


if __name__ == "__main__":
    main()
