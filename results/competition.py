"""The scoreboard: VNN-COMP's instances, answered here and by its tools. Writes `competition.json`, then the page.

    python results/competition.py run --data ../shared/data/verify/vnncomp2024 --seconds 20 [--only safenlp,lsnc]
    python results/competition.py again --data ... --seconds 116     # what was left open with less time
    python results/competition.py page

A part goes on where it was stopped. Verdicts of the tools are those that the competition published.
"""

import csv
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import harness
import numpy as np
from harness import Kept, section, write_page

from surefoot.core.errors import SurefootError
from surefoot.verify.many import answer_of
from surefoot.verify.question import read_question
from surefoot.verify.several import answer_all

SETS = (
    "metaroom_2023", "cgan_2023", "dist_shift_2023", "linearizenn", "safenlp", "tllverifybench_2023", "nn4sys_2023",
    "ml4acopf_2023", "lsnc", "cora", "vit_2023",
)  # fmt: skip
NO_TOOLS = ("onnx", "vnnlib", "timeout", "expected")
SHOWN = {"holds": "unsat", "violated": "sat"}


def instances(data: Path, only: tuple[str, ...]) -> Iterator[tuple[str, dict[str, str], Path, Path]]:
    """Give each instance's set, its row of the published table, network and property."""
    for name in only:
        with (data / name / "expected_results.csv").open() as file:
            for row in csv.DictReader(file):
                onnx, prop = (data / name / f"{row[kind]}.gz" for kind in ("onnx", "vnnlib"))
                if onnx.exists() and prop.exists():
                    yield name, row, onnx, prop


def answered(onnx: Path, prop: Path, seconds: float) -> dict[str, Any]:
    """Answer one instance, as `surefoot verify` does."""
    wall, cpu = time.monotonic(), time.process_time()
    try:
        asked = read_question(prop, onnx)
        verdict = answer_all(asked.network, asked.queries, seconds, "auto", 0)[0]
        answer = {k: v for k, v in answer_of(verdict).items() if k in ("verdict", "margin", "method", "why")}
    except SurefootError as error:
        answer = {"verdict": "refused", "why": str(error)}
    return {**answer, "limit": seconds, "seconds": time.monotonic() - wall, "cpu": time.process_time() - cpu}


def run(data: Path, seconds: float, only: tuple[str, ...], again: bool) -> None:
    """Answer what is not answered; `again`: also what was left open with less time."""
    kept = Kept("competition.json")
    for name, row, onnx, prop in instances(data, only):
        key = f"{name} {row['onnx']} {row['vnnlib']}"
        before = kept.get(key)
        if before is None or (again and before["verdict"] == "unknown" and before["limit"] < seconds):
            theirs = {tool: (row[tool] or "").split("@")[0] for tool in row if tool not in NO_TOOLS}
            solved = [tool for tool, said in theirs.items() if said in ("sat", "unsat")]
            kept.add(key, {**answered(onnx, prop, seconds), "expected": row["expected"], "solved_by": solved})


def page() -> list[str]:
    """Write what was answered, set by set."""
    kept = Kept("competition.json")
    words = (
        "Instances of VNN-COMP 2024: `auto`, one thread, at most so many seconds each (the competition gave 20 to 900,",
        "on a machine of many cores). Solved by the best: the tool that solved most of the same instances of a set.",
        "Wrong: contradicts the verdict on which the tools agree. Seconds: CPU, reading the files counted, of a busy",
        "machine of two cores (Intel Xeon, 2.5 GHz). Command: `python results/competition.py run --data DIR`, DIR the",
        "folder `verify/vnncomp2024` of the shared data.",
    )  # fmt: skip
    heads = ("set", "run", "limit", "holds", "violated", "open", "refused", "wrong", "solved", "solved by the best",
             "share", "median s of solved", "largest")  # fmt: skip
    rows: list[list[object]] = []
    ours = best_of_all = 0
    for name in SETS:
        found = kept.of(name)
        if not found:
            rows.append([name, "not yet run", *[""] * 11])
            continue
        counts = Counter(v["verdict"] for v in found)
        tools = Counter(tool for v in found for tool in v["solved_by"])
        best, theirs = tools.most_common(1)[0] if tools else ("none", 0)
        solved = [v for v in found if v["verdict"] in SHOWN]
        wrong = sum(v["expected"] in ("sat", "unsat") and SHOWN[v["verdict"]] != v["expected"] for v in solved)
        limits = sorted({v["limit"] for v in found})
        ours, best_of_all = ours + len(solved), best_of_all + theirs
        rows.append([
            name, len(found), " to ".join(f"{x:g}" for x in dict.fromkeys((limits[0], limits[-1]))),
            counts["holds"], counts["violated"], counts["unknown"], counts["refused"], wrong, len(solved),
            f"{theirs} ({best})", f"{len(solved) / max(theirs, 1):.0%}",
            f"{np.median([v['cpu'] for v in solved]):.1f}" if solved else "",
            f"{max(v['cpu'] for v in solved):.0f}" if solved else "",
        ])  # fmt: skip
    total = f"Solved in all: {ours}; the best tool of each set: {best_of_all} of the same instances."
    return ["# The field's competition, set by set", section("## VNN-COMP 2024", words, heads, rows), total]


def main() -> None:
    """Run what is asked for."""
    parser = harness.parser(__doc__)
    parser.add_argument("what", choices=("run", "again", "page"))
    parser.add_argument("--data", type=Path)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--only", default="", help="sets, between commas")
    arguments = parser.parse_args()
    if arguments.what != "page":
        if arguments.data is None:
            parser.error("--data is needed")
        only = tuple(arguments.only.split(",")) if arguments.only else SETS
        run(arguments.data, arguments.seconds, only, arguments.what == "again")
    write_page("competition.md", page())


if __name__ == "__main__":
    main()
