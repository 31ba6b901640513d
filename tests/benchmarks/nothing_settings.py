"""Our settings as they are, and the app that takes the work out of jobs."""

from claudemem import settings as ours
from claudemem.settings import *  # noqa: F403

INSTALLED_APPS = [*ours.INSTALLED_APPS, "tests.benchmarks.nothing.NothingConfig"]
