"""JSON text is edited so that what is taken out again leaves the very bytes that were there."""

import json
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from claudemem.install import jsonedit

pytestmark = pytest.mark.once

PLACE = "settings.json"
_SPACE = st.sampled_from(["", " ", "\n", "\r\n", "\t", "\n  ", "  \n    ", "\r\n\t", " \n \n "])
_LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(),
)
_NAMES = st.one_of(st.sampled_from(["hooks", "env", "PostToolUse", "a"]), st.text(max_size=4))


@st.composite
def formatted(draw: st.DrawFn, values: st.SearchStrategy[Any]) -> str:
    """The text of a value, with any white space and escapes."""
    return _text(draw, draw(values))


def _text(draw: st.DrawFn, value: Any) -> str:
    if isinstance(value, dict):
        members = [f"{_text(draw, k)}{draw(_SPACE)}:{draw(_SPACE)}{_text(draw, v)}"
                   for k, v in value.items()]  # fmt: skip
        return "{" + _joined(draw, members) + "}"
    if isinstance(value, list):
        return "[" + _joined(draw, [_text(draw, each) for each in value]) + "]"
    try:
        value.encode() if isinstance(value, str) else None
    except UnicodeEncodeError:
        return json.dumps(value)
    return json.dumps(value, ensure_ascii=draw(st.booleans()))


def _joined(draw: st.DrawFn, parts: list[str]) -> str:
    return ",".join(draw(_SPACE) + part + draw(_SPACE) for part in parts) or draw(_SPACE)


