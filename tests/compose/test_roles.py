"""Every role, started as compose.yaml starts it: from events over HTTP to observations, and back
up after each of them was stopped.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from claudemem import alive
from tests.compose import files
from tests.compose.containers import (
    FLOWER_PASSWORD,
    PUBLIC,
    Container,
    Host,
    parsed,
    unprivileged,
)
from tests.postgres import on_postgresql
from tests.stack import payloads, recording
from tests.waiting import until

pytestmark = [
    pytest.mark.stack,
    pytest.mark.skipif(not on_postgresql(), reason="compose.yaml is about PostgreSQL"),
]
EVENTS = payloads([recording("retry-max-wait")])


class Team:
    """All services, up, with two workers and a key."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.valkey = host.up_store()
        self.migrations = [host.up("migrate"), host.up("migrate")]
        self.migrated = [each.process.wait(120) for each in self.migrations]
        self.web = host.up("web")
        self.workers = [host.up("worker"), host.up("worker")]
        self.beat = host.up("beat")
        for name, container in self.long_running():
            self.await_health(name, container)
        made = host.execute(
            self.web, "web", "api-key", "create", "--scope", "memories:read,memories:write",
            "--project", "compose",
        )  # fmt: skip
        self.project = parsed(made)["projectId"]
        host.http.headers["Authorization"] = f"Bearer {parsed(made)['key']}"

    def long_running(self) -> list[tuple[str, Container]]:
        workers = [("worker", each) for each in self.workers]
        return [("web", self.web), *workers, ("beat", self.beat)]

    def await_health(self, name: str, container: Container) -> None:
        until(lambda: self.host.healthy(container, name), 90)

    def settled(self) -> bool:
        lanes = self.host.http.get("/v1/info").json()["queueLanes"]
        return not any(lane["waiting"] + lane["active"] + lane["delayed"] for lane in lanes)

    def capture(self, session: str) -> None:
        for payload in EVENTS:
            self.host.post(payload | {"session_id": session})

    def remember(self, session: str) -> None:
        """Capture a session and wait until all of it is worked."""
        before = self.completed()
        self.capture(session)
        until(lambda: self.completed() > before and self.settled(), 60)

    def completed(self) -> int:
        lanes = self.host.http.get("/v1/info").json()["queueLanes"]
        return sum(int(lane["completed"]) for lane in lanes)


@pytest.fixture(scope="module")
def team() -> Iterator[Team]:
    host = Host()
    try:
        yield Team(host)
    finally:
        host.stop()


def test_two_migrations_at_once_both_end_well(team: Team) -> None:
    assert team.migrated == [0, 0]
    said = "".join(each.said for each in team.migrations)
    assert "the database was brought up to date" in said


def test_events_over_http_become_observations(team: Team) -> None:
    team.remember("first")
    found = team.host.http.post("/v1/search", json={"projectId": team.project, "query": "retry"})
    assert found.json()["observations"]


