"""Train one network, resumably; predict with it; keep what it learnt."""

import csv
import logging
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import lightning as L
import numpy as np
import torch
from lightning.pytorch.callbacks import ModelCheckpoint, TQDMProgressBar
from lightning.pytorch.loggers import CSVLogger
from torch import nn

from surefoot.core.errors import FileError, InputError
from surefoot.core.predictions import Predictions
from surefoot.data import Data, Part, Prepare
from surefoot.losses import Loss
from surefoot.train.batches import in_order, shuffled
from surefoot.train.module import REFINED, Classifier
from surefoot.train.recipes import Recipe

CHECKPOINTS = ("last.ckpt", "best.ckpt")


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
        FileError: a checkpoint that is there is damaged.

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
    last = folder / "checkpoints" / "last.ckpt"
    logger = CSVLogger(folder, name="log", version="")
    if last.exists():
        _keep_log(logger, _read_checkpoint(last)["epoch"])
    progress = [TQDMProgressBar(leave=False)] if options["enable_progress_bar"] else []
    runner = L.Trainer(
        max_epochs=recipe.epochs,
        gradient_clip_val=recipe.clip_norm,
        default_root_dir=folder,
        logger=logger,
        callbacks=[*checkpoints, *progress],
        enable_model_summary=False,
        num_sanity_val_steps=0,
        **options,
    )
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
        weights = _read_checkpoint(folder / "checkpoints" / "best.ckpt")["state_dict"]
        model.load_state_dict({k.removeprefix("model."): v for k, v in weights.items() if k.startswith("model.")})
    return model.cpu().eval()


def _read_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint of Lightning whole.

    Raises:
        FileError: it is damaged, or none.
    """
    try:
        with ZipFile(path) as file:  # PyTorch does not look at the checksums
            whole = file.testzip() is None
        held = torch.load(path, weights_only=True, map_location="cpu")
    except Exception as error:  # whatever a damaged file makes its reader raise: zip, pickle, PyTorch
        raise _damaged(path) from error
    if not whole or not isinstance(held, dict) or not {"epoch", "state_dict"} <= held.keys():
        raise _damaged(path)
    return held


def _damaged(path: Path) -> FileError:
    return FileError(
        f"{path} is damaged or no checkpoint of a training; remove it with the others of its folder, and the training "
        f"starts anew"
    )


def _keep_log(logger: CSVLogger, epoch: int) -> None:
    """Keep the rows of a log up to an epoch: Lightning's logger removes the file that is there when it starts."""
    path = Path(logger.log_dir) / "metrics.csv"
    rows: list[dict[str, Any]] = []
    if path.exists():
        try:
            lines = path.read_text(encoding="utf-8").split("\n")[:-1]  # without one that was cut short
            held = csv.DictReader(lines)
            rows = [{k: v for k, v in row.items() if v} for row in held if int(row["epoch"]) <= epoch]
        except (ValueError, KeyError, csv.Error) as error:
            raise FileError(f"{path} is not a log of a training, or damaged; remove it: {error}") from error
    logger.experiment.metrics = rows
    logger.save()


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
    checkpoints = Path(folder) / "checkpoints"
    for name in CHECKPOINTS:
        (checkpoints / name).unlink(missing_ok=True)
    if checkpoints.is_dir() and not any(checkpoints.iterdir()):
        checkpoints.rmdir()


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
