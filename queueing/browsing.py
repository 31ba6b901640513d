"""What the pages of the admin share: lists that stay fast in long tables, read-only rows."""

# Django gives these methods more than each of them needs.
# ruff: noqa: ARG002

import json
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import wraps
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from django.contrib import admin
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import ORDER_VAR, PAGE_VAR, ChangeList
from django.core.exceptions import SuspiciousOperation, ValidationError
from django.core.paginator import Paginator
from django.db.models import Model, Q, QuerySet
from django.db.models.expressions import Combinable
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.functional import cached_property
from django.utils.html import format_html
from django.utils.http import urlencode
from django.utils.safestring import SafeString
from unfold.admin import ModelAdmin

M = TypeVar("M", bound=Model)
R = TypeVar("R", bound=Model)
Ordering = list[str | Combinable] | tuple[str | Combinable, ...] | tuple[()]

# A list counts its rows so many pages beyond the one that is shown, and says "more" after that.
PAGES_AHEAD: Final = 5
# Whoever turned so many pages looks for something that a filter finds.
MOST_PAGES: Final = 1_000
# An action takes so many rows at once; "select all" means the newest of them.
MOST_AT_ONCE: Final = 500
# A filter by a column without an index looks through so many rows, the newest.
MOST_FILTERED: Final = 10_000
# So much of a JSON value is shown, in characters.
LONGEST_JSON: Final = 100_000
NOTHING: Final = "–"

if TYPE_CHECKING:

    class _ModelAdmin(admin.ModelAdmin[M]):
        """What mypy sees: Django's class takes a parameter only in its stubs."""

    _Paginator = Paginator[Any]
else:
    _Paginator = Paginator

    class _ModelAdmin(ModelAdmin, Generic[M]):
        """What Python sees: the theme's."""


class AtLeast(int):
    """A count that stopped counting: shown as "500+"."""

    def __str__(self) -> str:
        return f"{int(self):d}+"


class NearPaginator(_Paginator):
    """Pages of a list that counts no more rows than the pages near the shown one need."""

    page_shown = 1

    @cached_property
    def count(self) -> int:
        """The number of rows, or AtLeast so many as the near pages hold."""
        most = (self.page_shown + PAGES_AHEAD) * self.per_page
        rows = self.object_list
        found = rows.order_by()[: most + 1].count() if isinstance(rows, QuerySet) else len(rows)
        return AtLeast(most) if found > most else found


class PagedList(ChangeList):
    """A list that lets its admin fetch, once a page, what its columns show besides the rows."""

    def get_ordering(self, request: HttpRequest, queryset: QuerySet[Any]) -> list[Any]:
        """The list's own order, whatever the address asks for: no other has an index behind it."""
        self.params.pop(ORDER_VAR, None)
        return list(super().get_ordering(request, queryset))

    def get_results(self, request: HttpRequest) -> None:
        """As Django's, and then the companions of this page's rows."""
        super().get_results(request)
        if not self.query and not self.has_active_filters:
            # Nothing was narrowed down, so that there is nothing to compare the count with.
            self.full_result_count = self.result_count
        if isinstance(self.model_admin, Browsed):
            self.model_admin.accompany(list(self.result_list))


