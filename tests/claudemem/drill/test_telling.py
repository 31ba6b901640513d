"""What `claudemem drill` says at its end."""

import json

import click
import pytest

from claudemem.commands import drill
from claudemem.drill.steps import Outcome
from claudemem.drill.verdict import Counts

pytestmark = pytest.mark.once

SKIPPED = Outcome("store stopped", "there is no queue store", "skipped")
KEPT = Outcome("worker killed", "process 1 was killed", accepted=18, seconds=1.25)
BROKEN = Outcome("hooks twice", "16 came twice", "broken", counts=Counts(lost=("event 1",)))


def test_steps_are_named_to_programs_as_they_are_asked_for(
    capsys: pytest.CaptureFixture[str],
) -> None:
    drill._conclude([KEPT, SKIPPED], 9.0, as_json=True)
    report = json.loads(capsys.readouterr().out)
    assert [step["step"] for step in report["steps"]] == ["worker", "store"]
    assert report["kept"] is True


def test_a_promise_that_was_broken_is_an_exit_code() -> None:
    with pytest.raises(SystemExit) as ended:
        drill._conclude([KEPT, BROKEN], 9.0, as_json=False)
    assert ended.value.code == 1


def test_a_drill_that_made_no_fault_says_that_nothing_is_known(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(click.ClickException, match="no fault was made") as refused:
        drill._conclude([SKIPPED], 7.0, as_json=True)
    assert refused.value.exit_code == 2
    assert json.loads(capsys.readouterr().out)["kept"] is None
