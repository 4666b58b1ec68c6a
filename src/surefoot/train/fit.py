"""Train one network, resumably; predict with it; keep what it learnt."""

import logging
import shutil
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
from lightning.pytorch.callbacks import ModelCheckpoint, TQDMProgressBar
from lightning.pytorch.loggers import CSVLogger
from torch import nn

from surefoot.core.errors import FileError, InputError
from surefoot.core.files import whole_file
from surefoot.core.predictions import Predictions
from surefoot.data import Data, Part, Prepare
from surefoot.losses import Loss
from surefoot.models import find_model
from surefoot.models.tree_lstm import TreeLSTM
from surefoot.train.batches import in_order, shuffled
from surefoot.train.box import Box
from surefoot.train.module import REFINED, Classifier
from surefoot.train.recipes import Recipe


def fit(
    model: nn.Module,
    loss: Loss,
    data: Data,
    recipe: Recipe,
    folder: Path | str,
    *,
    seed: int = 0,
    trainer: Mapping[str, Any] | None = None,
) -> nn.Module:
    """Train a network on the train part; resume from the last epoch if `folder` holds an unfinished run.

    Arguments:
        folder: gets `checkpoints/last.ckpt` each epoch, `best.ckpt` if the recipe keeps the best, `log/metrics.csv`.
        trainer: further arguments of `lightning.Trainer`: devices, num_nodes, precision, accelerator, ...

    Raises:
        InputError: the network does not take the data's inputs.

    Returns:
        The same network, trained, with the weights of the epoch the recipe keeps, on the CPU, in evaluation mode.
    """
    _quieten()
    check_fits(model, data)
    folder = Path(folder)
    if recipe.channels_last and len(data.shape) == 3:
        model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    module = Classifier(model, loss, recipe, seed, data.prepare)
    # Files that are replaced whole at the end of an epoch, after validation has spoken; the last one knows the best.
    keep: dict[str, Any] = {"save_top_k": 1, "enable_version_counter": False, "save_on_train_epoch_end": True}
    checkpoints = [ModelCheckpoint(folder / "checkpoints", "last", **keep)]
    if recipe.keep == "best":
        best = ModelCheckpoint(folder / "checkpoints", "best", monitor=REFINED, save_weights_only=True, **keep)
        checkpoints.insert(0, best)
    options: dict[str, Any] = {"enable_progress_bar": True, "accelerator": "auto", "devices": 1}
    options |= {"precision": recipe.precision} | dict(trainer or {})
    progress = [TQDMProgressBar(leave=False)] if options["enable_progress_bar"] else []
    runner = L.Trainer(
        max_epochs=recipe.epochs,
        gradient_clip_val=recipe.clip_norm,
        default_root_dir=folder,
        logger=CSVLogger(folder, name="log", version=""),
        callbacks=[*checkpoints, *progress],
        enable_model_summary=False,
        num_sanity_val_steps=0,
        **options,
    )
    last = folder / "checkpoints" / "last.ckpt"
    try:
        runner.fit(
            module,
            shuffled(data.train, recipe.batch_size, seed),
            in_order(data.validation),
            ckpt_path=str(last) if last.exists() else None,
            weights_only=True,  # a checkpoint is data: nothing in it is run
        )
    except SystemExit as stopped:  # what Lightning makes of Ctrl-C
        raise KeyboardInterrupt from stopped
    if recipe.keep == "best":
        weights = torch.load(folder / "checkpoints" / "best.ckpt", weights_only=True, map_location="cpu")["state_dict"]
        model.load_state_dict({k.removeprefix("model."): v for k, v in weights.items() if k.startswith("model.")})
    return model.cpu().eval()


