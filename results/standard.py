"""VNN-LIB: the conformance suite of 2.0, pruned networks beside their originals, thousands of disjuncts. Writes
`standard.json`, then `standard.md`.

    pip install --no-deps vnnlib-satisfactory==1.0.1      # into an environment that has surefoot[verify]
    python results/standard.py suite
    python results/standard.py pruned --data ../shared/data
    python results/standard.py disjuncts --data ../shared/data
    python results/standard.py page

A part goes on where it was stopped.
"""

import importlib
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import harness
from harness import Kept, section, write_page

from surefoot.verify.many import answer_of
from surefoot.verify.question import read_question
from surefoot.verify.several import answer_all

SUITE_LIMIT = 30  # seconds a test, with start-up
LIMIT = 30.0  # seconds for each pair and each file of disjuncts
DELTA = 0.05  # by how much an output of a pruned network may differ
OUTCOMES = ("pass", "suspect", "fail", "error", "skip")
DISJUNCTS = (1, 200, 400, 800, 1000, 5000, 7000, 9000)
PEERS = {  # seconds of the competition of 2024, on its machine
    1: (7.1, 6.3), 200: (7.3, 5.1), 400: (7.3, 6.0), 800: (7.3, 8.0), 1000: (7.4, 8.9), 5000: (7.7, 17.2),
    7000: (7.7, 22.0), 9000: (8.0, 26.7),
}  # fmt: skip
kept = Kept("standard.json")


def suite() -> None:
    """Run every test of the suite that our `supports` claims, by the command line."""
    evaluator, generator, paths, runner = (
        importlib.import_module(f"vnntest.core.{name}") for name in ("evaluator", "generator", "paths", "runner")
    )
    test_case = importlib.import_module("vnntest.models.test_case").TestCase
    solver = str(Path(sys.executable).with_name("surefoot"))
    os.chdir(tempfile.mkdtemp())
    entries = generator.generate_all_tests(suite="full")
    cases = [test_case.from_manifest_entry(entry, paths.ARTIFACTS_DIR / entry["category"]) for entry in entries]
    supported = [
        runner.get_supported_ops(solver), runner.get_supported_network_theories(solver),
        runner.get_supported_hidden_node_theories(solver), runner.get_supported_io_theories(solver),
        runner.get_supported_arithmetic_complexity_theories(solver),
    ]  # fmt: skip
    runnable, skipped = evaluator.partition_by_support(cases, *supported)
    for one in skipped:
        if f"suite {one.test_id}" not in kept:
            kept.add(f"suite {one.test_id}", {"outcome": "skip", "why": f"{one.missing_op} is not claimed"})
    for case in runnable:
        if f"suite {case.id}" in kept:
            continue
        run = runner.run_solver_on_test(solver, case, SUITE_LIMIT)
        said = run.stderr.strip().split(".vnnlib: ")[-1].removeprefix("surefoot: ")
        outcome = evaluator.evaluate(run).outcome.value
        kept.add(f"suite {case.id}", {"outcome": outcome, "why": "" if outcome == "pass" else said})


def pruned(data: Path) -> None:
    """Ask of each pruned network whether it can differ from its original in the region of the published questions."""
    folder, originals = data / "verify" / "acasxu_pruned", data / "verify" / "acasxu" / "onnx"
    head = (folder / "vnnlib" / "instance_0.vnnlib").read_text().split("; Output")[0]
    differs = " ".join(
        f"(> Y_g[{k}] (+ Y_f[{k}] {DELTA})) (< Y_g[{k}] (- Y_f[{k}] {DELTA}))" for k in range(5)
    )  # an output of both, either way
    with tempfile.TemporaryDirectory() as place:
        prop = Path(place) / "differs.vnnlib"
        prop.write_text(f"{head}(assert (or {differs}))")
        for file in sorted((folder / "nets_pruned").glob("*.onnx.gz")):
            name = file.name.removesuffix(".onnx.gz")
            if f"pruned {name}" in kept:
                continue
            original = originals / f"{name[: name.index('_pruned')]}.onnx.gz"
            kept.add(f"pruned {name}", _answered(prop, {"f": original, "g": file}))


