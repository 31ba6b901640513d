"""Which database the settings name, and how."""

from dataclasses import replace
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg.conninfo import conninfo_to_dict

from claudemem.databases import (
    Limits,
    hurried,
    postgresql,
    unhurried,
    wrong_schema,
    wrong_url,
)

pytestmark = pytest.mark.once

LIMITS = Limits(pool=7, idle=20_000, connect=3_000, statement=9_000, silence=5_000)


def test_a_url_says_where_and_the_limits_how_much() -> None:
    made = postgresql("postgres://ada:p%40ss@db:5433/memory", LIMITS, sslmode="")
    place = [made[name] for name in ("USER", "PASSWORD", "HOST", "PORT", "NAME")]
    assert place == ["ada", "p@ss", "db", 5433, "memory"]
    options = made["OPTIONS"]
    assert "sslmode" not in options
    assert "statement_timeout=9000" in options["options"]
    pool = options["pool"]
    assert (pool["max_size"], pool["max_idle"], pool["timeout"]) == (7, 20.0, 3.0)


def test_both_sides_notice_that_the_other_is_gone_and_its_transaction_ends() -> None:
    options = postgresql("postgres://db/memory", LIMITS, sslmode="")["OPTIONS"]
    here = [options[f"keepalives_{name}"] for name in ("idle", "interval", "count")]
    assert here == [2, 1, 3]
    assert options["tcp_user_timeout"] == 5000
    for name, value in zip(("idle", "interval", "count"), here, strict=True):
        assert f"-c tcp_keepalives_{name}={value}" in options["options"]
    assert "-c idle_in_transaction_session_timeout=5000" in options["options"]


def test_a_transaction_may_stand_still_no_longer_than_a_statement_may_run() -> None:
    made = postgresql("postgres://db/memory", replace(LIMITS, silence=60_000), sslmode="")
    assert "-c idle_in_transaction_session_timeout=9000" in made["OPTIONS"]["options"]


def test_a_url_says_otherwise_how_silence_is_noticed() -> None:
    made = postgresql("postgres://db/memory?keepalives_idle=30", LIMITS, sslmode="")
    assert str(made["OPTIONS"]["keepalives_idle"]) == "30"


def test_work_on_whole_tables_may_stand_still_in_a_transaction() -> None:
    made = postgresql("postgres://db/memory", LIMITS, sslmode="")
    said = unhurried(made["OPTIONS"])["options"]
    assert said.endswith("-c idle_in_transaction_session_timeout=0")


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


def connected(url: str) -> dict[str, Any]:
    """What the driver is told to connect to, in libpq's words."""
    made = postgresql(url, LIMITS, sslmode="")
    words = {"HOST": "host", "PORT": "port", "USER": "user", "PASSWORD": "password",
             "NAME": "dbname"}  # fmt: skip
    placed = {word: str(made[name]) for name, word in words.items() if made[name]}
    return placed | {name: str(value) for name, value in made["OPTIONS"].items()}


@pytest.mark.parametrize(
    "url",
    [
        "postgres://db/memory",
        "postgresql://ada@db/memory",
        "postgres://ada:p%40s%2Fs%3Aw%23%3F%25@db:5433/memory",
        "postgres://a%2Bb:c+d@db/memory",
        "postgres://ada:$HOME#1@db/memory",
        "postgres://ada:@db:/memory",
        "postgres://db/mem%2Fory%20two",
        "postgres://[::1]:5432/memory",
        "postgres://[2001:db8::1]/memory",
        "postgres:///memory",
        "postgres://ada@%2Fvar%2Frun%2FPg:5433/memory",
        "postgres:///memory?host=/var/run/Pg&port=6000&user=ada&password=a%26b",
        "postgres://one:5432,two:5433/memory?target_session_attrs=read-write",
        "postgres://db/memory?sslmode=verify-full&sslrootcert=%2Fhome%2Fada%2Fca.pem",
        "postgres://db/memory?connect_timeout=9&application_name=mine&keepalives_idle=30",
    ],
)
def test_a_url_means_what_it_means_to_libpq(url: str) -> None:
    ours, libpq = connected(url), conninfo_to_dict(url)
    assert {name: ours.get(name) for name in libpq} == libpq
    places = {"host", "port", "user", "password", "dbname"}
    assert places & set(ours) == places & set(libpq)


TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1)


# No database is called so that a slash comes first.
@given(TEXTS, TEXTS, TEXTS.filter(lambda name: not name.startswith("/")))
def test_whatever_is_percent_encoded_arrives(user: str, password: str, name: str) -> None:
    where = [quote(each, safe="") for each in (user, password, name)]
    made = postgresql("postgres://{}:{}@db/{}".format(*where), LIMITS, sslmode="")
    assert (made["USER"], made["PASSWORD"], made["NAME"]) == (user, password, name)


@pytest.mark.parametrize(
    "url",
    [
        "mysql://db/memory",
        "memory.sqlite3",
        "postgres://db",
        "postgres://db/",
        "http://",
        "postgres://db:port/memory",
        "postgres://db:99999/memory",
        "postgres://ada:hid/den@db/memory",
        "postgres://ada:1/den@db/memory",
        "postgres://ada:hid?den@db/memory",
        "postgres://[::1/memory",
    ],
)
def test_what_is_no_such_url_is_wrong_without_being_repeated(url: str) -> None:
    said = wrong_url(url)
    assert "must be a PostgreSQL URL" in said
    assert not [piece for piece in (url, "hid", "den") if piece in said]


@pytest.mark.parametrize("url", ["postgres://db/memory", "postgres://one:1,two:2/memory"])
def test_nothing_is_wrong_with_one_that_is(url: str) -> None:
    assert wrong_url(url) == ""


def test_a_way_to_use_tls_that_there_is_not_is_wrong() -> None:
    assert "verify-full" in wrong_url("postgres://db/memory?sslmode=hid")
    assert "hid" not in wrong_url("postgres://db/memory?sslmode=hid")


@pytest.mark.parametrize(("given", "meant"), [("0", 0), ("7", 7), ("none", None), ("None", None)])
def test_preparing_statements_can_be_switched_off_for_a_pooler(
    given: str, meant: int | None
) -> None:
    url = f"postgres://db/memory?prepare_threshold={given}"
    assert wrong_url(url) == ""
    made = postgresql(url, LIMITS, sslmode="")
    assert made["OPTIONS"]["prepare_threshold"] == meant
    assert made["DISABLE_SERVER_SIDE_CURSORS"]


@pytest.mark.parametrize("given", ["never", "-1", "true"])
def test_a_threshold_that_is_no_number_is_wrong(given: str) -> None:
    assert "prepare_threshold" in wrong_url(f"postgres://db/memory?prepare_threshold={given}")


def test_a_probe_and_a_migration_keep_the_options_of_the_url() -> None:
    made = postgresql("postgres://db/memory?options=-c%20search_path%3Dours", LIMITS, sslmode="")
    for changed, said in [(hurried, "1000"), (unhurried, "0")]:
        options = changed(made["OPTIONS"])
        assert options["options"].startswith("-c search_path=ours ")
        assert f" -c statement_timeout={said}" in options["options"].partition(" -c jit=off")[2]
        assert options["pool"] is None


def test_a_schema_is_looked_for_in_no_other_place() -> None:
    assert wrong_schema("ours_2") == ""
    made = postgresql("postgres://db/memory", LIMITS, sslmode="", schema="ours_2")
    assert made["OPTIONS"]["options"].endswith("-c search_path=ours_2")


@pytest.mark.parametrize("name", ["Ours", "a b", "a-b", "1a", "a" * 64, "a;b", 'a"b', "\u00e9"])
def test_a_name_that_would_have_to_be_quoted_is_no_schema(name: str) -> None:
    assert "lower-case" in wrong_schema(name)
