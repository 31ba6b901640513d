"""What a browser is told where the admin has nothing to show: in its own look, in plain words.

Everybody else gets what they would get without: clients of the API a JSON object, strangers no
more than a status.
"""

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.views import defaults

from claudemem.api import errors


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """There is nothing at this address, or nothing that this user may know of."""
    if not _is_browsing(request):
        return errors.not_found(request, exception)
    return _page(request, 404, "There is nothing here", "It may have been deleted, or belong to "
                 "a team that you are not a member of.")  # fmt: skip


def forbidden(request: HttpRequest, exception: Exception) -> HttpResponse:
    """This user may not do that."""
    if not _is_browsing(request):
        return defaults.permission_denied(request, exception)
    return _page(request, 403, "You may not do this", "Viewers of a team change nothing in it; "
                 "an admin of the team, or a superuser, can.")  # fmt: skip


def unreadable(request: HttpRequest, exception: Exception) -> HttpResponse:
    """The address or the form holds what no page of ours asks for."""
    if not _is_browsing(request):
        return defaults.bad_request(request, exception)
    return _page(request, 400, "This cannot be read", "The address, or the form, holds something "
                 "that no page here asks for.")  # fmt: skip


def _is_browsing(request: HttpRequest) -> bool:
    """Whether somebody who signed in asks for a page of the admin."""
    within = request.path.startswith(reverse("admin:index"))
    # A request may be refused before anybody looked whose it is.
    return within and hasattr(request, "user") and admin.site.has_permission(request)


def _page(request: HttpRequest, status: int, title: str, words: str) -> HttpResponse:
    context = {**admin.site.each_context(request), "title": title, "words": words}
    page = TemplateResponse(request, "observations/refused.html", context, status=status)
    return page.render()
