"""ACAS Xu networks and their pruned copies: do they differ by 0.05? Beside `verify` on the graph of both; a page.

python results/equal_pairs.py --data ../shared/data
python results/equal_pairs.py --beside 100       # `verify` on the joined network too, so many seconds for each
"""

import re
import statistics
import time
from pathlib import Path
from typing import Any

import harness
import numpy as np

from surefoot.compress.file_equality import within_files
from surefoot.graph.passes.joined import joined
from surefoot.spec.input_set import InputSet
from surefoot.spec.opening import open_onnx
from surefoot.spec.query import Query, Unsafe
from surefoot.verify.many import answer_of
from surefoot.verify.network import Network
from surefoot.verify.run import verify

EPS, LIMIT = 0.05, 100.0
REGION = InputSet.of([0.6, -0.5, -0.5, 0.45, -0.45], [0.679857769, 0.5, 0.5, 0.5, -0.45])
WORDS = {"holds": "equal", "violated": "different", "unknown": "unknown"}


def main() -> None:
    """Decide every pair that is there."""
    parser = harness.parser(__doc__)
    parser.add_argument("--data", type=Path, required=True, help="a folder with verify/acasxu, verify/acasxu_pruned")
    parser.add_argument("--beside", type=float, default=0.0, help="seconds for `verify` on the joined network")
    options = parser.parse_args()
    kept = harness.Kept("equal_pairs.json")
    for first, second in pairs(options.data / "verify"):
        name = second.name.removeprefix("ACASXU_run2a_").split(".")[0].replace("_batch_2000_pruned", " ")
        if f"pair {name}" not in kept:
            kept.add(f"pair {name}", decided(first, second))
        if options.beside and f"joined {name}" not in kept:
            kept.add(f"joined {name}", beside(first, second, options.beside))
    harness.write_page("equal_pairs.md", page())


def pairs(folder: Path) -> list[tuple[Path, Path]]:
    """Find the pruned networks, each with its original."""
    pruned = sorted((folder / "acasxu_pruned" / "nets_pruned").glob("*.onnx.gz"))
    return [(folder / "acasxu" / "onnx" / re.sub("_pruned[0-9]+", "", path.name), path) for path in pruned]


def decided(first: Path, second: Path) -> dict[str, Any]:
    """Decide one pair; see that a counterexample is one."""
    begin, work = time.perf_counter(), time.process_time()
    answer = answer_of(within_files(first, second, REGION, EPS, LIMIT))
    answer |= {"seconds": time.perf_counter() - begin, "cpu": time.process_time() - work}
    if answer["verdict"] == "violated":
        x = np.array([answer["input"]], dtype=np.float32)
        gap = float(np.abs(open_onnx(first).run(x) - open_onnx(second).run(x)).max())
        answer["wrong"] = gap < EPS
    kept = ("verdict", "bound", "largest_difference_seen", "subproblems", "seconds", "cpu", "method", "wrong")
    return {key: answer[key] for key in kept if key in answer}


def beside(first: Path, second: Path, seconds: float) -> dict[str, Any]:
    """Ask the same of the joined network."""
    begin, work = time.perf_counter(), time.process_time()
    one, two = open_onnx(first), open_onnx(second)
    places = list(range(REGION.size))
    graph = joined([(one.graph, places), (two.graph, places)], REGION.size)
    k = graph.output_shape[0] // 2
    rows = np.concatenate([np.eye(k), -np.eye(k)], 1)
    unsafe = tuple(Unsafe(sign * rows[i : i + 1], np.array([-EPS])) for i in range(k) for sign in (1.0, -1.0))

    def run(x: np.ndarray) -> np.ndarray:
        return np.concatenate([one.run(x), two.run(x)], 1)

    answer = answer_of(verify(Network.of(graph, run), Query(REGION, unsafe), seconds, float32=False))
    return {
        "verdict": answer["verdict"], "limit": seconds,
        "seconds": time.perf_counter() - begin, "cpu": time.process_time() - work,
    }  # fmt: skip


def page() -> list[str]:
    """Say what was kept."""
    kept = harness.Kept("equal_pairs.json")
    ours = {key.removeprefix("pair "): value for key, value in kept.items() if key.startswith("pair ")}
    theirs = {key.removeprefix("joined "): value for key, value in kept.items() if key.startswith("joined ")}
    said = [one["verdict"] for one in ours.values()]
    rows = []
    for name, one in ours.items():
        other = theirs.get(name)
        cells = [f"{other['seconds']:.1f}", WORDS[other["verdict"]]] if other else ["", ""]
        bound = f"{one['bound']:.3g}" if "bound" in one else ""
        seen = f"{one['largest_difference_seen']:.3g}"
        rows.append([name, WORDS[one["verdict"]], seen, bound, f"{one['seconds']:.2f}", f"{one['cpu']:.2f}", *cells])
    seconds = [one["seconds"] for one in ours.values()]
    wrong = sum(one.get("wrong", False) for one in ours.values())
    words = [
        f"Of {len(ours)} pairs {said.count('holds')} are equal within {EPS} on the competition's region,",
        f"{said.count('violated')} are not (each input replayed by ONNX Runtime: {wrong} wrong), "
        f"{said.count('unknown')} are left open;",
        f"the median takes {statistics.median(seconds):.2f} s, the longest {max(seconds):.1f} s.",
    ]
    both = [(ours[name], other) for name, other in theirs.items() if name in ours]
    if both:
        times = [other["seconds"] / one["seconds"] for one, other in both]
        left = sum(other["verdict"] == "unknown" for _, other in both)
        words += [
            f"Of {len(both)} of them `verify` on the joined network leaves {left} open, and takes",
            f"{statistics.median(times):.0f} times as long in the median; what is open counts as its limit.",
        ]
    heads = ["network, percent pruned", "answer", "largest seen", "bound", "s", "CPU s", "`verify`, s", "its answer"]
    return [
        "# Pruned networks beside their originals",
        f"`python results/equal_pairs.py`, {harness.processor()}, other work beside it. Limit {LIMIT:g} s a pair.",
        harness.section("## ACAS Xu", words, heads, rows),
    ]


if __name__ == "__main__":
    main()
