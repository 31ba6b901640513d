"""Globs of paths."""

import pytest

from observations.globs import Globs


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
