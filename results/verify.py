"""Verification against the paper, the field's benchmarks, and known truth. Writes `verify_<part>.json`, then the page.

    python results/verify.py mnist --data ../shared/data/verify --seconds 20
    python results/verify.py competition --data ../shared/data/verify --seconds 116
    python results/verify.py peers --data ../shared/data/verify
    python results/verify.py harder --data ../shared/data/verify --seconds 10
    python results/verify.py page --data ../shared/data/verify

Each part goes on where it was stopped.
"""

import csv
import gzip
import statistics
import time
from collections import Counter
from pathlib import Path
from typing import Any

import harness
import numpy as np
import torch
from harness import Kept, section
from scipy.io import loadmat

from surefoot.data import load_data
from surefoot.graph.torch_in import graph_of_module
from surefoot.spec.input_set import InputSet
from surefoot.spec.perturbations import brightening, linf_ball
from surefoot.spec.query import robustness
from surefoot.spec.vnnlib import read_vnnlib
from surefoot.train import load_model_with_example
from surefoot.verify.many import answer_of, open_network
from surefoot.verify.network import Network
from surefoot.verify.run import verify
from surefoot.verify.several import answer_all

NETS = ("Small", "Medium", "Large")
THRESHOLDS = ("250", "245", "240")
DELTAS = ("0.005", "0.01", "0.015")
N = 10  # images of each row of the harder table
RADII = ("0.01", "0.02", "0.03")
METHODS = ("auto", "auto+float32", "star", "relaxed", "zonotope", "polytope", "exact")
NNV = {  # what the authors' tool proved, rows of NNV_*_brightAttack.mat in the data
    ("Small", "250"): (87, 87, 87), ("Small", "245"): (78, 78, 77), ("Small", "240"): (73, 72, 71),
    ("Medium", "250"): (99, 99, 99), ("Medium", "245"): (95, 95, 95), ("Medium", "240"): (90, 89, 88),
    ("Large", "250"): (99, 99, 99), ("Large", "245"): (100, 100, 99), ("Large", "240"): (99, 99, 99),
}  # fmt: skip
NO_TOOLS = ("onnx", "vnnlib", "expected", "spec_file_here")
SETS = ("acasxu", "mnist_fc_2022", "verivital_2021", "oval21_2022", "cifar10_resnet_2021")


def mnist(data: Path, seconds: float, methods: tuple[str, ...]) -> None:
    """The paper's table: brightening attacks on three networks, the first 100 images of each."""
    kept = Kept("verify_mnist.json")
    with (data / "cav2020_mnist" / "expected_own_verdicts.csv").open() as file:
        truth = {(r["net"], r["d"], r["delta"], int(r["image_index"])): r["verdict"] for r in csv.DictReader(file)}
    for method in methods:
        for net in NETS:
            network = open_network(data / "cav2020_mnist" / f"{net}_ConvNet.onnx")
            images = loadmat(data / "cav2020_mnist" / f"{net}_images.mat")
            x = images["IM_data"].transpose(2, 0, 1)[:100].astype(float)
            y = images["IM_labels"].ravel()[:100].astype(int) - 1
            for d in THRESHOLDS:
                for delta in DELTAS:
                    key = f"{method} {net} {d} {delta}"
                    if key in kept:
                        continue
                    counts: Counter[str] = Counter()
                    wrong, open_ = [], []
                    begin = time.process_time()
                    for i in range(100):
                        region = brightening(x[i], float(d), float(delta))
                        query = robustness(region, int(y[i]), 10)
                        name = method.removesuffix("+float32")
                        answer = answer_of(verify(network, query, seconds, name, float32=name != method))
                        counts[answer["verdict"]] += 1
                        counts["float32"] += "float32" in answer.get("proven_for", ())
                        known = truth[net, d, delta, i]
                        if (answer["verdict"], known) in (("holds", "violated"), ("violated", "robust")):
                            wrong.append(i)
                        if answer["verdict"] == "unknown":
                            open_.append(i)
                    kept.add(key, {**counts, "cpu": time.process_time() - begin, "wrong": wrong, "open": open_})


