"""compose.yaml is valid, starts nothing unsafe, and gives every role what it takes."""

import json
import re
import tomllib
from typing import Any

import click
import pytest
from jsonschema import Draft7Validator

from claudemem import cli, databases
from claudemem.settings import env
from tests.compose import files
from tests.stack import ROOT

pytestmark = pytest.mark.once

SERVICES = files.services()
STORES = ("postgres", "valkey")
ROLES = {name: each for name, each in SERVICES.items() if name not in STORES}
LONG_RUNNING = [name for name in ROLES if name != "migrate"]


@pytest.fixture(params=sorted(SERVICES))
def service(request: pytest.FixtureRequest) -> dict[str, Any]:
    return SERVICES[request.param]


@pytest.fixture(params=sorted(ROLES))
def role(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def seconds(text: str) -> float:
    return float(text.removesuffix("s"))


def test_it_is_what_the_compose_specification_asks_for() -> None:
    schema = json.loads((ROOT / "tests/compose/schema/compose-spec.json").read_text())
    assert list(Draft7Validator(schema).iter_errors(files.compose())) == []
    assert list(Draft7Validator(schema).iter_errors({"services": {"web": {"prots": []}}}))


@pytest.mark.parametrize("name", files.SECRETS)
def test_it_says_what_to_do_about_a_secret_that_is_missing(name: str) -> None:
    without = {key: value for key, value in files.SECRETS.items() if key != name}
    with pytest.raises(files.Missing, match=f"{name}: make one with openssl rand -hex 32"):
        files.compose(without)


def test_no_password_has_a_default() -> None:
    for name, how in re.findall(r"\$\{(\w*(?:PASSWORD|KEY)\w*)([^}]*)\}", files.compose_text()):
        assert how == ":-" or how.startswith(":?"), (name, how)
    for name, value in files.env_file().items():
        assert not (value and re.search("PASSWORD|KEY", name)), name


def test_the_example_has_every_secret_and_nothing_that_is_not_read() -> None:
    asked = set(re.findall(r"\$\{(\w+)", files.compose_text()))
    assert set(files.SECRETS) <= set(files.env_file()) <= asked


@pytest.mark.parametrize("name", STORES)
def test_a_store_is_reached_from_the_other_containers_alone(name: str) -> None:
    assert "ports" not in SERVICES[name]
    assert SERVICES[name]["networks"] == ["data"]
    assert files.compose()["networks"]["data"] == {"internal": True}


def test_what_is_published_is_published_on_loopback() -> None:
    published = {name: each["ports"] for name, each in SERVICES.items() if "ports" in each}
    assert published == {"web": ["127.0.0.1:37877:37877"], "flower": ["127.0.0.1:5555:5555"]}


def test_the_queue_store_keeps_its_messages() -> None:
    told = " ".join(SERVICES["valkey"]["command"])
    for flag in ("--appendonly yes", "--maxmemory-policy noeviction", "--requirepass "):
        assert flag in told
    assert SERVICES["valkey"]["volumes"] == ["valkey:/data"]
    assert "--dir /data" in told


def test_a_container_has_no_more_rights_than_it_needs(service: dict[str, Any]) -> None:
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service.get("user", "image") not in ("root", "0")
    assert not {"privileged", "cap_add", "network_mode", "pid"} & set(service)
    assert {"mem_limit", "pids_limit", "logging", "tmpfs"} <= set(service)
    assert not any(str(each).startswith("/") for each in service.get("volumes", []))


def test_a_container_comes_back_and_shows_its_health(service: dict[str, Any]) -> None:
    if service["command"] == ["migrate"]:
        assert (service["restart"], service["healthcheck"]) == ("no", {"disable": True})
        return
    assert service["restart"] == "unless-stopped"
    assert service["healthcheck"]["test"][0] == "CMD"
    assert {"interval", "timeout", "retries", "start_period"} <= set(service["healthcheck"])


def test_images_that_are_not_ours_are_pinned_to_a_version() -> None:
    for name in STORES:
        assert re.search(r":\d+\.\d+", SERVICES[name]["image"]), name


def test_our_image_has_the_version_of_the_project() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert {each["image"] for each in ROLES.values()} == {f"claudemem:{version}"}


def test_every_role_is_a_command(role: str) -> None:
    command: click.Command | None = cli.cli
    for word in ROLES[role]["command"]:
        assert isinstance(command, click.Group)
        command = command.get_command(click.Context(command), word)
    assert command is not None


def test_every_variable_that_a_role_gets_is_a_setting(role: str) -> None:
    assert set(ROLES[role]["environment"]) <= env.known


def test_health_is_asked_by_a_command_that_exists(role: str) -> None:
    if role != "migrate":
        assert ROLES[role]["healthcheck"]["test"] == ["CMD", "claudemem", "healthcheck", role]


def test_a_role_waits_until_the_database_was_brought_up_to_date() -> None:
    assert SERVICES["migrate"]["depends_on"] == {"postgres": {"condition": "service_healthy"}}
    for name in LONG_RUNNING:
        assert SERVICES[name]["depends_on"] == {
            "migrate": {"condition": "service_completed_successfully"},
            "postgres": {"condition": "service_healthy"},
            "valkey": {"condition": "service_healthy"},
        }


def test_a_worker_can_be_started_many_times() -> None:
    assert not {"container_name", "ports", "hostname"} & set(SERVICES["worker"])


def test_nobody_is_killed_before_its_own_grace_is_over() -> None:
    from claudemem import settings

    assert seconds(SERVICES["worker"]["stop_grace_period"]) > settings.CALL_SECONDS + 10
    assert seconds(SERVICES["web"]["stop_grace_period"]) > settings.WAIT_SECONDS + 10


def test_all_roles_share_database_store_and_key() -> None:
    for name in ("SERVER_DATABASE_URL", "REDIS_URL", "SECRET_KEY"):
        (value,) = {each["environment"][f"CLAUDE_MEM_{name}"] for each in ROLES.values()}
        assert value
    url = ROLES["web"]["environment"]["CLAUDE_MEM_SERVER_DATABASE_URL"]
    assert databases.wrong_url(url) == ""


def test_connections_are_enough_for_eight_workers() -> None:
    (limit,) = re.findall(r"max_connections=(\d+)", " ".join(SERVICES["postgres"]["command"]))
    # A pool and the connection of the heartbeat, in eight workers and the web.
    assert int(limit) - 10 >= 9 * (10 + 1)
