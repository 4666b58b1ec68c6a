"""Every data set by name: feeds the command line. A name that ends in .npz is a user's own file."""

from collections.abc import Callable

from surefoot.core.catalog import look_up
from surefoot.data.arrays import arrays
from surefoot.data.digits import digits
from surefoot.data.splits import Data

DATA: dict[str, Callable[..., Data]] = {"digits": digits}


def load_data(name: str, seed: int = 0) -> Data:
    """Return the data set of that name (or file), divided by a seed.

    Raises:
        InputError: there is no such data set; the message lists those there are.
    """
    if name.endswith(".npz"):
        return arrays(name, seed)
    return look_up(DATA, "data set", name, ", or a file x.npz with x and y")(seed)
