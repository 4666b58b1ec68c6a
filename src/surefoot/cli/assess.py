"""`surefoot assess`: one model, the whole flow, one page."""

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Optional

import numpy as np
import torch
import typer
from rich.console import Console

from surefoot.cli.options import DataFolder, DataName, Json, Seed
from surefoot.cli.verify import numbers
from surefoot.core.errors import FileError, InputError, MissingExtra, pip_install
from surefoot.core.files import open_npz, read_pairs
from surefoot.evaluate.assessment import Ask, Inputs, Rows, assess
from surefoot.report.assess_page import write_assessment

TRAINED_L1 = 1e-4  # of the network that is trained here: little enough to cost nothing, and units become stable


def command(
    network: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Argument(help="An .onnx file, or the model.safetensors of a run. Default: one is trained on --data."),
    ] = None,
    data: DataName = "digits",
    folder: DataFolder = None,
    images: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(
            help="Instead of --data: an .npz of test inputs `x` (uint8 is divided by 255), classes `y`, and perhaps "
            "`group`."
        ),
    ] = None,
    calibration: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option(help="With --images: an .npz to learn the calibrator on. Default: a random half of the images."),
    ] = None,
    eps: Annotated[str, typer.Option(help="Radii of certificates, as shares of the range of values.")] = "0,1/64,1/32",
    valid: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--range", help="The valid range of values. Default: that of the inputs."),
    ] = None,
    certify: Annotated[int, typer.Option(min=1, help="How many test inputs are certified.")] = 50,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for everything.")] = Path("runs/assess"),
    title: Annotated[Optional[str], typer.Option(help="The page's title; default: the network's name.")] = None,  # noqa: UP045
    seed: Seed = 0,
    as_json: Json = False,
) -> None:
    """Assess a model: is it calibrated, what repairs it, where is it worst, what is certain, how small can it be?

    Leaves report.html, assessment.json, README.md (a model card), map.json, calibrated.onnx, small.onnx and the
    predictions in the folder.

    Example: surefoot assess && open runs/assess/report.html

    Example: surefoot assess net.onnx --images test.npz --calibration validation.npz --range 0,1
    """
    begin, console = time.monotonic(), Console(stderr=True)
    out.mkdir(parents=True, exist_ok=True)
    names: tuple[str, ...] | None = None
    if images is not None:
        if network is None:
            raise InputError("--images needs a network: surefoot assess net.onnx --images test.npz")
        validation, test = _halves(_read(images), seed) if calibration is None else (_read(calibration), _read(images))
        halves = (f"one half of {images}", f"the other half of {images}")
        rows = Rows(*halves) if calibration is None else Rows(str(images), str(calibration))
        path, name = _as_onnx(network, out), network.stem
    else:
        if network is not None:
            console.print(f"no --images: taking the data set {data} (--data)", style="dim")
        parts = (f"the test part of the data set {data}", "its validation part")
        rows = Rows(*parts, unseen=network is None)
        validation, test, names, path, name = _from_data(network, data, folder, out, seed, console)
    every = np.concatenate([validation.x.ravel(), test.x.ravel()])
    low, high = numbers(valid, 2, "--range") if valid else (float(every.min()), float(every.max()))
    if not low < high:
        raise InputError(f"the range of values {low:g},{high:g}: the first must be below the second")
    radii = tuple((high - low) * share for share in sorted(numbers(eps, None, "--eps")))
    made, predictions, _ = assess(
        path, validation, test, Ask((low, high), radii, certify, seed=seed), out, title or name, rows, names,
        lambda step: console.print(f"{step} ...", style="dim"),
    )  # fmt: skip
    write_assessment(out, made, predictions)
    if as_json:
        print(json.dumps(made.plain(), allow_nan=False))
        return
    print(f"{rows.sentence}\n\n{made.paragraph}")
    for what, why in made.reasons.items():
        print(f"not done: {what}: {why}")
    print(f"\npage: {out / 'report.html'}, model card: {out / 'README.md'} ({time.monotonic() - begin:.0f} s)")


def _read(path: Path) -> Inputs:
    x, y = read_pairs(path)
    if x.dtype.kind not in "fiu" or y.dtype.kind not in "iu" or x.ndim < 2 or y.shape != x.shape[:1] or not len(x):
        raise InputError(f"{path}: x {x.dtype} {x.shape} and y {y.dtype} {y.shape} are not inputs and their classes")
    scaled = x.astype(np.float32) / 255 if x.dtype == np.uint8 else x.astype(np.float32)
    if not np.isfinite(scaled).all():
        row = int(np.argmin(np.isfinite(scaled.reshape(len(x), -1)).all(1)))
        raise InputError(f"{path}: input {row} holds a value that is not finite")
    with open_npz(path) as held:
        group = held["group"] if "group" in held.files else None
    if group is not None and group.shape != y.shape:
        raise InputError(f"{path}: `group` has shape {group.shape}, `y` {y.shape}")
    return Inputs(scaled, y.astype(np.int64), group)


def _halves(rows: Inputs, seed: int) -> tuple[Inputs, Inputs]:
    if len(rows.y) < 2:
        raise InputError("one image cannot be divided into a part to calibrate on and a part to measure")
    order = np.random.default_rng(seed).permutation(len(rows.y))
    halves = (np.sort(order[: len(order) // 2]), np.sort(order[len(order) // 2 :]))
    one, two = (Inputs(rows.x[h], rows.y[h], None if rows.group is None else rows.group[h]) for h in halves)
    return one, two


def _as_onnx(network: Path, out: Path) -> Path:
    """Return the file, or what a run left of its network as one."""
    if network.suffix not in (".safetensors", ".pt"):
        if not network.exists():
            raise FileError(f"cannot read {network}: there is no such file")
        return network
    try:
        from surefoot.train import load_model_with_example  # noqa: PLC0415  (an extra that .onnx files do not need)
    except ModuleNotFoundError as error:
        raise MissingExtra(f"{network} needs Lightning to be read: {pip_install('train')}") from error
    from surefoot.graph.onnx_out import write_onnx  # noqa: PLC0415
    from surefoot.graph.torch_in import graph_of_module  # noqa: PLC0415

    write_onnx(graph_of_module(*load_model_with_example(network)), out / "network.onnx")
    return out / "network.onnx"


def _from_data(
    network: Path | None, data: str, folder: Path | None, out: Path, seed: int, console: Console
) -> tuple[Inputs, Inputs, tuple[str, ...], Path, str]:
    """Take a data set's held-out parts, and train on it where there is no network."""
    try:
        from surefoot.data import load_data  # noqa: PLC0415
        from surefoot.train import cells, find_recipe, run_cell  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise MissingExtra(f"data sets need Lightning: {pip_install('train')}, or give --images") from error
    rows = load_data(data, 0, folder)
    if network is None:
        console.print(f"training on {data} ...", style="dim")
        model = "mlp" if data == "digits" else "small-cnn"
        recipe = replace(find_recipe("quick", None, None, data), l1=TRAINED_L1)
        (cell,) = cells([data], [model], ["ce"], recipe, [seed], folder=folder)
        run_cell(cell, out / "run", {"enable_progress_bar": False})
        network = out / "run" / "model.safetensors"
        name = f"{model} on {data}"
    else:
        name = f"{network.stem} on {data}"
    parts = []
    for part in (rows.validation, rows.test):
        x = rows.prepare(torch.as_tensor(part.x)).float().numpy()
        parts.append(Inputs(x, part.y.numpy().astype(np.int64)))
    return parts[0], parts[1], rows.class_names, _as_onnx(network, out), name
