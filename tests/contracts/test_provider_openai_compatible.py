"""A provider that asks a model keeps the promise of providers, in either form of answer."""

from collections.abc import Iterator
from contextlib import closing

import pytest

from observations.providers import Provider
from observations.providers.openai_compatible import OpenAICompatible
from tests.contracts.provider_suite import HostileContract, ProviderContract
from tests.standin import StandIn, running

pytestmark = pytest.mark.once


class Asking(ProviderContract):
    mode_of_standin = "good"

    @pytest.fixture(autouse=True, scope="class")
    @classmethod
    def standin(cls) -> Iterator[StandIn]:
        with running() as standin:
            standin.mode = cls.mode_of_standin
            cls.made = made = OpenAICompatible("openai-compatible", "m", standin.url, "k")
            with closing(made):
                yield standin

    def provider(self) -> Provider:
        return self.made


class TestStructured(Asking, HostileContract):
    pass


class TestTags(Asking):
    """Its prompts are the same: what they are made of is tried once."""

    mode_of_standin = "no format"
