"""What is read of a directory, beside what git says of the same, where there is a git."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from claudemem.hook import place as module
from claudemem.hook.place import place

pytestmark = pytest.mark.once

GIT = shutil.which("git")
needs_git = pytest.mark.skipif(GIT is None, reason="git is not installed")
CONFIG = '[core]\n\tbare = false\n[remote "origin"]\n\turl = https://github.com/acme/shop.git\n'


def repository(path: Path, config: str = CONFIG, head: str = "ref: refs/heads/main\n") -> Path:
    """A repository as git writes one, by hand."""
    git = path / ".git"
    for name in ("objects", "refs"):
        (git / name).mkdir(parents=True)
    (git / "HEAD").write_text(head)
    (git / "config").write_text(config)
    (git / "description").write_text("Unnamed repository\n")
    os.utime(git / "description", ns=(1_700_000_000_123_456_789,) * 2)
    return path


def worktree(main: Path, path: Path, branch: str) -> Path:
    kept = main / ".git" / "worktrees" / path.name
    kept.mkdir(parents=True)
    (kept / "HEAD").write_text(f"ref: refs/heads/{branch}\n")
    (kept / "commondir").write_text("../..\n")
    path.mkdir(parents=True)
    (path / ".git").write_text(f"gitdir: {kept}\n")
    return path


def test_a_repository_is_known_from_any_directory_of_it(tmp_path: Path) -> None:
    shop = repository(tmp_path / "shop")
    (shop / "src" / "deep").mkdir(parents=True)

    assert place(str(shop / "src" / "deep")) == {
        "remote": "https://github.com/acme/shop.git",
        "common": str(shop / ".git"),
        "root": str(shop),
        "branch": "main",
        "born": "1700000000123456789",
    }
    assert place(str(shop)) == place(str(shop / ".git" / "objects")) == place(str(shop / "src"))


def test_a_worktree_has_its_branch_and_its_repository_s_remote(tmp_path: Path) -> None:
    shop = repository(tmp_path / "shop")
    other = worktree(shop, tmp_path / "trees" / "shop-fix", "fix/ümlaut")

    told = place(str(other))

    assert told["branch"] == "fix/ümlaut"
    assert told["root"] == str(other)
    assert (told["common"], told["remote"]) == (
        place(str(shop))["common"],
        place(str(shop))["remote"],
    )


def test_a_submodule_is_a_repository_of_its_own(tmp_path: Path) -> None:
    shop = repository(tmp_path / "shop")
    kept = shop / ".git" / "modules" / "lib"
    for name in ("objects", "refs"):
        (kept / name).mkdir(parents=True)
    (kept / "HEAD").write_text("ref: refs/heads/main\n")
    (kept / "config").write_text('[remote "origin"]\n url = git@example.org:acme/lib.git\n')
    (shop / "lib").mkdir()
    (shop / "lib" / ".git").write_text("gitdir: ../.git/modules/lib\n")

    told = place(str(shop / "lib"))

    assert (told["root"], told["common"]) == (str(shop / "lib"), str(kept))
    assert told["remote"] == "example.org:acme/lib.git"


def test_a_bare_repository_is_its_own_root(tmp_path: Path) -> None:
    shop = repository(tmp_path / "made")
    bare = (shop / ".git").rename(tmp_path / "shop.git")

    assert place(str(bare))["root"] == place(str(bare))["common"] == str(bare)


@pytest.mark.parametrize(
    ("config", "remote"),
    [
        ('[remote "fork"]\nurl = https://a/fork\n[remote "origin"]\nurl = https://a/own\n', "https://a/own"),
        ('[remote "fork"]\nurl = https://a/fork\n[remote "upstream"]\nurl = https://a/up\n', "https://a/up"),
        ('[remote "fork"]\nurl = https://a/fork\n', "https://a/fork"),
        ('[Remote "origin"]\n  URL=https://a/b ; said\n', "https://a/b"),
        ('[remote "origin"] url = "https://a/b#c"\n', "https://a/b"),
        ('[remote "origin"]\n pushurl = https://a/push\n', None),
        ('[remote "origin"]\n url = ../shop.git\n', "{here}/shop.git"),
        ('[remote "origin"]\n url = https://me:tok@en@host.example/a/b.git\n', "https://host.example/a/b.git"),
        ('[remote "origin"]\n url = https://me:to/ken@host.example/a/b.git\n', None),
        ('[remote "origin"]\n url = https://host.example/a/b.git?token=s3cret#x\n', "https://host.example/a/b.git"),
        ('[remote "origin"]\n url = me:s3cret@host.example:a/b.git\n', "host.example:a/b.git"),
        ('[remote "origin"]\n url = ssh://git@[::1]:22/a/b.git\n', None),
        ('[remote "origin"]\n url = ext::sh -c s3cret\n', None),
        ("[branch \"main\"]\n url = https://a/b\n[remote\n\x00 = = [[\n", None),
        ("", None),
    ],
)  # fmt: skip
def test_the_remote_is_origin_s_or_the_next_best_without_credentials(
    tmp_path: Path, config: str, remote: str | None
) -> None:
    shop = repository(tmp_path / "shop", config)

    told = place(str(shop))

    assert told.get("remote") == (remote and remote.format(here=tmp_path))
    assert "s3cret" not in str(told)


@pytest.mark.parametrize("head", ["0123456789012345678901234567890123456789\n", "", "\xff\xfe",
                                  "ref: refs/heads/.invalid\n", "ref: refs/tags/x\n"])  # fmt: skip
def test_a_head_that_is_no_branch_is_left_out(tmp_path: Path, head: str) -> None:
    told = place(str(repository(tmp_path / "shop", head=head)))

    assert "branch" not in told
    assert told["root"] == str(tmp_path / "shop")


def test_outside_of_a_repository_a_directory_is_its_own_root(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()  # nothing in it: git, too, goes on looking above

    assert place(str(tmp_path)) == {"root": str(tmp_path)}


def test_a_worktree_whose_repository_is_gone_keeps_its_root(tmp_path: Path) -> None:
    repository(tmp_path)
    (tmp_path / "tree" / "src").mkdir(parents=True)
    (tmp_path / "tree" / ".git").write_text(f"gitdir: {tmp_path}/gone/.git/worktrees/tree\n")

    assert place(str(tmp_path / "tree" / "src")) == {"root": str(tmp_path / "tree")}


def test_what_cannot_be_read_is_left_out(tmp_path: Path) -> None:
    shop = repository(tmp_path / "shop")
    (shop / ".git" / "config").unlink()
    os.mkfifo(shop / ".git" / "config")  # whoever opened it to read would wait for ever
    (shop / ".claude-mem.toml").write_bytes(b"project = \xff\n[[[")

    assert place(str(shop)) == {
        "common": str(shop / ".git"), "root": str(shop), "branch": "main",
        "born": "1700000000123456789",
    }  # fmt: skip


@pytest.mark.parametrize(
    "cwd", ["", "relative", "/does/not/exist", "/\x00", "/" + "x" * 5000, None, 7]
)
def test_no_directory_raises(cwd: object) -> None:
    assert place(cwd) == {}  # type: ignore[arg-type]


def test_the_file_names_the_project_and_its_parts(tmp_path: Path) -> None:
    shop = repository(tmp_path / "shop")
    (shop / ".claude-mem.toml").write_text(
        'project = "Acme Shop"\n[parts]\n"services" = "back"\n"services/web" = "front"\n'
    )
    for part in ("services/web/src", "services/api", "docs"):
        (shop / part).mkdir(parents=True)

    assert place(str(shop / "docs"))["project"] == "Acme Shop"
    parts = [
        place(str(shop / path)).get("part") for path in ("services/web/src", "services/api", "docs")
    ]
    assert parts == ["front", "back", None]


def test_the_nearest_file_counts_and_none_above_the_repository(tmp_path: Path) -> None:
    (tmp_path / ".claude-mem.toml").write_text('project = "above"\n')
    shop = repository(tmp_path / "shop")
    (shop / "tool").mkdir()
    (shop / "tool" / ".claude-mem.toml").write_text('project = "tool"\n')
    (tmp_path / "notes").mkdir()

    assert "project" not in place(str(shop))
    assert place(str(shop / "tool"))["project"] == "tool"
    assert place(str(tmp_path / "notes")) == {"project": "above", "root": str(tmp_path)}


def test_a_part_is_the_directory_of_the_nearest_manifest(tmp_path: Path) -> None:
    shop = repository(tmp_path / "shop")
    (shop / "package.json").write_text("{}")
    (shop / "packages" / "web" / "src").mkdir(parents=True)
    (shop / "packages" / "web" / "package.json").write_text("{}")

    assert place(str(shop / "packages" / "web" / "src"))["part"] == "packages/web"
    assert "part" not in place(str(shop / "packages"))
    assert "part" not in place(str(shop))


def test_looking_costs_little_and_writes_nothing(tmp_path: Path) -> None:
    branches = "".join(f'[branch "b{n}"]\n\tremote = origin\n' for n in range(2000))
    shop = repository(tmp_path / "shop", CONFIG + branches)
    deep = shop.joinpath(*"abcdefgh")
    deep.mkdir(parents=True)
    before = sorted(tmp_path.rglob("*"))

    spent = []
    for _ in range(20):
        begun = time.thread_time()
        place(str(deep))
        spent.append(time.thread_time() - begun)

    assert min(spent) < 0.004
    assert sorted(tmp_path.rglob("*")) == before


def test_it_needs_nothing_but_the_standard_library() -> None:
    code = (
        f"import sys; sys.path.insert(0, {str(Path(module.__file__).parent)!r}); import place; "
        "print({'re', 'tomllib', 'subprocess', 'django'} & set(sys.modules))"
    )
    found = subprocess.run(
        [sys.executable, "-E", "-S", "-c", code], capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == "set()"


def git(*words: str | Path, at: Path) -> str:
    done = subprocess.run(
        [str(GIT), "-c", "user.name=a", "-c", "user.email=a@b", *map(str, words)],
        cwd=at, capture_output=True, text=True, check=True,
        env={"PATH": os.environ["PATH"], "HOME": str(at), "GIT_CONFIG_NOSYSTEM": "1"},
    )  # fmt: skip
    return done.stdout.strip()


@needs_git
def test_git_says_the_same(tmp_path: Path) -> None:
    shop = tmp_path / "shop"
    git("init", "-q", "-b", "trunk", shop, at=tmp_path)
    git("remote", "add", "origin", 'https://me:pw@example.org/a "b".git', at=shop)
    git("commit", "-q", "--allow-empty", "-m", "x", at=shop)
    git("worktree", "add", "-q", "-b", "fix/one", tmp_path / "tree", at=shop)
    git("init", "-q", "--separate-git-dir", tmp_path / "kept", tmp_path / "apart", at=tmp_path)
    (shop / "src").mkdir()

    for path in (shop, shop / "src", tmp_path / "tree", tmp_path / "apart"):
        told = place(str(path))
        common = (path / git("rev-parse", "--git-common-dir", at=path)).resolve()
        assert told["common"] == str(common)
        assert told["root"] == git("rev-parse", "--show-toplevel", at=path)
        assert told["branch"] == git("symbolic-ref", "--short", "HEAD", at=path)
    assert place(str(shop))["remote"] == 'https://example.org/a "b".git'
    assert place(str(tmp_path / "tree"))["born"] == place(str(shop))["born"]
