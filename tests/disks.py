"""Disks that are full, also for root: no file of this process may be longer."""

import resource
from contextlib import contextmanager


def limit_files(limit_bytes):
    """For good; in a child's `preexec_fn`."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))


@contextmanager
def small_disk(limit_bytes):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    limit_files(limit_bytes)
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