def test_what_runs_is_the_installed_package_and_not_the_checkout(team: Team) -> None:
    told = subprocess.run(
        [sys.executable, "-c", "import claudemem; print(claudemem.__file__)"],
        env=team.host.environment("web", team.web.home), cwd=team.web.home,
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert told.stdout.strip() == str(team.host.app / "claudemem" / "__init__.py")


@pytest.mark.skipif(not unprivileged(), reason="only root can become another user")
def test_no_role_is_root(team: Team) -> None:
    for _, container in team.long_running():
        status = Path(f"/proc/{container.process.pid}/status").read_text()
        assert "Uid:\t10001\t10001\t10001\t10001" in status


def test_a_role_writes_its_sign_of_life_and_nothing_else(team: Team) -> None:
    for name, container in team.long_running():
        written = [path.name for path in container.home.rglob("*")]
        assert written == ["claudemem-alive"], name
        assert (container.home / "claudemem-alive").read_text() == name


def test_whoever_looks_from_within_a_container_sees_what_all_of_them_share(team: Team) -> None:
    team.remember("looked-at")
    told = json.loads(team.host.execute(team.web, "web", "status", "--json"))
    assert (told["healthy"], told["jobs"]["completed"]) == (True, team.completed())
    assert "supervisor" not in team.host.execute(team.web, "web", "status")
    listed = team.host.execute(team.web, "web", "jobs", "list", "--team", "default", "--limit", "1")
    assert "jobs" in listed
    assert "#" in team.host.execute(team.web, "web", "search", "retry")


def test_worker_and_beat_show_life_again_and_again(team: Team) -> None:
    def shown(container: Container) -> bool:
        born = psutil.Process(container.process.pid).create_time()
        last = (container.home / "claudemem-alive").stat().st_mtime
        # Later than the announcement, which is among the first things that it does.
        return last > born + alive.PULSE_SECONDS

    for name, container in team.long_running():
        if name != "web":
            until(lambda container=container: shown(container), 60)


def test_no_secret_is_in_what_a_role_says(team: Team) -> None:
    team.remember("silent")
    said = "".join(each.said for each in team.host.running)
    assert not [secret for secret in files.SECRETS.values() if secret in said]


def test_a_user_of_the_admin_signs_in_through_the_proxy_alone(team: Team) -> None:
    made = team.host.execute(team.web, "web", "createadmin", "ada")
    password = made.split("admin password")[1].split()[0]
    with httpx.Client(base_url=team.host.http.base_url) as wire:
        page = wire.get("/admin/login/", headers={"Host": "memory.example.org"})
        cookie = page.headers["Set-Cookie"]
        assert "Secure" in cookie
        token = page.text.split('name="csrfmiddlewaretoken" value="')[1].split('"')[0]
        form = {"csrfmiddlewaretoken": token, "username": "ada", "password": password}

        def sent(origin: str) -> int:
            headers = {"Host": "memory.example.org", "Origin": origin,
                       "Cookie": cookie.split(";")[0]}  # fmt: skip
            return wire.post("/admin/login/?next=/admin/", data=form, headers=headers).status_code

        assert (sent(PUBLIC), sent("https://elsewhere.example.org")) == (302, 403)
        assert wire.get("/admin/login/", headers={"Host": "elsewhere"}).status_code == 400
        assert wire.get("/static/admin/css/base.css").status_code == 200


def test_a_worker_that_is_stopped_leaves_its_work_to_the_other(team: Team) -> None:
    leaving = team.workers.pop()
    team.capture("handed-over")
    assert leaving.stop() == 0, leaving.said
    until(team.settled, 60)
    team.workers.append(team.host.up("worker"))
    team.await_health("worker", team.workers[-1])


def test_a_queue_store_that_is_restarted_is_found_again(team: Team) -> None:
    assert team.valkey.stop() == 0
    team.capture("while-away")
    team.valkey = team.host.up_store()
    until(team.settled, 60)
    team.remember("after-the-store")


def test_the_web_and_beat_can_be_restarted(team: Team) -> None:
    assert team.web.stop() == 0, team.web.said
    assert team.beat.stop() == 0, team.beat.said
    team.web, team.beat = team.host.up("web"), team.host.up("beat")
    team.await_health("web", team.web)
    team.await_health("beat", team.beat)
    team.remember("after-the-web")


def test_every_role_waits_for_a_store_that_is_not_there_yet_and_can_be_stopped(team: Team) -> None:
    for name in ("worker", "beat"):
        elsewhere = {"CLAUDE_MEM_REDIS_URL": "redis://:hidden@127.0.0.1:1/0"}
        waiting = team.host.up(name, elsewhere)
        until(lambda waiting=waiting: "it is tried until it can be used" in waiting.said, 60)
        assert "hidden" not in waiting.said
        assert waiting.stop() == 0, waiting.said


def test_flower_is_behind_its_password_and_its_prefix(team: Team) -> None:
    flower = team.host.up("flower")
    team.await_health("flower", flower)
    url = f"http://127.0.0.1:{team.host.flower_port}/flower/workers"
    assert httpx.get(url).status_code == 401
    assert httpx.get(url, auth=("admin", FLOWER_PASSWORD)).status_code == 200
    assert FLOWER_PASSWORD not in flower.said
    assert flower.stop() == 0, flower.said


def test_flower_does_not_start_without_a_password(team: Team) -> None:
    told = team.host.run("flower", {"CLAUDE_MEM_FLOWER_PASSWORD": ""})
    assert told.returncode == 1
    assert "set CLAUDE_MEM_FLOWER_PASSWORD" in told.stderr


@pytest.mark.parametrize("name", ["web", "worker", "beat", "flower", "migrate"])
def test_local_dev_is_refused_by_every_role(team: Team, name: str) -> None:
    told = team.host.run(name, {"CLAUDE_MEM_AUTH_MODE": "local-dev"})
    assert told.returncode != 0
    assert "local-dev is not allowed in Docker" in told.stderr
    assert "Traceback" not in told.stderr


def test_a_role_names_everything_that_is_missing_at_once(team: Team) -> None:
    without = {"CLAUDE_MEM_SERVER_DATABASE_URL": "", "CLAUDE_MEM_REDIS_URL": "",
               "CLAUDE_MEM_SECRET_KEY": "", "CLAUDE_MEM_WORKER_THREADS": "many"}  # fmt: skip
    told = team.host.run("worker", without)
    assert told.returncode == 1
    for name in without:
        assert f"- {name} " in told.stderr


def test_a_password_that_the_store_refuses_ends_the_start(team: Team) -> None:
    url = f"redis://:hidden@127.0.0.1:{team.host.store_port}/0"
    told = team.host.run("worker", {"CLAUDE_MEM_REDIS_URL": url})
    assert told.returncode == 1
    assert "refuses the password" in told.stderr
    assert "hidden" not in told.stderr


def test_every_role_stops_well(team: Team) -> None:
    codes = {name: each.stop() for name, each in team.long_running()}
    assert codes == {"web": 0, "worker": 0, "beat": 0}
    assert team.valkey.stop() == 0