def _files(folder: Path, row: dict[str, str]) -> tuple[Path, Path]:
    onnx = [p for p in folder.rglob(row["onnx"] + "*") if p.name in (row["onnx"], row["onnx"] + ".gz")]
    name = Path(row["vnnlib"])
    prop = [
        p for p in folder.rglob(name.name + ".gz") if name.parent.name in ("", "vnnlib") or name.parent.name in p.parts
    ]
    return onnx[0], prop[0]


def competition(data: Path, seconds: float, sets: tuple[str, ...], jobs: int, again: bool) -> None:
    """The instances of the field's competitions that were brought; with more processes, those that fewer left open.

    `again`: those that were left open and are known to have an answer, whatever the processes.
    """
    kept = Kept("verify_competition.json")
    for name in sets:
        with (data / name / "expected_results.csv").open() as file:
            rows = [row for row in csv.DictReader(file) if row["spec_file_here"] == "yes"]
        for row in rows:
            key = f"{name} {row['onnx']} {row['vnnlib']}"
            if key in kept:
                is_open = kept[key]["verdict"] == "unknown"
                wanted = row["expected"] != "?" if again else kept[key].get("jobs", 1) < jobs
                if not (is_open and wanted):
                    continue
            onnx, prop = _files(data / name, row)
            begin, cpu = time.monotonic(), time.process_time()
            network = open_network(onnx)
            queries = read_vnnlib(prop, network.inputs, network.outputs)
            answer = answer_of(answer_all(network, queries, seconds, "auto", 0, jobs=jobs)[0])
            answer = {k: v for k, v in answer.items() if k not in ("input", "output")}
            kept.add(key, {
                **answer,
                "expected": row["expected"],
                "jobs": jobs,
                "seconds": time.monotonic() - begin,
                "cpu": time.process_time() - cpu,
            })  # fmt: skip


def losses(seconds: float, runs: Path) -> None:
    """Clean and certified accuracy of the networks that `make demo` trains, one for each loss, on 100 test digits."""
    kept = Kept("verify_losses.json")
    test = load_data("digits").test
    for folder in sorted(runs.glob("digits-*-seed0/model.safetensors")):
        name = folder.parent.name
        model, example = load_model_with_example(folder)
        network = Network.of(graph_of_module(model, example))
        x, y = test.x[:100].double().numpy(), test.y[:100].tolist()
        low, high = float(test.x.min()), float(test.x.max())
        clean = float((network.run(x.reshape(100, -1).astype(np.float32)).argmax(1) == np.array(y)).mean())
        for eps in RADII:
            if f"{name} {eps}" in kept:
                continue
            begin = time.process_time()
            counts: Counter[str] = Counter()
            for image, label in zip(x, y, strict=True):
                region = linf_ball(image, float(eps) * (high - low), low, high)
                query = robustness(region, label, network.outputs)
                counts[answer_of(verify(network, query, seconds, float32=False))["verdict"]] += 1
            kept.add(f"{name} {eps}", {**counts, "clean": clean, "cpu": time.process_time() - begin})


CHEAP = ("zonotope", "crown", "alpha-crown", "auto")
ALL = ("zonotope", "crown", "alpha-crown", "relaxed", "polytope", "star", "auto")


def _images(data: Path, name: str) -> tuple[np.ndarray, np.ndarray]:
    with gzip.open(data / "images" / f"eran_{name}_test_100.csv.gz", "rt") as file:
        table = np.array([line.split(",") for line in file], dtype=float)
    x, y = table[:, 1:] / 255, table[:, 0].astype(int)
    return (x.reshape(-1, 1, 28, 28) if name == "mnist" else x.reshape(-1, 32, 32, 3).transpose(0, 3, 1, 2)), y


