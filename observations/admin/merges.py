"""Merging projects in the admin: asked for, shown, confirmed, done; and undone."""

# Django gives these methods more than each of them needs.

from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin, messages
from django.db.models import Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.loader import render_to_string
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.safestring import SafeString, mark_safe
from unfold.widgets import UnfoldAdminSelectWidget

from observations import merging
from observations.admin.reach import reach
from observations.errors import DomainError
from observations.models import Project, ProjectAlias, ProjectMerge
from queueing import retention
from queueing.admin.operating import CONFIRMED
from queueing.browsing import by_user

# So many are shown of what a project is known by.
MOST_SHOWN = 50
# So long (s) whoever asked waits for what a project has to be moved.
_PATIENCE = 10.0
_LATER = " It is large: the rest of it follows within minutes."
# What each sort of alias is called here.
SORTS = {
    "explicit": "named in .claude-mem.toml",
    "remote": "repository",
    "clone": "clone",
    "disk": "directory",
    "says": "may name it",
}

if TYPE_CHECKING:
    _Choice = forms.ModelChoiceField[Project]
else:
    _Choice = forms.ModelChoiceField


class Target(forms.Form):
    """Which project another is to be put into."""

    into = _Choice(
        queryset=Project.objects.none(),
        label="Into",
        widget=UnfoldAdminSelectWidget,
        empty_label="Choose a project",
    )

    def __init__(self, source: Project, *args: Any) -> None:
        super().__init__(*args)
        others = Project.objects.filter(team=source.team_id, merged_into__isnull=True)
        choice = self.fields["into"]
        assert isinstance(choice, forms.ModelChoiceField)
        choice.queryset = others.exclude(pk=source.pk).order_by("name")


def known_by(project: Project) -> SafeString:
    """What the project is known by, also as one that was merged into it."""
    rows = ProjectAlias.objects.filter(Q(project=project) | Q(project__merged_into=project))
    shown = list(rows.select_related("project").order_by("sort", "key")[: MOST_SHOWN + 1])
    told = [
        {"sort": SORTS.get(row.sort, row.sort), "key": row.key.partition("#")[0],
         "of": row.project.name if row.project_id != project.pk else ""}
        for row in shown[:MOST_SHOWN]
    ]  # fmt: skip
    return _rendered("aliases", {"aliases": told, "more": len(shown) > MOST_SHOWN})


def merges(project: Project, may: bool) -> SafeString:
    """What was merged into the project, or it into which; with the ways on, for those who may."""
    rows = ProjectMerge.objects.filter(undone_at__isnull=True).select_related("source", "target")
    of = list(rows.filter(Q(target=project) | Q(source=project))[:MOST_SHOWN])
    context = {
        "project": project,
        "into": next((row for row in of if row.source_id == project.pk), None),
        "merges": [row for row in of if row.target_id == project.pk],
        "may": may,
    }
    return _rendered("merges", context)


def _rendered(name: str, context: dict[str, Any]) -> SafeString:
    # Rendered by a template that escapes what it is given.
    return mark_safe(render_to_string(f"observations/{name}.html", context))  # noqa: S308


def urls(site: admin.AdminSite) -> list[Any]:
    """The pages on which projects are merged and brought back."""
    return [
        path("<str:project_id>/merge/", site.admin_view(_merge_view),
             name="observations_project_merge"),
        path("<str:project_id>/unmerge/", site.admin_view(_undo_view),
             name="observations_project_unmerge"),
    ]  # fmt: skip


def _merge_view(request: HttpRequest, project_id: str) -> HttpResponse:
    source = _mine(request, project_id)
    if source.merged_into_id:
        return HttpResponseRedirect(_page_of(source))
    form = Target(source, request.POST or None)
    chosen = form.cleaned_data["into"] if form.is_valid() else None
    if chosen and CONFIRMED in request.POST:
        return _merged(request, source, chosen)
    context = {
        **_of_page(request, f"Merge “{source}” into {chosen or 'another project'}"),
        "source": source,
        "into": chosen,
        "form": form,
        "contents": merging.contents(source.pk),
        "back": _page_of(source),
    }
    return TemplateResponse(request, "observations/merge.html", context)


def _merged(request: HttpRequest, source: Project, target: Project) -> HttpResponse:
    try:
        made = merging.merge(
            source.team_id, source.pk, target.pk,
            origin=by_user(request), allowed=retention.budget(_PATIENCE),
        )  # fmt: skip
    except DomainError as error:
        messages.error(request, error.message)
        return HttpResponseRedirect(_page_of(source))
    later = "" if made.finished_at else _LATER
    messages.success(request, f"{source} is merged into {target}. It can be undone here.{later}")
    return HttpResponseRedirect(_page_of(target))


def _undo_view(request: HttpRequest, project_id: str) -> HttpResponse:
    source = _mine(request, project_id)
    made = _merges_of(source).first()
    if made is None:
        return HttpResponseRedirect(_page_of(source))
    if CONFIRMED in request.POST:
        return _undone(request, made)
    context = {
        **_of_page(request, f"Bring “{source}” back out of “{made.target}”"),
        "merge": made,
        "back": _page_of(made.target),
    }
    return TemplateResponse(request, "observations/unmerge.html", context)


def _undone(request: HttpRequest, made: ProjectMerge) -> HttpResponse:
    try:
        undone = merging.undo(
            made.team_id, made.pk, origin=by_user(request), allowed=retention.budget(_PATIENCE)
        )
    except DomainError as error:
        messages.error(request, error.message)
        return HttpResponseRedirect(_page_of(made.target))
    later = "" if undone.settled_at else _LATER
    messages.success(request, f"{made.source} is a project of its own again.{later}")
    return HttpResponseRedirect(_page_of(made.source))


def _merges_of(source: Project) -> "QuerySet[ProjectMerge]":
    rows = ProjectMerge.objects.filter(source=source, undone_at__isnull=True)
    return rows.select_related("source", "target")


def _mine(request: HttpRequest, project_id: str) -> Project:
    """The project, if the user may act in its team. Raises Http404."""
    rows = reach(request).acts.narrow(Project.objects.all())
    found = rows.filter(pk=project_id).first()
    if found is None:
        raise Http404
    return found


def _of_page(request: HttpRequest, title: str) -> dict[str, Any]:
    return {**admin.site.each_context(request), "title": title, "opts": Project._meta}


def _page_of(project: Project) -> str:
    return reverse("admin:observations_project_change", args=[project.pk])
