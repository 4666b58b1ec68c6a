"""Bounds on what a network can compute: IBP, CROWN, alpha-CROWN, curvature, stars."""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
