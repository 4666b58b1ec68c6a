"""The certificate of a compression: which signs both networks have over the domain; that they are equal follows."""

from pathlib import Path

import numpy as np
import torch

from surefoot.compress.forms import difference, forms_of
from surefoot.compress.stable import Cuts, Stability
from surefoot.core.errors import InputError
from surefoot.graph.graph import Graph
from surefoot.reach.certificate import Certificate, check_units


def certificate_of(
    names: tuple[str, str], first: Stability, second: Stability, files: tuple[Path, ...] = ()
) -> Certificate:
    """Make the certificate for two networks, named by the SHA-256 of their files."""
    return Certificate(" ".join(names), (first.proof(), second.proof()), files)


def check_equal(certificate: Certificate, names: tuple[str, str], first: Graph, second: Graph) -> np.ndarray:
    """Bound the difference of each output of two networks, by what a certificate says and no search.

    Boxes are computed anew by `reach.checker`; the networks' forms are compared. Neither knows of rewrites.

    Property: sound in real arithmetic.

    Raises:
        InputError: a certificate of other networks, a sign that is not proven, networks that are not shown to agree.
    """
    if certificate.network != " ".join(names) or len(certificate.proofs) != 2:
        raise InputError("the certificate is about other networks")
    one, two = certificate.proofs
    if not (np.array_equal(one.lower, two.lower) and np.array_equal(one.upper, two.upper)):
        raise InputError("the certificate speaks of two domains")
    rows, others = (np.zeros((0, 1)) if p.cuts is None else np.column_stack(p.cuts) for p in (one, two))
    if not (np.array_equal(rows, others) and np.isfinite(rows).all()):
        raise InputError("the certificate speaks of two domains, or of none")
    if not (np.isfinite(one.lower + one.upper).all() and (one.lower <= one.upper).all()):
        raise InputError("the certificate speaks of an empty or unbounded domain")
    if one.cuts is not None:  # of no input at all anything could be shown
        ends = (torch.from_numpy(end).reshape(first.input_shape) for end in (one.lower, one.upper))
        Cuts.of(*one.cuts, *ends)
    bound = difference(forms_of(first, check_units(one, first)), forms_of(second, check_units(two, second)))
    if not np.isfinite(bound).all():
        raise InputError("the certificate does not show that the networks agree")
    return bound
