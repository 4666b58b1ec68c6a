"""The trusted base: what a certificate is, and the check of one. It imports `graph` and `core` alone."""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
