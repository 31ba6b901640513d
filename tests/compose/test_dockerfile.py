"""The image: small, not root, from the lock, with no secret and no data in it."""

import fnmatch
import json
import re
import tomllib

import pytest
from packaging.specifiers import SpecifierSet

from claudemem.settings import env
from tests.compose import files
from tests.stack import ROOT

pytestmark = pytest.mark.once

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def said(word: str) -> list[str]:
    """What follows each instruction of this name in the last stage."""
    return [rest for each, rest in files.image() if each == word]


def test_both_stages_have_one_pinned_python_that_the_project_supports() -> None:
    (pinned,) = [rest for word, rest in files.dockerfile() if word == "ARG"]
    found = re.fullmatch(r"PYTHON=(\d+\.\d+\.\d+)-slim-\w+", pinned)
    assert found
    assert found[1] in SpecifierSet(PROJECT["requires-python"])
    stages = [rest.split()[0] for word, rest in files.dockerfile() if word == "FROM"]
    assert stages == ["python:${PYTHON}"] * 2


def test_everything_that_is_installed_has_a_hash() -> None:
    runs = [rest for word, rest in files.dockerfile() if word == "RUN"]
    installs = [each for run in runs for each in run.split("&&") if " install " in each]
    assert len(installs) == 2
    for each in installs:
        assert "--require-hashes" in each or "--no-build-isolation --no-deps ." in each
    assert not [run for run in runs if "apt" in run or "curl" in run]


def test_it_runs_as_a_number_that_is_not_root() -> None:
    assert said("USER") == ["10001:10001"]
    assert files.image()[-1][0] == "CMD"


def test_signals_reach_the_program() -> None:
    assert json.loads(said("ENTRYPOINT")[0]) == ["claudemem"]
    assert json.loads(said("CMD")[0]) == ["web"]
    assert said("STOPSIGNAL") == ["SIGTERM"]


def test_its_health_is_that_of_the_role_which_announced_itself() -> None:
    assert said("HEALTHCHECK")[0].endswith('CMD ["claudemem", "healthcheck"]')
    assert files.image_environment()["CLAUDE_MEM_ALIVE_FILE"].startswith("/tmp/")


def test_it_sets_only_what_is_a_setting_and_no_secret() -> None:
    ours = {name for name in files.image_environment() if name.startswith("CLAUDE_MEM_")}
    assert ours <= env.known
    assert not [name for name in files.image_environment() if re.search("KEY|PASSWORD|URL", name)]
    assert not [word for word, _ in files.dockerfile() if word == "ADD"]
    assert said("COPY") == ["--from=build /opt/claudemem /opt/claudemem"]


def test_what_it_copies_is_there_and_let_through() -> None:
    copied = [rest.split()[:-1] for word, rest in files.dockerfile() if word == "COPY"]
    for path in {each for paths in copied for each in paths if not each.startswith(("-", "/opt"))}:
        assert (ROOT / path).exists(), path
        assert not ignored(path), path


def ignored(path: str) -> bool:
    """Whether .dockerignore keeps a path out: the last line that matches decides."""
    out = False
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line]
    for line in lines:
        pattern = line.removeprefix("!")
        parts = path.split("/")
        whole = ["/".join(parts[: end + 1]) for end in range(len(parts))]
        deep = pattern.startswith("**/") and any(fnmatch.fnmatch(p, pattern[3:]) for p in parts)
        if not line.startswith("#") and (deep or any(fnmatch.fnmatch(p, pattern) for p in whole)):
            out = not line.startswith("!")
    return out


def test_nothing_else_of_a_checkout_is_let_through() -> None:
    kept = (".git/config", ".venv/bin/python", "compose/.env", ".env", "claude-mem.sqlite3",
            "tests/stack.py", "claudemem/__pycache__/cli.pyc", "docs/deploy.md")  # fmt: skip
    for path in kept:
        assert ignored(path), path
    assert not ignored("claudemem/cli.py")
