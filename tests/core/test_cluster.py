"""Where tasks run: here without an address; an address at which nothing answers is named."""

import pytest
from joblib import Parallel, delayed

from surefoot.core.cluster import workers
from surefoot.core.errors import InputError


def test_without_an_address_tasks_run_here() -> None:
    with workers(None):
        assert Parallel(n_jobs=1)(delayed(pow)(i, 2) for i in range(4)) == [0, 1, 4, 9]


def test_tasks_go_to_the_scheduler_and_what_does_not_answer_is_named() -> None:
    distributed = pytest.importorskip("distributed", reason="a cluster needs Dask: pip install '.[cluster]'")
    one = distributed.LocalCluster(n_workers=1, threads_per_worker=2, processes=False, dashboard_address=None)
    with one as cluster, workers(cluster.scheduler_address):
        names = Parallel(n_jobs=-1)(delayed(_worker)() for _ in range(2))
    assert len(set(names)) == 1
    with pytest.raises(InputError, match="no Dask scheduler answers at 'nowhere://1'"), workers("nowhere://1"):
        pass


def _worker() -> str:
    """Name the worker that runs this; outside of one there is none."""
    from distributed import get_worker  # noqa: PLC0415  (an extra)

    return get_worker().address
