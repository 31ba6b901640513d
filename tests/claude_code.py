"""The command line of Claude Code, as far as it connects MCP servers."""

import shlex
from dataclasses import dataclass

# Those that take all words up to the next option: what follows them is no name and no URL.
_GREEDY = {"--header", "-H", "--env", "-e"}
_SINGLE = {"--transport", "-t", "--scope", "-s"}


@dataclass(frozen=True)
class Added:
    """What `claude mcp add` was told: a server's name, its URL or program, and its options."""

    words: tuple[str, ...]
    options: dict[str, tuple[str, ...]]
    program: tuple[str, ...]


def added(command: str) -> Added:
    """The command as Claude Code reads it. Fails for any other, and for options that it has not."""
    said = shlex.split(command)
    assert said[:3] == ["claude", "mcp", "add"], command
    given, _, program = " ".join(map(shlex.quote, said[3:])).partition(" -- ")
    words: list[str] = []
    options: dict[str, tuple[str, ...]] = {}
    left = shlex.split(given)
    while left:
        word = left.pop(0)
        if not word.startswith("-"):
            words.append(word)
            continue
        assert word in _GREEDY | _SINGLE, word
        taken = [left.pop(0)]
        while word in _GREEDY and left and not left[0].startswith("-"):
            taken.append(left.pop(0))
        options[word] = tuple(taken)
    return Added(tuple(words), options, tuple(shlex.split(program)))
