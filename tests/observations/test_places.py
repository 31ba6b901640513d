"""Which project a place is: decided from what was read of it."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from observations.places import (
    Key,
    Place,
    directory,
    last_part,
    normalised,
    of,
    of_its_own,
    project_of,
)

pytestmark = pytest.mark.once

SAME = "github.com/acme/shop"


@pytest.mark.parametrize(
    ("remote", "address"),
    [
        ("https://github.com/acme/shop", SAME),
        ("https://github.com/acme/shop.git", SAME),
        ("https://github.com/Acme/Shop.git/", SAME),
        ("http://github.com/acme/shop.git", SAME),
        ("https://me:token@GitHub.com:443/acme/shop.git", SAME),
        ("git@github.com:acme/shop.git", SAME),
        ("github.com:acme/shop", SAME),
        ("git@github.com:/acme/shop.git", SAME),
        ("ssh://git@github.com/acme/shop.git", SAME),
        ("ssh://git@github.com:22/acme/shop.git", SAME),
        ("ssh://git@ssh.github.com:443/acme/shop.git", SAME),
        ("git+ssh://git@github.com/acme/shop.git", SAME),
        ("git://github.com//acme//shop.git", SAME),
        ("https://github.com./acme/shop.git?x=1#y", SAME),
        ("  https://github.com/acme/shop.git\n", SAME),
        # Another host may tell cases apart.
        ("git@Git.Example.org:Acme/Shop.git", "git.example.org/Acme/Shop"),
        ("https://git.example.org/Acme/Shop", "git.example.org/Acme/Shop"),
        ("ssh://git@git.example.org:2222/Acme/Shop.git", "git.example.org/Acme/Shop"),
        ("https://git.example.org:8443/Acme/Shop.git", "git.example.org:8443/Acme/Shop"),
        ("ssh://git@[2001:db8::1]:22/a/b.git", "[2001:db8::1]/a/b"),
        ("git@ssh.dev.azure.com:v3/acme/web/shop", "dev.azure.com/acme/web/_git/shop"),
        ("https://acme@dev.azure.com/acme/web/_git/shop", "dev.azure.com/acme/web/_git/shop"),
        ("git@host.example:~me/shop.git", "host.example/~me/shop"),
        ("/srv/git/shop.git", "/srv/git/shop"),
        ("file:///srv/git/shop.git/", "/srv/git/shop"),
        ("/home/me/shop/.git", "/home/me/shop"),
        (r"C:\src\shop", "c:/src/shop"),
        ("C:/src/shop/.git", "c:/src/shop"),
        ("file:///C:/src/shop.git", "c:/src/shop"),
        ("codecommit://shop", "codecommit".replace("codecommit", "shop")),
        ("shop", ""), ("../shop.git", ""), ("", ""), ("https://", ""), (":", ""),
    ],
)  # fmt: skip
def test_an_address_is_the_same_however_it_is_reached(remote: str, address: str) -> None:
    assert normalised(remote) == address


WORD = st.from_regex(r"[a-z][a-z0-9-]{1,10}", fullmatch=True)


@settings(deadline=None)
@given(WORD, WORD, WORD, st.booleans(), st.sampled_from(["me@", "me:pw@", ""]))
def test_every_way_of_saying_it_is_one_key(
    host: str, owner: str, name: str, ends: bool, user: str
) -> None:
    end = ".git" if ends else ""
    said = [
        f"https://{user}{host}.example/{owner}/{name}{end}",
        f"ssh://{user}{host}.example:22/{owner}/{name}{end}/",
        f"git@{host.upper()}.example:{owner}/{name}{end}",
    ]
    assert {normalised(each) for each in said} == {f"{host}.example/{owner}/{name}"}


@settings(deadline=None)
@given(st.text(max_size=80))
def test_no_remote_breaks_it_and_none_keeps_its_user(text: str) -> None:
    normalised(text)
    assert "hunter2" not in normalised("https://me:hunter2@" + text)


def test_the_name_that_a_file_says_beats_all_else_where_it_is_heeded() -> None:
    place = Place(project="Shop", remote="https://github.com/a/b", root="/x")
    found = project_of(place, "/x/y")

    assert found.keys == (Key("explicit", "Shop"), Key("says", "github.com/a/b says Shop"))
    assert found.names == ("Shop",)
    assert of_its_own(place, "/x/y").keys[0] == Key("remote", "github.com/a/b")


def test_a_remote_beats_the_clone_and_the_disk() -> None:
    place = Place(remote="git@github.com:Acme/Shop.git", common="/src/shop/.git", root="/src/shop",
                  born="17", branch="fix", part="web")  # fmt: skip
    found = project_of(place, "/src/shop/web")

    assert found.keys == (
        Key("remote", SAME), Key("clone", "/src/shop#17"), Key("disk", "/src/shop"),
    )  # fmt: skip
    assert found.names == ("shop", "acme/shop", SAME)
    assert found.kept == found.keys[:2]
    assert found.called == "shop"
    assert (found.branch, found.part) == ("fix", "web")


def test_worktrees_without_a_remote_share_their_repository() -> None:
    one = project_of(Place(common="/src/shop/.git", root="/src/shop"), "/src/shop")
    other = project_of(Place(common="/src/shop/.git", root="/tree/fix"), "/tree/fix")

    assert one.keys == other.keys == (Key("disk", "/src/shop"),)
    assert other.names[0] == "shop"


def test_a_clone_of_a_repository_on_the_disk_shares_its_key() -> None:
    clone = project_of(Place(remote="/src/shop", common="/x/.git", root="/x"), "/x")

    assert (
        clone.keys[0] == project_of(Place(common="/src/shop/.git", root="/src/shop"), "/").keys[0]
    )


def test_without_a_repository_the_directory_decides() -> None:
    assert project_of(Place(), "/home/me/notes").keys == (Key("disk", "/home/me/notes"),)
    assert project_of(Place(), "/home/me/notes").names == ("notes", "me/notes", "home/me/notes")
    assert project_of(Place(), "").keys == ()
    assert project_of(Place(), "/").names == ("unknown-project",)


def test_an_address_of_any_length_fits_an_index() -> None:
    long = project_of(Place(remote="https://h.example/" + "x" * 3000), "/x")

    assert all(len(key.text) <= 400 for key in long.keys)
    assert all(len(name) <= 200 for name in long.names)


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/a/b", "b"),
        ("/a/b/", "b"),
        ("/", ""),
        ("", ""),
        (r"C:\a\b", "b"),
        ("C:\\", ""),
        ("a", "a"),
    ],
)
def test_a_directory_is_called_by_its_last_part(path: str, name: str) -> None:
    assert last_part(path) == name


def test_a_directory_that_is_one_thing_under_two_paths() -> None:
    assert directory("/src/shop/.git/") == directory("/src/shop") == directory("/src/shop.git")


def test_a_place_has_what_was_read_of_it_without_secrets() -> None:
    key = "AKIAIOSFODNN7EXAMPLE"

    assert of({"remote": "https://github.com/a/b", "later": "x"}).remote == "https://github.com/a/b"
    assert key not in repr(of({"branch": f"fix-{key}"}))
    assert not of({})
