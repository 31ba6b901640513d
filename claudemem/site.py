"""The admin's site: its sidebar, and its first page. Loaded by the web alone."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from itertools import chain
from typing import Any

from django.conf import settings
from django.contrib.admin.options import TO_FIELD_VAR
from django.contrib.admin.utils import unquote
from django.contrib.auth.models import AbstractUser
from django.core.exceptions import SuspiciousOperation
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from unfold.sites import UnfoldAdminSite

from claudemem import signin
from claudemem.signin import SignIn

View = Callable[..., HttpResponse]


@dataclass(frozen=True, slots=True)
class Way:
    """A line of the sidebar: a model's list, under a name and a symbol."""

    title: str
    icon: str
    model: str


GROUPS = (
    (
        "Memory",
        (
            Way("Sessions", "forum", "observations_session"),
            Way("Observations", "lightbulb", "observations_observation"),
            Way("Events", "bolt", "observations_event"),
        ),
    ),
    (
        "Delivery",
        (
            Way("Jobs", "work_history", "queueing_generationjob"),
            Way("Lanes", "low_priority", "queueing_lane"),
            Way("Pauses", "pause_circle", "queueing_pause"),
            Way("Shares", "balance", "queueing_share"),
        ),
    ),
    (
        "Access",
        (
            Way("Teams", "groups", "observations_team"),
            Way("Members", "badge", "observations_member"),
            Way("Projects", "folder", "observations_project"),
            Way("API keys", "key", "observations_apikey"),
            Way("Users", "person", "auth_user"),
        ),
    ),
    ("Audit", (Way("Audit log", "policy", "observations_auditentry"),)),
)


class Site(UnfoldAdminSite):
    """The admin under our name."""

    site_header = site_title = "claudemem"
    index_title = "Overview"
    index_template = "observations/overview.html"
    login_form = SignIn

    def index(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> TemplateResponse:
        """The overview: figures and lines of what the user may see."""
        from observations.admin import overview

        shown = {**overview.facts(request), **(extra_context or {})}
        page: TemplateResponse = super().index(request, shown)
        return page

    def login(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The page that asks for name and password, or what follows it."""
        return signin.told(super().login(request, extra_context))

    def search(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> TemplateResponse:
        """The theme's search for lists by their names. There are too few for a second page."""
        if request.GET.get("page", "1") != "1":
            raise Http404
        found: TemplateResponse = super().search(request, extra_context)
        return found

    def admin_view(self, view: View, cacheable: bool = False) -> View:
        """A view for who may come in, of requests that can be asked of any database."""
        guarded: View = super().admin_view(_refusing(view), cacheable)
        return guarded


def _refusing(view: View) -> View:
    """The view, behind a look at what it is asked. Raises SuspiciousOperation for rubbish."""

    @wraps(view)
    def shown(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        named = [unquote(value) for value in kwargs.values() if isinstance(value, str)]
        lists = chain(request.GET.lists(), request.POST.lists())
        given = chain.from_iterable(values for _, values in lists)
        # SQLite takes such text, PostgreSQL does not: no row has it on either.
        if any("\0" in value for value in chain(named, given)):
            raise SuspiciousOperation("A NUL character is in the address or the form")
        if request.GET.get(TO_FIELD_VAR) == "":
            raise SuspiciousOperation(f"{TO_FIELD_VAR} names no field")
        return view(request, *args, **kwargs)

    return shown


def navigation(request: HttpRequest) -> list[dict[str, Any]]:
    """The sidebar of whoever asks: lists that this user may see, in groups."""
    shown = _shown(request)
    overview = {"title": "Overview", "icon": "space_dashboard", "link": reverse("admin:index")}
    groups: list[dict[str, Any]] = [{"items": [overview]}]
    for title, ways in GROUPS:
        items = [_item(way, shown[way.model]) for way in ways if way.model in shown]
        if title == "Delivery":
            items += _flower(request)
        if items:
            groups.append({"title": title, "items": items})
    return groups


def _shown(request: HttpRequest) -> dict[str, str]:
    """The address of each list that the user may see, by the name of its model."""
    from django.contrib import admin

    found = {}
    for model, its_admin in admin.site._registry.items():
        if its_admin.has_module_permission(request) and its_admin.has_view_permission(request):
            name = f"{model._meta.app_label}_{model._meta.model_name}"
            found[name] = reverse(f"admin:{name}_changelist")
    return found


def _item(way: Way, address: str) -> dict[str, Any]:
    return {"title": way.title, "icon": way.icon, "link": address}


def _flower(request: HttpRequest) -> list[dict[str, Any]]:
    """Flower knows no teams: it is for those who may see everything."""
    address = settings.FLOWER_URL
    user = request.user
    if not address or not isinstance(user, AbstractUser) or not user.is_superuser:
        return []
    return [{"title": "Flower", "icon": "local_florist", "link": address}]
