"""Where our processes listen: a host's address, and why a place cannot be had."""

import errno
import os
import socket

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
    with socket.socket(socket.AF_INET6 if ":" in there else socket.AF_INET) as probe:
        # As servers do: connections that linger from a last life do not keep the port.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((there, port))
        except OSError as error:
            return error.errno or errno.EINVAL
    return 0
