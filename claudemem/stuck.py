"""Ends a process in which nothing runs any more: one that is stuck in C code, with all its threads.

Python's threads take turns. Code that never gives its turn back stops the heartbeat, the signals
and the log; from outside the process looks alive. What ends it is a thread of the interpreter's
own that needs no turn. What it had in hand is taken over by others as after any crash.
"""

import faulthandler
import sys
import sysconfig
import threading
import time


def end_if_silent(seconds: float) -> None:
    """End this process, with the stacks of its threads in its log, if no thread ran for so long.

    Only where that is measured by a clock that nobody sets: elsewhere it would end when somebody
    puts the host's clock forward.
    """
    if sys.platform == "linux" and sysconfig.get_config_var("HAVE_SEM_CLOCKWAIT"):
        threading.Thread(target=_live, args=(seconds,), name="alive", daemon=True).start()


def _live(seconds: float) -> None:
    while True:
        faulthandler.dump_traceback_later(seconds, exit=True)
        time.sleep(seconds / 8)