def _objects(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.dictionaries(_NAMES, inner, max_size=4)


_VALUES = st.recursive(
    _LEAVES, lambda inner: st.lists(inner, max_size=3) | _objects(inner), max_leaves=12
)
_HOOKS = st.fixed_dictionaries(
    {},
    optional={
        "hooks": st.dictionaries(
            st.sampled_from(["PostToolUse", "Stop"]), st.lists(_VALUES, max_size=3), max_size=2
        ),
        "env": _objects(_VALUES),
    },
)
_DOCUMENTS = st.builds(lambda a, b: {**a, **b}, _objects(_VALUES), _HOOKS).filter(
    lambda d: (
        isinstance(d.get("hooks", {}), dict)
        and isinstance(d.get("env", {}), dict)
        and "ours" not in d.get("env", {})
        and isinstance(d.get("hooks", {}).get("PostToolUse", []), list)
    )
)


@st.composite
def documents(draw: st.DrawFn) -> bytes | None:
    """The bytes of a file of settings, however they are laid out; or None."""
    text = draw(_SPACE) + draw(formatted(_DOCUMENTS)) + draw(_SPACE)
    blank = draw(_SPACE)
    mark = draw(st.sampled_from(["", "\ufeff"]))
    return draw(st.sampled_from([(mark + text).encode(), (mark + blank).encode(), None]))


@given(documents(), st.permutations(["env", "hook", "hook"]))
@settings(max_examples=80, deadline=None)
def test_what_is_put_in_and_taken_out_leaves_the_bytes_that_were_there(
    before: bytes | None, order: list[str]
) -> None:
    document = jsonedit.load(before, PLACE)
    was = document.value
    for _ in range(2):
        document = jsonedit.append(document, ("hooks", "PostToolUse"), {"ours": [{}, 1]})
    document = jsonedit.put(document, ("env", "ours"), "x")

    assert _without_ours(document.value) == _without_empties(was)
    for each in order:
        if each == "env":
            document = jsonedit.take(document, ("env", "ours"))
        else:
            last = len(document.value["hooks"]["PostToolUse"]) - 1
            document = jsonedit.take(document, ("hooks", "PostToolUse", last))

    assert jsonedit.dump(document) == before


def _without_ours(value: dict[str, Any]) -> dict[str, Any]:
    hooks = {**value["hooks"], "PostToolUse": value["hooks"]["PostToolUse"][:-2]}
    env = {name: each for name, each in value["env"].items() if name != "ours"}
    return _without_empties({**value, "hooks": hooks, "env": env})


def _without_empties(value: dict[str, Any]) -> dict[str, Any]:
    hooks = {k: v for k, v in value.get("hooks", {}).items() if v or k != "PostToolUse"}
    return {k: v for k, v in {**value, "hooks": hooks}.items() if v or k not in ("hooks", "env")}


@pytest.mark.parametrize("before", [None, b"", b"\n", b"{}", b"{\n}\n"])
@pytest.mark.parametrize("end", ["", "\n"])
def test_what_an_agent_laid_out_anew_is_never_left_without_any_json(
    before: bytes | None, end: str
) -> None:
    document = jsonedit.put(jsonedit.load(before, PLACE), ("env", "ours"), "x")
    anew = jsonedit.load((json.dumps(document.value, indent=2) + end).encode(), PLACE)
    assert jsonedit.dump(jsonedit.take(anew, ("env", "ours"))) is None


@pytest.mark.parametrize(
    ("path", "entry"), [(("env", "ours"), "x"), (("hooks", "PostToolUse", 0), {"type": "http"})]
)
def test_of_what_an_agent_squeezed_into_one_line_nothing_empty_is_left(
    path: tuple[str | int, ...], entry: Any
) -> None:
    document = jsonedit.put(jsonedit.load(b'{"theirs":{"a":[]}}', PLACE), path, entry)
    squeezed = json.dumps(document.value, separators=(",", ":"))
    taken = jsonedit.take(jsonedit.load(squeezed.encode(), PLACE), path)
    assert taken.text == '{"theirs":{"a":[]}}'


@given(documents(), _VALUES)
@settings(max_examples=40, deadline=None)
def test_what_others_put_in_between_stays_and_nothing_else(
    before: bytes | None, value: Any
) -> None:
    document = jsonedit.load(before, PLACE)

    def theirs(document: jsonedit.Document) -> jsonedit.Document:
        return jsonedit.put(jsonedit.put(document, ("theirs",), value), ("env", "theirs"), value)

    both = theirs(jsonedit.append(document, ("hooks", "PostToolUse"), {"ours": 1}))
    last = len(both.value["hooks"]["PostToolUse"]) - 1
    left = jsonedit.take(both, ("hooks", "PostToolUse", last))

    assert left.value == theirs(document).value


@given(documents(), _VALUES)
@settings(max_examples=25, deadline=None)
def test_a_value_is_replaced_where_it_stands(before: bytes | None, value: Any) -> None:
    document = jsonedit.put(jsonedit.load(before, PLACE), ("env", "ours"), value)
    other = jsonedit.put(document, ("env", "ours"), {"other": value})

    assert list(other.value["env"]) == list(document.value["env"])
    assert jsonedit.put(other, ("env", "ours"), {"other": value}) is other
    assert jsonedit.put(other, ("env", "ours"), value) == document


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (None, '{\n  "a": {\n    "b": 1\n  }\n}\n'),
        ("{}", '{ \n  "a": {\n    "b": 1\n  }\n}'),
        ('{\n\t"c": 1\n}\n', '{\n\t"c": 1,\n\t"a": {\n\t\t"b": 1\n\t}\n}\n'),
        ('{\r\n "c": 1\r\n}', '{\r\n "c": 1,\r\n "a": {\r\n  "b": 1\r\n }\r\n}'),
        ('{"c":1}', '{"c":1, "a": { "b": 1}}'),
    ],
)
def test_what_is_put_in_is_laid_out_as_the_rest_is(before: str | None, after: str) -> None:
    document = jsonedit.load(None if before is None else before.encode(), PLACE)
    assert jsonedit.put(document, ("a", "b"), 1).text == after


def test_a_blank_that_is_none_in_json_is_refused() -> None:
    with pytest.raises(jsonedit.Unreadable, match="no JSON"):
        jsonedit.load("\u00a0".encode(), PLACE)


def test_a_path_that_leads_nowhere_takes_nothing() -> None:
    document = jsonedit.load(b'{"a": [1]}', PLACE)
    for path in (("b",), ("a", 1), ("a", "b"), ("a", 0, "c")):
        assert jsonedit.take(document, path) is document


def test_a_text_of_many_megabytes_is_edited_soon() -> None:
    large = json.dumps({"history": [{"display": "x" * 90, "n": n} for n in range(40_000)]}).encode()
    began = time.process_time()
    document = jsonedit.put(jsonedit.load(large, PLACE), ("mcpServers", "ours"), {})
    assert jsonedit.dump(jsonedit.take(document, ("mcpServers", "ours"))) == large
    assert time.process_time() - began < 5
