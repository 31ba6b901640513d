"""A program in the place of Docker's command, for machines without its engine.

It knows what DockerStore asks of it. A container is a process of this machine that runs what it
would run, a volume is a directory, and the image is the Valkey that the installation brings; all
that it remembers lies in the directory that DOCKER_STANDIN names.
"""

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

# The rest is imported where it is needed: dozens of these are started by a test.

HOME = Path(os.environ.get("DOCKER_STANDIN", ""))
# The options of `run` that have no value.
_FLAGS = ("--detach", "--read-only")
# What is followed by a verb.
_NOUNS = ("container", "volume", "image", "context")


def main(words: Sequence[str]) -> int:
    if (HOME / "away").exists():
        return _fail("Cannot connect to the Docker daemon. Is the docker daemon running?")
    with (HOME / "calls").open("a") as calls:
        calls.write(json.dumps(list(words)) + "\n")
    name = " ".join(words[:2]) if words[0] in _NOUNS else words[0]
    return _COMMANDS[name](list(words[len(name.split()) :]))


def pull(words: Sequence[str]) -> int:
    if (HOME / "offline").exists():
        return _fail("dial tcp: lookup registry: no such host")
    (HOME / "images").mkdir(exist_ok=True)
    (HOME / "images" / words[-1].replace("/", "_")).touch()
    return 0


def image(words: Sequence[str]) -> int:
    there = (HOME / "images" / words[0].replace("/", "_")).exists()
    return 0 if there else _fail(f"No such image: {words[0]}")


def make_volume(words: Sequence[str]) -> int:
    (HOME / "volumes" / words[-1]).mkdir(parents=True, exist_ok=True)
    return 0


def remove_volume(words: Sequence[str]) -> int:
    import shutil

    shutil.rmtree(HOME / "volumes" / words[-1], ignore_errors=True)
    return 0


def run(words: Sequence[str]) -> int:
    options, rest = _options(words)
    name = options["--name"]
    if _file(name).exists():
        return _fail(f'Conflict. The container name "/{name}" is already in use.')
    host, port, _ = options["--publish"].split(":")
    volume = HOME / "volumes" / options["--volume"].partition(":")[0]
    env = Path(options["--env-file"]).read_text().splitlines()
    made = {
        "image": rest[0],
        "labels": dict(
            words[number + 1].split("=", 1)
            for number, word in enumerate(words)
            if word == "--label"
        ),
        "env": dict(line.split("=", 1) for line in env),
        # A container sees its volume as /data, and has its ports to itself.
        "command": [
            *(str(volume) if word == "/data" else word for word in rest[1:]),
            *("--bind", host, "--port", port),
        ],
    }
    _write(name, made)
    return start([name])


def start(words: Sequence[str]) -> int:
    made = _read(words[0])
    if made is None:
        return _fail(f"No such container: {words[0]}")
    if not _runs(made):
        import subprocess

        with (HOME / f"{words[0]}.log").open("a") as log:
            process = subprocess.Popen(
                made["command"], env={"PATH": f"{HOME / 'bin'}:{os.defpath}", **made["env"]},
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        _write(words[0], {**made, "pid": process.pid, "token": _token(process.pid)})
    return 0


def stop(words: Sequence[str]) -> int:
    return _signal(words[-1], signal.SIGTERM)


def kill(words: Sequence[str]) -> int:
    return _signal(words[-1], signal.SIGKILL)


def ls(words: Sequence[str]) -> int:
    label, value = words[words.index("--filter") + 1].split("=", 2)[1:]
    shown = words[words.index("--format") + 1]
    for path in HOME.glob("*.json"):
        made = json.loads(path.read_text())
        if made["labels"].get(label) == value:
            state = "running" if _runs(made) else "exited"
            print(state if "State" in shown else made["labels"][shown.split('"')[1]])
    return 0


def context(words: Sequence[str]) -> int:
    address = HOME / "address"
    print(address.read_text() if address.exists() else "unix:///var/run/docker.sock")
    return 0


def remove(words: Sequence[str]) -> int:
    made = _read(words[-1])
    if made is None:
        return _fail(f"No such container: {words[-1]}")
    if _runs(made) and "--force" not in words:
        return _fail("container is running: stop the container before removing or force remove")
    _signal(words[-1], signal.SIGKILL)
    _file(words[-1]).unlink()
    return 0


def _signal(name: str, number: int) -> int:
    made = _read(name)
    if made is None:
        return _fail(f"No such container: {name}")
    if _runs(made):
        # It may end by itself meanwhile.
        with suppress(ProcessLookupError):
            os.kill(made["pid"], number)
        while _runs(made):
            time.sleep(0.01)
    return 0


def _runs(made: dict[str, Any]) -> bool:
    # One that ended before it was looked at has none.
    token = made.get("token", "")
    return bool(token) and _token(made["pid"]) == token


def _token(pid: int) -> str:
    from queueing import pids

    return pids.token_of(pid)


def _options(words: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """The options before the image, and what follows them; of a repeated one the last."""
    options, rest = {}, list(words)
    while rest[0].startswith("--"):
        name = rest.pop(0)
        options[name] = "" if name in _FLAGS else rest.pop(0)
    return options, rest


def _file(name: str) -> Path:
    return HOME / f"{name}.json"


def _read(name: str) -> dict[str, Any] | None:
    try:
        made: dict[str, Any] = json.loads(_file(name).read_text())
    except OSError:
        return None
    return made


def _write(name: str, made: dict[str, Any]) -> None:
    new = _file(name).with_suffix(f".{os.getpid()}")
    new.write_text(json.dumps(made))
    new.replace(_file(name))


def _fail(reason: str) -> int:
    print(f"Error response from daemon: {reason}", file=sys.stderr)
    return 1


_COMMANDS: dict[str, Callable[[Sequence[str]], int]] = {
    "pull": pull,
    "image inspect": image,
    "volume create": make_volume,
    "volume rm": remove_volume,
    "run": run,
    "start": start,
    "stop": stop,
    "kill": kill,
    "container ls": ls,
    "context inspect": context,
    "rm": remove,
}

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
