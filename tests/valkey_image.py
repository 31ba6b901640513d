"""The image of the docker store, made here: no registry is asked.

It is what the published one is to those who run it: the server that the installation brings, a
user `valkey`, `/data` which is theirs, and an entry point that leaves root before the server runs.
Its programs and libraries are this machine's.
"""

import io
import re
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from queueing import binaries
from queueing.docker import IMAGE

USER = 999
_ENTRY = """\
#!/bin/sh
set -e
case "$1" in -*) set -- valkey-server "$@" ;; esac
if [ "$1" = valkey-server ] && [ "$(id -u)" = 0 ]; then
    chown -R valkey /data
    exec setpriv --reuid=valkey --regid=valkey --clear-groups "$0" "$@"
fi
umask 0077
exec "$@"
"""
_TEXTS = {
    "etc/passwd": f"root:x:0:0::/:/bin/sh\nvalkey:x:{USER}:{USER}::/data:/bin/sh\n",
    "etc/group": f"root:x:0:\nvalkey:x:{USER}:\n",
    "entry": _ENTRY,
}
_PROGRAMS = ("sh", "id", "chown", "setpriv", "sleep")
# What of an image is no file.
CHANGES = (
    'ENTRYPOINT ["/entry"]', 'CMD ["valkey-server"]', "WORKDIR /data", "EXPOSE 6379",
    "ENV PATH=/bin",
)  # fmt: skip
NAME = IMAGE


def missing() -> str:
    """What this machine lacks to make it, or ""."""
    lacking = [name for name in (*_PROGRAMS, "ldd") if shutil.which(name) is None]
    if lacking:
        return f"there is no {lacking[0]} here"
    return "" if binaries.bundled() else "there is no bundled Valkey here"


@cache
def packed() -> bytes:
    """The tree, for `docker import`."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tree:
        _add_folder(tree, "data", USER, 0o1777)
        _add_folder(tree, "tmp", 0, 0o1777)
        for name, text in _TEXTS.items():
            _add(tree, name, text.encode())
        for name, path in _files():
            _add(tree, name, path.read_bytes())
    return packed.getvalue()


def _files() -> Iterator[tuple[str, Path]]:
    server = binaries.bundled()
    assert server is not None
    programs = {name: Path(shutil.which(name) or "") for name in _PROGRAMS}
    libraries: set[str] = set()
    for name, path in {**programs, "valkey-server": server}.items():
        yield f"bin/{name}", path
        libraries |= _libraries(path)
    yield from ((each.lstrip("/"), Path(each)) for each in sorted(libraries))


def _libraries(program: Path) -> set[str]:
    told = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
    return set(re.findall(r"(?:=> |^\s*)(/\S+)", told, re.MULTILINE))


def _add(tree: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), 0o755
    tree.addfile(entry, io.BytesIO(content))


def _add_folder(tree: tarfile.TarFile, name: str, owner: int, mode: int) -> None:
    entry = tarfile.TarInfo(name)
    entry.type, entry.mode, entry.uid, entry.gid = tarfile.DIRTYPE, mode, owner, owner
    tree.addfile(entry)
