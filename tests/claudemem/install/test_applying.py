"""Files are changed together or not at all, and stay what they were otherwise."""

import os
import stat
from pathlib import Path

import pytest

from claudemem.install import applying
from claudemem.install.plan import Change, Plan, Refused

as_user = pytest.mark.skipif(
    hasattr(os, "geteuid") and os.geteuid() == 0, reason="root may write everywhere"
)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def plan(*changes: Change) -> Plan:
    return Plan(changes)


def change(path: Path, after: bytes | None, *, secret: bool = False) -> Change:
    return Change(path, applying.read(path).content, after, secret=secret)


def test_what_is_written_is_read_again_and_directories_are_made(tmp_path: Path) -> None:
    path = tmp_path / "one" / "two" / "settings.json"
    applying.apply(plan(change(path, b"{}")))

    assert applying.read(path).content == b"{}"
    assert mode(path) == 0o600
    assert mode(path.parent) == 0o700


@pytest.mark.parametrize(("secret", "left"), [(False, 0o664), (True, 0o600)])
def test_a_files_mode_stays_unless_a_key_is_put_in(tmp_path: Path, secret: bool, left: int) -> None:
    path = tmp_path / "settings.json"
    path.write_bytes(b"1")
    path.chmod(0o664)
    applying.apply(plan(change(path, b"2", secret=secret)))

    assert (path.read_bytes(), mode(path)) == (b"2", left)


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root gives files away"
)
def test_a_file_that_root_changes_stays_its_owners(tmp_path: Path) -> None:
    path = tmp_path / "settings.json"
    path.write_bytes(b"1")
    os.chown(path, 1234, 1235)
    applying.apply(plan(change(path, b"2", secret=True)))

    assert (path.stat().st_uid, path.stat().st_gid) == (1234, 1235)


def test_what_was_left_by_who_was_killed_is_taken_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(_: object) -> None:
        raise KeyboardInterrupt

    path, theirs = tmp_path / "settings.json", tmp_path / ".settings.json.theirs"
    for each in (path, theirs):
        each.write_bytes(b"1")
    with monkeypatch.context() as killed:
        killed.setattr(applying, "_replace", die)
        killed.setattr(applying, "_drop", lambda _: None)
        with pytest.raises(KeyboardInterrupt):
            applying.apply(plan(change(path, b"2")))
    assert len(list(tmp_path.iterdir())) == 3
    applying.apply(plan(change(path, b"1")))

    assert set(tmp_path.iterdir()) == {path, theirs}


def test_a_link_goes_on_leading_to_the_file_that_is_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    real = tmp_path / "dotfiles" / "settings.json"
    real.parent.mkdir()
    real.write_bytes(b"1")
    link = tmp_path / "settings.json"
    link.symlink_to(real)
    assert applying.read(link).shared
    applying.apply(plan(change(link, b"2")))

    assert link.is_symlink()
    assert real.read_bytes() == b"2"
    assert not applying.read(real).shared


def test_a_file_to_which_a_link_leads_on_the_way_is_shared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    users, home = tmp_path / "users", tmp_path / "home"
    (users / "dotfiles").mkdir(parents=True)
    home.symlink_to(users)
    monkeypatch.setenv("HOME", str(home))
    (users / ".agent").symlink_to(users / "dotfiles")

    assert applying.read(home / ".agent" / "settings.json").shared
    assert not applying.read(home / ".other" / "settings.json").shared


def test_a_removed_file_takes_the_agents_empty_directories_along(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    lone, among = tmp_path / ".config/agent/a.json", tmp_path / ".other/a.json"
    shown = tmp_path / "src/shop/.agent/a.json"
    for each in (lone, among, among.with_name("b.json"), shown):
        each.parent.mkdir(parents=True, exist_ok=True)
        each.write_bytes(b"1")
    applying.apply(plan(*(change(each, None) for each in (lone, among, shown))))

    left = sorted(str(each.relative_to(tmp_path)) for each in tmp_path.rglob("*"))
    assert left == [".other", ".other/b.json", "src", "src/shop"]


def test_a_file_that_was_changed_meanwhile_is_left_and_all_others_with_it(tmp_path: Path) -> None:
    first, second = tmp_path / "first.json", tmp_path / "second.json"
    for each in (first, second):
        each.write_bytes(b"1")
    made = plan(change(first, b"2"), change(second, b"2"), change(tmp_path / "third", b"2"))
    second.write_bytes(b"theirs")
    with pytest.raises(Refused, match="changed by somebody else"):
        applying.apply(made)

    assert (first.read_bytes(), second.read_bytes()) == (b"1", b"theirs")
    assert {each.name for each in tmp_path.iterdir()} == {"first.json", "second.json"}


def test_a_failure_in_the_middle_puts_back_what_was_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [tmp_path / name for name in ("a", "b", "c")]
    paths[0].write_bytes(b"1")
    paths[2].write_bytes(b"1")
    monkeypatch.setenv("HOME", str(tmp_path))
    deep = tmp_path / ".agent" / "rules" / "b"
    made = plan(*(change(path, b"2") for path in (paths[0], deep, *paths[1:])))
    replace = Path.replace

    def full(self: Path, target: Path) -> Path:
        if target.name == "c":
            raise OSError(28, "No space left on device", str(target))
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(Refused, match="nothing was changed: No space left"):
        applying.apply(made)

    assert {each.name: each.read_bytes() for each in tmp_path.iterdir()} == {"a": b"1", "c": b"1"}


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "file").write_bytes(b"")
    for name, sentence in [
        ("folder", "is no file"),
        ("pipe", "is no file"),
        ("dangling", "a link to .*nowhere, which is not there"),
        ("loop", "a link"),
        ("file/settings.json", "cannot be"),
    ]:
        with pytest.raises(Refused, match=sentence):
            applying.read(tmp_path / name)


def test_a_file_that_is_read_only_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "settings.json"
    path.write_bytes(b"1")
    path.chmod(0o400)
    with pytest.raises(Refused, match="chmod u\\+w"):
        applying.read(path)


@as_user
def test_a_directory_in_which_nothing_may_be_made_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "settings.json"
    tmp_path.chmod(0o500)
    with pytest.raises(Refused, match="may not write in"):
        applying.read(path)
    tmp_path.chmod(0o700)
