"""A Dask cluster of two processes, in a process of its own: ``python -m tests.cohort.cluster``.

It prints its address and runs until its standard input ends.
"""

from __future__ import annotations

import sys

import dask
import distributed

# A cluster gives up a worker that is not back within 15 s, for good: also one that was killed anew meanwhile.
dask.config.set({"distributed.deploy.lost-worker-timeout": "1 hour"})

if __name__ == "__main__":
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address=None
    ) as cluster:
        print(cluster.scheduler_address, flush=True)
        sys.stdin.read()