def disjuncts(data: Path) -> None:
    """Answer the learned indices of nn4sys, whose files are one disjunction each."""
    folder = data / "verify" / "vnncomp2024" / "nn4sys_2023"
    for number in DISJUNCTS:
        if f"disjuncts {number}" not in kept:
            prop = folder / "vnnlib" / f"lindex_{number}.vnnlib.gz"
            kept.add(f"disjuncts {number}", _answered(prop, folder / "onnx" / "lindex_deep.onnx.gz"))


def _answered(prop: Path, networks: Path | dict[str, Path]) -> dict[str, Any]:
    begin = time.process_time()
    question = read_question(prop, networks)
    read = time.process_time() - begin
    answer = answer_of(answer_all(question.network, question.queries, LIMIT, "auto", 0)[0])
    shown = {key: answer[key] for key in ("verdict", "method", "why", "margin") if key in answer}
    return shown | {"read": round(read, 2), "cpu": round(time.process_time() - begin, 2)}


def page() -> Iterator[str]:
    """Give the page's parts."""
    yield "# VNN-LIB: the standard's suite, and its questions"
    yield f"CPU seconds of one thread on {harness.processor()}. `python results/standard.py`."
    outcomes: dict[str, Counter[str]] = {}
    for key, result in kept.items():
        if key.startswith("suite "):
            outcomes.setdefault(key.split()[1].split("/")[0], Counter())[result["outcome"]] += 1
    total = sum(outcomes.values(), Counter())
    yield section(
        "## The conformance suite of VNN-LIB 2.0",
        ["`vnnlib-satisfactory` 1.0.1 runs `surefoot verify` and `surefoot supports` as they are typed. `suspect`:",
         "claimed, and answered with `unknown` or a refusal in one line; `skip`: not claimed."],
        ["tests of", *OUTCOMES],
        [[name, *(counts[outcome] or "" for outcome in OUTCOMES)] for name, counts in sorted(outcomes.items())]
        + [["together", *(total[outcome] for outcome in OUTCOMES)]],
    )  # fmt: skip
    whys = Counter(r["why"] for k, r in kept.items() if k.startswith("suite ") and r["outcome"] not in ("pass", "skip"))
    yield section("Why not:", ["What was said, and of how many tests."], ["said", "tests"], whys.most_common())
    pairs = [(key.split()[1], r) for key, r in kept.items() if key.startswith("pruned ")]
    yield section(
        "## Pruned networks of ACAS Xu",
        [f"Can an output differ by more than {DELTA} from the original's, in the region of `acasxu_pruned`? {LIMIT:g}",
         "seconds each. The published questions ask whether all outputs can be that near, which one input settles."],
        ["pruned by", "holds", "violated", "unknown", "median CPU seconds where it holds"],
        [_row_of(share, [r for name, r in pairs if name.endswith(f"pruned{share}")]) for share in (5, 10, 30)],
    )  # fmt: skip
    yield section(
        "## Thousands of disjuncts",
        ["nn4sys, `lindex_deep`: reading the property, and all but start-up; beside the seconds of alpha-beta-CROWN",
         "and NeuralSAT in the competition of 2024, on its machine, with their start-up."],
        ["disjuncts", "answer", "reading", "together", "alpha-beta-CROWN", "NeuralSAT"],
        [[2 * n, r["verdict"], r["read"], r["cpu"], *PEERS[n]]
         for n in DISJUNCTS if (r := kept.get(f"disjuncts {n}")) is not None],
    )  # fmt: skip


def _row_of(share: int, results: list[dict[str, Any]]) -> list[object]:
    counts = Counter(result["verdict"] for result in results)
    times = sorted(result["cpu"] for result in results if result["verdict"] == "holds")
    verdicts = [counts[verdict] for verdict in ("holds", "violated", "unknown")]
    return [f"{share}%", *verdicts, times[len(times) // 2] if times else ""]


def main() -> None:
    """Do a part."""
    options = harness.parser(__doc__)
    options.add_argument("part", choices=("suite", "pruned", "disjuncts", "page"))
    options.add_argument("--data", type=Path, help="the folder that holds `verify`")
    given = options.parse_args()
    match given.part:
        case "suite":
            suite()
        case "pruned":
            pruned(given.data)
        case "disjuncts":
            disjuncts(given.data)
    write_page("standard.md", page())


if __name__ == "__main__":
    main()