def harder(data: Path, seconds: float) -> None:
    """Regions that tell the methods apart: larger changes, l-infinity on MNIST and CIFAR networks, max pooling."""
    kept = Kept("verify_harder.json")
    rows: list[tuple[str, str, float, tuple[str, ...], float, float]] = [  # images, file, radius, methods, mean, scale
        ("mnist", "verivital_2021/Convnet_maxpool.onnx", 0.02, ALL, 0.0, 1.0),
        ("mnist", "verivital_2021/Convnet_maxpool.onnx", 0.04, ALL, 0.0, 1.0),
        ("mnist", "verivital_2021/Convnet_avgpool.onnx", 0.04, ALL, 0.0, 1.0),
        ("mnist", "mnist_conv_eth_2020/mnist_0.1.onnx", 0.1, CHEAP, 0.1307, 0.3081),
        ("cifar10", "oval21_2022/onnx/cifar_base_kw.onnx.gz", 2 / 255, CHEAP, 0.0, 0.225),
        ("cifar10", "oval21_2022/onnx/cifar_base_kw.onnx.gz", 4 / 255, CHEAP, 0.0, 0.225),
        ("cifar10", "cifar10_resnet_2021/onnx/resnet_2b.onnx", 2 / 255, CHEAP[1:], 0.0, 0.2435),
    ]
    for images, name, radius, methods, mean, scale in rows:
        network = open_network(data / name)
        x, y = _images(data, images)
        means = np.full((1, 1, 1), mean) if images == "mnist" else np.array([0.485, 0.456, 0.406]).reshape(3, 1, 1)
        for method in methods:
            key = f"{Path(name).name.split('.onnx')[0]} {radius:.4f} {method}"
            if key not in kept:
                ends = [((image + r).clip(0, 1) - means) / scale for image in x[:N] for r in (-radius, radius)]
                regions = [InputSet.of(low, high) for low, high in zip(ends[::2], ends[1::2], strict=True)]
                kept.add(key, _counted(network, regions, y.tolist(), seconds, method))
    for net in ("Small", "Medium"):
        network = open_network(data / "cav2020_mnist" / f"{net}_ConvNet.onnx")
        loaded = loadmat(data / "cav2020_mnist" / f"{net}_images.mat")
        x, y = loaded["IM_data"].transpose(2, 0, 1).astype(float), loaded["IM_labels"].ravel().astype(int) - 1
        for delta in (0.05, 0.1):
            for method in ALL:
                key = f"{net}-brightening-240 {delta} {method}"
                if key not in kept:
                    regions = [brightening(i, 240.0, delta) for i in x[:N]]
                    kept.add(key, _counted(network, regions, y.tolist(), seconds, method))


def _counted(
    network: Network, regions: list[InputSet], labels: list[int], seconds: float, method: str
) -> dict[str, Any]:
    counts: Counter[str] = Counter()
    begin = time.process_time()
    for region, label in zip(regions, labels, strict=False):
        query = robustness(region, label, network.outputs)
        counts[answer_of(verify(network, query, seconds, method, float32=False))["verdict"]] += 1
    return {**counts, "images": len(regions), "cpu": time.process_time() - begin}


def page() -> list[str]:
    """Write what the parts left."""
    parts = (*_mnist_part(), *_competition_part(), *_peers_part(), *_harder_part(), *_losses_part())
    return ["# Verification", *parts]


