"""What is ours in a data directory, and that nothing else is touched."""

from pathlib import Path

import pytest

from claudemem import removal

pytestmark = pytest.mark.once

DATA = ("claude-mem.sqlite3", "settings.json", "secret_key")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A data directory as a server leaves it behind."""
    root = tmp_path / "memory"
    for folder in ("logs", "redis/data/appendonlydir", "modes", "wake"):
        (root / folder).mkdir(parents=True)
    made = ("up.lock", "up.json", "up.json.new", ".server-beta.pid", "redis/redis.conf")
    logs = ("logs/web-2031-01-02.log", "logs/redis-2031-01-02.log")
    for name in (*DATA, *made, *logs, "modes/mine.json"):
        (root / name).write_text("x")
    return root


def names(root: Path) -> set[str]:
    return {path.name for path in root.iterdir()}


def remove(root: Path, *, data: bool = False) -> set[str]:
    return {removed.path.name for removed in removal.remove(root, data=data)}


def test_what_is_made_anew_goes_and_what_is_remembered_stays(root: Path) -> None:
    gone = remove(root)
    assert names(root) == {*DATA, "modes"}
    assert gone >= {"redis", "logs", "up.json", "up.json.new", ".server-beta.pid", "up.lock"}
    assert all(removal.is_data(path) for path in removal.left(root))


def test_with_the_data_nothing_is_left_and_the_directory_goes(root: Path) -> None:
    gone = remove(root, data=True)
    assert gone >= {*DATA, "modes", "memory"}
    assert not root.exists()


def test_what_others_keep_there_stays(root: Path) -> None:
    (root / "claude-mem.db").write_text("another's")
    (root / "logs" / "claude-mem-2031-01-02.log").write_text("another's")
    (root / "logs" / "web.log").write_text("another's")
    gone = remove(root, data=True)
    assert names(root) == {"claude-mem.db", "logs"}
    assert names(root / "logs") == {"claude-mem-2031-01-02.log", "web.log"}
    assert "logs" not in gone
    assert not [path for path in removal.left(root) if removal.is_data(path)]


@pytest.mark.parametrize("name", ["redis", "logs", "modes", "claude-mem.sqlite3", "up.lock"])
def test_a_link_goes_and_what_it_leads_to_stays(root: Path, tmp_path: Path, name: str) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "web-2031-01-02.log").write_text("kept")
    (root / name).rename(tmp_path / "moved")
    (root / name).symlink_to(elsewhere)
    removed = [each for each in removal.remove(root, data=True) if each.path.name == name]
    assert [each.link for each in removed] == [True]
    assert (elsewhere / "web-2031-01-02.log").read_text() == "kept"


def test_a_link_within_a_directory_is_not_followed(root: Path, tmp_path: Path) -> None:
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "file").write_text("kept")
    (root / "redis" / "data" / "link").symlink_to(tmp_path / "precious")
    remove(root)
    assert (tmp_path / "precious" / "file").exists()


def test_a_directory_that_is_a_link_is_emptied_and_stays(root: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(root)
    assert not removal.refusal(link, tmp_path / "home")
    remove(link, data=True)
    assert list(root.iterdir()) == []


def test_a_home_and_what_holds_it_are_refused(root: Path, tmp_path: Path) -> None:
    home = root / "ada"
    home.mkdir()
    (home / "secret_key").write_text("x")
    for place in (home, root, Path("/")):
        assert "is no directory of claudemem's alone" in removal.refusal(place, home)
    link = tmp_path / "link"
    link.symlink_to(home)
    assert "is no directory of claudemem's alone" in removal.refusal(link, home)


def test_a_directory_without_anything_of_ours_is_refused(tmp_path: Path) -> None:
    root = tmp_path / "else"
    root.mkdir()
    (root / "settings.json").write_text("{}")
    (root / "logs").mkdir()
    (root / "secret_key").symlink_to(root / "settings.json")
    assert "does not look like a data directory" in removal.refusal(root, tmp_path / "home")


def test_a_removal_that_was_broken_off_can_be_repeated(root: Path) -> None:
    taken = removal.remove(root, data=True)
    for each in taken:
        # At every moment what is left is known as ours.
        assert not removal.left(root) or removal.refusal(root, Path.home()) == "", each
    assert not root.exists()
