"""A comparison as a matrix of cells: data x network x loss x seed. What a finished cell left is not redone."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import Any

import torch
from joblib import Parallel, delayed

from surefoot.core.cluster import workers
from surefoot.core.errors import FileError
from surefoot.core.files import read_json, write_json
from surefoot.core.predictions import Predictions, save_predictions
from surefoot.core.tables import load_predictions
from surefoot.data import load_data
from surefoot.data.catalog import content_of
from surefoot.losses import find_loss
from surefoot.models import find_model
from surefoot.train.box import box_of
from surefoot.train.fit import fit, forget_checkpoints, predictions_of
from surefoot.train.recipes import Recipe
from surefoot.train.saved import save_model

_SCHEMA = "surefoot.run/1"
_WRITTEN = ("predictions.parquet", "model.safetensors", "log", "checkpoints")


@dataclass(frozen=True)
class Run:
    """One run: everything that decides its result."""

    data: str
    model: str
    loss: str
    recipe: Recipe
    seed: int
    folder: str | None = None
    train_rows: int | None = None
    content: str | None = None  # the digest of a user's own data; the name of published data says what they are

    @property
    def name(self) -> str:
        """A folder's name."""
        return f"{Path(self.data).stem}-{self.model}-{self.loss}-seed{self.seed}"


def cells(
    data: Sequence[str],
    models: Sequence[str],
    losses: Sequence[str],
    recipe: Recipe,
    seeds: Sequence[int],
    *,
    folder: Path | str | None = None,
    train_rows: int | None = None,
) -> list[Run]:
    """List the cells of a matrix; unknown names and unreadable data are refused before anything is trained."""
    for model in models:
        find_model(model)
    for loss in losses:
        find_loss(loss)
    for name in data:
        load_data(name, 0, folder, train_rows)
    where, contents = None if folder is None else str(folder), {name: content_of(name) for name in data}
    return [
        Run(d, m, loss, recipe, s, where, train_rows, contents[d])
        for d, m, loss, s in product(data, models, losses, seeds)
    ]


def run_cell(cell: Run, folder: Path | str, trainer: Mapping[str, Any] | None = None) -> Predictions:
    """Train one cell in `folder`, or finish it, or return what it left if it is finished.

    Leaves `run.json` (what it is), `model.safetensors`, `predictions.parquet` (validation and test); the data's own
    split has seed 0 whatever the cell's, so that all cells are measured on the same rows.

    Raises:
        FileError: the folder holds a run with other settings.
    """
    folder = Path(folder)
    settings = _as_json(cell)
    record = folder / "run.json"
    noted = read_json(record) if record.exists() else {"cell": settings}
    if not isinstance(noted, dict) or not isinstance(noted.get("cell"), dict):
        raise FileError(f"{record} is not the record of a run; name another folder")
    if noted.get("schema", _SCHEMA) != _SCHEMA:
        raise FileError(f"{folder} holds a run of the version {noted['schema']}; this surefoot goes on with {_SCHEMA}")
    if noted["cell"] | {"content": None} == settings | {"content": None} and noted["cell"] != settings:
        raise FileError(
            f"{folder} holds a run on other data, or from before their content was noted, though they are "
            f"called {cell.data} too; name another folder"
        )
    if noted["cell"] != settings:
        raise FileError(f"{folder} holds a run with other settings; name another folder or remove it")
    finished = folder / "predictions.parquet"
    strange = [name for name in _WRITTEN if (folder / name).exists()]
    if strange and not record.exists():
        raise FileError(f"{folder} holds {strange[0]} of something else (no run.json beside it); name another folder")
    if finished.exists():
        return load_predictions(finished)
    write_json(record, {"schema": _SCHEMA, "cell": settings})
    data = load_data(cell.data, 0, cell.folder, cell.train_rows)
    torch.manual_seed(cell.seed)
    model = find_model(cell.model)(data.shape, len(data.class_names))
    loss = find_loss(cell.loss)(reduction=cell.recipe.reduction_for(cell.loss))
    start = time.perf_counter()
    fit(model, loss, data, cell.recipe, folder, seed=cell.seed, trainer=trainer)
    seconds = round(time.perf_counter() - start, 1)
    save_model(model, cell.model, data.shape, len(data.class_names), folder / "model.safetensors", box_of(data.train))
    provenance = {key: str(settings[key]) for key in ("data", "model", "loss", "seed")}
    predictions = predictions_of(model, data, provenance)
    write_json(record, {"schema": _SCHEMA, "cell": settings, "seconds": seconds, "torch": torch.__version__})
    save_predictions(predictions, finished)  # last: a cell with predictions is a finished one
    forget_checkpoints(folder)
    return predictions


def results_by_loss(runs: Mapping[Run, Predictions]) -> dict[str, list[Predictions]]:
    """Group the predictions of a matrix by loss, in the order of the cells."""
    grouped: dict[str, list[Predictions]] = {}
    for cell, predictions in runs.items():
        grouped.setdefault(cell.loss, []).append(predictions)
    return grouped


def _as_json(cell: Run) -> dict[str, Any]:
    settings = asdict(cell)
    unused = [k for k in ("l1", "adversarial") if not settings["recipe"][k]]  # runs from before these were there go on
    if settings["content"] is None:
        del settings["content"]
    recipe = {k: v for k, v in settings["recipe"].items() if k not in unused}
    settings["recipe"] = {k: list(v) if isinstance(v, tuple) else v for k, v in recipe.items()}
    return settings


def run_matrix(
    matrix: Sequence[Run],
    folder: Path | str,
    jobs: int = 1,
    done: Callable[[Run], None] | None = None,
    cluster: str | None = None,
) -> dict[Run, Predictions]:
    """Run cells, `jobs` at a time, each on one thread when there are several; call `done` as each one ends.

    Arguments:
        cluster: address of a Dask scheduler, whose workers run the cells instead; `folder` must be one that all of
            them see, as must the data. A cell whose worker dies goes on elsewhere from its last epoch.
    """
    trainer = {"enable_progress_bar": jobs == 1 and cluster is None and done is None}
    alone = jobs == 1 and cluster is None
    tasks = (delayed(_in_worker)(cell, Path(folder).resolve() / cell.name, trainer, alone) for cell in matrix)
    predictions_by_run = {}
    with workers(cluster):
        run = Parallel(n_jobs=-1 if cluster else jobs, return_as="generator_unordered")
        results: Iterator[tuple[Run, Predictions]] = run(tasks)  # type: ignore[assignment]
        for cell, predictions in results:
            predictions_by_run[cell] = predictions
            if done is not None:
                done(cell)
    return {cell: predictions_by_run[cell] for cell in matrix}


def _in_worker(cell: Run, folder: Path, trainer: Mapping[str, Any], alone: bool) -> tuple[Run, Predictions]:
    if not alone:
        torch.set_num_threads(1)
    return cell, run_cell(cell, folder, trainer)
