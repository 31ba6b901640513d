"""Globs of paths."""

import time

import pytest

from observations.globs import Globs

pytestmark = pytest.mark.once


@pytest.mark.parametrize(
    ("pattern", "path", "matches"),
    [
        ("shop", "/home/ada/shop", True),
        ("shop", "/home/ada/shop/src", True),
        ("shop", "/home/ada/workshop", False),
        ("sh*p", "/srv/ship", True),
        (".env*", "/home/ada/shop/.env.local", True),
        (".env*", "/home/ada/shop/env", False),
        ("*.pem", "C:\\Users\\ada\\key.pem", True),
        ("/srv/*", "/srv/shop", True),
        ("/srv/*/logs", "/srv/a/b/logs", False),
        ("/srv/**/logs", "/srv/a/b/logs", True),
        ("/srv/?hop", "/srv/shop", True),
        ("~/clients/**", "/home/ada/clients/acme", True),
        ("~/clients/**", "/Users/ada/clients/acme/src", True),
        ("~/clients", "/srv/clients", False),
        ("secrets/**", "/home/ada/shop/secrets/a.txt", True),
        ("secrets/", "/home/ada/shop/secrets/a.txt", True),
        ("a.c", "/x/abc", False),
    ],
)
def test_a_glob_matches_what_it_says(pattern: str, path: str, matches: bool) -> None:
    assert Globs((pattern,)).match(path, "/home/ada/shop") is matches


def test_without_globs_nothing_matches() -> None:
    assert not Globs().match("/home/ada")
    assert not Globs().any(["/home/ada"])
    assert not Globs(("*",)).match("")


@pytest.mark.parametrize(
    ("pattern", "path", "matches"),
    [
        ("/home/ada/shop/secrets/**", "secrets/a.txt", True),
        ("/home/ada/shop/secrets/**", "src/../secrets/a.txt", True),
        ("/home/ada/shop/secrets/**", "/home/ada//shop/./secrets/a.txt", True),
        ("/home/ada/till/**", "../till/a.txt", True),
        ("~/.ssh", "~/.ssh/id", True),
        ("~/.ssh", "${HOME}/.ssh/id", True),
        ("/home/ada/.ssh", "$HOME/.ssh/id", True),
        ("**/.env", ".env", True),
        ("**/.env", "file:///srv/.env", True),
        ("~/.ssh", "~ben/.ssh", False),
        ("secrets/**", "../secrets/a.txt", False),
        ("shop", "ls", False),
    ],
)
def test_a_path_is_known_however_it_is_written(pattern: str, path: str, matches: bool) -> None:
    assert Globs((pattern,)).match(path, "/home/ada/shop") is matches


def test_a_glob_takes_no_longer_for_a_path_of_many_parts() -> None:
    began = time.process_time()
    assert not Globs(("**/a/**/b/**/c/**/*.pem",)).match("/a/b/c/" * 2_000)
    assert time.process_time() - began < 1
