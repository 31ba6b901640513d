"""A program in the place of Docker's command, for machines without its engine.

It knows what DockerStore asks of it. A container is a process of this machine that runs what it
would run, a volume is a directory, and the image is the Valkey that the installation brings; all
that it remembers lies in the directory that DOCKER_STANDIN names.
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

HOME = Path(os.environ["DOCKER_STANDIN"])
# What `run` takes: those that may be repeated, and those that stand alone.
_LISTS = ("--label", "--volume", "--publish", "--cap-drop", "--security-opt")
_WORDS = ("--name", "--env-file", "--user", "--memory", "--log-driver", "--restart")
_FLAGS = ("--detach", "--read-only")


def main(words: Sequence[str]) -> int:
    if (HOME / "away").exists():
        return _fail("Cannot connect to the Docker daemon. Is the docker daemon running?")
    with (HOME / "calls").open("a") as calls:
        calls.write(json.dumps(list(words)) + "\n")
    name = " ".join(words[:2]) if words[0] in ("container", "volume", "image") else words[0]
    return _COMMANDS[name](list(words[len(name.split()) :]))


def version(words: Sequence[str]) -> int:
    print("28.0.0")
    return 0


def pull(words: Sequence[str]) -> int:
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
    shutil.rmtree(HOME / "volumes" / words[-1], ignore_errors=True)
    return 0


def run(words: Sequence[str]) -> int:
    parser = argparse.ArgumentParser()
    for flag in _LISTS:
        parser.add_argument(flag, action="append", default=[])
    for flag in _WORDS:
        parser.add_argument(flag)
    for flag in _FLAGS:
        parser.add_argument(flag, action="store_true")
    parser.add_argument("image")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    asked = parser.parse_args(words)
    if _file(asked.name).exists():
        return _fail(f'Conflict. The container name "/{asked.name}" is already in use.')
    env = dict(line.split("=", 1) for line in Path(asked.env_file).read_text().splitlines())
    host, port, _ = asked.publish[0].split(":")
    volume = HOME / "volumes" / asked.volume[0].split(":")[0]
    made = {
        "image": asked.image,
        "labels": dict(label.split("=", 1) for label in asked.label),
        "env": env,
        # A container sees its volume as /data, and its own port.
        "command": [
            *(str(volume) if word == "/data" else word for word in asked.command),
            *("--bind", host, "--port", port),
        ],
    }
    _write(asked.name, made)
    return start([asked.name])


def start(words: Sequence[str]) -> int:
    made = _read(words[0])
    if made is None:
        return _fail(f"No such container: {words[0]}")
    if not _runs(made):
        with (HOME / f"{words[0]}.log").open("a") as log:
            process = subprocess.Popen(
                made["command"], env={"PATH": f"{HOME / 'bin'}:{os.defpath}", **made["env"]},
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        _write(words[0], {**made, "pid": process.pid})
    return 0


def stop(words: Sequence[str]) -> int:
    return _signal(words[-1], signal.SIGTERM)


def kill(words: Sequence[str]) -> int:
    return _signal(words[-1], signal.SIGKILL)


def inspect(words: Sequence[str]) -> int:
    made = _read(words[0])
    if made is None:
        return _fail(f"No such container: {words[0]}")
    told = {
        "State": {"Running": _runs(made)},
        "Config": {"Image": made["image"], "Labels": made["labels"]},
    }
    print(json.dumps([told]))
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
        os.kill(made["pid"], number)
        while _runs(made):
            time.sleep(0.01)
    return 0


def _runs(made: dict[str, Any]) -> bool:
    """Whether its process is there and no zombie."""
    try:
        state = Path(f"/proc/{made['pid']}/stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, KeyError):
        return False
    return state not in {"Z", "X"}


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
    "version": version,
    "pull": pull,
    "image inspect": image,
    "volume create": make_volume,
    "volume rm": remove_volume,
    "run": run,
    "start": start,
    "stop": stop,
    "kill": kill,
    "container inspect": inspect,
    "rm": remove,
}

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
