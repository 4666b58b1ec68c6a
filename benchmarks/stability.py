"""All signs of a network's second layer: our cascade against one mixed-integer program a unit and side, by HiGHS.

    python benchmarks/stability.py

The network: digits, 2x100, l1, 120 epochs, as `short` in results/compress.py. Both give each unit's sign over
[0, 1]^64; they must agree. The programs (Serra et al. 2020; h >= g, h <= g - l (1 - z), h <= u z, bounds l, u from
ours) are solved to the optimum, or only until the sign is known: can the unit be at least 1e-6, can it be at most
-1e-6? The cascade is repeated and its median taken, between the programs.
"""

import runpy
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy import sparse
from scipy.optimize import Bounds, LinearConstraint, milp

from surefoot.compress.stability import Stability, stability
from surefoot.core.files import write_text
from surefoot.data import load_data
from surefoot.spec.input_set import InputSet

_RESULTS = runpy.run_path(str(Path(__file__).parents[1] / "results" / "compress.py"))  # the same networks
train, NETS, EPOCHS = (_RESULTS[name] for name in ("train", "NETS", "SHORT"))

PENALTIES = (1e-3, 3e-4)
REPEATS = 5


TOLERANCE = 1e-6


def sign_by_programs(found: Stability, unit: int, to_optimum: bool) -> int:
    """Solve for the least and the largest value of a unit of the second layer, or for its signs alone."""
    first, second = found.graph.nodes[1].op, found.graph.nodes[3].op
    w, b = first.weight.numpy(), first.bias.numpy()  # type: ignore[union-attr]
    v, c = second.weight.numpy()[unit], float(second.bias[unit])  # type: ignore[union-attr,index]
    low, high = found.boxes[1].lower[0].numpy(), found.boxes[1].upper[0].numpy()
    n, d = w.shape
    active, open_ = low >= 0, (low < 0) & (high > 0)
    eye, none = sparse.identity(n, format="csr"), sparse.csr_matrix((n, n))
    rows = [  # over x, h, z
        sparse.hstack([-w, eye, none]),  # h - W x >= b where active or open
        sparse.hstack([-w, eye, sparse.diags(-low)]),  # h - W x - l z <= b - l
        sparse.hstack([sparse.csr_matrix((n, d)), eye, sparse.diags(-high)]),  # h <= u z
    ]
    keep = np.flatnonzero(active | open_)

    def constraint(row: Any, least: Any, most: Any) -> LinearConstraint:
        least, most = (np.broadcast_to(np.asarray(end, dtype=float), n)[keep] for end in (least, most))
        return LinearConstraint(sparse.csr_matrix(row)[keep], least, most)  # type: ignore[arg-type]

    limits: Any = [
        constraint(rows[0], b, np.inf),
        constraint(rows[1], -np.inf, np.where(active, b, b - low)),
        constraint(rows[2], -np.inf, 0.0),
    ]
    top = np.where(high > 0, high, 0)
    z_low, z_high = np.where(active, 1.0, 0.0), np.where(active | open_, 1.0, 0.0)
    ends_low, ends_high = np.concatenate([np.zeros(d), np.zeros(n), z_low]), np.concatenate([np.ones(d), top, z_high])
    bounds = Bounds(ends_low, ends_high)  # type: ignore[arg-type]
    whole = np.concatenate([np.zeros(d + n), np.ones(n)])
    goal = np.concatenate([np.zeros(d), v, np.zeros(n)])
    if to_optimum:
        least, most = (
            sign * milp(sign * goal, constraints=limits, bounds=bounds, integrality=whole).fun + c for sign in (1, -1)
        )
        return 1 if least >= -TOLERANCE else -1 if most <= TOLERANCE else 0
    for sign in (1, -1):  # is there an input that gives the unit this sign?
        row = LinearConstraint(sparse.csr_matrix(sign * goal), TOLERANCE - sign * c, np.inf)  # type: ignore[arg-type]
        solved = milp(np.zeros(len(goal)), constraints=[*limits, row], bounds=bounds, integrality=whole)
        if solved.status == 2:  # none
            return -sign
    return 0


def main() -> None:
    """Time both, compare the answers, write the table."""
    torch.set_num_threads(1)
    data = load_data("digits")
    x = data.train.x.flatten(1).float()
    domain = InputSet(np.zeros(64), np.ones(64))
    lines = [
        "# Stability: our cascade against mixed-integer programs\n",
        "Digits, 2x100, seed 0; CPU seconds of one thread. Ours decides both layers; HiGHS (by SciPy) the second, two",
        "programs a unit, to the optimum or until the sign is known. Command: `python benchmarks/stability.py`.\n",
        "| l1 | active / inactive / neither of layer 2 | ours (median) | HiGHS, optimum | ratio | HiGHS, sign | ratio |"
        " answers that differ |",
        "|" + "---|" * 8,
    ]
    for penalty in PENALTIES:
        graph = train(x, data.train.y, NETS["2x100"], penalty, 0, EPOCHS)
        ours, differ = [], 0
        theirs = {True: 0.0, False: 0.0}
        found = stability(graph, domain, 2.0, x.double())
        signs = found.signs[4].numpy()
        for unit in range(100):
            for to_optimum in theirs:
                begin = time.process_time()
                answer = sign_by_programs(found, unit, to_optimum)
                theirs[to_optimum] += time.process_time() - begin
                differ += answer != signs[unit]
            if unit % (100 // REPEATS) == 0:
                begin = time.process_time()
                stability(graph, domain, 2.0, x.double())
                ours.append(time.process_time() - begin)
        counts = f"{(signs > 0).sum()} / {(signs < 0).sum()} / {(signs == 0).sum()}"
        mine = float(np.median(ours))
        cells = " | ".join(f"{seconds:.0f} | {seconds / mine:.0f}" for seconds in theirs.values())
        lines.append(f"| {penalty:g} | {counts} | {mine:.2f} | {cells} | {differ} |")
        print(lines[-1], flush=True)
    write_text(Path(__file__).parent / "results" / "stability.md", "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
