"""All the recordings, into one project, through the door that hooks use."""

import re
from contextlib import closing
from datetime import timedelta

import pytest

from queueing.direct import moment
from tests import proofs
from tests.stack import HOOK, RECORDINGS, Stack, payloads, recording
from tests.stack_tests.conftest import Replayed

pytestmark = pytest.mark.stack

QUESTIONS = [
    ("cap for the exponential backoff of retries", ["retry-max-wait"]),
    ("how do locks keep jobs in order", ["locks-explained"]),
    (
        "TimeDelta serialization rounding",
        ["marshmallow-timedelta-a", "marshmallow-timedelta-b"],
    ),
    ("password in the network capture", ["ctf-networking"]),
    ("numbers closer than a threshold", ["humanevalfix-close-elements"]),
    ("Hastad attack on the time capsule", ["ctf-time-capsule"]),
]


def amounts(stack: Stack) -> dict[str, int]:
    """How many rows there are of what a delivery can make."""
    tables = ("observations_session", "observations_event", "queueing_generationjob",
              "queueing_generationjobevent", "observations_observation",
              "observations_observationsource")  # fmt: skip
    return {table: stack.count(table) for table in tables}


def session_id(stack: Stack, name: str) -> str:
    """Our id of the session of a recording."""
    theirs = payloads([recording(name)])[0]["session_id"]
    ((found,),) = stack.sql(
        "SELECT id FROM observations_session WHERE content_session_id = ?", theirs
    )
    return str(found)


def test_every_payload_is_accepted_once(replayed: Replayed) -> None:
    sent = len(payloads())
    assert {answer.status_code for answer in replayed.answers} == {200}
    assert {answer.headers["X-Duplicate"] for answer in replayed.answers} == {"false"}
    assert len({answer.headers["X-Event-Id"] for answer in replayed.answers}) == sent
    assert replayed.stack.count("observations_event") == sent


def test_a_second_replay_makes_nothing_new(replayed: Replayed) -> None:
    before = amounts(replayed.stack)
    again = replayed.stack.replay()
    assert {answer.headers["X-Duplicate"] for answer in again} == {"true"}
    assert [answer.headers["X-Event-Id"] for answer in again] == [
        answer.headers["X-Event-Id"] for answer in replayed.answers
    ]
    assert amounts(replayed.stack) == before


def test_the_command_finds_the_server_of_the_data_directory_at_its_port(replayed: Replayed) -> None:
    running, file = replayed.stack, recording("locks-explained")
    sent = len(payloads([file]))
    told = running.cli("replay", "--key", running.key, str(file))
    assert told == f"{sent} payloads sent, {sent} of them known already\n"


def test_a_replay_of_long_ago_makes_nothing_new(replayed: Replayed) -> None:
    before = amounts(replayed.stack)
    _age(replayed.stack, windows=100)
    again = replayed.stack.replay()
    assert {answer.headers["X-Duplicate"] for answer in again} == {"true"}
    assert amounts(replayed.stack) == before


def _age(stack: Stack, windows: int) -> None:
    """Let what was recognised by its time alone have come so many times ten seconds earlier."""
    alike = stack.sql(
        "SELECT occurred_at, dedupe_key, id FROM observations_event WHERE dedupe_key LIKE 'as:%'"
    )
    assert alike
    earlier = timedelta(seconds=10 * windows)
    stack.change(
        "UPDATE observations_event SET occurred_at = ?, dedupe_key = ? WHERE id = ?",
        [(str(moment(at) - earlier), f"{key[:68]}{int(key[68:]) - windows:013d}", event)
         for at, key, event in alike],
    )  # fmt: skip


def test_every_session_has_one_summary(replayed: Replayed) -> None:
    counts = replayed.stack.sql(
        """SELECT session.id, count(summary.id) FROM observations_session session
        LEFT JOIN observations_observation summary
            ON summary.session_id = session.id AND summary.kind = 'summary'
        GROUP BY session.id"""
    )
    assert len(counts) == len(RECORDINGS)
    assert {count for _, count in counts} == {1}


def test_observations_were_made_in_the_order_of_their_events(replayed: Replayed) -> None:
    made = replayed.stack.sql(
        """SELECT observation.session_id, job.seq FROM observations_observation observation
        JOIN queueing_generationjob job ON job.id = observation.created_by_job_id
        ORDER BY observation.session_id, observation.number"""
    )
    assert made == sorted(made)


def test_no_lane_had_two_claims_in_flight_and_nothing_was_lost(replayed: Replayed) -> None:
    with closing(replayed.stack.connect()) as database:
        assert proofs.violations(database) == []
        claims = [line for lane in proofs.lanes(database) for line in lane if line.batch]
    assert len(claims) == replayed.stack.jobs()


@pytest.mark.parametrize(("question", "names"), QUESTIONS, ids=[names[0] for _, names in QUESTIONS])
def test_a_question_in_plain_words_finds_its_session(
    replayed: Replayed, question: str, names: list[str]
) -> None:
    found = [one["serverSessionId"] for one in replayed.stack.search(question, limit=3)]
    assert set(found) & {session_id(replayed.stack, name) for name in names}


def test_without_a_provider_the_start_says_that_it_goes_offline(replayed: Replayed) -> None:
    assert "observations are made offline, by rules" in replayed.stack.output.read_text()
    (log,) = (replayed.stack.data / "logs").glob("worker-*.log")
    assert "no CLAUDE_MEM_SERVER_PROVIDER is set" in log.read_text()


def test_the_next_session_is_told_of_the_recorded_ones_and_can_ask_for_more(
    replayed: Replayed,
) -> None:
    running = replayed.stack
    start = {"session_id": "next", "hook_event_name": "SessionStart", "source": "startup"}
    told = running.post(HOOK, start).json()["hookSpecificOutput"]
    assert told["hookEventName"] == "SessionStart"
    text = told["additionalContext"]
    assert len(text.encode()) <= 3 * 800
    assert "Add a max_wait cap to RetryStrategy" in text
    (number, *_) = re.findall(r"^#(\d+) ", text, re.MULTILINE)
    call = {"name": "get_observations", "arguments": {"ids": [int(number)]}}
    more = running.http.post(
        "/v1/mcp",
        json={"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": call},
        headers={"Accept": "application/json, text/event-stream"},
    )
    assert "max_wait" in more.text
