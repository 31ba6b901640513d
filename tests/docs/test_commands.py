"""Every command that the pages name exists, with its options; the reference has them all."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from claudemem.cli import cli
from tests.docs import pages

pytestmark = pytest.mark.once

REFERENCE = pages.ROOT / "docs" / "reference" / "cli.md"
EVERYWHERE = {"--data-dir", "--debug", "--help"}
# How a command is called: alone, by its path, or as the module.
CALLED = re.compile(r"(?:^|[\s`(=])(?:\S*/)?claudemem(?= |$)([^|&;<>`#\n]*)")
TARGETS = re.compile(r"^([a-z]+):", re.MULTILINE)


def commands(
    command: click.Command = cli, path: str = "claudemem"
) -> Iterator[tuple[str, click.Command]]:
    """Every command that is not hidden and does something, with its whole name."""
    if not isinstance(command, click.Group):
        yield path, command
        return
    context = click.Context(command)
    for name in command.list_commands(context):
        inner = command.get_command(context, name)
        if inner and not inner.hidden:
            yield from commands(inner, f"{path} {name}")


def called(page: Path) -> list[str]:
    """What stands behind `claudemem` in the code of a page."""
    lines = [line for block in pages.blocks(page) for line in block.text.splitlines()
             if block.language == "bash"]  # fmt: skip
    code = [*lines, *pages.inline(pages.prose(page))]
    return [found[1] for line in code for found in [CALLED.search(line)] if found]


def check(arguments: str) -> None:
    """Follow the arguments into the tree of commands. Fails at what is not there."""
    command: click.Command = cli
    words = iter(shlex.split(arguments))
    for word in words:
        if word.startswith("--"):
            option = named(command, word)
            if not option.is_flag and not option.count and word != "--help":
                assert next(words, None), f"{word} without a value"
        elif isinstance(command, click.Group) and word != "…":
            inner = command.get_command(click.Context(command), word)
            assert inner, f"there is no command {word!r}"
            command = inner


def named(command: click.Command, word: str) -> click.Option:
    context = click.Context(command)
    for parameter in command.get_params(context):
        if word in parameter.opts and isinstance(parameter, click.Option):
            return parameter
    raise AssertionError(f"{command.name} has no option {word}")


@pytest.mark.parametrize("page", pages.PAGES, ids=pages.name)
def test_every_command_on_a_page_exists_with_its_options(page: Path) -> None:
    for arguments in called(page):
        check(arguments)


def test_commands_are_found_in_the_pages() -> None:
    assert sum(len(called(page)) for page in pages.PAGES) > 40


def test_what_does_not_exist_is_noticed() -> None:
    with pytest.raises(AssertionError, match="fly"):
        check(" fly --high")
    with pytest.raises(AssertionError, match="--high"):
        check(" jobs list --high")


def test_every_target_of_make_on_a_page_exists() -> None:
    targets = set(TARGETS.findall((pages.ROOT / "Makefile").read_text()))
    for page in pages.PAGES:
        for code in [block.text for block in pages.blocks(page)] + pages.inline(pages.prose(page)):
            for target in re.findall(r"(?:^|[ `])make ([a-z]+)", code, re.MULTILINE):
                assert target in targets, (page, target)


def test_the_reference_has_every_command_and_nothing_else() -> None:
    told = {heading for heading in pages.sections(REFERENCE) if heading.startswith("claudemem ")}

    assert told == set(ALL)


def test_the_reference_has_the_commands_in_the_order_of_the_help() -> None:
    told = [each.split()[1] for each in pages.sections(REFERENCE) if each.startswith("claudemem ")]

    assert list(dict.fromkeys(told)) == list(dict.fromkeys(name.split()[1] for name in ALL))


ALL = dict(commands())


@pytest.mark.parametrize("name", ALL)
def test_the_reference_has_every_option_and_its_default(name: str) -> None:
    command = ALL[name]
    table = {pages.code(row[0]): row[1] for row in pages.rows(pages.sections(REFERENCE)[name])}
    shown = {_shown(each): each for each in command.params if not getattr(each, "hidden", False)}
    own = {word: each for word, each in shown.items() if word not in EVERYWHERE}

    assert set(table) == set(own)
    for word, parameter in own.items():
        # What is worked out when the command runs is told in words.
        if isinstance(parameter.default, str | int) and not getattr(parameter, "is_flag", False):
            assert table[word] == f"`{parameter.default}`", word
        else:
            assert table[word], word


def test_the_reference_has_the_options_of_every_command() -> None:
    table = pages.sections(REFERENCE)["Options of every command"]

    assert {pages.code(row[0]) for row in pages.rows(table)} == EVERYWHERE


def _shown(parameter: click.Parameter) -> str:
    if isinstance(parameter, click.Option):
        return parameter.opts[0]
    # What may be left out stands in brackets in the usage, and without them in the table.
    return (parameter.metavar or str(parameter.name).upper()).strip("[]")