class Chosen(_ModelAdmin[M]):
    """A list whose actions take keys of its rows, and nothing else."""

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The list. Raises SuspiciousOperation if a row was chosen by what cannot be its key."""
        for chosen in request.POST.getlist(ACTION_CHECKBOX_NAME):
            try:
                self.opts.pk.clean(chosen, None)
            except ValidationError as error:
                raise SuspiciousOperation(f"No row has such a key: {chosen[:80]!r}") from error
        return super().changelist_view(request, extra_context)


class Browsed(Chosen[M]):
    """A list, newest first, whose cost does not grow with its table.

    `by_project` is the column that an index has behind the project: with a project chosen, the
    list is in its order. Without one it is in the order of ids, which is that of their making.
    """

    by_project = "created_at"
    ordering = ("-id",)
    sortable_by = ()
    paginator = NearPaginator
    list_per_page = 50
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    empty_value_display = NOTHING
    # Filters stand beside the list where there is room.
    list_filter_sheet = False
    list_fullwidth = True
    # A sentence above the list: what its search box understands.
    hint = ""
    list_before_template = "queueing/hint.html"

    def get_ordering(self, request: HttpRequest) -> Ordering:
        """Newest first, by whichever index serves the chosen filters."""
        if "project" in request.GET and self.by_project != "id":
            return (f"-{self.by_project}", "-pk")
        return super().get_ordering(request)

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        """Lists are narrowed by their filters alone.

        Conditions that somebody writes into an address would read whole tables, tell what no page
        shows (the hash of a key, letter by letter), and fail where an expression is none.
        """
        return lookup in {getattr(each, "parameter_name", "") for each in self.list_filter}

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        """The list that knows `accompany`."""
        return PagedList

    def get_paginator(self, request: HttpRequest, *args: Any, **kwargs: Any) -> _Paginator:
        """A paginator that counts only near the page that was asked for."""
        pages = super().get_paginator(request, *args, **kwargs)
        asked = request.GET.get(PAGE_VAR) or request.GET.get("page") or ""
        if isinstance(pages, NearPaginator) and asked.isdecimal():
            pages.page_shown = min(int(asked[:9]), MOST_PAGES)
        return pages

    def accompany(self, rows: list[M]) -> None:
        """Give the rows of a page what its columns need, in a fixed number of queries."""

    def response_action(
        self, request: HttpRequest, queryset: QuerySet[M], *args: Any, **kwargs: Any
    ) -> HttpResponse | None:
        """Run an action, on a bounded number of rows even for "select all"."""
        if request.POST.get("select_across") == "1":
            newest = queryset.values_list("pk", flat=True)[:MOST_AT_ONCE]
            queryset = queryset.filter(pk__in=list(newest))
        return super().response_action(request, queryset, *args, **kwargs)


class ReadOnly(Browsed[M]):
    """Rows that only the program writes."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Nobody adds one here."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: M | None = None) -> bool:
        """Nobody edits one here."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: M | None = None) -> bool:
        """Nobody deletes one here."""
        return False


def age(request: HttpRequest, its_admin: Any) -> str:
    """The column by which a list is ordered: with a project chosen, the one that is behind it."""
    return str(its_admin.by_project if "project" in request.GET else "id")


class Words(admin.SimpleListFilter):
    """A filter by a column that holds one of a few words.

    Without an index on it, only the newest rows are looked through: of all, or of the project
    that is chosen as well. `indexed` says that there is one.
    """

    words: Sequence[str] = ()
    indexed = False

    def __init__(self, request: HttpRequest, params: Any, model: Any, model_admin: Any) -> None:
        super().__init__(request, params, model, model_admin)
        self.by_age = age(request, model_admin)
        if not self.indexed:
            self.title = f"{self.title}, of the newest {MOST_FILTERED}"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """The words, as they are."""
        return [(word, word) for word in self.words]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """The rows with that word, or all."""
        value = self.value()
        if not value:
            return queryset
        rows = queryset if self.indexed else not_older(queryset, MOST_FILTERED, self.by_age)
        return rows.filter(**{str(self.parameter_name): value})


class Pin(admin.SimpleListFilter):
    """A filter that a link from elsewhere sets: shown only while it is set, to be taken off."""

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """The object that the list is pinned to."""
        value = self.value()
        return [(value, self.describe(value, request))] if value else []

    def describe(self, value: str, request: HttpRequest) -> str:
        """What the filter calls the object."""
        return value

    def narrow(self, value: str) -> Q:
        """The rows of that object."""
        return Q(**{str(self.parameter_name): value})

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """The rows of that object, or all."""
        value = self.value()
        if not value:
            return queryset
        try:
            return queryset.filter(self.narrow(value))
        except (ValueError, ValidationError) as error:
            raise IncorrectLookupParameters(error) from error


class Period(admin.SimpleListFilter):
    """How recent. Served by the list's own index: ids begin with the time they were made at."""

    title = "time"
    parameter_name = "within"
    HOURS: Final = {"hour": 1, "day": 24, "week": 7 * 24, "month": 30 * 24}

    def __init__(self, request: HttpRequest, params: Any, model: Any, model_admin: Any) -> None:
        super().__init__(request, params, model, model_admin)
        self.by_age = age(request, model_admin)

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """The periods that can be chosen."""
        return [(name, f"Past {name}") for name in self.HOURS]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """The rows made since then."""
        hours = self.HOURS.get(self.value() or "")
        if not hours:
            return queryset
        since = timezone.now() - timedelta(hours=hours)
        limit = earliest_id(since) if self.by_age == "id" else since
        return queryset.filter(**{f"{self.by_age}__gte": limit})


