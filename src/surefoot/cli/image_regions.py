"""Regions around images, from what the command line says of them."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Optional

import numpy as np
import typer

from surefoot.cli.arguments import numbers, places, value_range
from surefoot.core.errors import InputError

if TYPE_CHECKING:
    from surefoot.spec.input_set import InputSet
    from surefoot.verify.network import Network

Kind = Literal["linf", "l1", "l2", "brighten", "patch", "pixels", "line"]
Layout = Literal["chw", "hwc"]
Region = Annotated[Kind, typer.Option("--region", help="What may be done to an image.")]
Range = Annotated[
    str,
    typer.Option(
        "--range", help="linf, l1, l2, patch, pixels: the valid range, before any normalisation. Default: 0,1."
    ),
]
Threshold = Annotated[
    Optional[float],
    typer.Option(help="brighten: values x from here on may be anything from 0 to delta x, the others stay."),
]
Places = Annotated[str, typer.Option("--at", help="patch: top,left,size. pixels: places in the flat image.")]
Towards = Annotated[Optional[Path], typer.Option(help="line: an .npz file whose `x` are the attacked images.")]
Start = Annotated[
    Optional[float],
    typer.Option(help="line: where it begins; 0 is the image, the default, and 1 the attacked one."),
]
ChannelsAt = Annotated[
    Optional[Layout],
    typer.Option("--layout", help="patch: whether the channels of an image come first (chw) or last (hwc)."),
]
COLOURS = (1, 3, 4)  # what a number of channels looks like

NEEDED: dict[Kind, dict[str, str]] = {
    "linf": {"eps": "such as 2/255"},
    "l1": {"eps": "by how much all values may change together"},
    "l2": {"eps": "the largest Euclidean distance"},
    "brighten": {"threshold": "from which on values are attacked", "delta": "for values x from 0 to delta x"},
    "patch": {"at": "top,left,size"},
    "pixels": {"at": "places in the flat image between commas"},
    "line": {"towards": "the attacked images", "delta": "how far along, above 0"},
}
MORE: dict[Kind, tuple[str, ...]] = {
    "linf": ("range",),
    "l1": ("range",),
    "l2": ("range",),
    "patch": ("range", "layout"),
    "pixels": ("range",),
    "line": ("start",),
}


def check_options(given: dict[str, Any], kind: Kind | None) -> None:
    """Refuse a region without what makes it one, and what another kind of region, or a property, has no use for.

    Raises:
        InputError: the option.
    """
    said = {name for name, value in given.items() if value is not None and value != ""}
    if kind is None:
        for name in sorted(said):
            raise InputError(f"--{name} goes with --images: a property names its own region")
        return
    for name, what in NEEDED[kind].items():
        if name not in said:
            raise InputError(f"--region {kind} needs --{name}, {what}")
    for name in sorted(said - {*NEEDED[kind], *MORE.get(kind, ())}):
        raise InputError(f"--{name} does not go with --region {kind}")
    if kind == "line" and not given["delta"] > 0:
        raise InputError(f"--delta {given['delta']:g}: a line needs a length above 0, or it is the image alone")


def regions_of(x: np.ndarray, kind: Kind, about: dict[str, Any], network: "Network") -> "list[InputSet]":
    """Return the region around each image."""
    from surefoot.spec.perturbations import ball, brightening, line, linf_ball, patch, pixels
    from surefoot.verify.many import load_images

    low, high = value_range(about["range"] or "0,1")
    match kind:
        case "linf":
            (radius,) = numbers(about["eps"], 1, "--eps")
            return [linf_ball(image, radius, low, high) for image in x]
        case "l1" | "l2":
            (radius,) = numbers(about["eps"], 1, "--eps")
            return [ball(image, radius, 1 if kind == "l1" else 2, low, high) for image in x]
        case "brighten":
            return [brightening(image, about["threshold"], about["delta"]) for image in x]
        case "patch":
            top, left, size = places(about["at"], 3, "--at")
            layout = _layout(about["layout"], network.graph.input_shape)
            shape = network.graph.input_shape
            return [patch(image.reshape(shape), top, left, size, low, high, layout) for image in x]
        case "pixels":
            these = np.array(places(about["at"], None, "--at"))
            return [pixels(image, these, low, high) for image in x]
        case "line":
            attacked, _ = load_images(about["towards"], network)
            if len(attacked) < len(x):
                raise InputError(f"--towards has {len(attacked)} images for {len(x)}")
            return [line(a, b, about["start"] or 0.0, about["delta"]) for a, b in zip(x, attacked, strict=False)]


def _layout(said: Layout | None, shape: tuple[int, ...]) -> Layout:
    """Return where the channels are: as it was said, or first, unless that is not what it looks like.

    Raises:
        InputError: the last side looks like the channels, and nothing was said.
    """
    if said is not None:
        return said
    if len(shape) == 3 and shape[2] in COLOURS and shape[0] not in COLOURS:
        raise InputError(
            f"--region patch: images of shape {shape}: say --layout hwc if the channels come last, or --layout chw"
        )
    return "chw"
