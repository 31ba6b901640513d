"""What the pages say of the code is so."""

import json
import re
import tomllib
from pathlib import Path

import pytest
from django.test import Client

from observations import entries, keys, scopes
from observations.models import AuditEntry, Team
from queueing import states
from tests.docs import pages

DOCS = pages.ROOT / "docs"
PACKAGES = ("queueing", "observations", "claudemem")
# Paths of one machine, other than those of the examples, and places that packages come from.
MACHINES = ("work", "root", "opt", "tmp", "usr", "var", "private", "Users")
FORBIDDEN = re.compile(
    rf"(?<![\w.~*/])/(?:{'|'.join(MACHINES)})/|/home/(?!ada/|dev/)"
    r"|https?://[\w.-]*(?:pypi|registry|mirror|artifact)[\w.-]*|index-url|file://"
)


@pytest.mark.parametrize("page", pages.PAGES, ids=pages.name)
def test_a_page_names_no_machine_and_no_registry(page: Path) -> None:
    assert FORBIDDEN.findall(page.read_text()) == []


@pytest.mark.parametrize("page", pages.PAGES, ids=pages.name)
def test_json_on_a_page_is_json(page: Path) -> None:
    for block in pages.blocks(page, "json"):
        json.loads(block.text)


def test_the_drawing_has_the_states_that_jobs_have() -> None:
    (drawing,) = pages.blocks(DOCS / "job-states.md", "mermaid")
    arrows = re.findall(r"^\s*(\S+) --> (\S+)", drawing.text, re.MULTILINE)

    assert {name for arrow in arrows for name in arrow} - {"[*]"} == set(states.ALL)


def test_the_tables_of_states_have_every_state_and_every_word_of_the_history() -> None:
    sections = pages.sections(DOCS / "job-states.md")
    transitions = list(pages.rows(sections["Every transition"]))

    assert {pages.code(row[0]) for row in pages.rows(sections["States of a job"])} == set(
        states.ALL
    )
    assert {pages.code(row[2]) for row in transitions} == set(states.HISTORY)
    assert {word for row in transitions for word in pages.inline(row[0])} == set(states.ALL)


@pytest.mark.parametrize("package", PACKAGES)
def test_the_architecture_says_what_each_module_is_for(package: str) -> None:
    table = pages.sections(DOCS / "architecture.md")[package]
    told = {word for row in pages.rows(table) for word in pages.inline(row[0])}
    folder = pages.ROOT / package
    there = {each.stem for each in folder.glob("[a-z]*.py")}
    there |= {each.name for each in folder.iterdir() if each.is_dir()}
    passed_over = {"__pycache__", "migrations", "templates", "static"}

    assert told == there - passed_over


def test_files_that_a_page_names_are_there() -> None:
    named = re.compile(r"(?:claudemem|observations|queueing|tests|docs)/[\w/.-]+")
    for page in pages.PAGES:
        for word in pages.inline(pages.prose(page)):
            if named.fullmatch(word):
                there = [pages.ROOT / word, pages.ROOT / f"{word}.py"]
                assert any(each.exists() for each in there), (page, word)


def test_every_dependency_has_a_reason_in_a_record() -> None:
    project = tomllib.loads((pages.ROOT / "pyproject.toml").read_text())
    asked = [*project["project"]["dependencies"], *project["dependency-groups"]["dev"]]
    records = "\n".join(each.read_text() for each in DOCS.glob("decisions/0*.md")).lower()
    called = {"redis": "redis-py", "uuid_utils": "uuid-utils"}
    names = [re.split(r"[\[~=;<>! ]", each)[0].lower() for each in asked]

    assert [each for each in names if called.get(each, each) not in records] == []


def test_the_changelog_begins_with_this_version() -> None:
    project = tomllib.loads((pages.ROOT / "pyproject.toml").read_text())
    headings = list(pages.sections(pages.ROOT / "CHANGELOG.md"))

    assert headings[1] == project["project"]["version"]


def test_the_hooks_on_the_page_are_taken_by_the_server(team: Team) -> None:
    (settings,) = [
        json.loads(block.text)
        for block in pages.blocks(DOCS / "how-to" / "connect-claude-code.md", "json")
        if "hooks" in json.loads(block.text)
    ]
    raw = keys.create("k", (scopes.EVENTS_WRITE,), team=team).raw

    for event, (matcher,) in settings["hooks"].items():
        (hook,) = matcher["hooks"]
        (variable,) = hook["allowedEnvVars"]
        header = hook["headers"]["Authorization"].replace(f"${variable}", raw)
        payload = {"session_id": "s", "cwd": "/home/ada/shop", "hook_event_name": event}
        answer = Client(headers={"Authorization": header}).post(
            "/" + hook["url"].split("/", 3)[3], payload, content_type="application/json"
        )
        assert (hook["type"], answer.status_code) == ("http", 200)
        assert answer.json() == {}


def test_the_reference_has_every_action_of_the_audit_and_every_field() -> None:
    sections = pages.sections(DOCS / "reference" / "audit.md")
    fields = {word for row in pages.rows(sections["Fields"]) for word in pages.inline(row[0])}

    assert [pages.code(row[0]) for row in pages.rows(sections["Actions"])] == list(entries.ACTIONS)
    assert fields == {field.name for field in AuditEntry._meta.get_fields()}
