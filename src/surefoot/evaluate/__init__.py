"""What a model's confidence is worth: measured, compared, diagnosed, repaired."""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
