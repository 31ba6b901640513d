"""pytest-celery's fixtures over nodes that are processes, shared by a module's tests."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from shutil import rmtree

import pytest
from pytest_celery import CeleryBrokerCluster, CeleryWorkerCluster

from claudemem.celery import app
from tests.nodes import Broker, Fleet, Setup, StoreNode
from tests.stack import SHORT_LEASES
from tests.stack_tests.conftest import SLOW


@pytest.fixture(scope="module")
def fleet() -> Iterator[Fleet]:
    """A server whose store and workers are the nodes of this module."""
    home = Path(tempfile.mkdtemp(prefix="claudemem-fleet-"))
    fleet = Fleet(home, {**SLOW, **SHORT_LEASES})
    try:
        yield fleet
    finally:
        fleet.stop()
        rmtree(home, ignore_errors=True)


@pytest.fixture(scope="module")
def celery_broker(fleet: Fleet) -> Iterator[Broker]:
    broker = Broker(StoreNode(fleet.directory))
    yield broker
    broker.teardown()


@pytest.fixture(scope="module")
def celery_broker_cluster(celery_broker: Broker) -> CeleryBrokerCluster:
    return CeleryBrokerCluster(celery_broker)


@pytest.fixture(scope="module")
def celery_backend_cluster() -> None:
    """There are no results: a job's row has its state."""


@pytest.fixture(scope="module")
def celery_worker_cluster(fleet: Fleet, celery_broker: Broker) -> Iterator[CeleryWorkerCluster]:
    fleet.start()
    cluster = CeleryWorkerCluster(fleet.worker("first"), fleet.worker("second"))
    yield cluster
    for worker in cluster:
        worker.teardown()


@pytest.fixture(scope="module")
def celery_setup_cls() -> type[Setup]:
    return Setup


@pytest.fixture
def fresh(celery_setup: Setup) -> Iterator[Setup]:
    """The setup, with all its workers running and nothing left to do; so it is again at the end."""
    for worker in celery_setup.worker_cluster:
        if worker.container.status != "running":
            worker.restart()
    assert celery_setup.ready()
    yield celery_setup
    # A node that is restarted makes its app the current one.
    app.set_current()
