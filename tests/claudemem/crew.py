"""A supervisor over tiny children, run as a program of its own: `crew.py DIRECTORY PORT TABLE`.

TABLE is a JSON object: a name for each child and the Python that it runs, `prepare` among them if
there is something to do first; `"store": "external"` starts no store, and another word is the path
of the server to run; `grace`, the seconds that a child has to end.
"""

import json
import sys
from pathlib import Path

from claudemem.board import choose
from claudemem.datadir import DataDir
from claudemem.members import Program, StartFailed
from claudemem.supervise import Plan, up
from queueing.external import ExternalStore
from queueing.managed import ManagedStore
from queueing.store import StoreFailed

HELD = """
import sys, time
from pathlib import Path
from claudemem import leash
leash.hold(Path({logs!r}), {name!r})
print("hello from", {name!r}, flush=True)
{code}
"""
STEADY = "leash.ready(); time.sleep(600)"


def child(name: str, code: str, logs: Path, grace: float) -> Program:
    """A child on its leash that runs `code`, by default until it is stopped."""
    text = HELD.format(name=name, logs=str(logs), code=code or STEADY)
    return Program(name, (sys.executable, "-c", text), grace=grace)


def plan(directory: Path, port: int, table: dict[str, str]) -> Plan:
    data = DataDir(directory)
    prepare, word = table.pop("prepare", None), table.pop("store", "")
    grace = float(table.pop("grace", "5"))
    return Plan(
        data=data,
        host="127.0.0.1",
        port=port,
        children=tuple(child(name, code, data.logs, grace) for name, code in table.items()),
        prepare=Program("prepare", (sys.executable, "-c", prepare)) if prepare else None,
        store=ExternalStore("redis://127.0.0.1:1/0", "claude_mem")
        if word == "external"
        else ManagedStore(data.redis, data.logs, word),
    )


if __name__ == "__main__":
    try:
        up(plan(Path(sys.argv[1]), int(sys.argv[2]), json.loads(sys.argv[3])), choose())
    except (StartFailed, StoreFailed) as error:
        sys.exit(str(error))
