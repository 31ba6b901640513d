"""The offline provider keeps the promise of providers, and is the same every time."""

import pytest

from observations import providers
from observations.modes import Mode
from observations.providers import Provider, UnknownProvider, provider_named
from tests.contracts.provider_suite import HostileContract, source, worked

pytestmark = pytest.mark.once


class TestOfflineProvider(HostileContract):
    def provider(self) -> Provider:
        return provider_named("offline")

    def test_the_same_source_makes_the_same_drafts(self, mode: Mode) -> None:
        assert self.ask(mode, source(*worked())) == self.ask(mode, source(*worked()))

    def test_it_counts_no_tokens(self, mode: Mode) -> None:
        completion = self.ask(mode, source(*worked()))
        assert (completion.input_tokens, completion.output_tokens) == (0, 0)


def test_a_provider_that_does_not_exist_is_told_with_those_that_do() -> None:
    with pytest.raises(UnknownProvider, match=r"no provider 'claud'.*offline"):
        provider_named("claud")


def test_the_face_of_the_package_names_what_others_may_use() -> None:
    assert set(providers.__all__) == {
        "OFFLINE", "Options", "Provider", "ProviderError", "UnknownProvider", "provider_named",
    }  # fmt: skip