def _mnist_part() -> list[str]:
    kept = Kept("verify_mnist.json")
    words = (
        "Images of the first 100 proven to keep their class under brightening attacks; 2,700 instances. NNV: what the",
        "authors' tool proved. Time: CPU seconds of one thread for 100 images, attack included.",
        "`auto+float32` asks besides whether each proof holds for float32: the number in brackets.",
        "Command: `python results/verify.py mnist --data ../shared/data/verify --seconds 20`.",
        "`exact` had 5 s an image. Machines of 2 cores: AMD EPYC for `auto+float32` and `exact`; Intel Xeon, which",
        "takes about 0.6 of its time, for the others.",
    )
    methods = [m for m in METHODS if kept.of(m)]
    rows = []
    for net in NETS:
        for d in THRESHOLDS:
            for i, delta in enumerate(DELTAS):
                cells = []
                for method in methods:
                    found = kept.get(f"{method} {net} {d} {delta}")
                    if found is None:
                        cells += ["not run", ""]
                        continue
                    also = f" ({found['float32']})" if method.endswith("float32") else ""
                    cells += [f"{found.get('holds', 0)}{also}", f"{found['cpu']:.1f}"]
                rows.append([net, d, delta, NNV[net, d][i], *cells])
    wrong = sum(len(found["wrong"]) for found in kept.values())
    auto = {key: found for key, found in kept.items() if key.startswith("auto ")}
    open_ = [f"{key[5:]} image {i}" for key, found in auto.items() for i in found["open"]]
    proven = kept.of("auto+float32")
    share = sum(f["float32"] for f in proven) / max(sum(f.get("holds", 0) for f in proven), 1)
    heads = ("net", "d", "δ", "NNV", *(head for method in methods for head in (method, "s")))
    return [
        section("## The paper's MNIST table (Tran et al. 2020)", words, heads, rows),
        f"Verdicts that contradict the known truth: {wrong} of {100 * len(kept)} answers.\n"
        f"Open after 20 s with `auto`: {', '.join(open_) or 'none'}. Of proofs, {share:.1%} also hold for float32.",
    ]


def _competition_part() -> list[str]:
    kept = Kept("verify_competition.json")
    words = (
        "`auto`, 116 s each, one thread of a 2-core machine (AMD EPYC). What was open was run again on later code, on",
        "a machine (Intel Xeon, 2.5 GHz) that was mostly busy with other work. Time counts reading the files.",
        "Wrong: contradicts the verdict of tools with a good record. nnenum is on no index that can be reached",
        "here; its competition times (on a large machine: 186 of 186 of ACAS Xu) are in the data. Command: "
        "`python results/verify.py competition --data ../shared/data/verify --seconds 116`.",
    )
    heads = (
        "set", "run", "holds", "violated", "unknown", "wrong", "known answers solved", "median s",
        "largest s of solved",
    )  # fmt: skip
    rows: list[list[object]] = []
    for name in SETS:
        found = kept.of(name)
        if not found:
            rows.append([name, "not yet run", *[""] * 7])
            continue
        counts = Counter(v["verdict"] for v in found)
        words_of = {"holds": "unsat", "violated": "sat", "unknown": ""}
        wrong = sum(v["expected"] not in ("?", words_of[v["verdict"]]) for v in found if v["verdict"] != "unknown")
        known = [v for v in found if v["expected"] != "?"]
        solved = [v for v in known if v["verdict"] != "unknown"]
        times = [v["seconds"] for v in found if v["verdict"] != "unknown"]
        rows.append([
            name, len(found), counts["holds"], counts["violated"], counts["unknown"], wrong,
            f"{len(solved)} of {len(known)}", f"{np.median(times):.1f}", f"{max(times):.0f}",
        ])  # fmt: skip
    return [section("## Instances of the field's competitions", words, heads, rows)]


def peers(data: Path) -> None:
    """Set what each tool solved in the competition beside what was solved here."""
    kept, solved_here = Kept("verify_peers.json"), Kept("verify_competition.json")
    for name in SETS:
        with (data / name / "expected_results.csv").open() as file:
            instances = [
                (row, solved_here.get(f"{name} {row['onnx']} {row['vnnlib']}")) for row in csv.DictReader(file)
            ]
        here = [(row, found) for row, found in instances if found is not None]
        tools = [head for head in (here[0][0] if here else {}) if head not in NO_TOOLS]
        for tool in tools:
            theirs = [(row[tool] or "").split("@") for row, _ in here]
            right = [("sat", "unsat") if row["expected"] == "?" else (row["expected"],) for row, _ in here]
            solved = [verdict in known for (verdict, *_), known in zip(theirs, right, strict=True)]
            both = [
                (found["cpu"], float(seconds[0].rstrip("s")))
                for (_, found), (_, *seconds), known in zip(here, theirs, solved, strict=True)
                if known and found["verdict"] != "unknown"
            ]
            if sum(solved) >= len(here) / 4 and both:
                means = [statistics.geometric_mean(max(x, 0.01) for x in column) for column in zip(*both, strict=True)]
                ours = sum(found["verdict"] != "unknown" for _, found in here)
                kept.add(f"{name} {tool}", [sum(solved), ours, len(both), *(round(mean, 2) for mean in means)])


