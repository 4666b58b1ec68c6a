"""What is asked of a network, and what can be answered: input sets, properties, verdicts, files, replay."""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
