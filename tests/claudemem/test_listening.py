"""Where processes listen, on real sockets."""

import os
import socket

import pytest

from claudemem import listening
from tests.stack import free_port


def refusal(host: str, port: int) -> str:
    return listening.refusal(host, port, host_by="HERE", port_by="with --port")


def test_a_name_stands_for_its_address_and_an_address_for_itself() -> None:
    assert listening.address("localhost") == "127.0.0.1"
    assert listening.address("127.0.0.1") == "127.0.0.1"
    assert listening.address("::1") == "::1"


def test_an_address_of_ipv6_is_put_in_brackets() -> None:
    assert listening.url("::1", 80) == "http://[::1]:80"
    assert listening.url("localhost", 80) == "http://localhost:80"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0.0.0.0"])
def test_a_free_place_is_not_refused(host: str) -> None:
    assert refusal(host, free_port()) == ""


def test_a_taken_port_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert refusal("localhost", port) == (
            f"port {port} is taken by another program: choose another one with --port, or stop "
            "that program"
        )


def test_a_host_that_is_another_machine_is_no_taken_port() -> None:
    assert refusal("192.0.2.1", free_port()) == (
        "'192.0.2.1' is not this machine: name an address of this machine in HERE, or leave it at "
        "127.0.0.1"
    )


@pytest.mark.parametrize("host", ["no-such-host.invalid", "a..b", "x" * 70])
def test_a_host_of_which_no_address_is_known_is_told(host: str) -> None:
    assert refusal(host, free_port()) == (
        f"no address is known of {host!r}: name an address of this machine in HERE, or leave it "
        "at 127.0.0.1"
    )


@pytest.mark.skipif(os.geteuid() == 0, reason="root may listen at any port")
def test_a_port_of_the_system_is_told() -> None:
    assert refusal("127.0.0.1", 1) in ("", "port 1 is not for this user: choose one above 1023 "
                                           "with --port")  # fmt: skip