def check_fits(model: nn.Module, data: Data) -> None:
    """Refuse a network that does not take the data's inputs, or does not give a logit a class, before it is trained.

    Raises:
        InputError: it does not.
    """
    part, k = data.validation.rows(np.arange(min(2, len(data.validation)))), len(data.class_names)
    try:
        logits = predict(model, part, data.prepare)
    except (RuntimeError, TypeError, IndexError, ValueError) as error:
        raise InputError(f"the network does not take inputs of {data.name}, shape {data.shape}: {error}") from error
    if logits.shape != (len(part), k):
        raise InputError(f"the network gives logits of shape {logits.shape[1:]}, but {data.name} has {k} classes")


def _quieten() -> None:
    """Drop Lightning's hints on hardware and workers; what matters is in the log and in the errors."""
    for name in ("lightning.pytorch", "lightning.fabric", "lightning.pytorch.utilities.rank_zero"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="lightning")
    warnings.filterwarnings("ignore", message=".*LeafSpec.*|.*isinstance\\(treespec.*")


def forget_checkpoints(folder: Path | str) -> None:
    """Remove the checkpoints of a run that is finished and whose weights are kept."""
    shutil.rmtree(Path(folder) / "checkpoints", ignore_errors=True)


def predict(model: nn.Module, part: Part, prepare: Prepare | None = None, batch_size: int = 512) -> np.ndarray:
    """Compute logits (n, k) of a part, in float32, in evaluation mode."""
    device, prepare = next(model.parameters()).device, prepare or Prepare()
    was_training = model.training
    model.eval()
    with torch.inference_mode():
        logits = [model(prepare(x.to(device))).float().cpu() for x, _ in in_order(part, batch_size)]
    model.train(was_training)
    return torch.cat(logits).numpy()


def predictions_of(model: nn.Module, data: Data, provenance: Mapping[str, str]) -> Predictions:
    """Predict the held-out parts, validation and test, as one Predictions table.

    Raises:
        InputError: the network gives NaN or infinite logits: it diverged.
    """
    parts = {"validation": data.validation, "test": data.test}
    logits = np.concatenate([predict(model, part, data.prepare) for part in parts.values()])
    if not np.isfinite(logits).all():
        raise InputError("the network gives logits that are not finite: training diverged; lower the learning rate")
    labels = np.concatenate([part.y.numpy() for part in parts.values()])
    split = np.concatenate([np.full(len(part), name) for name, part in parts.items()])
    about = {"division": data.division, **provenance}
    return Predictions(logits, "logits", labels, split, data.class_names, about)


def save_model(
    model: nn.Module,
    name: str,
    shape: tuple[int, ...],
    classes: int,
    path: Path | str,
    box: Box | None = None,
) -> None:
    """Write a network's weights with what is needed to rebuild it by name, and the box of inputs it is meant for."""
    about = {"name": name, "shape": list(shape), "classes": classes, "state": model.state_dict(), "box": box}
    with whole_file(path) as temporary:
        torch.save(about, temporary)


def load_model(path: Path | str) -> nn.Module:
    """Read what `save_model` wrote; nothing in the file is run.

    Raises:
        FileError: the file is missing, damaged, or holds something else.
    """
    return _load(path)[0]


def load_box(path: Path | str) -> Box | None:
    """Read the box of inputs that a saved network is meant for; None where the file names none.

    Raises:
        FileError: as `load_model`.
    """
    return _load(path)[2]


def load_model_with_example(path: Path | str) -> tuple[nn.Module, torch.Tensor]:
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


def _load(path: Path | str) -> tuple[nn.Module, tuple[int, ...], Box | None]:
    if not Path(path).exists():
        raise FileError(f"cannot read {path}: there is no such file")
    try:
        about = torch.load(path, weights_only=True, map_location="cpu")
        model = find_model(about["name"])(tuple(about["shape"]), about["classes"])
        model.load_state_dict(about["state"])
        box = about.get("box")  # files from before have none
        box = None if box is None else (box[0].double(), box[1].double())
    except Exception as error:  # whatever a damaged file makes torch raise
        raise FileError(f"{path} is not a model that surefoot wrote, or it is damaged: {error}") from error
    return model.eval(), tuple(about["shape"]), box
