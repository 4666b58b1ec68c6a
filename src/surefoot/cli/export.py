"""`surefoot export`: a network and its calibrator as one ONNX file with calibrated probabilities out."""

from pathlib import Path
from typing import Annotated, Optional

import typer

from surefoot.core.errors import FileError, InputError, MissingExtra, pip_install
from surefoot.core.files import keep_inputs
from surefoot.recalibrate import Identity, load_calibrator
from surefoot.recalibrate.onnx import batch_words, load_onnx, model_to_onnx, save_onnx


def command(
    network: Annotated[
        Path, typer.Argument(help="An .onnx file whose output is logits, or the `model.safetensors` of a run.")
    ],
    map_file: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--map", help="A calibrator that `surefoot recalibrate` wrote. Default: the softmax alone."),
    ] = None,
    classes: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(min=2, help="How many classes there are, where neither calibrator nor graph says."),
    ] = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="Where to write the graph.")] = Path("calibrated.onnx"),
) -> None:
    """Put a calibrator behind a network: one ONNX file, from the network's input to calibrated `probs`.

    Any ONNX runtime computes what `surefoot` would, to float32's rounding, without Python.

    Example: surefoot export resnet.onnx --map map.json -o calibrated.onnx
    """
    keep_inputs({"--out": out}, (network, map_file))
    example = None
    if network.suffix in (".safetensors", ".pt"):
        try:
            from surefoot.train import load_model_with_example  # noqa: PLC0415  (an extra that .onnx files do not need)
        except ModuleNotFoundError as error:
            raise MissingExtra(f"{network} needs Lightning to be read: {pip_install('train')}") from error
        model, example = load_model_with_example(network)
        classes = classes or model(example).shape[1]
    elif network.suffix == ".onnx":
        model = load_onnx(network)
    else:
        raise FileError(f"{network} is neither an .onnx file nor the model.safetensors of a run")
    if map_file is not None:
        calibrator = load_calibrator(map_file)
    elif classes is not None:
        calibrator = Identity().fit([[0.0] * classes], [0])
    else:
        raise InputError("without --map the number of classes must be given: --classes 10")
    combined = model_to_onnx(model, calibrator, example)
    save_onnx(combined, out)
    name, takes = combined.graph.output[0].name, batch_words(combined)
    print(
        f"{network} with {type(calibrator).__name__}, {calibrator.n_classes_} classes: {out}; it {takes}"
        + ("" if name == "probs" else f" (its output is called {name}: the network has a value called probs)")
    )
