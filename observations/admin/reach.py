"""Which teams a user of the admin sees, and where the user may act.

Membership alone decides: Django's permissions are not asked. What lies out of reach is not there.
"""

# Django gives these methods more than each of them needs.

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

from django.contrib import messages
from django.contrib.auth.models import AbstractUser
from django.db.models import F, Field, Model, OuterRef, QuerySet, Subquery
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect

from observations.models import Member, Project, Session, Team
from queueing.browsing import Browsed, M

Row = TypeVar("Row", bound=Model)


@dataclass(frozen=True, slots=True)
class Teams:
    """The ids of some teams, or all teams if `ids` is None."""

    ids: frozenset[str] | None

    def __contains__(self, team_id: object) -> bool:
        return self.ids is None or team_id in self.ids

    def __bool__(self) -> bool:
        return self.ids is None or bool(self.ids)

    def narrow(self, rows: QuerySet[Row], column: str = "team") -> QuerySet[Row]:
        """Those of the rows that belong to one of the teams."""
        return rows if self.ids is None else rows.filter(**{f"{column}__in": sorted(self.ids)})


ALL = Teams(None)
NONE = Teams(frozenset())


@dataclass(frozen=True, slots=True)
class Reach:
    """The teams whose rows a user sees, and those in which the user may act."""

    sees: Teams
    acts: Teams

    @property
    def is_whole(self) -> bool:
        """Whether everything is seen."""
        return self.sees.ids is None


def reach(request: HttpRequest) -> Reach:
    """The reach of whoever asks: one query a request, none for superusers and strangers."""
    if "reach" not in vars(request):
        vars(request)["reach"] = _reach(request.user)
    found: Reach = vars(request)["reach"]
    return found


def _reach(user: object) -> Reach:
    if not isinstance(user, AbstractUser) or not (user.is_active and user.is_staff):
        return Reach(NONE, NONE)
    if user.is_superuser:
        return Reach(ALL, ALL)
    roles = list(Member.objects.filter(user=user.pk).values_list("team_id", "role"))
    return Reach(_teams(roles, Member.Role), _teams(roles, {Member.Role.ADMIN}))


def _teams(roles: Iterable[tuple[str, str]], wanted: Any) -> Teams:
    return Teams(frozenset(team for team, role in roles if role in set(wanted)))


def projects(request: HttpRequest) -> QuerySet[Project]:
    """The projects within reach, but those that were merged into others and have nothing."""
    return reach(request).sees.narrow(Project.objects.filter(merged_into__isnull=True))


class Scoped(Browsed[M]):
    """A list of which each user sees the part within reach.

    `team` is the column that names a row's team. Of a long list (`by_project`) members see one
    project at a time: the index behind the project serves it, whatever else is in the table.
    """

    team = "team"
    one_project = False

    def get_queryset(self, request: HttpRequest) -> QuerySet[M]:
        """The rows within reach."""
        return self.within(request, super().get_queryset(request))

    def within(self, request: HttpRequest, rows: QuerySet[M]) -> QuerySet[M]:
        """Those of the rows that the user may see."""
        return reach(request).sees.narrow(rows, self.team)

    def has_module_permission(self, request: HttpRequest) -> bool:
        """Whoever is in a team sees that there are lists."""
        return bool(reach(request).sees)

    def has_view_permission(self, request: HttpRequest, obj: M | None = None) -> bool:
        """Members see what belongs to their teams."""
        sees = reach(request).sees
        return bool(sees) if obj is None else self._team_of(obj) in sees

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Admins of a team add to it."""
        return bool(reach(request).acts)

    def has_change_permission(self, request: HttpRequest, obj: M | None = None) -> bool:
        """Admins of a team change what belongs to it."""
        acts = reach(request).acts
        return bool(acts) if obj is None else self._team_of(obj) in acts

    def has_delete_permission(self, request: HttpRequest, obj: M | None = None) -> bool:
        """Admins of a team delete what belongs to it."""
        return Scoped.has_change_permission(self, request, obj)

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The list; a member who chose no project is led to that of the latest session."""
        if self.one_project and request.method == "GET" and not reach(request).is_whole:
            chosen = None if _is_narrow(request) else latest_projects(request).first()
            if chosen:
                asked = request.GET.copy()
                asked["project"] = chosen.pk
                return HttpResponseRedirect(f"{request.path}?{asked.urlencode()}")
        return super().changelist_view(request, extra_context)

    def response_action(
        self, request: HttpRequest, queryset: QuerySet[M], *args: Any, **kwargs: Any
    ) -> HttpResponse | None:
        """Run an action on those of the chosen rows in whose teams the user may act."""
        acts = reach(request).acts
        if acts.ids is not None:
            queryset = acts.narrow(queryset, self.team)
            chosen = request.POST.getlist("_selected_action")
            if chosen and not queryset.filter(pk__in=chosen).exists():
                messages.error(request, "You may look at these, but not change them.")
                return None
        return super().response_action(request, queryset, *args, **kwargs)

    def formfield_for_foreignkey(
        self, db_field: "Field[Any, Any]", request: HttpRequest, **kwargs: Any
    ) -> Any:
        """Of teams and projects only those in which the user may act can be chosen."""
        if db_field.related_model is Team:
            kwargs["queryset"] = reach(request).acts.narrow(Team.objects.all(), "pk")
        if db_field.related_model is Project:
            rows = Project.objects.filter(merged_into__isnull=True)
            kwargs["queryset"] = reach(request).acts.narrow(rows)
        return super().formfield_for_foreignkey(db_field, request, **kwargs)  # type: ignore[arg-type]

    def _team_of(self, row: M) -> object:
        return row.pk if self.team == "pk" else getattr(row, f"{self.team.removesuffix('_id')}_id")


# What leads to few rows by an index of its own.
_NARROW = ("project", "session", "event", "lane", "q", "_popup")


def _is_narrow(request: HttpRequest) -> bool:
    return any(request.GET.get(name) for name in _NARROW)


def latest_projects(request: HttpRequest) -> QuerySet[Project]:
    """The projects in reach, that of the latest session first: a step in an index for each."""
    sessions = Session.objects.filter(project=OuterRef("pk")).order_by("-started_at")
    ours = projects(request).annotate(latest=Subquery(sessions.values("started_at")[:1]))
    return ours.order_by(F("latest").desc(nulls_last=True), "-pk")
