"""`surefoot export`: a network and its calibrator as one ONNX file with calibrated probabilities out."""

from pathlib import Path
from typing import Annotated, Optional

import typer

from surefoot.core.errors import FileError, InputError


def command(
    network: Annotated[
        Path,
        typer.Argument(help="An .onnx or .onnx.gz file whose output is logits, or the `model.safetensors` of a run."),
    ],
    map_file: Annotated[
        Optional[Path],
        typer.Option("--map", help="A calibrator that `surefoot recalibrate` wrote. Default: the softmax alone."),
    ] = None,
    classes: Annotated[
        Optional[int],
        typer.Option(min=2, help="How many classes there are, where neither calibrator nor graph says."),
    ] = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="Where to write the graph.")] = Path("calibrated.onnx"),
) -> None:
    """Append a calibrator to a network: one ONNX file, from the network's input to calibrated `probs`.

    Any ONNX runtime computes what `surefoot` would, to float32's rounding, without Python.

    Example: surefoot export resnet.onnx --map map.json -o calibrated.onnx
    """
    from surefoot.recalibrate import Identity, load_calibrator
    from surefoot.recalibrate.onnx import batch_words, load_onnx, model_to_onnx, save_onnx

    example = None
    if network.suffix in (".safetensors", ".pt"):
        from surefoot.train import load_model_with_example

        model, example = load_model_with_example(network)
        classes = classes or model(example).shape[1]
    elif network.name.endswith((".onnx", ".onnx.gz")):
        model = load_onnx(network)
    else:
        raise FileError(f"{network} is neither an .onnx or .onnx.gz file nor the model.safetensors of a run")
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
