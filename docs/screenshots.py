"""Makes docs/images: the recordings replayed into scratch data, and the admin as Chromium shows it.

Run from the checkout: `.venv/bin/python -m docs.screenshots`
"""

import json
import logging
import os
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
RECORDINGS = HERE.parent / "tests" / "recordings"
IMAGES = HERE / "images"
SIZE = {"width": 1360, "height": 1000}


def main(scratch: str) -> None:
    """Fill the scratch data directory, then take each picture."""
    os.environ["CLAUDE_MEM_DATA_DIR"] = scratch
    os.environ["DJANGO_SETTINGS_MODULE"] = "claudemem.settings"
    import django

    django.setup()
    logging.disable(logging.WARNING)
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    _replay()
    _take()


def _replay() -> None:
    from observations import ingest, keys
    from queueing import operations

    team, _ = keys.default_tenant()
    files = sorted(RECORDINGS.rglob("*.jsonl"), key=lambda file: file.parent.name)
    captured = [
        ingest.capture_hook(team.id, None, json.loads(line), origin={"source": "hook"})
        for file in files
        for line in file.read_text().splitlines()
    ]
    # One job has more to tell than the others.
    told = [one.job.id for one in captured if one.job][-3]
    operations.cancel(told)
    operations.retry(told)
    _work()


def _work() -> None:
    """Work all jobs in this process, lane by lane, as a worker would."""
    from django.db.models import F

    from observations.generate import ObserveEvents, SummariseSession
    from queueing import kinds, runner
    from queueing.models import GenerationJob

    heads = GenerationJob.objects.filter(state="queued", seq=F("lane__head"))
    while waiting := list(heads.values_list("id", "kind")):
        for job_id, kind in waiting:
            made = SummariseSession() if kind == kinds.SUMMARY.name else ObserveEvents()
            runner.run(job_id, made)


def _take() -> None:
    from claudemem.wsgi import application
    from tests import chromium

    IMAGES.mkdir(exist_ok=True)
    with chromium.serving(application, _session_key()) as address:
        for name, page in _pages().items():
            chromium.picture(f"{address}/admin/{page}", IMAGES / f"{name}.png", **SIZE)
            print(f"{name}.png  /admin/{page}")


def _session_key() -> str:
    from django.contrib.auth.models import User
    from django.test import Client

    client = Client()
    user = User.objects.create(username="ada", first_name="Ada", is_staff=True, is_superuser=True)
    client.force_login(user)
    return client.cookies["sessionid"].value


def _pages() -> dict[str, str]:
    from observations.models import Session
    from queueing.models import GenerationJob

    job = GenerationJob.objects.filter(history__event="retried").get()
    session = Session.objects.filter(observations__title__contains="max_wait in").first()
    assert session
    question = "cap for the exponential backoff of retries".replace(" ", "+")
    return {
        "admin-observations": f"observations/observation/?q={question}",
        "admin-session": f"observations/session/{session.pk}/change/",
        "admin-job": f"queueing/generationjob/{job.pk}/change/",
    }


if __name__ == "__main__":
    sys.path.insert(0, str(HERE.parent))
    with tempfile.TemporaryDirectory() as directory:
        main(directory)
