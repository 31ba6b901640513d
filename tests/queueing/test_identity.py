"""Who holds a lease: told apart from whoever else has its number or its host's name."""

import shutil
import subprocess
import sys
from dataclasses import replace

import pytest

from queueing import identity
from queueing.identity import Identity
from tests.stack import ROOT

SLEEPER = [sys.executable, "-c", "import time; time.sleep(60)"]
TELLS = [sys.executable, "-c", "from queueing import identity; print(identity.mine())"]


def of(pid: int) -> Identity:
    return replace(identity.mine(), pid=pid, began=identity.began(pid))


def test_a_process_is_gone_once_it_has_ended_even_if_nobody_reaped_it() -> None:
    with subprocess.Popen(SLEEPER) as child:
        known = of(child.pid)
        assert not known.is_gone()
        child.kill()
        child.wait()
    assert known.is_gone()


def test_a_later_process_of_its_number_is_not_it() -> None:
    me = identity.mine()
    assert not me.is_gone()
    assert replace(me, began="1").is_gone()


def test_of_a_process_elsewhere_nothing_is_said() -> None:
    gone = replace(identity.mine(), began="1")
    assert not replace(gone, place="0123456789abcdef").is_gone()
    assert not replace(gone, place="").is_gone()


def test_a_process_that_may_not_be_looked_at_is_not_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(pid: int, number: int) -> None:
        raise PermissionError

    gone = replace(identity.mine(), began="1")
    # As where other users' processes are hidden.
    monkeypatch.setattr("queueing.pids.token_of", lambda pid: "")
    monkeypatch.setattr("os.kill", refused)
    assert not gone.is_gone()


def test_it_is_a_text_and_back() -> None:
    me = identity.mine()
    assert identity.read(str(me)) == me
    assert str(me).endswith(f":{me.pid}")
    assert identity.shown(str(me)) == f"{me.host}:{me.pid}"


@pytest.mark.parametrize("text", ["", "worker", "host:12", "a/b:c/1:2", "host/0a/1:"])
def test_any_other_text_names_nobody_and_is_shown_as_it_is(text: str) -> None:
    assert identity.read(text) is None
    assert identity.shown(text) == text


def test_it_fits_its_column_whatever_the_host_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "a/b:c" * 50)
    long = replace(identity.mine(), pid=2**22, began="1732276645.123456")
    assert len(str(long)) <= 100
    assert identity.read(str(long)) == long


def test_two_containers_of_a_host_with_one_name_are_two_places() -> None:
    """A container has a namespace of processes, in which this one has the number 1."""
    contained = [shutil.which("unshare") or "", "--pid", "--fork", "--mount-proc", *TELLS]
    if not contained[0] or subprocess.run([*contained[:4], "true"], check=False).returncode:
        pytest.skip("namespaces of processes are not allowed here")
    told = [
        identity.read(subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
                      .stdout.strip())
        for command in (TELLS, contained)
    ]  # fmt: skip
    there, inside = told
    assert there is not None
    assert inside is not None
    assert there.host == inside.host
    assert there.place == identity.place() != inside.place
    assert inside.pid == 1
    assert there.is_gone()
    assert not inside.is_gone()
