"""How an agent runs the hook client."""

from __future__ import annotations

import os
import sys


def words(agent: str, folder: str, python: str = "") -> list[str]:
    """The command for hooks of `agent`, with its files in `folder`, an absolute path.

    It is run by this interpreter, unless another is named, and knows no other place: neither the
    environment's variables about Python (`-I`) nor installed packages (`-S`) play a part, so that
    nothing a project brings along is imported, and it starts in half the time.
    """
    door = os.path.join(os.path.dirname(os.path.abspath(__file__)), "__main__.py")
    return [python or sys.executable, "-I", "-S", door, agent, folder]
