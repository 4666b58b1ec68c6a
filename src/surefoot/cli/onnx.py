"""What commands need to write ONNX, an extra that only they load, and only when asked."""

from pathlib import Path

from surefoot.core.errors import MissingExtra, pip_install
from surefoot.recalibrate import Calibrator


def write_calibrator(calibrator: Calibrator, path: Path) -> None:
    """Write a map as a graph.

    Raises:
        MissingExtra: the onnx extra is not installed.
    """
    try:
        from surefoot.recalibrate.onnx import calibrator_to_onnx, save_onnx  # noqa: PLC0415  (an extra)
    except ModuleNotFoundError as error:
        raise MissingExtra(f"writing ONNX needs it: {pip_install('onnx')}") from error
    save_onnx(calibrator_to_onnx(calibrator), path)
