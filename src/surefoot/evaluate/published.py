"""The numbers of Mukhoti et al. 2020, one training run each, in percent, before and after their temperature.

From the paper's tables as reprinted and digitised; `FROM_MEMORY` marks cells that no source at hand confirms.
"""

from surefoot.core.catalog import look_up

Pair = tuple[float, float | None]  # before and after the temperature; None where there is no such number
Key = tuple[str, str]  # data set and network

LOSSES = ("ce", "brier", "mmce-w-ref", "ls", "fl-3", "flsd-53")


def _row(*cells: Pair | None) -> dict[str, Pair]:
    return {loss: cell for loss, cell in zip(LOSSES, cells, strict=True) if cell is not None}


ECE: dict[Key, dict[str, Pair]] = {
    ("cifar100", "resnet50"): _row(
        (17.52, 3.42), (6.52, 3.64), (15.32, 2.38), (7.81, 4.01), (5.13, 1.97), (4.50, 2.00)
    ),
    ("cifar100", "resnet110-paper"): _row(
        (19.05, 4.43), (7.88, 4.65), (19.14, 3.86), (11.02, 5.89), (8.64, 3.95), (8.56, 4.12)
    ),
    ("cifar100", "wrn-26-10"): _row(
        (15.33, 2.88), (4.31, 2.70), (13.17, 4.37), (4.84, 4.84), (2.13, 2.13), (3.03, 1.64)
    ),
    ("cifar100", "densenet121"): _row(
        (20.98, 4.27), (5.17, 2.29), (19.13, 3.06), (12.89, 7.52), (4.15, 1.25), (3.73, 1.31)
    ),
    ("cifar10", "resnet50"): _row((4.35, 1.35), (1.82, 1.08), (4.56, 1.19), (2.96, 1.67), (1.48, 1.42), (1.55, 0.95)),
    ("cifar10", "resnet110-paper"): _row(
        (4.41, 1.09), (2.56, 1.25), (5.08, 1.42), (2.09, 2.09), (1.55, 1.02), (1.87, 1.07)
    ),
    ("cifar10", "wrn-26-10"): _row((3.23, 0.92), (1.25, 1.25), (3.29, 0.86), (4.26, 1.84), (1.69, 0.97), (1.56, 0.84)),
    ("cifar10", "densenet121"): _row(
        (4.52, 1.31), (1.53, 1.53), (5.10, 1.61), (1.88, 1.82), (1.32, 1.26), (1.22, 1.22)
    ),
    ("tiny-imagenet", "resnet50-tiny"): _row(
        (15.32, 5.48), (4.44, 4.13), (13.01, 5.55), (15.23, 6.51), (1.87, 1.87), (1.76, 1.76)
    ),
    ("20news", "pooling-cnn"): _row(
        (17.92, 2.39), (13.58, 3.22), (15.48, 6.78), (4.79, 2.54), (8.67, 3.51), (6.92, 2.19)
    ),
    ("sst", "tree-lstm"): _row((7.37, 2.62), (9.01, 2.79), (5.03, 4.02), (4.84, 4.11), (16.05, 1.78), (9.19, 1.83)),
}


def _errors(*cells: float) -> dict[str, Pair]:
    return _row(*[(cell, cell) for cell in cells])  # a temperature changes no answer


ERROR: dict[Key, dict[str, Pair]] = {
    ("cifar10", "resnet50"): _errors(4.95, 5.00, 4.99, 5.29, 5.25, 4.98),
    ("cifar10", "resnet110-paper"): _errors(4.89, 5.48, 5.40, 5.52, 5.08, 5.42),
    ("cifar10", "wrn-26-10"): _errors(3.86, 4.08, 3.91, 4.20, 4.13, 4.01),
    ("cifar10", "densenet121"): _errors(5.00, 5.11, 5.41, 5.09, 5.33, 5.46),
    ("cifar100", "resnet50"): _errors(23.30, 23.39, 23.20, 23.43, 22.75, 23.22),
    ("cifar100", "resnet110-paper"): _errors(22.73, 25.10, 23.07, 23.43, 22.92, 22.51),
    ("cifar100", "wrn-26-10"): _errors(20.70, 20.59, 20.73, 21.19, 19.69, 20.11),
    ("cifar100", "densenet121"): _errors(24.52, 23.75, 24.00, 24.05, 23.25, 22.67),
    ("tiny-imagenet", "resnet50-tiny"): _errors(49.81, 53.20, 51.31, 47.12, 49.69, 49.06),
    ("20news", "pooling-cnn"): _errors(26.68, 27.06, 27.23, 26.03, 29.26, 27.98),
    ("sst", "tree-lstm"): _errors(12.85, 12.85, 11.86, 13.23, 12.19, 12.80),
}

