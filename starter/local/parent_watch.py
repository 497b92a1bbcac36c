"""Run a command that ends when its parent ends: ``python parent_watch.py PARENT COMMAND…``. A script of its own, without imports of ours.

On Linux the kernel sends SIGTERM to the command when the process that started it is gone, even killed; elsewhere this changes nothing.
It is done in a small program before the command takes its place, since a forked copy of a program with threads must not run Python.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    """Tie this process to its parent and become the command."""
    parent, command = int(sys.argv[1]), sys.argv[2:]
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:  # it died before we were tied to it
        sys.exit(1)
    os.execv(command[0], command)  # noqa: S606 - the command is ours, and a shell is not wanted


if __name__ == "__main__":
    main()
