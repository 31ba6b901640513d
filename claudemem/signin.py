"""Signing in to the admin, where nobody may guess passwords for long.

What is counted is an account at one place, a place with whatever accounts, and an account from
wherever. The latter two are wider, so that neither colleagues behind one address nor whoever knows
an account's name shut others out with a few failures. Counts are this process's own and end with
it.
"""

from math import ceil
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from unfold.forms import AuthenticationForm

from claudemem.api import peers
from claudemem.api.peers import Caller
from claudemem.attempts import Attempts

WINDOW_SECONDS = 900.0
# So many times as many failures a place has with all its accounts, and an account from all places.
OF_PLACE, OF_ACCOUNT = 3, 10
# No name of a user is longer.
_LONGEST_NAME = 150

failures = Attempts("signing in", WINDOW_SECONDS)


class SignIn(AuthenticationForm):
    """The form that asks for name and password. Whoever failed too often is not looked at."""

    request: HttpRequest
    # For so many seconds nobody is signed in by this form.
    barred = 0.0

    def clean(self) -> dict[str, Any]:
        """Sign in. Raises ValidationError for whoever cannot be, or failed too often before."""
        tried = _tried(self.request, self.cleaned_data.get("username", ""))
        # It counts as failed until it has succeeded, or many at once would all be looked at.
        self.barred = next(filter(None, (failures.fail(*each) for each in tried.items())), 0.0)
        if self.barred:
            wait = ceil(self.barred / 60)
            minutes = f"{wait} minute{'s' if wait > 1 else ''}"
            raise ValidationError(f"There were too many failed attempts: try again in {minutes}.")
        cleaned: dict[str, Any] = super().clean()
        for who in tried:
            failures.forgive(who)
        return cleaned


def told(response: HttpResponse) -> HttpResponse:
    """The answer to a form; 429 where it was not looked at."""
    form = (getattr(response, "context_data", None) or {}).get("form")
    if isinstance(form, SignIn) and form.barred:
        response.status_code = 429
        response.headers["Retry-After"] = str(ceil(form.barred))
    return response


def _tried(request: HttpRequest, username: str) -> dict[str, int]:
    """Whose failure it would be, and how many of those are borne.

    The place comes first: one that is barred makes no more accounts known.
    """
    most = settings.FAILED_SIGN_INS
    place = peers.site(Caller.of_environ(request.META))
    account = username[:_LONGEST_NAME].casefold()
    return {
        f"at {place}": OF_PLACE * most,
        f"{account} at {place}": most,
        f"{account} from anywhere": OF_ACCOUNT * most,
    }
