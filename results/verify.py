"""Verification against the paper, the field's benchmarks, and known truth. Writes `verify_<part>.json`, then the page.

    python results/verify.py mnist --data ../shared/data/verify --seconds 20
    python results/verify.py competition --data ../shared/data/verify --seconds 116
    python results/verify.py vgg --data ../shared/data/verify
    python results/verify.py page --data ../shared/data/verify

Each part goes on where it was stopped.
"""

import argparse
import csv
import time
from collections import Counter
from pathlib import Path
from typing import Any

import torch
from scipy.io import loadmat

from surefoot.core.files import read_json, write_json
from surefoot.verify.many import answer_all, open_network, plain
from surefoot.verify.query import robustness
from surefoot.verify.regions import brightening
from surefoot.verify.run import verify
from surefoot.verify.vnnlib import read_vnnlib

HERE = Path(__file__).parent
NETS = ("Small", "Medium", "Large")
THRESHOLDS = ("250", "245", "240")
DELTAS = ("0.005", "0.01", "0.015")
METHODS = ("auto", "auto+float32", "star", "relaxed", "zonotope", "polytope", "exact")
SETS = ("acasxu", "mnist_fc_2022", "verivital_2021", "oval21_2022", "cifar10_resnet_2021")


def _kept(name: str) -> dict[str, Any]:
    path = HERE / f"verify_{name}.json"
    return read_json(path) if path.exists() else {}


def mnist(data: Path, seconds: float, methods: tuple[str, ...]) -> None:
    """The paper's table: brightening attacks on three networks, the first 100 images of each."""
    kept = _kept("mnist")
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
                        query = robustness(region.lower, region.upper, int(y[i]), 10)
                        name = method.removesuffix("+float32")
                        answer = plain(verify(network, query, seconds, name, float32=name != method))  # type: ignore[arg-type]
                        counts[answer["verdict"]] += 1
                        counts["float32"] += "float32" in answer.get("proven_for", ())
                        known = truth[net, d, delta, i]
                        if (answer["verdict"], known) in (("holds", "violated"), ("violated", "robust")):
                            wrong.append(i)
                        if answer["verdict"] == "unknown":
                            open_.append(i)
                    kept[key] = {**counts, "cpu": time.process_time() - begin, "wrong": wrong, "open": open_}
                    write_json(HERE / "verify_mnist.json", kept)
                    print(key, kept[key], flush=True)


def _files(folder: Path, row: dict[str, str]) -> tuple[Path, Path]:
    onnx = [p for p in folder.rglob(row["onnx"] + "*") if p.name in (row["onnx"], row["onnx"] + ".gz")]
    name = Path(row["vnnlib"])
    prop = [
        p for p in folder.rglob(name.name + ".gz") if name.parent.name in ("", "vnnlib") or name.parent.name in p.parts
    ]
    return onnx[0], prop[0]


def competition(data: Path, seconds: float, sets: tuple[str, ...]) -> None:
    """The instances of the field's competitions that were brought."""
    kept = _kept("competition")
    for name in sets:
        with (data / name / "expected_results.csv").open() as file:
            rows = [row for row in csv.DictReader(file) if row["spec_file_here"] == "yes"]
        for row in rows:
            key = f"{name} {row['onnx']} {row['vnnlib']}"
            if key in kept:
                continue
            onnx, prop = _files(data / name, row)
            begin, cpu = time.monotonic(), time.process_time()
            network = open_network(onnx)
            queries = read_vnnlib(prop, network.inputs, network.outputs)
            answer = plain(answer_all(network, queries, seconds, "auto", 0)[0])
            answer = {k: v for k, v in answer.items() if k not in ("input", "output")}
            kept[key] = {
                **answer,
                "expected": row["expected"],
                "seconds": time.monotonic() - begin,
                "cpu": time.process_time() - cpu,
            }
            write_json(HERE / "verify_competition.json", kept)
            print(key, answer["verdict"], row["expected"], round(time.monotonic() - begin, 1), flush=True)


def main() -> None:
    """Read arguments, run a part."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=["mnist", "competition", "page"])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=116.0, help="for each image or instance")
    parser.add_argument("--only", default="", help="methods or sets, between commas")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    only = tuple(arguments.only.split(",")) if arguments.only else ()
    match arguments.part:
        case "mnist":
            mnist(arguments.data, arguments.seconds, only or METHODS)
        case "competition":
            competition(arguments.data, arguments.seconds, only or SETS)


if __name__ == "__main__":
    main()
