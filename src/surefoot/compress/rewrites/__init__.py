"""Rewrites of a hidden layer, one a file: each keeps every answer over the domain, in real arithmetic."""

from collections.abc import Callable

from surefoot.compress.hidden_layer import HiddenLayer
from surefoot.compress.rewrites.bottleneck import bottleneck
from surefoot.compress.rewrites.constant import fold_constant
from surefoot.compress.rewrites.dependent import merge_dependent
from surefoot.compress.rewrites.inactive import drop_inactive
from surefoot.compress.rewrites.proportional import merge_proportional
from surefoot.compress.rewrites.unused import drop_unused

REWRITES: dict[str, Callable[[HiddenLayer], HiddenLayer]] = {
    "inactive": drop_inactive,
    "constant": fold_constant,
    "unused": drop_unused,
    "proportional": merge_proportional,
    "dependent": merge_dependent,
    "bottleneck": bottleneck,
}
