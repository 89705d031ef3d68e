"""How a program that the supervisor started learns that the supervisor is gone.

A supervisor that is killed cannot stop anything any more. So each of its programs has the reading
end of a pipe as its standard input, whose writing end nobody but the supervisor holds: whichever
way that ends, the kernel closes it, and reading comes to its end. That is so on every Unix;
PR_SET_PDEATHSIG is Linux's alone, and is told when a *thread* ends.
"""

import os
import signal
from collections.abc import Mapping
from threading import Thread

# Says that standard input is this pipe. Whoever starts a program by hand or under another
# supervisor may give it any input, and /dev/null is at its end at once.
MARK = {"TASKBELL_SUPERVISED": "1"}

_STDIN = 0


def end_with_supervisor(environ: Mapping[str, str]) -> None:
    """Have this process sent SIGTERM when the supervisor that started it, if one did, is gone."""
    if MARK.items() <= environ.items():
        # A thread, because it has to work before there is an event loop as well.
        Thread(target=_end_with_stdin, daemon=True).start()


def _end_with_stdin() -> None:
    wait_for_end_of_stdin()
    os.kill(os.getpid(), signal.SIGTERM)


def wait_for_end_of_stdin() -> None:
    """Return when nobody holds the other end of the standard input any more."""
    # Not sys.stdin: a thread that holds its lock would abort the interpreter's shutdown.
    while os.read(_STDIN, 1024):
        pass
