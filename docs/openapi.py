"""Writes docs/reference/openapi.json anew: the document of the API, as it is served.

Run from the checkout: `.venv/bin/python -m docs.openapi`
"""

import json
import os
import tempfile
from pathlib import Path
from typing import Any

TARGET = Path(__file__).resolve().parent / "reference" / "openapi.json"


def text(document: dict[str, Any]) -> str:
    """The document as the file has it, so that a change of the wire is a few lines of a diff."""
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def main() -> None:
    """Write the document of the code that is here."""
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["CLAUDE_MEM_DATA_DIR"] = scratch
        os.environ["DJANGO_SETTINGS_MODULE"] = "claudemem.settings"
        import django

        django.setup()
        from claudemem.api import reference

        TARGET.write_text(text(reference.made()))


if __name__ == "__main__":
    main()
