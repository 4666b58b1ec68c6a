"""A network's weights as a file: safetensors, with what is needed to rebuild it by name. Nothing in it can run."""

import json
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import safe_open
from torch import Tensor, nn

from surefoot.core.errors import FileError, InputError
from surefoot.core.files import whole_file
from surefoot.models import find_model
from surefoot.models.tree_lstm import TreeLSTM
from surefoot.train.box import InputRange

_FORMAT = "surefoot model 2"  # 1 was PyTorch's own format, without a version in it; it is still read
_ENDS = ("surefoot.box.lower", "surefoot.box.upper")


def save_model(
    model: nn.Module,
    name: str,
    shape: tuple[int, ...],
    classes: int,
    path: Path | str,
    box: InputRange | None = None,
) -> None:
    """Write a network's weights with what is needed to rebuild it by name, and the box of inputs it is meant for.

    The file is safetensors: any reader of it finds the weights under the names that PyTorch gives them.
    """
    tensors = {key: value.detach().cpu().contiguous().clone() for key, value in model.state_dict().items()}
    if box is not None:
        tensors |= dict(zip(_ENDS, (end.contiguous().clone() for end in box), strict=True))
    about = {"format": _FORMAT, "name": name, "shape": json.dumps(list(shape)), "classes": str(classes)}
    with whole_file(path) as temporary:
        safetensors.torch.save_file(tensors, temporary, metadata=about)


def load_model(path: Path | str) -> nn.Module:
    """Read what `save_model` wrote, or wrote before it wrote safetensors; nothing in the file is run.

    Raises:
        FileError: the file is missing, damaged, or holds something else.
    """
    return _load(path)[0]


def load_box(path: Path | str) -> InputRange | None:
    """Read the box of inputs that a saved network is meant for; None where the file names none.

    Raises:
        FileError: as `load_model`.
    """
    return _load(path)[2]


def load_model_with_example(path: Path | str) -> tuple[nn.Module, Tensor]:
    """Read what `save_model` wrote, and make an input that it takes: two rows of zeros.

    Raises:
        FileError: as `load_model`.
        InputError: a network whose input is no tensor (trees).
    """
    model, shape, _ = _load(path)
    if isinstance(model, TreeLSTM):
        raise InputError(f"{path} is a network for trees, whose input is no tensor: it cannot be exported")
    if any(isinstance(layer, nn.Embedding) for layer in model.modules()):
        return model, torch.zeros(2, shape[0], dtype=torch.int64)
    return model, torch.zeros(2, *shape)


def _load(path: Path | str) -> tuple[nn.Module, tuple[int, ...], InputRange | None]:
    path = Path(path)
    if not path.exists():
        raise FileError(f"cannot read {path}: there is no such file")
    try:
        with path.open("rb") as file:
            old = file.read(2) == b"PK"  # PyTorch's format is a zip file
        about = _read_first(path) if old else _read(path)
        make, shape, classes = find_model(about["name"]), tuple(about["shape"]), int(about["classes"])
        with torch.device("meta"):  # what a file asks for is not made before its weights are seen to be of that size
            wanted = {key: value.shape for key, value in make(shape, classes).state_dict().items()}
        if wanted != {key: value.shape for key, value in about["state"].items()}:
            raise ValueError(f"its weights are not those of {about['name']!r} for inputs {shape} and {classes} classes")
        model = make(shape, classes)
        model.load_state_dict(about["state"])
        box = about.get("box")
        box = None if box is None else (box[0].double(), box[1].double())
    except FileError:
        raise
    except Exception as error:  # whatever a damaged file makes its readers raise
        raise FileError(f"{path} is not a model that surefoot wrote, or it is damaged: {error}") from error
    return model.eval(), tuple(about["shape"]), box


def _read(path: Path) -> dict[str, Any]:
    with safe_open(path, "pt", device="cpu") as file:
        about = file.metadata() or {}
        if about.get("format") != _FORMAT:
            raise FileError(f"{path} holds weights, but not of a network that surefoot wrote: {about.get('format')!r}")
        state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118  (it is no dict)
    ends = [state.pop(key) for key in _ENDS if key in state]
    return about | {"shape": json.loads(about["shape"]), "state": state, "box": ends or None}


def _read_first(path: Path) -> dict[str, Any]:
    return torch.load(path, weights_only=True, map_location="cpu")