def _peers_part() -> list[str]:
    kept = Kept("verify_peers.json")
    words = (
        "Tools that solved at least a quarter of a set, and rightly. Theirs: verdicts and wall seconds that the",
        "competition published, on its machines of many cores; here: CPU seconds of one thread. Means are geometric,",
        "over what both solved. Command: `python results/verify.py peers --data ../shared/data/verify`.",
    )
    heads = ("set", "tool", "solved by it", "solved here", "by both", "s here", "s by it")
    return [
        section("### Beside the competition's tools", words, heads, [[*key.split(), *row] for key, row in kept.items()])
    ]


def _harder_part() -> list[str]:
    kept = Kept("verify_harder.json")
    words = (
        f"The first {N} images of each set, misclassified ones among them; l-infinity in shares of the range, or the",
        "brightening attack with a larger δ. Proven to keep their class by each method (CPU seconds for all images),",
        "and what `auto` refutes within its limit. LP methods: where a layer's programs take seconds.",
        "Command: `python results/verify.py harder --data ../shared/data/verify --seconds 10`.",
    )
    rows = []
    for name, radius in dict.fromkeys(tuple(key.split()[:2]) for key in kept):
        found = [kept.get(f"{name} {radius} {method}") for method in ALL]
        cells = ["" if v is None else f"{v.get('holds', 0)} ({v['cpu']:.0f})" for v in found]
        auto = kept.get(f"{name} {radius} auto")
        rows.append([name, radius, *cells, *([auto.get("violated", 0), auto.get("unknown", 0)] if auto else ["", ""])])
    heads = ("network", "radius", *ALL, "violated", "open")
    return [section("## Regions that tell the methods apart", words, heads, rows)] if kept else []


def _losses_part() -> list[str]:
    kept = Kept("verify_losses.json")
    words = (
        "The six networks of `make demo` (digits, small CNN, seed 0), 100 test images, each pixel by up to a share",
        "of the range of values: certified to keep their true class / violated / open. Few images: no ranking.",
        "Command: `python results/verify.py losses --data . --seconds 1`, after `make demo`.",
    )
    rows = []
    for name in dict.fromkeys(key.split()[0] for key in kept):
        found = [kept.get(f"{name} {eps}", {}) for eps in RADII]
        cells = [f"{f.get('holds', 0)} / {f.get('violated', 0)} / {f.get('unknown', 0)}" if f else "" for f in found]
        rows.append([name, f"{found[0]['clean']:.0%}", *cells, f"{sum(f.get('cpu', 0) for f in found):.0f}"])
    heads = ("network", "clean", *RADII, "CPU s")
    return [section("## Networks trained here, loss by loss", words, heads, rows)] if kept else []


def main() -> None:
    """Read arguments, run a part."""
    parser = harness.parser(__doc__)
    parser.add_argument("part", choices=["mnist", "competition", "peers", "harder", "losses", "page"])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=116.0, help="for each image or instance")
    parser.add_argument("--only", default="", help="methods or sets, between commas")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=1, help="competition: processes at once")
    parser.add_argument("--again", action="store_true", help="competition: ask anew what was left open")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    only = tuple(arguments.only.split(",")) if arguments.only else ()
    match arguments.part:
        case "mnist":
            mnist(arguments.data, arguments.seconds, only or METHODS)
        case "harder":
            harder(arguments.data, arguments.seconds)
        case "losses":
            losses(arguments.seconds, Path("runs/demo"))
        case "peers":
            peers(arguments.data)
        case "page":
            harness.write_page("verify.md", page())
        case "competition":
            competition(arguments.data, arguments.seconds, only or SETS, arguments.jobs, arguments.again)


if __name__ == "__main__":
    main()
