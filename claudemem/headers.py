"""What browsers are told with every answer, so that no page can misuse another. Pure."""

import re
from base64 import b64encode
from hashlib import sha256
from typing import Final

SECURITY: Final = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "X-DNS-Prefetch-Control": "off",
    # Pages keep their own: the forms of one that sends no referrer are refused as foreign.
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Origin-Agent-Cluster": "?1",
}
POLICY: Final = "Content-Security-Policy"
REQUEST_ID: Final = "X-Request-Id"
# What a caller may call its request.
A_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9\-_]{0,63}", re.ASCII)


def digest(text: str) -> str:
    """A source for a policy: a script or style that stands in a page, with exactly this text."""
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"


def policy(**allowed: str) -> str:
    """A content security policy: nothing but what is allowed, by kind (`script_src="'self'"`).

    No page of ours is shown within another, and each sends its forms here alone.
    """
    rules = {
        "default-src": "'none'",
        "base-uri": "'none'",
        "form-action": "'self'",
        "frame-ancestors": "'none'",
        **{name.replace("_", "-"): sources for name, sources in allowed.items()},
    }
    return "; ".join(f"{name} {sources}" for name, sources in rules.items())


# The admin. Its theme puts expressions into its elements, which Alpine compiles, and colours into
# the page. Neither lets what is in a page name another place: nothing is fetched or sent elsewhere.
PAGES: Final = policy(
    script_src="'self' 'unsafe-eval'",
    style_src="'self' 'unsafe-inline'",
    img_src="'self' data:",
    font_src="'self'",
    connect_src="'self'",
)
