"""Where a call comes from, and whom of those who say so is believed."""

import pytest
from django.conf import LazySettings

from claudemem.api import peers
from claudemem.api.peers import Caller

pytestmark = pytest.mark.once

HERE = Caller(peer="127.0.0.1", host="127.0.0.1:37877")
FORWARDING = (
    "HTTP_FORWARDED", "HTTP_X_FORWARDED_FOR", "HTTP_X_FORWARDED_HOST", "HTTP_X_REAL_IP",
    "HTTP_VIA", "HTTP_X_FORWARDED_PROTO", "HTTP_CF_CONNECTING_IP",
)  # fmt: skip


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "LocalHost:1", "[::1]", "[::1]:37877", "::1"]
)
@pytest.mark.parametrize("peer", ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"])
def test_a_program_of_this_machine_is_local_by_each_of_its_names(peer: str, host: str) -> None:
    assert peers.local(Caller.of_environ({"REMOTE_ADDR": peer, "HTTP_HOST": host}))


@pytest.mark.parametrize(
    ("peer", "host"),
    [
        ("127.0.0.1", "evil.example"), ("127.0.0.1", "127.0.0.1.evil.example:37877"),
        ("127.0.0.1", "localhost.evil.example"), ("127.0.0.1", ""), ("127.0.0.1", "[::1].evil"),
        ("127.0.0.1", "127.0.0.1,127.0.0.1"), ("127.0.0.1", "127.0.0.2"),
        ("10.0.0.7", "127.0.0.1"), ("::ffff:10.0.0.7", "localhost"), ("", "localhost"),
        ("not an address", "localhost"), ("fe80::1%eth0", "localhost"),
    ],
)  # fmt: skip
def test_whoever_calls_from_elsewhere_or_by_another_name_is_not(peer: str, host: str) -> None:
    assert not peers.local(Caller.of_environ({"REMOTE_ADDR": peer, "HTTP_HOST": host}))


@pytest.mark.parametrize("header", FORWARDING)
def test_what_was_forwarded_is_not_local_whatever_the_header_says(header: str) -> None:
    environ = {"REMOTE_ADDR": "127.0.0.1", "HTTP_HOST": "localhost"}
    assert not peers.local(Caller.of_environ({**environ, header: "127.0.0.1"}))
    assert not peers.local(Caller.of_environ({**environ, header: ""}))


def test_a_trusted_proxy_is_not_local_even_where_it_says_nothing(
    settings: LazySettings,
) -> None:
    settings.TRUSTED_PROXIES = ["127.0.0.1"]
    assert not peers.local(HERE)


@pytest.mark.parametrize(
    ("origin", "site"),
    [
        ("https://evil.example", ""), ("null", ""), ("http://127.0.0.1:3000", ""),
        ("", "cross-site"), ("", "same-site"), ("http://127.0.0.1:37877", "cross-site"),
        ("chrome-extension://abc", ""), ("://127.0.0.1:37877", ""),
    ],
)  # fmt: skip
def test_a_page_of_another_origin_is_foreign(origin: str, site: str) -> None:
    environ = {"HTTP_HOST": "127.0.0.1:37877", "HTTP_ORIGIN": origin, "HTTP_SEC_FETCH_SITE": site}
    assert peers.foreign(Caller.of_environ(environ))


@pytest.mark.parametrize(
    ("origin", "site"),
    [("", ""), ("", "none"), ("", "same-origin"), ("http://127.0.0.1:37877", "same-origin")],
)
def test_a_program_and_a_page_of_this_server_are_not_foreign(origin: str, site: str) -> None:
    environ = {"HTTP_HOST": "127.0.0.1:37877", "HTTP_ORIGIN": origin, "HTTP_SEC_FETCH_SITE": site}
    assert not peers.foreign(Caller.of_environ(environ))


@pytest.mark.parametrize(
    ("peer", "hops", "client"),
    [
        ("10.0.0.1", "203.0.113.9", "203.0.113.9"),
        ("::ffff:10.0.0.1", "203.0.113.9", "203.0.113.9"),
        ("10.0.0.1", "1.1.1.1, 203.0.113.9", "203.0.113.9"),
        ("10.0.0.1", "1.1.1.1, 203.0.113.9:4711, 10.0.0.2", "203.0.113.9"),
        ("10.0.0.1", "[2001:db8::1]:4711", "2001:db8::1"),
        ("10.0.0.1", "1.1.1.1, rubbish", "10.0.0.1"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", "10.0.0.2," * 40 + "10.0.0.3", "10.0.0.2"),
        ("198.51.100.4", "1.1.1.1", "198.51.100.4"),
    ],
)
def test_only_trusted_proxies_are_believed_whom_they_bring(
    peer: str, hops: str, client: str, settings: LazySettings
) -> None:
    settings.TRUSTED_PROXIES = ["10.0.0.0/8"]
    assert peers.client(Caller(peer=peer, forwarded=True, hops=hops)) == client


def test_without_trusted_proxies_the_peer_is_the_client() -> None:
    assert peers.client(Caller(peer="127.0.0.1", hops="203.0.113.9")) == "127.0.0.1"


@pytest.mark.parametrize(
    ("peer", "site"),
    [
        ("203.0.113.9", "203.0.113.9"), ("::ffff:203.0.113.9", "203.0.113.9"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"), ("2001:db8:1:2::9", "2001:db8:1:2::/64"),
        ("", ""), ("a socket", "a socket"),
    ],
)  # fmt: skip
def test_a_place_is_an_address_or_a_network_of_ipv6(peer: str, site: str) -> None:
    assert peers.site(Caller(peer=peer)) == site


def test_both_kinds_of_server_say_the_same_of_a_caller() -> None:
    headers = [
        (b"host", b"localhost:1"), (b"authorization", b"bearer  abc "), (b"origin", b"null"),
        (b"x-forwarded-for", b"1.1.1.1"), (b"x-forwarded-for", b"2.2.2.2"),
        (b"sec-fetch-site", b"none"), (b"x_forwarded_for", b"3.3.3.3"), (b"x_api_key", b"def"),
    ]  # fmt: skip
    by_scope = Caller.of_scope({"client": ("::1", 4711), "headers": headers})
    environ = {
        "REMOTE_ADDR": "::1", "HTTP_HOST": "localhost:1", "HTTP_AUTHORIZATION": "bearer  abc ",
        "HTTP_ORIGIN": "null", "HTTP_X_FORWARDED_FOR": "1.1.1.1,2.2.2.2",
        "HTTP_SEC_FETCH_SITE": "none",
    }  # fmt: skip
    assert by_scope == Caller.of_environ(environ)
    assert by_scope.raw == "abc"
    assert Caller.of_scope({"client": None, "headers": []}) == Caller()


@pytest.mark.parametrize(
    ("authorization", "named", "raw"),
    [
        ("Bearer a", "b", "a"), ("bEARER \t a ", "b", "a"), ("Basic a", "b", "b"),
        ("Bearer", "b", "b"), ("Bearer ", " b ", "b"), ("", "", None), ("", " ", None),
    ],
)  # fmt: skip
def test_a_bearer_key_wins_and_other_schemes_count_for_nothing(
    authorization: str, named: str, raw: str | None
) -> None:
    environ = {"HTTP_AUTHORIZATION": authorization, "HTTP_X_API_KEY": named}
    assert Caller.of_environ(environ).raw == raw
