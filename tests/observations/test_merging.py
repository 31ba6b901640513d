"""One project is put into another with all that it has, and comes back if asked for."""

from collections.abc import Callable
from typing import Any

import pytest

from observations import audit, ingest, keys, memories, merging, places, recall, sessions, tasks
from observations.errors import Conflict, NotFound
from observations.hook_facts import HookFacts
from observations.ingest import NewEvent, SessionRef
from observations.models import (
    AuditEntry,
    Event,
    Observation,
    Project,
    ProjectMerge,
    Session,
    Team,
)
from observations.providers import offline
from observations.sessions import NewSession
from queueing import broker, kinds, retention
from queueing.models import GenerationJob, Lane
from tests.posts import hook

pytestmark = pytest.mark.django_db(transaction=True)

MODELS: list[Any] = [Session, Event, Observation, GenerationJob, Lane]
WORKED = {
    kinds.EVENT.name: tasks.generate_event,
    kinds.SUMMARY.name: tasks.generate_summary,
}


@pytest.fixture(autouse=True)
def sent(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """The messages that were published and not yet worked; and portions are small."""
    audit.attend()
    waiting: list[tuple[str, str]] = []
    monkeypatch.setattr(broker, "publish", lambda job_id, kind: waiting.append((job_id, kind)))
    monkeypatch.setattr(merging, "AT_ONCE", 2)
    monkeypatch.setattr(merging, "WHOLE", 2)
    return waiting


def work(sent: list[tuple[str, str]]) -> None:
    while sent:
        job_id, kind = sent.pop(0)
        WORKED[kind](job_id)


@pytest.fixture
def team(db: None) -> Team:
    made: Team = Team.objects.create(name="weasels")
    return made


def capture(team: Team, session: str, number: int, remote: str) -> ingest.Captured:
    """A hook of the repository `remote`."""
    facts = HookFacts(place=places.of({"remote": f"https://github.com/acme/{remote}"}))
    return ingest.capture_hook(team.id, None, hook(session, number), origin={}, facts=facts)


@pytest.fixture
def shop(team: Team) -> Project:
    """Three sessions with two events each, and a memory that somebody told."""
    for session in "abc":
        for number in range(2):
            capture(team, session, number, "shop")
    project = Project.objects.get(name="shop")
    memories.remember(team.id, project.id, content="The weasel lives in the hills")
    return project


@pytest.fixture
def store(team: Team) -> Project:
    capture(team, "z", 0, "store")
    made: Project = Project.objects.get(name="store")
    return made


def had(project: Project) -> dict[str, int]:
    counted = {
        model.__name__: model.objects.filter(project_id=project.id).count() for model in MODELS
    }
    return {name: number for name, number in counted.items() if number}


def found(project: Project, words: str) -> int:
    return len(recall.search(project.id, words, limit=20).observations)


def rows() -> list[list[tuple[Any, ...]]]:
    """Everything that a merge may touch."""
    of = [(model, ("pk", "project_id")) for model in MODELS]
    more = [
        (Session, ("pk", "home_id", "identity_key", "lane_key")),
        (Project, ("pk", "merged_into")),
    ]
    return [sorted(model.objects.values_list(*names)) for model, names in [*of, *more]]


def test_everything_is_in_the_other_and_comes_back_as_it_was(
    team: Team, shop: Project, store: Project, sent: list[tuple[str, str]]
) -> None:
    work(sent)
    before, had_shop, had_store = rows(), had(shop), had(store)
    assert found(shop, "weasel") == 1

    made = merging.merge(team.id, shop.id, store.id)
    assert had(shop) == {}
    assert had(store) == {name: had_shop.get(name, 0) + n for name, n in had_store.items()}
    assert (found(shop, "weasel"), found(store, "weasel")) == (0, 1)

    merging.undo(team.id, made.id)
    assert rows() == before
    assert (found(shop, "weasel"), found(store, "weasel")) == (1, 0)


def test_jobs_that_wait_and_are_worked_go_on_in_their_order(
    team: Team, shop: Project, store: Project, sent: list[tuple[str, str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    complete, merges = offline.OfflineProvider.complete, iter([None])

    def merging_meanwhile(self: Any, *args: Any, **kwargs: Any) -> Any:
        for _ in merges:
            merging.merge(team.id, shop.id, store.id)
        return complete(self, *args, **kwargs)

    monkeypatch.setattr(offline.OfflineProvider, "complete", merging_meanwhile)
    capture(team, "a", 2, "shop")
    work(sent)

    assert set(GenerationJob.objects.values_list("state", flat=True)) == {"completed"}
    assert had(shop) == {}
    assert all(o.session.project_id == store.id for o in Observation.objects.exclude(session=None))
    assert Observation.objects.filter(project=store, session__content_session_id="a").exists()


def test_jobs_that_are_worked_while_a_merge_is_undone_go_back(
    team: Team, shop: Project, store: Project, sent: list[tuple[str, str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    made = merging.merge(team.id, shop.id, store.id)
    complete, undone = offline.OfflineProvider.complete, iter([None])

    def undoing_meanwhile(self: Any, *args: Any, **kwargs: Any) -> Any:
        for _ in undone:
            merging.undo(team.id, made.id)
        return complete(self, *args, **kwargs)

    monkeypatch.setattr(offline.OfflineProvider, "complete", undoing_meanwhile)
    work(sent)

    assert set(GenerationJob.objects.values_list("state", flat=True)) == {"completed"}
    assert had(store).keys() == had(shop).keys()
    assert {o.project_id for o in Observation.objects.filter(session__project=shop)} == {shop.id}


def test_what_was_captured_is_known_again_while_merged_and_after(
    team: Team, shop: Project, store: Project
) -> None:
    first = capture(team, "a", 0, "shop")
    made = merging.merge(team.id, shop.id, store.id)
    again = capture(team, "a", 0, "shop")
    more = capture(team, "a", 7, "shop")
    merging.undo(team.id, made.id)

    assert first.duplicate
    assert again.duplicate
    assert capture(team, "a", 7, "shop").duplicate
    assert Session.objects.filter(content_session_id="a").count() == 1
    row = Event.objects.get(pk=more.event.id)
    assert (row.project_id, row.number) == (shop.id, 3)


def test_sessions_that_begin_meanwhile_go_where_they_are_known(
    team: Team, shop: Project, store: Project
) -> None:
    made = merging.merge(team.id, shop.id, store.id)
    capture(team, "new", 0, "shop")
    capture(team, "native", 0, "store")
    of_both = Session.objects.filter(content_session_id__in=["new", "native"])
    assert {each.project_id for each in of_both} == {store.id}

    merging.undo(team.id, made.id)
    places_of = dict(of_both.values_list("content_session_id", "project_id"))
    assert places_of == {"new": shop.id, "native": store.id}
    lanes = dict(Lane.objects.values_list("key", "project_id"))
    assert {each.content_session_id: lanes[each.lane_key] for each in of_both.all()} == places_of
    assert capture(team, "new", 0, "shop").duplicate


def test_a_client_that_names_the_project_goes_on_naming_it(
    team: Team, shop: Project, store: Project
) -> None:
    def told(number: int, session: str = "x") -> ingest.Captured:
        new = NewEvent(shop.id, "tool_use", "api", {"n": number}, source_event_id=str(number),
                       session=SessionRef(content_session_id=session))  # fmt: skip
        (captured,) = ingest.capture(team.id, [new], origin={}, kind=kinds.EVENT)
        return captured

    def started(session: str) -> tuple[Session, bool]:
        return sessions.start(team.id, NewSession(shop.id, external_session_id=session,
                                                  content_session_id=session))  # fmt: skip

    known, _ = started("x")
    told(1)
    made = merging.merge(team.id, shop.id, store.id)
    assert started("x") == (known, False)
    later, is_new = started("y")
    assert (is_new, later.project_id) == (True, store.id)
    assert told(1).duplicate
    assert told(2).event.project_id == store.id
    memory = memories.remember(team.id, shop.id, content="Told meanwhile")
    assert memory.project_id == store.id

    merging.undo(team.id, made.id)
    assert started("y") == (later, False)
    assert told(1).duplicate
    assert told(2).duplicate
    memory.refresh_from_db()
    assert memory.project_id == store.id


def test_keys_are_bound_to_the_other_for_as_long(team: Team, shop: Project, store: Project) -> None:
    raw = keys.create("hook", ["events:write"], team=team, project=shop).raw
    made = merging.merge(team.id, shop.id, store.id)
    principal = keys.authenticate(raw)
    assert principal
    assert principal.project_id == store.id

    # A session that was there before is gone on with.
    again = ingest.capture_hook(team.id, store.id, hook("a", 0), origin={})
    assert again.duplicate
    assert Session.objects.filter(content_session_id="a").count() == 1

    merging.undo(team.id, made.id)
    principal = keys.authenticate(raw)
    assert principal
    assert principal.project_id == shop.id


def test_merges_are_undone_in_the_opposite_order(team: Team, shop: Project, store: Project) -> None:
    capture(team, "m", 0, "mall")
    mall = Project.objects.get(name="mall")
    before = rows()
    first = merging.merge(team.id, shop.id, store.id)
    between = rows()
    second = merging.merge(team.id, store.id, mall.id)
    capture(team, "n", 0, "shop")
    assert Session.objects.get(content_session_id="n").project_id == mall.id

    with pytest.raises(Conflict, match="undo that first"):
        merging.undo(team.id, first.id)
    merging.undo(team.id, second.id)
    assert Session.objects.get(content_session_id="n").project_id == store.id
    Session.objects.filter(content_session_id="n").delete()
    Lane.objects.exclude(key__in=Session.objects.values("lane_key")).delete()
    assert rows() == between
    merging.undo(team.id, first.id)
    assert rows() == before


@pytest.mark.parametrize("way", ["merge", "undo"])
def test_what_is_interrupted_is_gone_on_with(
    team: Team, shop: Project, store: Project, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    before = rows()

    def doing() -> None:
        merging.merge(team.id, shop.id, store.id)
        if way == "undo":
            merging.undo(team.id, ProjectMerge.objects.get().id)

    with monkeypatch.context() as broken:
        dead = {"merge": "_put", "undo": "_bring_back"}[way]
        broken.setattr(merging, dead, _dying(getattr(merging, dead), broken))
        with pytest.raises(KeyboardInterrupt):
            doing()
    assert had(shop)
    assert merging.gather() == 1
    if way == "merge":
        assert had(shop) == {}
        merging.undo(team.id, ProjectMerge.objects.get().id)
    assert rows() == before


def _dying(done: Callable[..., None], patch: pytest.MonkeyPatch) -> Any:
    """As `done`, but that it dies when it has held its sessions a second time."""

    def begun(*asked: Any) -> None:
        hold, times = merging._held, iter([1])

        def held(*args: Any) -> list[str]:
            if next(times, None) is None:
                raise KeyboardInterrupt
            return hold(*args)

        with patch.context() as inner:
            inner.setattr(merging, "_held", held)
            done(*asked)

    return begun


def test_a_look_ends_with_its_time_and_the_next_goes_on(
    team: Team, shop: Project, store: Project
) -> None:
    over = retention.budget(-1.0)
    before = rows()
    made = merging.merge(team.id, shop.id, store.id, allowed=over)
    merging.gather(over)
    assert had(shop)
    merging.gather()
    assert had(shop) == {}
    merging.undo(team.id, made.id, allowed=over)
    merging.gather(over)
    assert had(shop) == {}
    merging.gather()
    assert rows() == before


def test_what_was_under_way_follows(team: Team, shop: Project, store: Project) -> None:
    made = merging.merge(team.id, shop.id, store.id)
    event = Event.objects.filter(session__content_session_id="a").first()
    assert event
    Event.objects.filter(pk=event.pk).update(project=shop)  # it was on its way
    assert merging.gather() == 1
    assert had(shop) == {}
    assert merging.gather() == 0

    merging.undo(team.id, made.id)
    Event.objects.filter(pk=event.pk).update(project=store)
    merging.gather()
    event.refresh_from_db()
    assert event.project_id == shop.id


def test_what_was_under_way_for_a_session_that_began_meanwhile_follows_it_home(
    team: Team, shop: Project, store: Project
) -> None:
    made = merging.merge(team.id, shop.id, store.id)
    capture(team, "meanwhile", 0, "shop")
    before = had(store)
    merging.undo(team.id, made.id)
    session = Session.objects.get(content_session_id="meanwhile")
    written: list[Any] = [
        Event.objects.filter(session=session),
        GenerationJob.objects.filter(lane__key=session.lane_key),
    ]
    for some in written:
        assert some.update(project_id=store.id) == 1  # it was on its way
        merging.gather()
        assert some.get().project_id == shop.id
    assert before["Event"] == had(shop)["Event"] + had(store)["Event"]


def test_an_undone_merge_takes_nothing_from_the_next(
    team: Team, shop: Project, store: Project
) -> None:
    first = merging.merge(team.id, shop.id, store.id)
    merging.undo(team.id, first.id)
    merging.merge(team.id, shop.id, store.id)
    merging.gather()

    assert had(shop) == {}


def test_what_cannot_be_merged_is_said(team: Team, shop: Project, store: Project) -> None:
    other = Project.objects.create(team=Team.objects.create(name="others"), name="x")
    with pytest.raises(NotFound):
        merging.merge(team.id, shop.id, other.id)
    with pytest.raises(Conflict, match="itself"):
        merging.merge(team.id, shop.id, shop.id)
    made = merging.merge(team.id, shop.id, store.id)
    for source, target in ((shop, store), (store, shop)):
        with pytest.raises(Conflict, match="is merged"):
            merging.merge(team.id, source.id, target.id)
    with pytest.raises(NotFound):
        merging.undo(other.team_id, made.id)
    merging.undo(team.id, made.id)
    with pytest.raises(Conflict, match="undone already"):
        merging.undo(team.id, made.id)


def test_what_is_still_being_undone_is_not_merged_again(
    team: Team, shop: Project, store: Project
) -> None:
    made = merging.merge(team.id, shop.id, store.id)
    merging.undo(team.id, made.id)
    ProjectMerge.objects.filter(pk=made.id).update(settled_at=None)
    with pytest.raises(Conflict, match="still being undone"):
        merging.merge(team.id, shop.id, store.id)


def test_both_are_entered_in_the_audit(team: Team, shop: Project, store: Project) -> None:
    made = merging.merge(team.id, shop.id, store.id, origin={"actor_id": "user:ada"})
    merging.undo(team.id, made.id, origin={"actor_id": "user:ada"})

    told = AuditEntry.objects.filter(action__startswith="project.merge").order_by("id")
    by_ada = shop.id, "user:ada", store.id
    assert [
        (row.action, row.project_id, row.actor_id, row.details["intoProjectId"]) for row in told
    ] == [("project.merged", *by_ada), ("project.merge_undone", *by_ada)]


def test_contents_are_what_moves(team: Team, shop: Project, store: Project) -> None:
    keys.create("hook", ["events:write"], team=team, project=shop)
    contents = merging.contents(shop.id)

    assert contents == merging.Contents(3, 6, 1, 6, 1, 1)
    merging.merge(team.id, shop.id, store.id)
    assert merging.contents(store.id) == merging.Contents(4, 7, 1, 7, 2, 1)


def test_a_capture_that_waits_for_a_merge_follows_its_session(
    team: Team, shop: Project, store: Project
) -> None:
    made = merging.merge(team.id, shop.id, store.id)
    # It has decided where it belongs, and the merge is undone before it is written.
    captured = ingest.capture_hook(team.id, store.id, hook("a", 9), origin={})
    merging.undo(team.id, made.id)
    merging.gather()

    assert Event.objects.get(pk=captured.event.id).project_id == shop.id
