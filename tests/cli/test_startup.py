"""Commands start light: help imports no library that computes, a command none that it does not use."""

import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
import torch

from surefoot.cli.main import COMMANDS
from surefoot.graph.onnx_out import write_onnx
from surefoot.graph.torch_in import graph_of_module
from surefoot.models import MLP

ROOT = Path(__file__).parents[2]
HEAVY = ("torch", "sklearn", "scipy", "pandas", "pyarrow", "onnx", "onnxruntime", "highspy", "lightning", "plotly")
RUN = """
import contextlib, io, json, sys
from surefoot.cli.main import run
for name in {blocked!r}:
    sys.modules[name] = None
for words in {commands!r}:
    said = io.StringIO()
    try:
        with contextlib.redirect_stdout(said):
            run(words)
    except SystemExit as end:
        assert not end.code, (words, end.code)
    met = [name for name in {watched!r} if sys.modules.get(name) is not None]
    assert not met, (words, met)
"""


def ran(commands: list[list[str]], watched: tuple[str, ...], blocked: tuple[str, ...] = ()) -> None:
    """Run commands in a process of their own that lacks some modules; see that they import none of others."""
    code = RUN.format(commands=commands, watched=watched, blocked=blocked)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_help_imports_nothing_that_computes() -> None:
    ran([["--help"], *([name, "--help"] for name in COMMANDS)], HEAVY)


def test_no_command_may_know_another() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
    (modules,) = (contract["modules"] for contract in contracts if contract["type"] == "independence")
    assert set(modules) == {f"surefoot.cli.{entry.module}" for entry in COMMANDS.values()}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a tiny network, a property that it has, inputs, and a table of logits."""
    where = tmp_path_factory.mktemp("tiny")
    torch.manual_seed(0)
    write_onnx(graph_of_module(MLP((4,), 3, widths=(5,)).eval(), torch.zeros(2, 4)), where / "net.onnx")
    text = "".join(f"(declare-const {n} Real)\n" for n in [f"X_{i}" for i in range(4)] + [f"Y_{i}" for i in range(3)])
    text += "".join(f"(assert (>= X_{i} 0.4))(assert (<= X_{i} 0.5))\n" for i in range(4))
    (where / "p.vnnlib").write_text(text + "(assert (<= Y_0 -100.0))")
    rng = np.random.default_rng(0)
    np.savez(where / "x.npz", x=rng.random((60, 4)).astype(np.float32), y=rng.integers(0, 3, 60))
    truth = rng.normal(size=(300, 3))
    np.savez(where / "t.npz", logits=2 * truth, labels=(truth + rng.gumbel(size=truth.shape)).argmax(1))
    return where


def test_measuring_imports_what_it_uses(folder: Path) -> None:
    table = str(folder / "t.npz")
    unused = ("torch", "sklearn", "pandas", "scipy.stats", "onnx", "lightning", "highspy", "jinja2", "plotly")
    ran([["measure", table, "--metrics", "all"], ["measure", table, "--json"]], unused)


def test_recalibrating_needs_no_pytorch(folder: Path) -> None:
    words = ["recalibrate", str(folder / "t.npz"), "-o", str(folder / "map.json"), "--method", "auto"]
    ran([words, ["measure", str(folder / "t.npz"), "--map", str(folder / "map.json")]], ("torch", "onnx", "lightning"))


def test_verifying_imports_what_it_uses(folder: Path) -> None:
    words = [str(folder / "net.onnx"), str(folder / "p.vnnlib")]
    proof = str(folder / "proof.npz")
    unused = ("sklearn", "pandas", "pyarrow", "scipy.stats", "sympy", "lightning", "surefoot.data", "surefoot.train")
    ran([["verify", *words], ["verify", *words, "--certificate", proof], ["check", *words, proof]], unused)


EXTRAS = {
    "train": ("lightning", "safetensors"),
    "report": ("jinja2", "plotly"),
    "gpu": ("triton",),
    "verify": ("onnx", "onnxscript", "highspy", "onnxruntime"),
}


@pytest.mark.parametrize(
    ("commands", "absent"),
    [
        (
            [
                "measure t.npz",
                "recalibrate t.npz -o map2.json",
                "contrast t.npz --methods none,temperature",
            ],
            ("train", "gpu", "report", "verify"),
        ),
        (["report t.npz -o t.html"], ("train", "gpu", "verify")),
        (["train --model linear --epochs 1 -o run"], ("report", "gpu", "verify")),
        (
            [
                "verify net.onnx p.vnnlib",
                "certify net.onnx --images x.npz --eps 0 --first 1",
                "compress net.onnx --domain 0,1 -o small.onnx --limit 2",
                "equal net.onnx net.onnx --domain 0,1",
                "regions net.onnx --domain 0,1",
                "export net.onnx --classes 3 -o all.onnx",
            ],
            ("train", "gpu", "report"),
        ),
    ],
    ids=["tables", "report", "train", "networks"],
)
def test_a_command_needs_its_own_extra_only(commands: list[str], absent: tuple[str, ...], folder: Path) -> None:
    blocked = tuple(module for extra in absent for module in EXTRAS[extra])
    ran(
        [[str(folder / w) if "." in w or w == "run" else w for w in command.split()] for command in commands],
        (), blocked,
    )  # fmt: skip


def test_a_missing_extra_is_named_when_it_is_needed(folder: Path) -> None:
    code = "import sys\nsys.modules['plotly'] = None\nfrom surefoot.cli.main import run\nrun({words!r})"
    for words, said in (
        (["report", str(folder / "t.npz"), "-o", str(folder / "t.html")], "pip install '.[report]'"),
        (["certify", str(folder / "net.onnx"), "--images", str(folder / "x.npz"), "--eps", "0", "--first", "1",
          "--page", str(folder / "p.html")], "pip install '.[report]'"),
    ):  # fmt: skip
        done = subprocess.run(
            [sys.executable, "-c", code.format(words=words)], capture_output=True, text=True, check=False
        )
        assert done.returncode == 4
        assert done.stderr.endswith(f"{said}\n")
