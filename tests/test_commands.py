"""Every command that the README and the guides show is one that runs: on small files of the names that they use."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pyarrow as pa
import pytest
import torch
import typer
from pyarrow import parquet
from sklearn.datasets import load_iris

from surefoot.cli.main import build
from surefoot.graph.onnx_out import write_onnx
from surefoot.graph.torch_in import graph_of_module
from surefoot.models import MLP, PolynomialNet
from typed import surefoot

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "docs" / "guide").glob("*.md"))]
TRAINS = ("train", "compare", "reproduce", "explain", "predict")  # these are only parsed here: others run them


def shown() -> Iterator[list[str]]:
    """Give every command line of a console block, in order, once."""
    seen = set()
    for page in PAGES:
        for block in re.findall(r"```console\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL):
            for line in re.findall(r"^\$ (.*)$", block, re.MULTILINE):
                for command in re.sub(r"\s+#.*", "", line).split("&&"):
                    words = shlex.split(command)
                    if Path(words[0]).name == "surefoot" and tuple(words) not in seen:
                        seen.add(tuple(words))
                        yield words[1:]


def is_parsed_only(words: list[str]) -> bool:
    return words[0] in TRAINS or any(w.startswith("runs/") for w in words) or words == ["assess"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make the files that the pages speak of: a network for irises, its inputs, predictions, a property."""
    where = tmp_path_factory.mktemp("commands")
    x, y = map(np.asarray, load_iris(return_X_y=True))
    x = ((x - x.min(0)) / np.ptp(x, axis=0)).astype(np.float32)
    order = np.random.default_rng(0).permutation(len(x))
    x, y = x[order], y[order]
    torch.manual_seed(0)
    net = MLP((4,), 3, widths=(12, 12))
    optimizer = torch.optim.Adam(net.parameters(), 1e-2)
    for _ in range(150):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(net(torch.tensor(x[:50])), torch.tensor(y[:50])).backward()
        optimizer.step()
    graph = graph_of_module(net.eval(), torch.zeros(2, 4))
    for name in ("net", "network", "converted"):
        write_onnx(graph, where / f"{name}.onnx")
    with torch.no_grad():
        for p in net.parameters():
            p.mul_(1 + 1e-4)
    write_onnx(graph_of_module(net, torch.zeros(2, 4)), where / "quantised.onnx")
    polynomial = graph_of_module(PolynomialNet((4,), 3, "ccp", (2,), 6).eval(), torch.zeros(2, 4))
    for name in ("one", "two"):
        write_onnx(polynomial, where / f"{name}.onnx")
    for name, part in (("train", slice(0, 50)), ("validation", slice(50, 100)), ("test", slice(100, 110))):
        np.savez(where / f"{name}.npz", x=x[part], y=y[part])
    np.savez(where / "box.npz", lower=np.zeros(4), upper=np.full(4, 0.5))
    names = [f"X_{i}" for i in range(4)] + [f"Y_{i}" for i in range(3)]
    text = "".join(f"(declare-const {name} Real)\n" for name in names)
    text += "".join(f"(assert (>= X_{i} 0.4))(assert (<= X_{i} 0.5))\n" for i in range(4))
    (where / "property.vnnlib").write_text(text + "(assert (<= Y_0 -100.0))")
    nets = "".join(
        f"(declare-network {name} (declare-input {x} real [1,4]) (declare-output {y} real [1,3]))" for name, x, y in
        ("fXY", "gUV")
    )  # fmt: skip
    text = "".join(f"(assert (and (>= X[0,{i}] 0.4) (<= X[0,{i}] 0.5) (== X[0,{i}] U[0,{i}])))" for i in range(4))
    differs = "(assert (> Y[0,0] (+ V[0,0] 0.5)))"
    (where / "query.vnnlib").write_text("(vnnlib-version <2.0>)" + nets + text + differs)
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(900, 3)) * 2
    labels = (logits / 2 + rng.gumbel(size=logits.shape)).argmax(1)
    split = np.where(np.arange(900) < 450, "validation", "test")
    np.savez(where / "mine.npz", logits=logits, labels=labels)
    columns = {"logits": list(logits), "label": labels, "split": split, "site": np.arange(900) % 3}
    parquet.write_table(pa.table(columns), where / "mine.parquet")
    return where


@pytest.mark.parametrize("words", [w for w in shown() if is_parsed_only(w)], ids=" ".join)
def test_commands_that_train_are_understood(words: list[str]) -> None:
    group = typer.main.get_command(build(words[0]))
    with group.make_context("surefoot", list(words)) as context:
        name, command, rest = group.resolve_command(context, [*context._protected_args, *context.args])  # pyright: ignore[reportAttributeAccessIssue]
        assert command is not None
        command.make_context(name, rest, parent=context)


def test_all_others_run(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(folder)
    commands = [w for w in shown() if not is_parsed_only(w)]
    assert len(commands) > 25
    first = ("recalibrate", "verify", "compress")  # these leave the maps, proofs and networks that others read
    for words in sorted(commands, key=lambda w: (w[0] not in first, "--certificate" in w)):
        surefoot(*words)
        assert capsys.readouterr().out, words
    for name in ("small.onnx", "calibrated.onnx"):
        onnx.checker.check_model(onnx.load(folder / name))
