"""The door of the hook client: what an agent runs, by this file's path.

Python is told to start without site and without the environment's variables about it, so nothing
but the standard library is found until the directory above our package is added, behind it.
Whatever happens, the agent sees that the hook ended well.
"""

import os
import sys


def _run(agent: str, folder: str) -> None:
    sys.path.append(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
    from claudemem.hook import client

    client.main(agent, folder)


def _tell(folder: str, error: BaseException) -> None:
    """Say in the log what nobody expected: its kind and place, but nothing of what was read."""
    trace = error.__traceback__
    while trace and trace.tb_next:
        trace = trace.tb_next
    where = f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace else "?"
    line = f"the hook client failed: {type(error).__name__} at {where}\n"
    how = os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0)
    log = os.open(os.path.join(folder, "hook.log"), how, 0o600)
    os.write(log, line.encode("utf-8", "replace"))


if __name__ == "__main__":
    try:
        _run(sys.argv[1], sys.argv[2])
    except BaseException as error:  # noqa: BLE001  # no agent may stumble over its memory
        try:
            _tell(sys.argv[2], error)
        except BaseException:  # noqa: BLE001, S110  # there is nobody left to tell
            pass
    finally:
        os._exit(0)
