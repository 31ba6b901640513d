"""What `claudemem setup` does next."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from claudemem import choosing, packages
from claudemem.choosing import Standing, Step, Wish
from claudemem.kept import ENGINE, HOST, MODE, PORT, STORE, URL, parse

pytestmark = pytest.mark.once

wishes = st.builds(
    Wish,
    queue=st.sampled_from(["", "celery", "database"]),
    url=st.sampled_from(["", "redis://:p@h/0"]),
    docker=st.booleans(),
    managed=st.booleans(),
    install=st.booleans(),
    may_ask=st.booleans(),
)
standings = st.builds(
    Standing,
    engine=st.sampled_from(["", "celery", "database"]),
    mode=st.sampled_from(["", "managed", "external", "docker"]),
)


def standing(text: str) -> Standing:
    return choosing.standing(parse(text, "settings.json"))


@given(wishes, standings, st.booleans())
def test_nobody_is_asked_who_cannot_answer_and_nothing_installed_unasked(
    wish: Wish, before: Standing, server: bool
) -> None:
    step = choosing.decide(wish, before, server=server)
    assert step is not Step.ASK or wish.may_ask
    assert step is not Step.INSTALL or (wish.install and not server)
    assert step is not Step.MANAGE or server


@given(wishes, standings, st.booleans())
def test_what_is_written_of_a_store_never_contradicts_itself(
    wish: Wish, before: Standing, server: bool
) -> None:
    step = choosing.decide(wish, before, server=server)
    written = choosing.changes(step, wish)
    assert not (written.get(URL) and written.get(MODE) != "external")
    if MODE in written:
        assert set(STORE) <= set(written)


def test_what_is_given_comes_first_and_what_is_asked_comes_last() -> None:
    nothing = Standing()
    assert choosing.decide(Wish(queue="database"), nothing, server=True) is Step.USE_DATABASE
    assert choosing.decide(Wish(url="redis://h"), nothing, server=True) is Step.USE_URL
    assert choosing.decide(Wish(docker=True), nothing, server=True) is Step.USE_DOCKER
    assert choosing.decide(Wish(may_ask=True), nothing, server=True) is Step.MANAGE
    assert choosing.decide(Wish(install=True, may_ask=True), nothing, server=False) is Step.INSTALL
    assert choosing.decide(Wish(may_ask=True), nothing, server=False) is Step.ASK
    assert choosing.decide(Wish(), nothing, server=False) is Step.REFUSE


def test_what_stands_stays_until_something_else_is_asked() -> None:
    external, managed = Standing(mode="external"), Standing(mode="managed")
    assert choosing.decide(Wish(), external, server=True) is Step.KEEP
    assert choosing.decide(Wish(queue="celery"), external, server=True) is Step.KEEP
    assert choosing.decide(Wish(managed=True), external, server=True) is Step.MANAGE
    assert choosing.decide(Wish(), managed, server=True) is Step.KEEP
    assert choosing.decide(Wish(), managed, server=False) is Step.REFUSE
    assert choosing.decide(Wish(), Standing(engine="database"), server=False) is Step.KEEP
    assert choosing.decide(Wish(queue="celery"), Standing(engine="database"), server=True) is (
        Step.MANAGE
    )


def test_what_was_chosen_is_read_by_any_of_its_names() -> None:
    assert standing("{}") == Standing()
    assert standing(f'{{"{ENGINE}": "SQLITE"}}') == Standing(engine="database")
    assert standing(f'{{"{ENGINE}": "bullmq", "{HOST}": "h"}}') == Standing(
        engine="celery", mode="external", url="redis://h:6379/0"
    )
    assert standing(f'{{"{PORT}": 7000}}') == Standing(
        mode="external", url="redis://127.0.0.1:7000/0"
    )
    assert standing(f'{{"{MODE}": "Docker"}}') == Standing(mode="docker")


def test_variables_that_win_over_the_choice_are_named() -> None:
    url = choosing.changes(Step.USE_URL, Wish(url="redis://h/0"))
    assert choosing.shadowed({URL: "redis://h/0", ENGINE: "bullmq", MODE: " "}, url) == []
    assert choosing.shadowed({URL: "redis://other/0", ENGINE: "sqlite"}, url) == [ENGINE, URL]
    assert choosing.shadowed({HOST: "h"}, url) == [HOST]
    stands = choosing.held(Standing(engine="celery", mode="external", url="redis://h/0"))
    assert choosing.shadowed({URL: "redis://h/0", ENGINE: "bullmq"}, stands) == []
    assert choosing.shadowed({MODE: "managed", ENGINE: "database"}, stands) == [ENGINE, MODE]
    database = choosing.changes(Step.USE_DATABASE, Wish())
    assert choosing.shadowed({URL: "redis://other/0", ENGINE: "sqlite"}, database) == []
    assert choosing.shadowed({ENGINE: "celery"}, database) == [ENGINE]


@pytest.mark.parametrize("each", packages.MANAGERS, ids=lambda each: each.name)
def test_a_manager_serves_root_unless_it_refuses_to(each: packages.Manager) -> None:
    def is_here(name: str) -> bool:
        return name == each.name

    assert packages.manager(is_here, root=False) is each
    assert packages.manager(is_here, root=True) is (each if each.as_root else None)
    assert each.as_root is (each.name != "brew")
    assert packages.typed(each.refreshes, sudo=True) == f"sudo {' '.join(each.refreshes)}"
