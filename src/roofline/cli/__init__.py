"""The command line, ``roofline ...``: option classes and one file per command.

``numbers`` reads what a person types, ``flags`` says what each flag takes, ``options`` groups flags that commands share, ``peers``
knows the words of other tools, ``console`` writes; every other module is a command.
"""

from __future__ import annotations

import atexit
import gc
import os
import signal
import sys
from types import FrameType
from typing import NoReturn


def _terminated(number: int, frame: FrameType | None) -> NoReturn:  # noqa: ARG001
    """End as an interrupt does, so that files are whole and workers are ended."""
    signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; an interrupt at any time ends it quietly, with status 130."""
    # A command makes many objects, few of which are garbage that refers to itself: looking for it at 700 new objects, and once more
    # at the end, is wasted.
    gc.set_threshold(200_000)
    atexit.register(gc.freeze)
    # No command has products of matrices worth a second thread, and numpy's threads are busy while they wait for the first.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    try:
        for number in (signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM)):
            if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup has it
                signal.signal(number, _terminated)
        from roofline.cli.app import main as run  # what commands import is loaded when one is run

        run(arguments)
    except KeyboardInterrupt:
        sys.exit(130)
