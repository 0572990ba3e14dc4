"""A Ray of two nodes on this machine, started once for all tests that ask for it.

Tests that use it are marked ``xdist_group("ray")``, so that ``--dist loadgroup`` starts one, not one for each worker.
"""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

Cluster = Any
"""``ray.cluster_utils.Cluster``, which is not typed."""

# Ray reads these when it is imported, whoever does that first: a token of the session, and nothing sent home.
os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32), "RAY_USAGE_STATS_ENABLED": "0"}


def _node() -> dict[str, Any]:
    return {"num_cpus": 1, "object_store_memory": 100 * 1024 * 1024}


@pytest.fixture(scope="session")
def _ray_settings() -> Iterator[None]:
    """Ray's files in a folder of its own (a socket's path must be short); its workers find our tests."""
    folder = Path(tempfile.mkdtemp(prefix="ray-", dir="/tmp"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_TMPDIR", str(folder))
        ours = [str(Path(__file__).parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])]
        patch.setenv("PYTHONPATH", os.pathsep.join(ours))
        yield
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def _ray_nodes(_ray_settings: None) -> Iterator[Cluster]:
    from ray import cluster_utils

    cluster: Cluster = cluster_utils.Cluster(
        initialize_head=True, head_node_args=_node() | {"include_dashboard": False}
    )
    cluster.add_node(**_node())
    yield cluster
    cluster.shutdown()


@pytest.fixture
def ray_cluster(_ray_nodes: Cluster) -> Cluster:
    """The cluster, with two nodes of one processor each whatever the test before did; join it at ``address``."""
    for _ in range(2 - len(_ray_nodes.list_all_nodes())):
        _ray_nodes.add_node(**_node())
    # A node that was killed is missed some seconds later, and whoever is joined then is told of it.
    _ray_nodes.wait_for_nodes(timeout=120)
    return _ray_nodes
