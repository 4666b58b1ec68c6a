"""How long do commands take to start? Wall time of whole processes, beside that of `import torch`.

    python benchmarks/startup.py     # rewrites results/startup.md

Medians of runs in turn. Bytecode is compiled before, as an installation or a first run leaves it.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from deadlines import boxes, dense
from harness import machine

from surefoot.core.files import write_text
from surefoot.graph.onnx_out import write_onnx

REPEATS = 15
PYTHON = [sys.executable, "-c"]
SUREFOOT = [sys.executable, "-m", "surefoot.cli.main"]
COMMANDS = {
    "`import torch`": [*PYTHON, "import torch"],
    "`surefoot --help`": [*SUREFOOT, "--help"],
    "`surefoot verify --help`": [*SUREFOOT, "verify", "--help"],
    "`surefoot measure`, 300 rows": [*SUREFOOT, "measure", "table.npz"],
    "`surefoot verify`, 40 neurons": [*SUREFOOT, "verify", "small.onnx", "small.vnnlib"],
}


def files(folder: Path) -> None:
    """Write a tiny network, a property that it has, and a table of logits."""
    write_onnx(dense(3, (20, 20), 2, 1), folder / "small.onnx")
    (folder / "small.vnnlib").write_text(boxes(1, 3, 2))
    rng = np.random.default_rng(0)
    truth = rng.normal(size=(300, 3))
    np.savez(folder / "table.npz", logits=2 * truth, labels=(truth + rng.gumbel(size=truth.shape)).argmax(1))


def main() -> None:
    """Measure and write."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    times: dict[str, list[float]] = {name: [] for name in COMMANDS}
    with tempfile.TemporaryDirectory() as name:
        files(Path(name))
        for _ in range(REPEATS + 1):  # the first writes bytecode
            for command, words in COMMANDS.items():
                begin = time.monotonic()
                subprocess.run(words, cwd=name, env=environment, stdout=subprocess.DEVNULL, check=True)
                times[command].append(time.monotonic() - begin)
    walls = {command: statistics.median(seconds[1:]) for command, seconds in times.items()}
    torch = walls["`import torch`"]
    rows = [["command", "seconds", "beyond `import torch`"], ["---"] * 3]
    rows += [[command, f"{wall:.2f}", f"{wall - torch:+.2f}"] for command, wall in walls.items()]
    text = [
        "# How long commands take to start",
        f"`python benchmarks/startup.py`, {machine()}. Wall time of whole processes, medians of {REPEATS} runs in "
        "turn.",
        "\n".join("| " + " | ".join(row) + " |" for row in rows),
    ]
    write_text(Path(__file__).parent / "results" / "startup.md", "\n\n".join(text) + "\n")
    print("\n".join(map(" ".join, rows)))


if __name__ == "__main__":
    main()
