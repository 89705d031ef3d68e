"""A process that has imported the code of web and workers, and forks one whenever it is told to.

Importing takes a second and 60 MB for each process; a fork starts at once and shares that memory.
It is a process of its own because the supervisor has an event loop and threads, which must not be
copied by a fork.
"""

import gc
import json
import os
import runpy
import select
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from typing import NoReturn

from service.processes.environment import import_safely
from service.processes.fork_client import AT_ONCE, END, ForkClient, Order

# On macOS a fork only executes its command: the system's libraries, which ask for proxies and
# names, can abort a process that was forked and goes on. setproctitle uses them, too.
_FORKS_GO_ON = sys.platform != "darwin"
if _FORKS_GO_ON:
    from setproctitle import setproctitle

# What web and workers run; by name, because they stand above this package.
_CODE = ("service.cli.web", "workers.process") if _FORKS_GO_ON else ()
# Only for its forks: the fork server ends with the supervisor, and reports their ends until then.
_FOR_FORKS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_STDIN, _STDERR = 0, 2


@contextmanager
def running() -> Iterator[ForkClient]:
    """A fork server, which ends with this block.

    The calling process must have no event loop and no other thread yet. The fork server and its
    forks are copies of it, and end here, with a SystemExit.
    """
    _take_lowest_descriptors()
    import_safely()
    for module in _CODE:
        import_module(module)
    gc.collect()
    gc.freeze()  # so that a collection in a fork does not touch, and thereby copy, what it shares
    orders, theirs = socket.socketpair()
    reports, ours = os.pipe()
    if not (pid := os.fork()):
        orders.close()
        os.close(reports)
        _ForkServer(theirs, ours).serve()
    theirs.close()
    os.close(ours)
    try:
        yield ForkClient(orders, reports)
    finally:
        orders.close()
        os.close(reports)
        with suppress(ChildProcessError):  # if SIGCHLD is ignored, as the shell may have set it
            os.waitpid(pid, 0)


def _take_lowest_descriptors() -> None:
    """Open the standard streams that were closed: nothing else may get their numbers."""
    while (one := os.open(os.devnull, os.O_RDWR)) <= _STDERR:
        pass
    os.close(one)


class _ForkServer:
    """Forks a program for each order; reports when it has started and how it ended."""

    def __init__(self, orders: socket.socket, reports: int) -> None:
        self._orders = orders
        self._reports = reports
        self._awake, self._waking = socket.socketpair()
        self._waking.settimeout(0)

    def serve(self) -> NoReturn:
        """Serve until the supervisor is gone."""
        os.setsid()
        # A fork starts with them blocked: one that comes before it can act on it is not lost.
        signal.pthread_sigmask(signal.SIG_BLOCK, _FOR_FORKS)
        # In this order: the title goes where the environment was when the process began.
        _call_it("fork server")
        os.environ.clear()
        signal.set_wakeup_fd(self._waking.fileno())
        signal.signal(signal.SIGCHLD, lambda *_: None)
        while True:
            ready, _, _ = select.select([self._orders, self._awake], [], [])
            if self._awake in ready:
                self._awake.recv(AT_ONCE)
                self._report_ended()
            if self._orders in ready:
                self._fork(*self._next_order())

    def _next_order(self) -> tuple[Order, int]:
        """The order, and the standard input for it; raises SystemExit if there will be none."""
        text, descriptors, _, _ = socket.recv_fds(self._orders, AT_ONCE, 1)
        while text and not text.endswith(END):
            text += self._orders.recv(AT_ONCE)
        if not text:
            sys.exit()
        return Order(**json.loads(text)), descriptors[0]

    def _fork(self, order: Order, stdin: int) -> None:
        if not (pid := os.fork()):
            self._leave(stdin)
            _become(order)
        os.close(stdin)
        self._report(f"started {pid}")

    def _report_ended(self) -> None:
        with suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                self._report(f"ended {ended[0]} {os.waitstatus_to_exitcode(ended[1])}")

    def _report(self, said: str) -> None:
        os.write(self._reports, said.encode() + END)

    def _leave(self, stdin: int) -> None:
        """Undo, in a fork, what makes this process the fork server."""
        os.setsid()
        os.dup2(stdin, _STDIN)
        os.close(stdin)
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.close(self._reports)
        for end in (self._orders, self._awake, self._waking):
            end.close()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _FOR_FORKS)


def _become(order: Order) -> NoReturn:
    """Run the program in this process; one that is not a Python module replaces it."""
    os.environ.update(order.environ)
    _call_it(order.name)
    _, option, *words = order.command
    if option != "-m" or not _FORKS_GO_ON:
        os.execv(order.command[0], order.command)  # noqa: S606 (of our Procfile)
    sys.argv[:] = words
    runpy.run_module(words[0], run_name="__main__", alter_sys=True)
    sys.exit()


def _call_it(name: str) -> None:
    """Give this process a name in `ps`."""
    if _FORKS_GO_ON:
        setproctitle(f"taskbell: {name}")
