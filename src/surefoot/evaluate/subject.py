"""What is assessed: a network as an ONNX file, and inputs to calibrate on and to measure."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from surefoot.core.errors import FileError, InputError
from surefoot.core.inputs import Inputs, read_labelled
from surefoot.graph.onnx_out import write_onnx
from surefoot.graph.torch_in import graph_of_module

TRAINED_L1 = 1e-4  # of the network that is trained here: little enough to cost nothing, and units become stable


@dataclass(frozen=True)
class Rows:
    """Where the rows are from, in words, and whether it is known that the network was not trained on them."""

    test: str
    calibration: str
    unseen: bool = False

    @property
    def sentence(self) -> str:
        """Say it."""
        known = (
            "that neither training nor the calibrator saw"
            if self.unseen
            else "that the calibrator did not see; whether the network was trained on them is not known"
        )
        return f"Measured on {self.test}, rows {known}; the calibrator was learnt on {self.calibration}."


@dataclass(frozen=True)
class Subject:
    """A network, the rows to learn its calibrator on, those to measure, and what it is called."""

    network: Path
    validation: Inputs
    test: Inputs
    name: str
    rows: Rows
    class_names: tuple[str, ...] | None = None

    @property
    def values(self) -> tuple[float, float]:
        """The least and the largest value of all inputs."""
        parts = (self.validation.x, self.test.x)
        return min(float(x.min()) for x in parts), max(float(x.max()) for x in parts)


def subject_of_files(network: Path, images: Path, calibration: Path | None, out: Path, seed: int) -> Subject:
    """Read a network and labelled inputs; without inputs to calibrate on a random half is for that.

    Raises:
        FileError, InputError: files that cannot be read, or hold something else.
    """
    test = read_labelled(images, dtype=np.float32, grouped=True)
    if calibration is None:
        validation, test = _halves(test, seed)
        rows = Rows(f"one half of {images}", f"the other half of {images}")
    else:
        validation = read_labelled(calibration, dtype=np.float32, grouped=True)
        rows = Rows(str(images), str(calibration))
    return Subject(_as_onnx(network, out), validation, test, _name_of(network), rows)


def subject_of_data(
    network: Path | None, data: str, folder: Path | None, out: Path, seed: int, step: Callable[[str], None]
) -> Subject:
    """Take a data set's held-out parts, and train on it where there is no network."""
    from surefoot.data import load_data  # noqa: PLC0415  (scikit-learn, which files of one's own do not need)
    from surefoot.train import cells, find_recipe, run_cell  # noqa: PLC0415  (an extra, which .onnx files do not need)

    loaded = load_data(data, 0, folder)
    rows = Rows(f"the test part of the data set {data}", "its validation part", unseen=network is None)
    if network is None:
        step(f"training on {data}")
        model = "mlp" if data == "digits" else "small-cnn"
        recipe = replace(find_recipe("quick", None, None, data), l1=TRAINED_L1)
        (cell,) = cells([data], [model], ["ce"], recipe, [seed], folder=folder)
        run_cell(cell, out / "run", {"enable_progress_bar": False})
        network = out / "run" / "model.safetensors"
        name = f"{model} on {data}"
    else:
        name = f"{_name_of(network)} on {data}"
    parts = []
    for part in (loaded.validation, loaded.test):
        x = loaded.prepare(torch.as_tensor(part.x)).float().numpy()
        parts.append(Inputs(x, part.y.numpy().astype(np.int64)))
    return Subject(_as_onnx(network, out), parts[0], parts[1], name, rows, loaded.class_names)


def _name_of(network: Path) -> str:
    return Path(network.name.removesuffix(".gz")).stem


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
    from surefoot.train import load_model_with_example  # noqa: PLC0415  (an extra, which .onnx files do not need)

    write_onnx(graph_of_module(*load_model_with_example(network)), out / "network.onnx")
    return out / "network.onnx"
