"""Docker's command: what it is asked, and what it says."""

import shutil
import subprocess
from dataclasses import dataclass
from urllib.parse import urlsplit

COMMAND_SECONDS = 10.0
# An engine that is there tells what it has in a moment; one that hangs is waited for by all.
LOOK_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Docker:
    """The command `program`. No call waits for longer than it says (seconds), nor raises."""

    program: str = "docker"

    @property
    def is_here(self) -> bool:
        """Whether there is the command, whoever answers it."""
        return shutil.which(self.program) is not None

    def ask(
        self, *words: str, timeout: float = COMMAND_SECONDS
    ) -> subprocess.CompletedProcess[str]:
        """What it did; one that cannot be run, or says nothing in time, has failed."""
        command = [self.program, *words]
        try:
            return subprocess.run(
                command, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                errors="replace", check=False, timeout=timeout,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            said = f"nothing within {timeout:g} s"
        except OSError as error:  # it is no program of this machine, say
            said = error.strerror or str(error)
        return subprocess.CompletedProcess(command, 1, stdout="", stderr=said)

    def look(self, *words: str) -> subprocess.CompletedProcess[str]:
        """The same, of what takes a moment where an engine answers."""
        return self.ask(*words, timeout=LOOK_SECONDS)

    def version(self) -> str:
        """The version of the engine that answers, or ""."""
        asked = self.look("version", "--format", "{{.Server.Version}}")
        return asked.stdout.strip() if asked.returncode == 0 else ""

    def elsewhere(self) -> str:
        """The address of the engine if it is on another machine; "" if it is on this one."""
        asked = self.look("context", "inspect", "--format", "{{.Endpoints.docker.Host}}")
        address = asked.stdout.strip() if asked.returncode == 0 else ""
        return "" if is_here(address) else address


def is_here(address: str) -> bool:
    """Whether an engine's address is one of this machine. What tells nothing is taken for such."""
    parts = urlsplit(address)
    if parts.scheme not in {"tcp", "http", "https", "ssh"}:
        return True  # a socket or a pipe
    host = parts.hostname or ""
    return host in {"localhost", "::1"} or host.startswith("127.")


def reason(asked: subprocess.CompletedProcess[str]) -> str:
    """What Docker said at last, which is its reason."""
    said = asked.stderr.strip() or asked.stdout.strip() or f"exit code {asked.returncode}"
    return said.splitlines()[-1]
