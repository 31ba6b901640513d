"""What settings are made of the environment."""

import json
import subprocess
import sys
from pathlib import Path

from tests.stack import ROOT, environment

SAY = """
import json
from claudemem import settings
print(json.dumps([settings.PROVIDER, settings.PROVIDER_OPTIONS, settings.MODE]))"""


def test_a_provider_that_is_set_to_nothing_is_not_set(tmp_path: Path) -> None:
    names = ("SERVER_PROVIDER", "SERVER_MODEL", "OPENROUTER_BASE_URL", "OPENROUTER_API_KEY", "MODE")
    nothing = {f"CLAUDE_MEM_{name}": "" for name in names}
    nothing |= {"OPENROUTER_API_KEY": "", "OPENROUTER_BASE_URL": " "}
    said = subprocess.run(
        [sys.executable, "-c", SAY], cwd=ROOT, capture_output=True, text=True, check=True,
        env=environment({**nothing, "CLAUDE_MEM_DATA_DIR": str(tmp_path)}),
    ).stdout  # fmt: skip
    assert json.loads(said) == ["offline", {"base_url": "", "model": "", "key": ""}, "code"]
