"""What settings are made of the environment."""

import json
import subprocess
import sys
from pathlib import Path

from tests.stack import ROOT, environment

SAY = """
import json
from claudemem import settings
print(json.dumps([settings.PROVIDER, settings.PROVIDER_OPTIONS, settings.MODE]))"""


def test_a_provider_that_is_set_to_nothing_is_not_set(tmp_path: Path) -> None:
    names = ("SERVER_PROVIDER", "SERVER_MODEL", "OPENROUTER_BASE_URL", "OPENROUTER_API_KEY", "MODE")
    nothing = {f"CLAUDE_MEM_{name}": "" for name in names}
    nothing |= {"OPENROUTER_API_KEY": "", "OPENROUTER_BASE_URL": " "}
    said = subprocess.run(
        [sys.executable, "-c", SAY], cwd=ROOT, capture_output=True, text=True, check=True,
        env=environment({**nothing, "CLAUDE_MEM_DATA_DIR": str(tmp_path)}),
    ).stdout  # fmt: skip
    assert json.loads(said) == ["offline", {"base_url": "", "model": "", "key": ""}, "code"]


BROKER = """
from claudemem import settings
print(settings.CELERY_BROKER_URL, settings.CELERY_BROKER_USE_SSL, settings.QUEUE_PREFIX)
print(settings.CELERY_BROKER_TRANSPORT_OPTIONS["global_keyprefix"])
print(settings.CELERY_BROKER_TRANSPORT_OPTIONS.get("master_name"))"""


def told(tmp_path: Path, **given: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", BROKER], cwd=ROOT, capture_output=True, text=True, check=False,
        env=environment({**given, "CLAUDE_MEM_DATA_DIR": str(tmp_path)}),
    )  # fmt: skip


def test_sentinels_and_a_prefix_reach_celery(tmp_path: Path) -> None:
    url = "sentinel://:pw@a,b:7/main/2"
    said = told(tmp_path, CLAUDE_MEM_REDIS_URL=url, CLAUDE_MEM_QUEUE_REDIS_PREFIX="my team").stdout
    first = "sentinel://:pw@a:26379/2;sentinel://:pw@b:7/2"
    assert said.splitlines() == [f"{first} None my_team", "my_team:", "main"]


def test_a_store_that_celery_knows_by_another_name_is_named_so(tmp_path: Path) -> None:
    said = told(tmp_path, CLAUDE_MEM_REDIS_URL="valkey://store/1").stdout
    assert said.splitlines() == ["redis://store:6379/1 None claude_mem", "claude_mem:", "None"]


def test_a_url_that_cannot_be_read_stops_everything_and_its_password_is_not_shown(
    tmp_path: Path,
) -> None:
    refused = told(tmp_path, CLAUDE_MEM_REDIS_URL="sentinel://:hidden-word@a:26379")
    assert refused.returncode != 0
    assert "CLAUDE_MEM_REDIS_URL must say after the Sentinels' hosts" in refused.stderr
    assert "hidden-word" not in refused.stderr
