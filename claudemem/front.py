"""The first page of the server: what it is, how it is, and where to go. For people; nothing of what
is remembered is on it, so it needs no login.
"""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from claudemem import condition, health, monitor


@require_safe
def page(request: HttpRequest) -> HttpResponse:
    """Always an answer of 200: whoever looks wants to know what is wrong, too."""
    parts = health.statuses(condition.known(), health.queue(condition.known(), monitor.store()))
    wrong = [part for part in parts if part["status"] != "ok"]
    context = {"version": health.version(), "wrong": wrong}
    return render(request, "observations/front.html", context)
