"""Signing in to the admin, and guessing at it."""

from typing import Any

import pytest
from django.conf import LazySettings
from django.contrib.auth.models import User
from django.test import Client

from claudemem import signin
from claudemem.attempts import Attempts

pytestmark = pytest.mark.django_db

LOGIN = "/admin/login/"
PASSWORD = "right and long enough"


@pytest.fixture(autouse=True)
def few(settings: LazySettings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.FAILED_SIGN_INS = 2
    # How passwords are kept is Django's business, and takes its time.
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    monkeypatch.setattr(signin, "failures", Attempts("signing in", 900.0))
    for name in ("ada", "bob"):
        User.objects.create_superuser(name, password=PASSWORD)


def sign_in(name: str, password: str = "wrong", peer: str = "10.0.0.7") -> Any:
    form = {"username": name, "password": password, "next": "/admin/"}
    return Client().post(LOGIN, form, REMOTE_ADDR=peer)


def test_who_failed_too_often_is_not_looked_at_even_with_the_right_password() -> None:
    assert [sign_in("ada").status_code for _ in range(2)] == [200, 200]
    answer = sign_in("ada", PASSWORD)
    assert answer.status_code == 429
    assert 0 < int(answer["Retry-After"]) <= 900
    assert "too many failed attempts: try again in 15 minutes" in answer.content.decode()
    assert "_auth_user_id" not in answer.client.session


def test_whoever_signs_in_at_the_page_itself_finds_the_admin() -> None:
    client = Client()
    signed_in = client.post(LOGIN, {"username": "ada", "password": PASSWORD})
    assert (signed_in.status_code, signed_in["Location"]) == (302, "/admin/")


def test_others_sign_in_from_there_and_the_same_from_elsewhere() -> None:
    for _ in range(3):
        sign_in("ada")
    assert sign_in("bob", PASSWORD).status_code == 302
    assert sign_in("ada", PASSWORD, peer="10.0.0.8").status_code == 302


def test_signing_in_costs_nothing_of_what_may_fail() -> None:
    for _ in range(9):
        assert sign_in("ada", PASSWORD).status_code == 302
    assert [sign_in("ada").status_code for _ in range(3)] == [200, 200, 429]


def test_a_name_in_capitals_is_no_other_name() -> None:
    assert [sign_in(name).status_code for name in ("ada", "ADA", "Ada")] == [200, 200, 429]


def test_one_place_does_not_try_accounts_without_end() -> None:
    said = [sign_in(f"user{number}").status_code for number in range(8)]
    assert said == [200] * 6 + [429] * 2


def test_many_places_do_not_try_one_account_without_end() -> None:
    said = [sign_in("ada", peer=f"10.0.1.{number}").status_code for number in range(22)]
    assert said == [200] * 20 + [429] * 2
    assert sign_in("bob", PASSWORD).status_code == 302


def test_who_may_not_use_the_admin_is_told_and_counted_like_a_stranger() -> None:
    User.objects.create_user("eve", password=PASSWORD)
    assert [sign_in("eve", PASSWORD).status_code for _ in range(3)] == [200, 200, 429]


def test_without_a_limit_nobody_is_refused(settings: LazySettings) -> None:
    settings.FAILED_SIGN_INS = 0
    assert {sign_in("ada").status_code for _ in range(9)} == {200}


def test_the_form_itself_is_shown_to_everybody() -> None:
    assert Client().get(LOGIN).status_code == 200
