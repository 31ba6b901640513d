"""The services of compose.yaml as processes: the image's environment and that of the file, a user
without rights, an installed package that nobody can write, and no Docker.

Only addresses differ: names of containers become what the test has in their place, `/tmp` is a
folder of each container's own. PostgreSQL is the one that the tests run on.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx

from queueing import binaries
from tests.compose import files
from tests.postgres import database_of
from tests.stack import HOOK, ROOT, SHORT_LEASES, free_port

PUBLIC = "https://memory.example.org"
FLOWER_PASSWORD = "5b0c6a7be31fd24c8e90"
# Reads what root may, since the interpreter may lie where nobody else may look; writes nothing.
_UNPRIVILEGED = (
    "setpriv", "--reuid=10001", "--regid=10001", "--clear-groups",
    "--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search", "--no-new-privs", "--",
)  # fmt: skip


class Container:
    """A running service. `home` stands in for its /tmp, `said` is what it has written."""

    def __init__(self, command: list[str], environment: Mapping[str, str], home: Path) -> None:
        self.home = home
        self.output = home.with_suffix(".log")
        with self.output.open("ab") as log:
            self.process = subprocess.Popen(
                [*unprivileged(), *command], env=dict(environment), cwd=home,
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip

    @property
    def said(self) -> str:
        return self.output.read_text()

    def stop(self, grace: float = 30) -> int:
        """Ask it to stop, as Docker does; its exit code. Fails, having killed it, if it hangs."""
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(grace)
        finally:
            self.process.kill()
            self.process.wait()


class Host:
    """What runs the services of compose.yaml, in a folder that is gone at the end."""

    def __init__(self) -> None:
        self.home = Path(tempfile.mkdtemp(prefix="cm-compose-"))
        self.home.chmod(0o755)
        self.app = _installed(self.home / "app")
        self.volume = self._folder("valkey-data")
        self.store_port, self.web_port = free_port(), free_port()
        self.flower_port = free_port()
        given = {"CLAUDE_MEM_PUBLIC_URL": PUBLIC, "CLAUDE_MEM_FLOWER_PASSWORD": FLOWER_PASSWORD}
        self.services = files.services({**files.SECRETS, **given})
        self.running: list[Container] = []
        self._number = 0
        self.http = httpx.Client(base_url=f"http://127.0.0.1:{self.web_port}", timeout=30.0)

    # --- services ---------------------------------------------------------------------------------

    def up(self, name: str, overrides: Mapping[str, str] = {}) -> Container:
        """Start a service of ours."""
        words = self.services[name]["command"]
        home = self._folder(f"{name}-{self._next()}")
        environment = {**self.environment(name, home), **overrides}
        return self._started(Container(self._ours(words), environment, home))

    def up_store(self) -> Container:
        """Start the queue store, with the flags of the file."""
        words = [str(binaries.find().path), *self.services["valkey"]["command"][1:]]
        words[words.index("/data")] = str(self.volume)
        words += ["--port", str(self.store_port), "--bind", "127.0.0.1"]
        return self._started(Container(words, {}, self._folder(f"valkey-{self._next()}")))

    def healthy(self, container: Container, name: str) -> bool:
        """Whether the service's healthcheck says so."""
        assert container.process.poll() is None, container.said
        told = self._run(self.services[name]["healthcheck"]["test"][2:], name, container.home)
        return told.returncode == 0

    def execute(self, container: Container, name: str, *words: str) -> str:
        """What a command printed in a running container, as by `docker compose exec`."""
        told = self._run(list(words), name, container.home)
        assert told.returncode == 0, told.stderr
        return told.stdout

    def run(self, name: str, overrides: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
        """A service that is expected to end by itself."""
        home = self._folder(f"{name}-{self._next()}")
        return self._run(self.services[name]["command"], name, home, overrides)

    def stop(self) -> list[int]:
        """Stop what still runs and remove everything; the exit codes."""
        self.http.close()
        codes = [each.stop() for each in reversed(self.running) if each.process.poll() is None]
        shutil.rmtree(self.home, ignore_errors=True)
        return codes

    # --- what they get ----------------------------------------------------------------------------

    def environment(self, name: str, home: Path) -> dict[str, str]:
        """All that a service of ours finds in its environment: no HOME, and nothing of ours."""
        given = {**files.image_environment(), **self.services[name]["environment"]}
        given = {key: value.replace("/tmp", str(home), 1) for key, value in given.items()}
        (database,) = database_of(self.home).values()
        path = f"{Path(sys.executable).parent}:{os.defpath}"
        here = {"PATH": path, "PYTHONPATH": str(self.app)}
        addresses = {
            "CLAUDE_MEM_SERVER_DATABASE_URL": database,
            "CLAUDE_MEM_REDIS_URL": given["CLAUDE_MEM_REDIS_URL"].replace(
                "@valkey:6379", f"@127.0.0.1:{self.store_port}"
            ),
            "CLAUDE_MEM_SERVER_PORT": str(self.web_port),
            "CLAUDE_MEM_FLOWER_PORT": str(self.flower_port),
        }
        return {**given, **here, **addresses, **SHORT_LEASES}

    def post(self, payload: dict[str, Any]) -> None:
        """Capture what a hook sends."""
        answer = self.http.post(HOOK, json=payload)
        assert answer.is_success, answer.text

    def _ours(self, words: list[str]) -> list[str]:
        words = words[1:] if words[0] == "claudemem" else words
        return [sys.executable, "-m", "claudemem", *words]

    def _run(
        self, words: list[str], name: str, home: Path, overrides: Mapping[str, str] = {}
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*unprivileged(), *self._ours(words)], cwd=home, capture_output=True, text=True,
            env={**self.environment(name, home), **overrides}, stdin=subprocess.DEVNULL,
            check=False, timeout=120,
        )  # fmt: skip

    def _started(self, container: Container) -> Container:
        self.running.append(container)
        return container

    def _folder(self, name: str) -> Path:
        folder = self.home / name
        folder.mkdir()
        folder.chmod(0o1777)
        return folder

    def _next(self) -> int:
        self._number += 1
        return self._number


def unprivileged() -> tuple[str, ...]:
    """What stands before a command so that it runs as the image's user, where that can be."""
    able = os.geteuid() == 0 and shutil.which("setpriv")
    return _UNPRIVILEGED if able else ()


def _installed(place: Path) -> Path:
    """The package as the image has it: built, unpacked, not the checkout."""
    built = place.with_name("dist")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(built)],
        cwd=ROOT, check=True, capture_output=True,
    )  # fmt: skip
    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(place)
    # As an installer does. Nobody who runs it may write there: each start would compile it again.
    subprocess.run([sys.executable, "-m", "compileall", "-q", str(place)], check=True)
    return place


def parsed(text: str) -> Any:
    """The JSON that a command printed."""
    return json.loads(text)
