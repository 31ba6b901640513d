"""How the admin looks and what its sidebar offers: the settings of its theme, as they stand."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

# Green, as the badge of what is done: from the lightest to the darkest shade.
_PRIMARY = {
    "50": "oklch(98.2% .012 180)",
    "100": "oklch(95.3% .035 180)",
    "200": "oklch(91% .07 180)",
    "300": "oklch(85% .1 181)",
    "400": "oklch(77.7% .12 182)",
    "500": "oklch(69% .115 183)",
    "600": "oklch(54% .095 186)",
    "700": "oklch(47.5% .083 187)",
    "800": "oklch(41.5% .07 188)",
    "900": "oklch(37% .06 189)",
    "950": "oklch(27% .045 193)",
}


def _style(_request: object) -> str:
    return _static("queueing/admin.css")


def _icon(_request: object) -> str:
    return _static("queueing/icon.svg")


def _static(file: str) -> str:
    # Here: the supervisor reads the settings too, and loads no Django.
    from django.templatetags.static import static

    return static(file)


def files() -> list[tuple[str, Path]]:
    """What the page of the API's reference is made of, and under which address.

    Its package is no app of Django's here: every process would load it then.
    """
    found = find_spec("ninja")
    return (
        [("ninja", Path(found.origin).with_name("static") / "ninja")]
        if found and found.origin
        else []
    )


def settings(name: str) -> dict[str, Any]:
    """The theme's settings for a site called `name`. Nothing is fetched from anywhere else."""
    return {
        "SITE_TITLE": name,
        "SITE_HEADER": name,
        "SITE_SUBHEADER": "Memory for coding agents",
        "SITE_SYMBOL": "history_edu",
        "SITE_FAVICONS": [{"rel": "icon", "type": "image/svg+xml", "href": _icon}],
        "SITE_URL": None,
        # Django's log of what was edited here: little is, and jobs and keys have their own.
        "SHOW_HISTORY": False,
        "SHOW_VIEW_ON_SITE": False,
        "COLORS": {"primary": _PRIMARY},
        "STYLES": [_style],
        "SIDEBAR": {"navigation": "claudemem.site.navigation"},
    }
