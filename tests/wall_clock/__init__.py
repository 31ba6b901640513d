"""A host's wall clock that can be put forward and back, for programs that are told of it.

`sitecustomize` beside this is what Python imports first where this directory is on its path.
"""

from pathlib import Path

FILE = "TEST_WALL_CLOCK"


class Hands:
    """The hands of that clock. Its steady clocks go on as they do on any host."""

    def __init__(self, directory: Path) -> None:
        self._file = directory / "wall-clock"
        self.put(0)

    @property
    def settings(self) -> dict[str, str]:
        """The environment of programs that go by it."""
        return {"PYTHONPATH": str(Path(__file__).parent), FILE: str(self._file)}

    def put(self, hours: float) -> None:
        """Let it be so many hours off the real time from now on."""
        fresh = self._file.with_suffix(".new")
        fresh.write_text(str(hours * 3600))
        fresh.replace(self._file)
