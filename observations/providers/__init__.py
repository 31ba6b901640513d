"""Providers: events in, drafts out. This is the public face; the rest of the package is private."""

from typing import Protocol

from observations.drafts import Completion, Source
from observations.modes import Mode
from observations.providers.errors import ProviderError, UnknownProvider
from observations.providers.offline import OfflineProvider

__all__ = ["Provider", "ProviderError", "UnknownProvider", "provider_named"]


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


_PROVIDERS = {"offline": OfflineProvider}


def provider_named(name: str) -> Provider:
    """The provider of that name; UnknownProvider, naming those that exist, if there is none."""
    try:
        return _PROVIDERS[name]()
    except KeyError:
        known = ", ".join(sorted(_PROVIDERS))
        raise UnknownProvider(f"There is no provider {name!r}; there is: {known}.") from None
