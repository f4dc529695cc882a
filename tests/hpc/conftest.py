"""The cluster, once for all tests of this folder."""

import pytest
from cluster import Cluster, why_not


@pytest.fixture(scope="session")
def cluster(tmp_path_factory):
    """A running private Slurm; the test is skipped, with the reason, where there can be none."""
    if reason := why_not():
        pytest.skip(reason)
    with Cluster(tmp_path_factory.mktemp("slurm")) as running:
        yield running
