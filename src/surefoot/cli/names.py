"""Names that can be typed, for help and choices: a catalogue would import what it names. A test compares the two."""

CALIBRATORS = (
    "auto", "none", "temperature", "temperature-grid-ece", "temperature-grid-nll", "temperature-ensemble",
    "temperature-parameterized", "focal-undo", "focal-undo-temperature", "vector", "matrix", "dirichlet", "structured",
    "platt", "beta", "isotonic", "isotonic-temperature", "histogram", "bbq", "scaling-binning", "venn-abers", "spline",
    "spline-classwise", "top-platt", "top-beta", "top-isotonic", "top-histogram", "top-histogram-per-class", "top-bbq",
    "top-scaling-binning", "top-venn-abers",
)  # fmt: skip
LOSSES = (
    "ce", "ls", "brier", "mmce", "mmce-ref", "mmce-w", "mmce-w-ref", "fl-1", "fl-2", "fl-3", "flsc-531", "flsd-53",
    "flsd-532", "focal-solved", "dual-focal", "inverse-focal", "mbls", "mdca", "adafocal",
)  # fmt: skip
MODELS = (
    "linear", "mlp", "mlp-64", "small-cnn", "resnet20", "resnet32", "resnet44", "resnet56", "resnet110", "resnet50",
    "resnet110-paper", "resnet50-tiny", "wrn-26-10", "densenet121", "pooling-cnn", "tree-lstm", "ccp-2", "ccp-4",
    "ccp-8", "ncp-2", "ncp-4", "ncp-skip-4", "prod-poly", "pi-small", "pi-small-relu", "pdc-small", "r-poly-small",
    "pi-resnet18", "pi-resnet18-relu", "prod-poly-resnet",
)  # fmt: skip
DATA = (
    "digits", "cifar10", "cifar100", "svhn", "tiny-imagenet", "mnist", "fashion-mnist", "20news", "20news-200", "sst",
)  # fmt: skip
METRICS = (
    "accuracy", "nll", "brier", "ece", "ece_debiased", "ada_ece", "classwise_ece", "mce", "rmsce", "overconfidence",
    "ks", "ks_pvalue", "auroc", "spiegelhalter_pvalue", "smooth_ece", "cross_validated_ece", "ks_second",
    "ks_within_two", "ks_classwise", "ks_classwise_pvalue",
)  # fmt: skip
RECIPES = ("quick", "fast", "paper")
TABLES = ("ece", "ada-ece", "classwise-ece", "nll", "error", "ood-auroc")  # of the paper
PAPER_LOSSES = ("ce", "brier", "mmce-w-ref", "ls", "fl-3", "flsd-53")

METHODS = (
    "auto", "crown", "curvature", "alpha-crown", "relu-splitting", "neuron-hulls", "input-splitting", "exact", "star",
    "zonotope", "polytope", "relaxed",
)  # fmt: skip
RENAMED_METHODS = {  # names of before, kept for one version
    "substitution": "crown", "ascent": "alpha-crown", "split": "relu-splitting", "divide": "input-splitting",
}  # fmt: skip

# Extras by name: the modules that each installs, and what they give.
EXTRAS = {
    "train": (("lightning", "safetensors"), "train, compare, reproduce, predict"),
    "report": (("jinja2", "plotly"), "report, explain, and pages"),
    "gpu": (("triton",), "kernels of the losses on a GPU"),
    "data": (("datasets", "PIL"), "data sets from the hub, folders of pictures"),
    "cluster": (("dask", "distributed"), "--cluster"),
    "onnx": (("onnx", "onnxscript"), "export"),
    "verify": (
        ("onnx", "onnxscript", "highspy", "onnxruntime", "vnnlib"),
        "verify, certify, compress, equal, regions, check",
    ),
}