ADA_ECE: dict[Key, dict[str, Pair]] = {
    ("cifar10", "resnet50"): _row((4.33, 2.14), (1.74, 1.23), (4.55, 2.16), (3.89, 2.92), None, (1.56, 1.26)),
    ("cifar10", "resnet110-paper"): _row((4.40, 1.99), (2.6, 1.7), (5.05, 2.4), (4.4, 4.4), None, (2.07, 1.67)),
}

CLASSWISE_ECE: dict[Key, dict[str, Pair]] = {
    ("cifar10", "resnet50"): _row((0.89, 0.40), (0.39, 0.36), (0.94, 0.48), (0.68, 0.48), None, (0.35, 0.35)),
    ("cifar10", "resnet110-paper"): _row((0.89, 0.46), (0.55, 0.45), (1.03, 0.51), (0.65, 0.65), None, (0.42, 0.38)),
}

# Against SVHN's test part, by the entropy of the softmax.
OOD_AUROC: dict[Key, dict[str, Pair]] = {
    ("cifar10", "resnet110-paper"): _row(
        (61.71, 59.66), (94.80, 95.13), (85.31, 85.39), (68.68, 68.68), (96.74, 96.92), (90.83, 90.97)
    ),
    ("cifar10", "wrn-26-10"): _row(
        (96.82, 97.62), (94.51, 94.51), (97.35, 97.95), (84.63, 84.66), (98.19, 98.05), (98.29, 98.20)
    ),
}

# The paper's table of NLL is not to be had; a rerun of its code (C10 R50, not by the authors) stands in.
NLL: dict[Key, dict[str, Pair]] = {
    ("cifar10", "resnet50"): _row((0.406, 0.202), (0.188, 0.185), (0.421, 0.206), None, (0.196, 0.195), None)
}

TABLES: dict[str, dict[Key, dict[str, Pair]]] = {
    "ece": ECE,
    "ada-ece": ADA_ECE,
    "classwise-ece": CLASSWISE_ECE,
    "nll": NLL,
    "error": ERROR,
    "ood-auroc": OOD_AUROC,
}

FROM_MEMORY: frozenset[tuple[str, str, str]] = frozenset(  # table, data set, loss
    {("ece", data, "fl-3") for data in ("cifar100", "tiny-imagenet", "20news", "sst")}
    | {("ece", "sst", "mmce-w-ref")}
    | {("ood-auroc", "cifar10", loss) for loss in LOSSES}
    | {("error", data, loss) for data in ("cifar100", "tiny-imagenet") for loss in LOSSES}
    | {("error", "20news", loss) for loss in ("brier", "mmce-w-ref")}
    | {("error", "sst", loss) for loss in ("mmce-w-ref", "fl-3")}
)

# How far two runs of the paper's own code lay apart (C10 R50, other seeds), in the table's units, before and after T.
RERUN: dict[str, tuple[float, float]] = {
    "ece": (0.3, 0.55),
    "ada-ece": (0.5, 0.55),
    "classwise-ece": (0.1, 0.1),
    "nll": (0.02, 0.01),
    "error": (0.4, 0.4),
    "ood-auroc": (5.0, 5.0),
}


def published(table: str, data: str, model: str, loss: str) -> Pair | None:
    """Return the published number before and after the temperature; None where there is none.

    >>> published("ece", "cifar10", "resnet50", "flsd-53")
    (1.55, 0.95)
    """
    return look_up(TABLES, "table", table).get((data, model), {}).get(loss)
