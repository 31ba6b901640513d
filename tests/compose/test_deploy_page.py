"""What docs/deploy.md tells people to type does what it says, as far as there is no Docker."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests import postgres
from tests.compose import files
from tests.docs import pages
from tests.stack import ROOT, environment

PAGE = ROOT / "docs" / "deploy.md"
BLOCKS = [block.text for block in pages.blocks(PAGE)]
IN_POSTGRES = re.compile(r"^docker compose exec -T postgres (.+)$", re.MULTILINE)


def test_the_first_commands_make_every_secret(tmp_path: Path) -> None:
    shutil.copytree(files.FOLDER, tmp_path / "compose")
    (block,) = [block for block in BLOCKS if "openssl" in block and "docker compose up" in block]
    script = block.replace("docker compose up", ": docker compose up")
    subprocess.run(["bash", "-eu", "-c", script], cwd=tmp_path, check=True)
    written = tmp_path / "compose" / ".env"
    assert written.stat().st_mode & 0o077 == 0
    pairs = dict(line.split("=", 1) for line in written.read_text().splitlines() if "=" in line)
    secrets = [pairs[name] for name in files.SECRETS]
    assert len(set(secrets)) == 3
    assert all(re.fullmatch("[0-9a-f]{64}", secret) for secret in secrets)
    assert files.services(pairs)


def test_the_commands_name_services_and_options_of_the_file() -> None:
    services = set(files.services())
    calls = [line for block in BLOCKS for line in re.findall(r"^docker compose (.+)$", block, re.M)]
    assert len(calls) > 12
    for call in calls:
        words = shlex.split(call.partition(" < ")[0].partition(" > ")[0])
        if words[0] == "exec":
            target = next(word for word in words[1:] if not word.startswith("-"))
            assert target in services, call
        if words[0] in ("stop", "logs"):
            assert {word for word in words[1:] if not word.startswith("-")} <= services, call
    assert "profile flower" in " ".join(calls)
    assert files.services()["flower"]["profiles"] == ["flower"]


def test_the_table_of_connections_is_right() -> None:
    for row in pages.rows(pages.sections(PAGE)["More workers"]):
        workers = int(row[0])
        for pool, cell in ((10, row[1]), (20, row[2])):
            assert int(cell) == pool + workers * (pool + 1)


def test_the_faults_that_are_shown_are_those_that_are_said() -> None:
    (shown,) = [block for block in BLOCKS if block.startswith("Error: ")]
    bad = {"CLAUDE_MEM_WORKER_THREADS": "many", "CLAUDE_MEM_SECRET_KEY": "short"}
    told = subprocess.run(
        [sys.executable, "-m", "claudemem", "migrate"], env=environment(bad), cwd=ROOT,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert sorted(told.stderr.splitlines()) == sorted(shown.splitlines())


@pytest.fixture(scope="module")
def server() -> Iterator[postgres.Server]:
    """A server as the image of PostgreSQL makes it: one role, which owns one database."""
    running = postgres.Server()
    try:
        with psycopg.connect(running.url(), autocommit=True) as connection:
            connection.execute("CREATE ROLE claudemem SUPERUSER LOGIN")
            connection.execute("CREATE DATABASE claudemem OWNER claudemem TEMPLATE template0")
        yield running
    finally:
        running.stop()


@pytest.mark.skipif(not postgres.on_postgresql(), reason="it is about PostgreSQL")
def test_what_was_backed_up_is_there_after_it_was_restored(
    server: postgres.Server, tmp_path: Path
) -> None:
    def ours(*words: str) -> str:
        settings = {"CLAUDE_MEM_SERVER_DATABASE_URL": server.url("claudemem"),
                    "CLAUDE_MEM_DATA_DIR": str(tmp_path / "data")}  # fmt: skip
        return subprocess.run(
            [sys.executable, "-m", "claudemem", *words], cwd=ROOT, env=environment(settings),
            capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip

    ours("migrate")
    ours("api-key", "create", "--name", "kept", "--team", "default")
    commands = [call for block in BLOCKS for call in IN_POSTGRES.findall(block)]
    assert [call.split()[0] for call in commands] == ["pg_dump", "dropdb", "createdb", "pg_restore"]
    path = f"{postgres._installed()}:{os.defpath}"
    for call in commands:
        subprocess.run(
            ["bash", "-euc", call], cwd=tmp_path, check=True,
            env={"PATH": path, "PGHOST": str(server.home)},
        )  # fmt: skip
    assert '"kept"' in ours("api-key", "list")
    assert ours("migrate") == "the database is up to date\n"
    assert ours("search", "anything")
