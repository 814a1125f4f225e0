"""Forks for each MicroPython VM: a small process that has the wheel's VM, an extension module of CPython, loaded.

`host_tools.run.targets.vm` runs this file as a program, and has the other end of the socket that is its standard input.
A request is a JSON object and two descriptors, those of the link and of the output. The answers are the process id of
the VM and, once it has ended, its exit status.
"""

import contextlib
import json
import os
import select
import signal
import socket
import sys

LINK = 3
"""The number by which a VM has its link: it has no descriptors but this one and the standard ones."""
_REQUEST_OCTETS = 1 << 17


def main(folder):
    """`folder` has the module."""
    sys.path.append(folder)
    from micropython_run import run_main

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the bench
    bench = socket.socket(fileno=sys.stdin.fileno())
    with contextlib.suppress(ConnectionError):  # the bench has gone without an answer, as at Ctrl-C
        _serve(run_main, bench)


def _serve(run_main, bench):
    while True:
        request, fds, _, _ = socket.recv_fds(bench, _REQUEST_OCTETS, 2)
        if not request:
            return
        pid = os.fork()
        if not pid:
            _live(run_main, *fds, **json.loads(request))
        for fd in fds:
            os.close(fd)
        bench.send(b"%d" % pid)
        bench.send(b"%d" % _status(pid, bench))


def _status(pid, bench):
    """Waits for the VM's end. Kills it if the bench goes first, which a program that computes on would not notice."""
    with contextlib.suppress(AttributeError, OSError):  # before Linux 5.3, or a Python that was built for such
        ended = os.pidfd_open(pid)
        if ended not in select.select([ended, bench], [], [])[0]:
            os.kill(pid, signal.SIGKILL)
        os.close(ended)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def _live(run_main, link, output, arguments, folder, environment):
    """Becomes the VM, and ends with it."""
    status = 1
    try:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(environment)
        null = os.open(os.devnull, os.O_RDONLY)
        for number, kept in enumerate([os.dup(fd) for fd in (null, output, output, link)]):
            os.dup2(kept, number)
        os.closerange(LINK + 1, os.sysconf("SC_OPEN_MAX"))
        status = run_main(arguments)
    finally:
        os._exit(status)


if __name__ == "__main__":
    main(sys.argv[1])
