"""Whoever does what `docs/how-to/run-on-postgresql.md` says gets a server that works."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit, urlunsplit

import psycopg
import pytest

from tests.docs import pages
from tests.postgres import on_postgresql
from tests.stack import environment

pytestmark = pytest.mark.skipif(not on_postgresql(), reason="it is about PostgreSQL")

PAGE = pages.ROOT / "docs" / "how-to" / "run-on-postgresql.md"
INDENTED = re.compile(r"^ *```(\w+)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
URL = "CLAUDE_MEM_SERVER_DATABASE_URL"


def block(language: str) -> str:
    """The text of the page's only block in this language."""
    (text,) = [text for name, text in INDENTED.findall(PAGE.read_text()) if name == language]
    return str(text)


@dataclass(frozen=True, slots=True)
class Made:
    """What the first step of the page has made, under names of this test run."""

    url: str
    data: Path

    def run(self, *command: str, **settings: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "claudemem", *command], cwd=pages.ROOT, check=False,
            env=environment({"CLAUDE_MEM_DATA_DIR": str(self.data), **settings}),
            capture_output=True, text=True,
        )  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    ours = f"claudemem_page_{os.getpid()}"
    server = os.environ["CLAUDE_MEM_TEST_POSTGRES_URL"]
    place = urlsplit(server)
    told = re.search(rf"export {URL}='(.+?)'", block("sh"))
    assert told
    # As on the page but for names and the place, which has no encryption.
    user_and_password = urlsplit(told[1]).netloc.rpartition("@")[0]
    netloc = f"{user_and_password}@{place.netloc.rpartition('@')[2]}"
    url = urlunsplit(place._replace(netloc=netloc, path=urlsplit(told[1]).path))
    with psycopg.connect(server, autocommit=True) as owner:
        for statement in block("sql").replace("claudemem", ours).strip().split(";\n"):
            owner.execute(statement.encode())
        try:
            data = tmp_path_factory.mktemp("page") / "data"
            yield Made(url.replace("claudemem", ours), data)
        finally:
            owner.execute(f"DROP DATABASE {ours} WITH (FORCE)".encode())
            owner.execute(f"DROP ROLE {ours}".encode())


def test_a_role_without_any_right_but_its_own_database_is_enough(made: Made) -> None:
    done = made.run("migrate", **{URL: made.url})
    assert done.stdout == "the database was brought up to date\n", done.stderr

    with psycopg.connect(made.url) as connection:
        ((superuser,),) = connection.execute(
            "SELECT rolsuper FROM pg_roles WHERE rolname = current_user"
        ).fetchall()
        extensions = connection.execute("SELECT extname FROM pg_extension").fetchall()
    assert not superuser
    assert extensions == [("plpgsql",)]


def test_the_password_of_the_url_is_that_of_the_role() -> None:
    (password,) = re.findall(r"PASSWORD '(.+)'", block("sql"))
    (told,) = re.findall(r":([^:@]+)@db", block("sh"))
    assert unquote(told) == password
    assert told == quote(password)


def test_status_says_whether_the_database_answers_and_has_every_migration(made: Made) -> None:
    told = re.compile(r"^database +PostgreSQL  (.+)$", re.MULTILINE)

    def said() -> str:
        return "".join(told.findall(made.run("status", **{URL: made.url}).stdout))

    assert said() == "answers"
    with psycopg.connect(made.url, autocommit=True) as connection:
        connection.execute("DELETE FROM django_migrations WHERE app = 'queueing'")
    assert re.match(r"\d+ migrations are missing", said())


def test_another_applications_variable_is_never_read(made: Made) -> None:
    done = made.run("migrate", DATABASE_URL="postgres://127.0.0.1:1/others")
    assert done.returncode == 0, done.stderr
    assert (made.data / "claude-mem.sqlite3").is_file()
