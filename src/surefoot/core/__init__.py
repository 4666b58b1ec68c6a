"""What every package stands on: types, the door and its messages, numerics, files."""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
