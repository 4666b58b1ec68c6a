"""ACAS Xu networks and their pruned copies: do they differ by 0.05? Beside `verify` on the graph of their difference.

python results/equal_pairs.py --data ../shared/data
python results/equal_pairs.py --beside 100       # `verify` on the graph of the difference too, so many seconds for each
"""

import os
import re
import statistics
import time
from pathlib import Path
from typing import Any

import harness
import numpy as np

from surefoot.compress.file_equality import with_input_like, within_files
from surefoot.graph.passes.difference import difference_of
from surefoot.graph.passes.softmax import flat_output
from surefoot.spec.input_set import InputSet
from surefoot.spec.opening import open_onnx
from surefoot.spec.query import Query, Unsafe
from surefoot.verify.many import answer_of
from surefoot.verify.network import Network
from surefoot.verify.run import verify

EPS, LIMIT = 0.05, 100.0
CLOSE = 1.5  # times the largest difference seen: what is asked besides of pairs that are equal
REGION = InputSet.of([0.6, -0.5, -0.5, 0.45, -0.45], [0.679857769, 0.5, 0.5, 0.5, -0.45])
WORDS = {"holds": "equal", "violated": "different", "unknown": "unknown"}


def main() -> None:
    """Decide every pair that is there."""
    parser = harness.parser(__doc__)
    parser.add_argument("--data", type=Path, required=True, help="a folder with verify/acasxu, verify/acasxu_pruned")
    parser.add_argument("--beside", type=float, default=0.0, help="seconds for `verify` on the graph of the difference")
    options = parser.parse_args()
    kept = harness.Kept("equal_pairs.json")
    for first, second in pairs(options.data / "verify"):
        name = second.name.removeprefix("ACASXU_run2a_").split(".")[0].replace("_batch_2000_pruned", " ")
        if f"pair {name}" not in kept:
            kept.add(f"pair {name}", decided(first, second, EPS))
        asked = {"": EPS}
        if kept[f"pair {name}"]["verdict"] == "holds":
            seen = kept[f"pair {name}"]["largest_difference_seen"]
            asked["close "] = eps = float(f"{CLOSE * seen:.2g}")
            if f"close pair {name}" not in kept:
                kept.add(f"close pair {name}", {"eps": eps, **decided(first, second, eps)})
        for kind, eps in asked.items():
            if options.beside and f"{kind}joined {name}" not in kept:
                kept.add(f"{kind}joined {name}", beside(first, second, eps, options.beside))
    harness.write_page("equal_pairs.md", page())


def pairs(folder: Path) -> list[tuple[Path, Path]]:
    """Find the pruned networks, each with its original."""
    pruned = sorted((folder / "acasxu_pruned" / "nets_pruned").glob("*.onnx.gz"))
    return [(folder / "acasxu" / "onnx" / re.sub("_pruned[0-9]+", "", path.name), path) for path in pruned]


def decided(first: Path, second: Path, eps: float) -> dict[str, Any]:
    """Decide one pair; see that a counterexample is one."""
    begin, work = time.perf_counter(), _work()
    answer = answer_of(within_files(first, second, REGION, eps, LIMIT))
    answer |= {"seconds": time.perf_counter() - begin, "cpu": _work() - work}
    if answer["verdict"] == "violated":
        x = np.array([answer["input"]], dtype=np.float32)
        gap = float(np.abs(open_onnx(first).run(x) - open_onnx(second).run(x)).max())
        answer["wrong"] = gap < eps
    kept = ("verdict", "bound", "largest_difference_seen", "subproblems", "seconds", "cpu", "method", "wrong")
    return {key: answer[key] for key in kept if key in answer}


