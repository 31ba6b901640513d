"""The recorded sessions twice: as hooks told of them, and as Claude Code's transcripts do."""

import json
import shutil
from pathlib import Path
from typing import Any

HERE = Path(__file__).parents[1]
HOOKS = HERE / "recordings" / "claude-code"
TRANSCRIPTS = HERE / "transcripts"
NAMES = sorted(file.stem for file in HOOKS.glob("*.jsonl"))
KEPT = "/home/dev/.claude/projects"


def hooks(name: str) -> list[dict[str, Any]]:
    """The payloads of a recorded session, in the order in which hooks sent them."""
    return [json.loads(line) for line in (HOOKS / f"{name}.jsonl").read_text().splitlines()]


def keep(root: Path) -> None:
    """Put the transcripts below `root` as Claude Code does, under the names of their sessions."""
    for name in NAMES:
        place = root / Path(hooks(name)[0]["transcript_path"]).relative_to(KEPT)
        place.parent.mkdir(exist_ok=True)
        shutil.copy(TRANSCRIPTS / f"{name}.jsonl", place)
