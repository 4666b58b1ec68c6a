"""What commands need to write ONNX, an extra that only they load, and only when asked."""

from pathlib import Path

from surefoot.core.errors import MissingExtra
from surefoot.recalibrate import Recalibrator


def write_map(recalibrator: Recalibrator, path: Path) -> None:
    """Write a map as a graph.

    Raises:
        MissingExtra: the onnx extra is not installed.
    """
    try:
        from surefoot.recalibrate.onnx import map_to_onnx, save_onnx  # noqa: PLC0415  (an extra)
    except ModuleNotFoundError as error:
        raise MissingExtra("writing ONNX needs it: pip install 'surefoot[onnx]'") from error
    save_onnx(map_to_onnx(recalibrator), path)
