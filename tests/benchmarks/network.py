"""A link between two hosts on one machine, which can be cut, slowed down, unplugged and healed.

The far host is a network namespace of its own with a name of its own. Two tunnels are the ends of
the link, and a process between them hands on every packet: or drops it, or holds it back. What is
dropped leaves no trace, as in a network that has lost its way: no reset, no refusal.

Nothing has to be taken down: with that process, which ends with its starter, the namespace and the
tunnels are gone.
"""

import ctypes
import fcntl
import heapq
import json
import os
import random
import selectors
import shutil
import socket
import struct
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import BinaryIO, Final

FAR_NAME: Final = "far-host"
# Each way, when all is well: that of two machines in one building.
USUAL_DELAY: Final = 0.002
_TUNSETIFF, _IFF_TUN, _IFF_NO_PI = 0x400454CA, 0x0001, 0x1000
_NEW_NETWORK, _NEW_NAME = 0x40000000, 0x04000000
_PACKET: Final = 65536


class Refused(Exception):
    """No second host can be made here."""


class Link:
    """A link to a far host. Addresses: `near` on this side, `far` on the other.

    Raises Refused where namespaces or tunnels are not to be had.
    """

    def __init__(self) -> None:
        missing = [name for name in ("ip", "nsenter") if not shutil.which(name)]
        if sys.platform != "linux" or missing:
            raise Refused(f"two hosts on one machine need Linux with {' and '.join(missing)}")
        self._process = subprocess.Popen(
            [sys.executable, "-m", __spec__.name if __name__ == "__main__" else __name__],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True,
        )  # fmt: skip
        assert self._process.stdout is not None
        said = json.loads(self._process.stdout.readline() or '{"refused": "the link ended"}')
        if reason := said.get("refused"):
            self.close()
            raise Refused(reason)
        self.near, self.far = said["near"], said["far"]

    @property
    def through(self) -> tuple[str, ...]:
        """The command that runs a command on the far host, in its own place."""
        there = f"/proc/{self._process.pid}/ns"
        return ("nsenter", f"--net={there}/net", f"--uts={there}/uts", "--")

    def cut(self) -> None:
        """Drop all packets from now on."""
        self._tell(is_cut=True)

    def heal(self) -> None:
        """Hand all packets on, as usual."""
        self._tell()

    def slow(self, delay: float, loss: float) -> None:
        """Hold each packet back for `delay` seconds, and lose this share of them."""
        self._tell(delay=delay, loss=loss)

    def unplug(self) -> None:
        """Take the far end down: there it can be seen at once, here it cannot."""
        self._tell(is_unplugged=True)

    def close(self) -> None:
        """Take everything down."""
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.wait(10)
        assert self._process.stdout is not None
        self._process.stdout.close()

    def _tell(self, **state: float) -> None:
        """Returns when it is so."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(state) + "\n")
        self._process.stdin.flush()
        self._process.stdout.readline()


# --- the process between the two ends -------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _State:
    is_cut: bool = False
    is_unplugged: bool = False
    delay: float = USUAL_DELAY
    loss: float = 0.0


@dataclass(slots=True)
class _Relay:
    """Takes packets out of each end and puts them into the other, in the order they are due."""

    ends: tuple[BinaryIO, BinaryIO]
    far: str
    state: _State = field(default_factory=_State)
    under_way: list[tuple[float, int, int, bytes]] = field(default_factory=list)
    count: int = 0

    def run(self, orders: BinaryIO) -> None:
        """Until no more orders can come."""
        with selectors.DefaultSelector() as ready:
            ready.register(orders, selectors.EVENT_READ)
            for number, end in enumerate(self.ends):
                ready.register(end, selectors.EVENT_READ, number)
            while True:
                for key, _ in ready.select(self._patience()):
                    if key.data is not None:
                        self._take(key.data)
                    elif line := orders.readline():
                        self._turn(_State(**json.loads(line)))
                    else:
                        return
                self._hand_on()

    def _patience(self) -> float | None:
        return max(0.0, self.under_way[0][0] - time.monotonic()) if self.under_way else None

    def _take(self, number: int) -> None:
        with suppress(OSError):  # an end that is down
            packet = os.read(self.ends[number].fileno(), _PACKET)
            if not self.state.is_cut and random.random() >= self.state.loss:
                self.count += 1
                due = time.monotonic() + self.state.delay
                heapq.heappush(self.under_way, (due, self.count, 1 - number, packet))

    def _hand_on(self) -> None:
        while self.under_way and self.under_way[0][0] <= time.monotonic():
            _, _, number, packet = heapq.heappop(self.under_way)
            with suppress(OSError):
                os.write(self.ends[number].fileno(), packet)

    def _turn(self, state: _State) -> None:
        if state.is_cut:
            self.under_way.clear()
        if state.is_unplugged != self.state.is_unplugged:
            _ip("link", "set", self.far, "down" if state.is_unplugged else "up")
        self.state = state
        print("done", flush=True)


def _main() -> None:
    # Of the addresses that are set apart for measuring networks.
    network = f"198.18.{random.randrange(256)}.{4 * random.randrange(64)}"
    place, _, last = network.rpartition(".")
    near, far = f"{place}.{int(last) + 1}", f"{place}.{int(last) + 2}"
    name = f"cm{os.getpid()}"
    try:
        here = _tunnel(f"{name}n", near, far)
        _leave()
        there = _tunnel(f"{name}f", far, near)
    except (OSError, subprocess.CalledProcessError) as error:
        print(json.dumps({"refused": f"no second host can be made here: {error}"}), flush=True)
        return
    print(json.dumps({"near": near, "far": far}), flush=True)
    with here, there, open(0, "rb", buffering=0) as orders:
        _Relay((here, there), f"{name}f").run(orders)


def _tunnel(name: str, address: str, peer: str) -> BinaryIO:
    """An end of the link, in the namespace in which we are."""
    end = open("/dev/net/tun", "r+b", buffering=0)  # noqa: SIM115
    fcntl.ioctl(end, _TUNSETIFF, struct.pack("16sH22x", name.encode(), _IFF_TUN | _IFF_NO_PI))
    _ip("address", "add", address, "peer", peer, "dev", name)
    _ip("link", "set", name, "up")
    return end


def _leave() -> None:
    """Be on another host from now on."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_NEW_NETWORK | _NEW_NAME):
        raise OSError(ctypes.get_errno(), "network namespaces are not allowed")
    socket.sethostname(FAR_NAME)
    _ip("link", "set", "lo", "up")


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, stdin=subprocess.DEVNULL, stdout=sys.stderr)


if __name__ == "__main__":
    _main()
