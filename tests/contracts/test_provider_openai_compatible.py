"""A provider that asks a model keeps the promise of providers, in either form of answer."""

from collections.abc import Iterator
from contextlib import closing

import pytest

from observations.providers import Provider
from observations.providers.openai_compatible import OpenAICompatible
from tests.contracts.provider_suite import ProviderContract
from tests.standin import StandIn, running

pytestmark = pytest.mark.once


class TestStructured(ProviderContract):
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


class TestTags(TestStructured):
    mode_of_standin = "no format"
