"""Which database the settings name, and how."""

import pytest
from django.core.exceptions import ImproperlyConfigured

from claudemem.databases import Limits, postgresql

LIMITS = Limits(pool=7, idle=20_000, connect=3_000, statement=9_000)


def test_a_url_says_where_and_the_limits_how_much() -> None:
    made = postgresql("postgres://ada:p%40ss@db:5433/memory", LIMITS, sslmode="")
    place = [made[name] for name in ("USER", "PASSWORD", "HOST", "PORT", "NAME")]
    assert place == ["ada", "p@ss", "db", 5433, "memory"]
    options = made["OPTIONS"]
    assert "sslmode" not in options
    assert "statement_timeout=9000" in options["options"]
    pool = options["pool"]
    assert (pool["max_size"], pool["max_idle"], pool["timeout"]) == (7, 20.0, 3.0)


def test_a_sockets_directory_is_percent_encoded() -> None:
    made = postgresql("postgresql://ada@%2Fvar%2Frun%2FPg/memory", LIMITS, sslmode="")
    assert made["HOST"] == "/var/run/Pg"


def test_the_url_wins_over_the_setting_for_ssl() -> None:
    plain = postgresql("postgres://db/memory", LIMITS, sslmode="require")
    told = postgresql("postgres://db/memory?sslmode=verify-full", LIMITS, sslmode="require")
    assert plain["OPTIONS"]["sslmode"] == "require"
    assert told["OPTIONS"]["sslmode"] == "verify-full"


def test_options_of_the_url_are_kept_beside_ours() -> None:
    made = postgresql("postgres://db/memory?options=-c%20work_mem%3D8MB", LIMITS, sslmode="")
    assert made["OPTIONS"]["options"].startswith("-c work_mem=8MB -c statement_timeout=")


@pytest.mark.parametrize("url", ["mysql://db/memory", "memory.sqlite3", "postgres://db", "http://"])
def test_what_is_no_such_url_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(ImproperlyConfigured, match="CLAUDE_MEM_SERVER_DATABASE_URL") as error:
        postgresql(url, LIMITS, sslmode="")
    assert url not in str(error.value)
