"""Which provider a configuration means: names, addresses and models that are known beforehand."""

from dataclasses import dataclass
from urllib.parse import urlsplit

from observations.providers.errors import UnknownProvider

_ROUTE = "/chat/completions"


@dataclass(frozen=True, slots=True)
class Options:
    """How a provider is reached; what is empty is the provider's default."""

    base_url: str = ""
    model: str = ""
    key: str = ""


@dataclass(frozen=True, slots=True)
class Service:
    """An API that is known by a name, and the variable that its key is looked for in."""

    base_url: str
    model: str
    key_variable: str


_OPENROUTER = Service(
    "https://openrouter.ai/api/v1", "anthropic/claude-3.5-sonnet", "OPENROUTER_API_KEY"
)
SERVICES = {"openai-compatible": _OPENROUTER, "openrouter": _OPENROUTER}


def resolved(name: str, options: Options) -> Options:
    """The options with the service's defaults, fit to be used.

    Raises UnknownProvider, saying what is missing: a key is needed unless the API is on an address
    of one's own.
    """
    service = SERVICES[name]
    base_url = base_of(options.base_url or service.base_url)
    if urlsplit(base_url).scheme not in ("http", "https") or not urlsplit(base_url).hostname:
        raise UnknownProvider(
            f"The base URL of provider {name!r} is no http(s) address: see OPENROUTER_BASE_URL."
        )
    if not options.key and base_url == service.base_url:
        raise UnknownProvider(
            f"Provider {name!r} has no key: set {service.key_variable}, or a base URL of your own."
        )
    return Options(base_url, options.model or service.model, options.key)


def base_of(url: str) -> str:
    """The base of an address that may name the whole route: without it and trailing slashes."""
    return url.strip().rstrip("/").removesuffix(_ROUTE).rstrip("/")
