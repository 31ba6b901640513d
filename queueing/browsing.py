"""What the pages of the admin share: lists that stay fast in long tables, read-only rows."""

# Django gives these methods more than each of them needs.
# ruff: noqa: ARG002

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from django.contrib import admin
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import PAGE_VAR, ChangeList
from django.core.exceptions import ValidationError
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

M = TypeVar("M", bound=Model)
Ordering = list[str | Combinable] | tuple[str | Combinable, ...] | tuple[()]

# A list counts its rows so many pages beyond the one that is shown, and says "more" after that.
PAGES_AHEAD: Final = 5
# An action takes so many rows at once; "select all" means the newest of them.
MOST_AT_ONCE: Final = 500
# So much of a JSON value is shown, in characters.
LONGEST_JSON: Final = 100_000
NOTHING: Final = "–"

if TYPE_CHECKING:

    class _ModelAdmin(admin.ModelAdmin[M]):
        """What mypy sees: Django's class takes a parameter only in its stubs."""

    _Paginator = Paginator[Any]
else:
    _Paginator = Paginator

    class _ModelAdmin(admin.ModelAdmin, Generic[M]):
        """What Python sees."""


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

    def get_results(self, request: HttpRequest) -> None:
        """As Django's, and then the companions of this page's rows."""
        super().get_results(request)
        if not self.query and not self.has_active_filters:
            # Nothing was narrowed down, so that there is nothing to compare the count with.
            self.full_result_count = self.result_count
        if isinstance(self.model_admin, Browsed):
            self.model_admin.accompany(list(self.result_list))


class Browsed(_ModelAdmin[M]):
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

    class Media:
        css = {"all": ["queueing/admin.css"]}

    def get_ordering(self, request: HttpRequest) -> Ordering:
        """Newest first, by whichever index serves the chosen filters."""
        if "project" in request.GET:
            return (f"-{self.by_project}", "-pk")
        return super().get_ordering(request)

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        """The list that knows `accompany`."""
        return PagedList

    def get_paginator(self, request: HttpRequest, *args: Any, **kwargs: Any) -> _Paginator:
        """A paginator that counts only near the page that was asked for."""
        pages = super().get_paginator(request, *args, **kwargs)
        asked = request.GET.get(PAGE_VAR) or request.GET.get("page") or ""
        if isinstance(pages, NearPaginator) and asked.isdecimal():
            pages.page_shown = int(asked[:9])
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


class Words(admin.SimpleListFilter):
    """A filter by a column that holds one of a few words."""

    words: Sequence[str] = ()

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """The words, as they are."""
        return [(word, word) for word in self.words]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """The rows with that word, or all."""
        value = self.value()
        return queryset.filter(**{str(self.parameter_name): value}) if value else queryset


class Pin(admin.SimpleListFilter):
    """A filter that a link from elsewhere sets: shown only while it is set, to be taken off."""

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """The object that the list is pinned to."""
        value = self.value()
        return [(value, self.describe(value))] if value else []

    def describe(self, value: str) -> str:
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
    """How recent. Served by an index: ids begin with the time at which they were made."""

    title = "time"
    parameter_name = "within"
    HOURS: Final = {"hour": 1, "day": 24, "week": 7 * 24, "month": 30 * 24}

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """The periods that can be chosen."""
        return [(name, f"Past {name}") for name in self.HOURS]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """The rows made since then."""
        hours = self.HOURS.get(self.value() or "")
        if not hours:
            return queryset
        return queryset.filter(id__gte=earliest_id(timezone.now() - timedelta(hours=hours)))


def by_user(request: HttpRequest) -> dict[str, str]:
    """Who acts, in histories and the audit, where somebody uses the admin."""
    return {"source": "admin", "actor_id": f"user:{request.user.get_username()}"}


def earliest_id(moment: datetime) -> str:
    """A text that no UUIDv7 made at `moment` or later sorts before."""
    milliseconds = f"{max(0, int(moment.timestamp() * 1000)):012x}"
    return f"{milliseconds[:8]}-{milliseconds[8:]}"


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
