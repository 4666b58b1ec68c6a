"""`surefoot equal`: can two networks differ?"""

import json
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from surefoot.cli.compress import Domain, Seconds, read_domain
from surefoot.cli.options import Json
from surefoot.compress.files import equal_files, read_logits


def command(
    first: Annotated[Path, typer.Argument(help="An .onnx file.")],
    second: Annotated[Path, typer.Argument(help="Another, of the same inputs and outputs.")],
    domain: Domain,
    seconds: Seconds = 2.0,
    as_json: Json = False,
) -> None:
    """Bound by how much two networks' logits and confidences can differ over a domain; show the largest difference met.

    Example: surefoot equal net.onnx quantised.onnx --domain 0,1
    """
    lower, upper = read_domain(domain, read_logits(first).input_shape)
    found = equal_files(first, second, lower, upper, seconds)
    proven = np.isfinite(found.largest)
    if as_json:
        bounds = {"logits": found.largest, "confidence": found.confidence} if proven else None
        print(json.dumps({"proven": bool(proven), "bound": bounds, "met": found.met}))
        return
    if proven:
        print(f"proven: no logit differs by more than {found.largest:.3g}, no confidence by {found.confidence:.3g}")
    else:
        print("not proven: the networks have rectifiers that do not correspond")
    print(f"the largest difference of a logit that was met, in float64: {found.met:.3g}")
