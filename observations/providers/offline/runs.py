"""A shell call with its command read and its output judged."""

from dataclasses import dataclass

from observations.providers.offline import paths
from observations.providers.offline.calls import Call, list_at, text_at
from observations.providers.offline.commands import Command, command_of
from observations.providers.offline.outcomes import (
    Outcome,
    check_in,
    error_in,
    flags_in,
    frames_in,
    telling,
    tests_in,
)
from observations.providers.offline.wording import clip, line_of, quoted, shortened, words_of

# The families whose output can say that they failed; others only show what is there.
_TRIED = words_of("run test check build other fetch submit install file edit")
_FILE_FAMILIES = frozenset(("read", "search", "file", "edit"))
_SHOWING = frozenset(("read", "search", "git", "list"))  # what these print is told elsewhere
_VERIFYING = frozenset(("test", "check", "run", "build"))


@dataclass(frozen=True, slots=True)
class Run:
    """One command that was run, and how it went."""

    call: Call
    command: Command
    outcome: Outcome

    @property
    def name(self) -> str:
        """How a sentence calls the command: the part that matters, as it was typed."""
        words = " ".join(self.command.main.words)
        if words and words in self.command.text and len(shortened(words)) <= 64:
            return shortened(words)
        whole = self.command.shown
        return whole if self.command.program in whole[:40] else self.command.program

    @property
    def title(self) -> str:
        """How a title calls it: by what the agent said of it, else by the command."""
        said = line_of(self.call.text("description")[:400]).rstrip(".")
        return clip(said, 60) if said else self.name

    @property
    def brief(self) -> str:
        """The shortest way to name it: the program and what it worked on."""
        subject = next(iter(self.files), "")
        program = clip(self.command.program, 40) or "The command"
        return f"{program} on {paths.short(subject)}" if subject else program

    @property
    def files(self) -> tuple[str, ...]:
        """The files that the command names, from the project's root."""
        names = (paths.shown(each, self.call.cwd) for each in self.command.files)
        sure = self.command.family in _FILE_FAMILIES
        return tuple(
            name
            for name in names
            if name and "*" not in name and (sure or "/" in name or paths.is_known(name))
        )


def purpose(run: Run) -> str:
    """What the agent said that the command was for, with the command; "" if it said nothing."""
    said = line_of(run.call.text("description")[:300])
    return f"{said.rstrip('.')}: {quoted(run.command.shown)}" if said else ""


def run_of(call: Call) -> Run:
    """The run that a shell call reports."""
    command = command_of(_typed(call))
    return Run(call, command, _outcome(command, call))


def _typed(call: Call) -> str:
    """The command line; of a list of words, as some agents give it, what a reader would type."""
    words = [each for each in list_at(call.given, "command", 50) if isinstance(each, str)]
    if len(words) > 2 and words[1] in ("-c", "-lc"):
        return words[2]
    typed = " ".join(words) or call.text("command", "cmd", "script", "code", "text")
    return typed or text_at(call.answer, "command")


def verifies(run: Run) -> bool:
    """Whether the run shows that something works or does not."""
    return run.command.family in _VERIFYING


def _outcome(command: Command, call: Call) -> Outcome:
    output = call.output
    judged = command.family in _TRIED
    if judged and (result := tests_in(output) or check_in(output)):
        return result
    if command.family in _SHOWING and not call.failed and len(output) > 400:
        return Outcome(found=flags_in(output))
    brief = len(output) < 400 and output.count("\n") < 3
    error = error_in(output) if call.failed or judged or brief else ""
    flags = () if call.failed else flags_in(output)
    if call.failed or (error and not flags):
        lines = telling(output, 5)
        words = _from_program(error, command.program) or next(iter(lines), "") or _ending(call)
        return Outcome(True, words, lines, flags, frames_in(output))
    return Outcome(False, error, () if flags else telling(output), flags)


def _from_program(error: str, program: str) -> str:
    """The error from where the program names itself, if it does so in the line."""
    return error.partition(f"{program}: ")[2] or error


def _ending(call: Call) -> str:
    return f"exit code {call.exit_code}" if call.exit_code is not None else "no output"
