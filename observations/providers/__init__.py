"""Providers: events in, drafts out. This is the public face; the rest of the package is private."""

from typing import Protocol

from observations.drafts import Completion, Source
from observations.modes import Mode
from observations.providers.errors import ProviderError, UnknownProvider
from observations.providers.selection import SERVICES, Options, resolved

__all__ = ["OFFLINE", "Options", "Provider", "ProviderError", "UnknownProvider", "provider_named"]


class Provider(Protocol):
    """What every provider promises; `tests/contracts/provider_suite.py` states it in full."""

    @property
    def name(self) -> str:
        """The name under which it is configured and recorded."""

    @property
    def model(self) -> str:
        """The model that answers, as recorded with each observation."""

    def complete(self, source: Source, mode: Mode, *, timeout: float) -> Completion:
        """Answer within `timeout` seconds with drafts of the mode's types, or raise ProviderError.

        Safe to call from many threads at once.
        """


OFFLINE = "offline"


def provider_named(name: str, options: Options | None = None) -> Provider:
    """The provider of that name, reached by `options`.

    Raises UnknownProvider, naming those that exist, or saying what its options lack.
    """
    # Only the one that is asked for is loaded: each has a memory of its own.
    if name == OFFLINE:
        from observations.providers.offline import OfflineProvider

        return OfflineProvider()
    if name in SERVICES:
        from observations.providers.openai_compatible import OpenAICompatible

        chosen = resolved(name, options or Options())
        return OpenAICompatible(name, chosen.model, chosen.base_url, chosen.key)
    known = ", ".join([OFFLINE, *sorted(SERVICES)])
    raise UnknownProvider(f"There is no provider {name!r}; there is: {known}.")
