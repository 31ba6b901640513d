"""Celery keeps the promise of an engine."""

from contextlib import closing

import redis

from tests.backlog import prove, send_hooks
from tests.contracts.engine_suite import Crew, EngineContract
from tests.nodes import Fleet
from tests.stack import CELERY, DATABASE


class TestCelery(EngineContract):
    engine = CELERY

    def test_a_worker_of_the_other_engine_may_work_beside_it(self, crew: Crew) -> None:
        other = crew.fleet.worker("other", engine=DATABASE)
        try:
            send_hooks(crew.fleet, 200)
            prove(crew.fleet)
            shares = [len(crew.fleet.claims_of(worker)) for worker in (other, *crew.workers)]
            assert min(shares) > 10
        finally:
            other.teardown()

    @staticmethod
    def forget_messages(fleet: Fleet) -> None:
        with closing(redis.Redis.from_url(fleet.store_access().url)) as client:
            client.flushall()
