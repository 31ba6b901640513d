"""What a queue store's URL says, and what is said about one that cannot be read."""

import ssl
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kombu import Connection

from queueing import addresses, clients
from queueing.addresses import Address, parse, wrong

pytestmark = pytest.mark.once

SECRETS = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), min_size=1)


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("redis://store", Address((("store", 6379),))),
        ("valkey://store:7000/2", Address((("store", 7000),), database=2)),
        ("redis://:pw@[::1]:1/0", Address((("::1", 1),), password="pw")),
        ("redis://me:p%40w@store", Address((("store", 6379),), user="me", password="p@w")),
        ("unix:///run/a%20b.sock?db=3", Address(path="/run/a b.sock", database=3)),
        ("redis+socket://:pw@/run/s?virtual_host=1",
         Address(path="/run/s", database=1, password="pw")),
        ("sentinel://me:pw@a,b:7/main/4",
         Address((("a", 26379), ("b", 7)), "", "main", 4, "me", "pw")),
        ("sentinel://a/main?sentinel_password=x&sentinel_username=s",
         Address((("a", 26379),), primary="main",
                 sentinel={"username": "s", "password": "x"})),
    ],
)  # fmt: skip
def test_each_spelling_says_where_and_how(url: str, address: Address) -> None:
    assert parse(url) == address


@pytest.mark.parametrize("scheme", ["rediss", "valkeys"])
def test_tls_verifies_by_default_and_takes_options(scheme: str) -> None:
    assert parse(f"{scheme}://store").tls == {"ssl_cert_reqs": ssl.CERT_REQUIRED}
    told = parse(f"{scheme}://store?ssl_cert_reqs=CERT_NONE&ssl_ca_certs=/ca.pem").tls
    assert told == {"ssl_cert_reqs": ssl.CERT_NONE, "ssl_ca_certs": "/ca.pem"}
    assert parse(f"{scheme}://store?ssl_check_hostname=no").tls == {
        "ssl_cert_reqs": ssl.CERT_REQUIRED,
        "ssl_check_hostname": False,
    }


def test_sentinels_are_asked_over_tls_too_unless_that_is_said() -> None:
    verified = {"ssl_cert_reqs": ssl.CERT_REQUIRED}
    both = parse("sentinels://a/main")
    assert (both.tls, both.sentinel) == (verified, {"ssl": True, **verified})
    one = parse("sentinels://a/main?sentinel_tls=false")
    assert (one.tls, one.sentinel) == (verified, {})


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://store", "valkeys://"),
        ("store:6379", "names a host"),
        ("redis:///0", "names a host"),
        ("redis://store:0", "port from 1 to 65535"),
        ("redis://store:70000", "port from 1 to 65535"),
        ("redis://a,b", "several are named with sentinel://"),
        ("redis://store/mine", "database by a number"),
        ("redis://store?ssl_ca_certs=/ca.pem", "need rediss://"),
        ("rediss://store?ssl_cert_reqs=maybe", "required, optional, none"),
        ("rediss://store?ssl_ca=1", "ssl_ca_certs"),
        ("redis://:a#b@store", "or %23"),
        ("redis://:a/b@store", "%2F"),
        ("sentinel://a,b", "sentinel://host:26379,host:26379/mymaster/0"),
        ("sentinels://a/main?sentinel_tls=perhaps", "either true or false"),
        ("unix://", "path of a socket"),
        ("redis://[::1", "names a host"),
    ],
)
def test_what_is_wrong_with_a_url_is_said(url: str, said: str) -> None:
    assert said in wrong(url)


@given(user=SECRETS, password=SECRETS, database=st.integers(0, 15))
def test_a_password_of_any_letters_reaches_both_clients_and_is_never_shown(
    user: str, password: str, database: int
) -> None:
    door = f"{quote(user, safe='')}:{quote(password, safe='')}@"
    for rest in (f"store:1/{database}", f"a,b:2/main/{database}"):
        scheme = "sentinel" if "," in rest else "redis"
        address = parse(f"{scheme}://{door}{rest}")
        kombu = Connection(address.broker_url)
        pool = clients.client(f"{scheme}://{door}{rest}", timeout=1).connection_pool
        assert (kombu.userid, kombu.password) == (user, password)
        known = pool.connection_kwargs
        assert (known["username"], known["password"]) == (user, password)
        assert known["db"] == database == int(kombu.virtual_host)
        assert address.shown == rest.replace("a,", "a:26379,")
        assert "password" not in repr(address)


@given(SECRETS)
def test_no_sentence_repeats_what_stands_in_a_wrong_url(secret: str) -> None:
    secret = f"x{quote(secret, safe='#?/@,;')}-hidden"
    for url in (f"redis://:{secret}@a:b", f"http://:{secret}@a", f"redis://a?password={secret}",
                f"sentinel://:{secret}@a,b", secret):  # fmt: skip
        assert secret not in wrong(url)
        assert "-hidden" not in wrong(url)


@pytest.mark.parametrize(
    ("asked", "prefix"),
    [("", "claude_mem"), ("team-1", "team-1"), ("a:b c*", "a_b_c_"), ("é", "_")],
)
def test_a_prefix_has_only_letters_that_no_pattern_knows(asked: str, prefix: str) -> None:
    assert addresses.prefix(asked) == prefix
