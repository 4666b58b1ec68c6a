"""Where tasks run: here, or on a Dask cluster."""

from collections.abc import Iterator
from contextlib import contextmanager

from surefoot.core.errors import InputError, MissingExtra, pip_install

PATIENCE = "10s"  # for the scheduler to answer


@contextmanager
def workers(address: str | None) -> Iterator[None]:
    """Send joblib's tasks to the workers of a Dask scheduler, if there is an address.

    A task whose worker dies runs again elsewhere.

    Raises:
        MissingExtra: Dask is not installed.
        InputError: nothing answers at the address.
    """
    if address is None:
        yield
        return
    try:
        from distributed import Client  # noqa: PLC0415  (an extra)
        from joblib import parallel_config  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise MissingExtra(f"a cluster needs Dask: {pip_install('cluster')}") from error
    try:
        client = Client(address, timeout=PATIENCE)
    except (OSError, ValueError) as error:
        raise InputError(f"no Dask scheduler answers at {address!r}: {error}") from error
    with client, parallel_config("dask"):
        yield
