"""Where our processes listen: a host's address, its socket, and why a place cannot be had."""

import errno
import os
import resource
import socket
import stat
from contextlib import suppress

# So many connections may wait to be taken.
BACKLOG = 1024
_OF_PORT = {
    errno.EADDRINUSE: "is taken by another program: choose another one {}, or stop that program",
    errno.EACCES: "is not for this user: choose one above 1023 {}",
}


def url(host: str, port: int) -> str:
    """The address of a web that listens there."""
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def address(host: str) -> str:
    """The number that a host's name stands for, of IPv4 where it has both. Raises OSError."""
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return str(min(found, key=lambda each: each[0] != socket.AF_INET)[4][0])


def opened(host: str, port: int) -> socket.socket:
    """A socket that listens there, for a process of ours to take connections from. Raises OSError.

    Connections that nobody takes wait in it, for as long as any process has it open.
    """
    there = address(host)
    listener = socket.socket(_family(there), socket.SOCK_STREAM)
    try:
        # As servers do: connections that linger from a last life do not keep the port.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        listener.bind((there, port))
        listener.listen(BACKLOG)
        # Whoever makes a copy of it says it again for all: one that waits would answer nobody else.
        listener.setblocking(False)
    except OSError:
        listener.close()
        raise
    return listener


def close_quietly(number: int) -> None:
    """Have whoever takes connections at this socket of ours find none any more.

    The number leads to a socket that nobody knows. What waits at the former one is left to other
    processes that have it open; with the last of them it closes.
    """
    with socket.create_server(("127.0.0.1", 0)) as quiet:
        quiet.setblocking(False)
        os.dup2(quiet.fileno(), number, inheritable=False)


def port_of(number: int) -> int:
    """The port at which this socket of ours listens."""
    with socket.socket(fileno=os.dup(number)) as listener:
        return int(listener.getsockname()[1])


def connections(port: int) -> int:
    """How many connections this process has that came in by this port of ours."""
    return sum(_came_by(port, int(name)) for name in os.listdir("/dev/fd"))


def most_connections(wanted: int, others: int) -> int:
    """How many connections this process may have at once, at most `wanted`.

    It asks the system for as many files as that takes, and leaves `others` for something else.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = wanted + others
    if hard != resource.RLIM_INFINITY:
        needed = min(needed, hard)
    if soft != resource.RLIM_INFINITY and soft < needed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
        soft = needed
    return wanted if soft == resource.RLIM_INFINITY else max(min(wanted, soft - others), 1)


def _came_by(port: int, number: int) -> bool:
    with suppress(OSError):
        if stat.S_ISSOCK(os.fstat(number).st_mode):
            with socket.socket(fileno=os.dup(number)) as there:
                inet = there.family in (socket.AF_INET, socket.AF_INET6)
                return inet and there.getsockname()[1] == port and bool(there.getpeername())
    return False


def refusal(host: str, port: int, *, host_by: str, port_by: str) -> str:
    """Why nobody could listen there now, and what to do about it; "" if somebody could.

    `host_by` is the variable that chooses the host, `port_by` how the port is chosen.
    """
    another = f"name an address of this machine in {host_by}, or leave it at 127.0.0.1"
    try:
        there = address(host)
    except (OSError, UnicodeError):
        return f"no address is known of {host!r}: {another}"
    refused = _bind(there, port)
    if refused in _OF_PORT:
        return f"port {port} {_OF_PORT[refused].format(port_by)}"
    if refused == errno.EADDRNOTAVAIL:
        return f"{host!r} is not this machine: {another}"
    return f"nobody can listen at {host!r} ({os.strerror(refused)}): {another}" if refused else ""


def _bind(there: str, port: int) -> int:
    """The number of the error with which the system refuses it, or 0."""
    with socket.socket(_family(there)) as probe:
        # As servers do: connections that linger from a last life do not keep the port.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((there, port))
        except OSError as error:
            return error.errno or errno.EINVAL
    return 0


def _family(there: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in there else socket.AF_INET
