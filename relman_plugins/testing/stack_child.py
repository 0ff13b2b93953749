"""Run a command that ends when its parent does: ``python -m …stack_child PARENT_PID COMMAND …``.

The stack stops its processes itself; this is for the day on which it cannot, because it was killed with
SIGKILL. Linux then sends the command SIGTERM. Elsewhere the command simply runs.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main(argv: list[str]) -> None:
    """Ask the kernel for a signal at the parent's end, then become the command."""
    parent, command = int(argv[0]), argv[1:]
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        # The parent may have ended between the fork and the call above: then no signal would ever come.
        if os.getppid() != parent:
            sys.exit("the process that started this one is gone")
    os.execvp(command[0], command)  # noqa: S606 - the stack's own command, no shell


if __name__ == "__main__":
    main(sys.argv[1:])
