"""`claudemem search`: ask the memory of a project from the command line."""

import json
from typing import Any

import click

from claudemem.commands import load_django


@click.command(short_help="Ask what is remembered.")
@click.argument("query")
@click.option("--project", help="Its id or name; all projects if absent.")
@click.option("--limit", default=10, show_default=True, type=click.IntRange(1, 100))
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def search(query: str, project: str | None, limit: int, as_json: bool) -> None:
    """Find what is remembered about QUERY, a question in plain words."""
    load_django(existing=True)
    found = _found(query, project, limit)
    if as_json:
        click.echo(json.dumps(found, indent=2))
    elif not found:
        click.echo("nothing is remembered about that")
    for one in [] if as_json else found:
        click.echo(f"#{one['number']}  {one['occurredAt'][:16]}  {one['kind']:<10} {one['title']}")
        if one["subtitle"]:
            click.echo(f"      {one['subtitle']}")


def _found(query: str, project: str | None, limit: int) -> list[dict[str, Any]]:
    import observations.recall as recall

    hits = [
        (score, row)
        for project_id in _projects(project)
        for page in [recall.search(project_id, query, limit=limit)]
        for score, row in zip(page.scores, page.observations, strict=True)
    ]
    hits.sort(key=lambda hit: -hit[0])
    return [_entry(row) for _, row in hits[:limit]]


def _projects(named: str | None) -> list[str]:
    from django.db.models import Q
    from django.db.models.functions import Coalesce

    from observations.models import Project

    if named is None:
        return list(Project.objects.values_list("id", flat=True))
    rows = Project.objects.filter(Q(id=named) | Q(name=named))
    chosen = list(rows.values_list(Coalesce("merged_into", "id"), flat=True))
    if not chosen:
        known = ", ".join(Project.objects.values_list("name", flat=True)[:20]) or "none yet"
        raise click.ClickException(f"there is no project {named!r}; there are: {known}")
    return chosen


def _entry(row: Any) -> dict[str, Any]:
    return {
        "number": row.number,
        "id": row.id,
        "projectId": row.project_id,
        "kind": row.kind,
        "title": row.title or row.content[:80],
        "subtitle": row.subtitle,
        "occurredAt": row.occurred_at.isoformat(),
        "content": row.content,
    }