def by_user(request: HttpRequest) -> dict[str, str]:
    """Who acts, in histories and the audit, where somebody uses the admin."""
    return {"source": "admin", "actor_id": f"user:{request.user.get_username()}"}


def earliest_id(moment: datetime) -> str:
    """A text that no UUIDv7 made at `moment` or later sorts before."""
    milliseconds = f"{max(0, int(moment.timestamp() * 1000)):012x}"
    return f"{milliseconds[:8]}-{milliseconds[8:]}"


def not_older(rows: QuerySet[R], newest: int, column: str = "id") -> QuerySet[R]:
    """Those rows that are not older than the one of rank `newest`: one step along an index.

    So that a search for what few rows have does not read a whole table.
    """
    by_age = rows.order_by(f"-{column}").values_list(column, flat=True)
    oldest = by_age[newest : newest + 1].first()
    return rows if oldest is None else rows.filter(**{f"{column}__gt": oldest})


def once(
    show: Callable[[Any, R], SafeString | str],
) -> Callable[[Any, R], SafeString | str]:
    """For what queries to show a row: the theme's pages ask for each field several times."""

    @wraps(show)
    def shown(its_admin: Any, row: R) -> SafeString | str:
        known: dict[str, SafeString | str] = vars(row).setdefault("shown", {})
        if show.__name__ not in known:
            known[show.__name__] = show(its_admin, row)
        return known[show.__name__]

    return shown


def link(row: type[Model] | Model, pk: object, text: object) -> SafeString:
    """A link to the page of the row `pk` of a model; `text` is escaped."""
    address = reverse(f"admin:{_named(row)}_change", args=[pk])
    return format_html('<a href="{}">{}</a>', address, text)


def list_link(model: type[Model], text: object, **filters: str | int) -> SafeString:
    """A link to a model's list, narrowed by filters; `text` is escaped."""
    address = f"{reverse(f'admin:{_named(model)}_changelist')}?{urlencode(filters)}"
    return format_html('<a href="{}">{}</a>', address, text)


def _named(row: type[Model] | Model) -> str:
    return f"{row._meta.app_label}_{row._meta.model_name}"


def badge(word: str) -> SafeString:
    """A state or kind as a coloured word."""
    return format_html('<span class="badge badge-{}">{}</span>', word, word)


def shortened(text: str, longest: int) -> str:
    """The text, or as much of it as `longest` characters hold."""
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def brief(value: Any) -> SafeString | str:
    """A flat JSON object in a line; anything else as `pretty`."""
    if not isinstance(value, dict) or any(isinstance(one, dict | list) for one in value.values()):
        return pretty(value)
    return ", ".join(f"{name}: {one}" for name, one in value.items()) or NOTHING


def pretty(value: Any) -> SafeString | str:
    """A JSON value, indented and escaped; a very long one is cut."""
    if value in (None, {}, []):
        return NOTHING
    text = json.dumps(value, indent=2, ensure_ascii=False)
    if len(text) > LONGEST_JSON:
        text = f"{text[:LONGEST_JSON]}\n… {len(text) - LONGEST_JSON} more characters"
    return format_html('<pre class="json">{}</pre>', text)
