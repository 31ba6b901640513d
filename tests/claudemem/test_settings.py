"""What settings are made of the environment."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.stack import ROOT, environment

pytestmark = pytest.mark.once

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


def settings(
    data: Path, *names: str, file: Any = None, **variables: str
) -> tuple[dict[str, Any], str]:
    """What the settings of these names are under a settings file and variables, or what is said."""
    data.mkdir(exist_ok=True)
    if file is not None:
        (data / "settings.json").write_text(file if isinstance(file, str) else json.dumps(file))
    say = (
        "import json; from claudemem import settings;"
        f"print(json.dumps({{name: str(getattr(settings, name)) for name in {names!r}}}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", say], cwd=ROOT, capture_output=True, text=True, check=False,
        env=environment({"CLAUDE_MEM_DATA_DIR": str(data), **variables}),
    )  # fmt: skip
    return json.loads(done.stdout or "{}"), done.stderr.partition("ImproperlyConfigured: ")[2]


def test_the_settings_file_holds_where_the_environment_is_silent(tmp_path: Path) -> None:
    file = {"CLAUDE_MEM_SERVER_PORT": 4711, "CLAUDE_MEM_LOG_LEVEL": "warn", "theme": "dark"}
    held, _ = settings(
        tmp_path, "PORT", "LOG_LEVEL", "HOST", file=file,
        CLAUDE_MEM_LOG_LEVEL="debug", CLAUDE_MEM_SERVER_PORT=" ",
    )  # fmt: skip
    assert held == {"PORT": "4711", "LOG_LEVEL": "DEBUG", "HOST": "127.0.0.1"}


def test_the_settings_file_cannot_move_the_directory_that_it_is_in(tmp_path: Path) -> None:
    data, elsewhere = tmp_path / "data", tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "settings.json").write_text('{"CLAUDE_MEM_SERVER_PORT": 4712}')
    file = {"CLAUDE_MEM_DATA_DIR": str(elsewhere), "CLAUDE_MEM_SERVER_PORT": 4711}
    held, _ = settings(data, "DATA_DIR", "PORT", file=file)
    assert str(data) in held["DATA_DIR"]
    assert (held["PORT"], os.listdir(elsewhere)) == ("4711", ["settings.json"])


def test_what_other_programs_keep_there_is_neither_a_fault_nor_a_warning(tmp_path: Path) -> None:
    file = {
        "CLAUDE_MEM_MODEL": "x", "CLAUDE_MEM_WORKER_PORT": "37777", "CLAUDE_MEM_RUNTIME": "worker",
        "CLAUDE_MEM_SEVER_PORT": "1", "CLAUDE_MEM_AUTH_MODE": "local-dev", "CLAUDE_MEM_X": [[]],
        "CLAUDE_MEM_LOG_LEVEL": "SILENT", "permissions": {}, "CLAUDE_MEM_QUEUE_ENGINE": "sqlite",
        "CLAUDE_MEM_REDIS_MODE": "external", "CLAUDE_MEM_REDIS_URL": "",
        "CLAUDE_MEM_REDIS_HOST": "127.0.0.1", "CLAUDE_MEM_REDIS_PORT": "6379",
    }  # fmt: skip
    held, said = settings(
        tmp_path, "WARNINGS", "LOG_LEVEL", "QUEUE_ENGINE", "STORE_MODE", file={"env": file},
        CLAUDE_MEM_DOCKER="",
    )  # fmt: skip
    assert said == ""
    assert held == {
        "WARNINGS": "()", "LOG_LEVEL": "CRITICAL", "QUEUE_ENGINE": "celery",
        "STORE_MODE": "managed",
    }  # fmt: skip


def test_the_store_of_the_environment_is_not_mixed_with_that_of_the_file(tmp_path: Path) -> None:
    file = {"CLAUDE_MEM_REDIS_MODE": "external", "CLAUDE_MEM_REDIS_URL": "redis://file/0"}
    held, _ = settings(tmp_path, "STORE_MODE", "QUEUE_STORE_URL", file=file)
    assert held == {"STORE_MODE": "external", "QUEUE_STORE_URL": "redis://file/0"}
    held, said = settings(tmp_path, "STORE_MODE", CLAUDE_MEM_REDIS_MODE="managed")
    assert (held, said) == ({"STORE_MODE": "managed"}, "")
    held, said = settings(tmp_path, "QUEUE_STORE_URL", CLAUDE_MEM_REDIS_HOST="environment")
    assert held == {"QUEUE_STORE_URL": "redis://environment:6379/0"}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('{\n  "CLAUDE_MEM_SERVER_PORT": "hunter2"\n}', "line 2) must be a whole number"),
        ('{\n\n  "CLAUDE_MEM_SERVER_PORT": [1]\n}', "line 3) must be a text, a number"),
        ('{\n"CLAUDE_MEM_SERVER_PORT": hunter2', "line 2: it is no JSON"),
        ("[1]", "must hold an object"),
    ],
)
def test_a_fault_of_the_settings_file_names_it_and_the_line(
    tmp_path: Path, text: str, sentence: str
) -> None:
    _, said = settings(tmp_path, "PORT", file=text)
    assert str(tmp_path / "settings.json") in said
    assert sentence in said
    assert "hunter2" not in said


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


def test_a_worker_of_one_team_has_queues_of_its_own_and_nothing_due_but_its_own(
    tmp_path: Path,
) -> None:
    team = "01a20324-0000-7000-8000-000000000001"
    held, _ = settings(tmp_path, "QUEUE_PREFIX", CLAUDE_MEM_ONLY_TEAM=team)
    assert held == {"QUEUE_PREFIX": f"claude_mem:{team}"}
    held, _ = settings(tmp_path, "CELERY_BEAT_SCHEDULE", CLAUDE_MEM_ONLY_TEAM=team)
    assert "reconcile" in held["CELERY_BEAT_SCHEDULE"]
    assert "close-idle-sessions" not in held["CELERY_BEAT_SCHEDULE"]


@pytest.mark.parametrize("name", ["default", "' OR 1=1 --", "01a20324-0000-7000-8000"])
def test_a_team_is_named_by_its_id_alone(tmp_path: Path, name: str) -> None:
    _, said = settings(tmp_path, CLAUDE_MEM_ONLY_TEAM=name)
    assert "CLAUDE_MEM_ONLY_TEAM" in said
    assert "must be the id of a team" in said


def test_a_limit_that_is_no_number_stops_the_start_and_is_never_off(tmp_path: Path) -> None:
    names = ("RATE_LIMIT_PER_MIN", "MONTHLY_REQUEST_CAP", "MONTHLY_TOKEN_CAP", "USAGE_METERING")
    _, said = settings(
        tmp_path, CLAUDE_MEM_RATE_LIMIT_PER_MIN="-1", CLAUDE_MEM_MONTHLY_REQUEST_CAP="NaN",
        CLAUDE_MEM_MONTHLY_TOKEN_CAP="1e6", CLAUDE_MEM_USAGE_METERING="maybe",
    )  # fmt: skip
    for name in names[:3]:
        assert f"CLAUDE_MEM_{name} must be a whole number from 0" in said
    assert "CLAUDE_MEM_USAGE_METERING must be 1 or 0" in said
    held, said = settings(tmp_path, *names, CLAUDE_MEM_MONTHLY_TOKEN_CAP="20000000000")
    assert said == ""
    assert held == dict(zip(names, ("0", "0", "20000000000", "False"), strict=True))