def beside(first: Path, second: Path, eps: float, seconds: float) -> dict[str, Any]:
    """Ask the same of the graph of the difference, as `equal` did before it knew bounds of differences."""
    begin, work = time.perf_counter(), _work()
    one, two = open_onnx(first), open_onnx(second)
    graph = difference_of(flat_output(one.graph), flat_output(with_input_like(one.graph, two.graph)))
    unit = np.eye(graph.output_shape[0])
    unsafe = tuple(Unsafe(sign * row[None], np.array([-eps])) for row in unit for sign in (1.0, -1.0))

    def run(x: np.ndarray) -> np.ndarray:
        return one.run(x) - two.run(x)

    answer = answer_of(verify(Network.of(graph, run), Query(REGION, unsafe), seconds, float32=False))
    return {
        "verdict": answer["verdict"], "limit": seconds,
        "seconds": time.perf_counter() - begin, "cpu": _work() - work,
    }  # fmt: skip


def _work() -> float:
    """Return the processor's time of this process and those that it started."""
    return sum(os.times()[:4])


def page() -> list[str]:
    """Say what was kept."""
    kept = harness.Kept("equal_pairs.json")
    ours, theirs = _of(kept, "pair "), _of(kept, "joined ")
    close, close_theirs = _of(kept, "close pair "), _of(kept, "close joined ")
    said = [one["verdict"] for one in ours.values()]
    seconds = [one["seconds"] for one in ours.values()]
    wrong = sum(one.get("wrong", False) for one in ours.values())
    words = [
        f"Of {len(ours)} pairs {said.count('holds')} are equal within {EPS} on the competition's region,",
        f"{said.count('violated')} are not (each input replayed by ONNX Runtime: {wrong} wrong), "
        f"{said.count('unknown')} are left open;",
        f"the median takes {statistics.median(seconds):.2f} s, the longest {max(seconds):.1f} s.",
        *_beside(ours, theirs),
    ]
    closely = [
        f"Of pairs that are equal within {EPS}, asked closely: within {CLOSE:g} times the largest difference seen.",
        *_beside(close, close_theirs),
    ]
    heads = [
        "network, percent pruned",
        "answer",
        "largest seen",
        "bound",
        "s",
        "CPU s",
        "`verify`, CPU s",
        "its answer",
    ]
    return [
        "# Pruned networks beside their originals",
        f"`python results/equal_pairs.py`, {harness.processor()}, other work beside it. Limit {LIMIT:g} s a pair.",
        harness.section("## ACAS Xu, within 0.05", words, heads, _rows(ours, theirs)),
        harness.section("## As close as they are", closely, heads, _rows(close, close_theirs)),
    ]


def _of(kept: harness.Kept, kind: str) -> dict[str, Any]:
    return {key.removeprefix(kind): value for key, value in kept.items() if key.startswith(kind)}


def _rows(ours: dict[str, Any], theirs: dict[str, Any]) -> list[list[str]]:
    rows = []
    for name, one in ours.items():
        other = theirs.get(name)
        cells = [f"{other['cpu']:.1f}", WORDS[other["verdict"]]] if other else ["", ""]
        bound = f"{one['bound']:.3g}" if "bound" in one else ""
        seen = f"{one['largest_difference_seen']:.3g}"
        rows.append([name, WORDS[one["verdict"]], seen, bound, f"{one['seconds']:.2f}", f"{one['cpu']:.2f}", *cells])
    return rows


def _beside(ours: dict[str, Any], theirs: dict[str, Any]) -> list[str]:
    """Compare times, where both were asked and the pair is equal."""
    both = [(ours[name], other) for name, other in theirs.items() if ours[name]["verdict"] == "holds"]
    if not both:
        return []
    times = [other["cpu"] / one["cpu"] for one, other in both]
    left = sum(other["verdict"] == "unknown" for _, other in both)
    return [
        f"Of the {len(both)} that are equal `verify` on the graph of the difference leaves {left} open within "
        f"{both[0][1]['limit']:g} s, and takes {statistics.median(times):.0f} times",
        "as much of the processor in the median.",
    ]


if __name__ == "__main__":
    main()
