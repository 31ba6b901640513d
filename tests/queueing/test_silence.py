"""How the kernel notices that the other end of a connection is gone."""

import socket
from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from queueing.silence import options, probes

pytestmark = pytest.mark.once


@given(st.floats(4, 3600))
def test_a_connection_is_given_up_about_when_it_is_said_to_be(seconds: float) -> None:
    asked = probes(seconds)
    assert min(asked.idle, asked.interval) >= 1
    assert abs(asked.idle + asked.count * asked.interval - seconds) <= 1


def test_this_system_takes_the_options() -> None:
    with closing(socket.socket()) as one:
        for number, value in options(10).items():
            one.setsockopt(socket.IPPROTO_TCP, number, value)
            assert one.getsockopt(socket.IPPROTO_TCP, number) == value
