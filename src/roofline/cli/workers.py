"""Worker processes: they ignore Ctrl-C, which the parent handles, and end with the parent."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import connection, get_context, parent_process
from typing import Any


def _orphaned() -> None:
    """End this process when the one that started it has ended, in whatever way."""
    parent = parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)


def _begin() -> None:
    """Prepare a worker."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_orphaned, daemon=True).start()


@contextmanager
def _starting() -> Iterator[None]:
    """Have processes that are started inherit no Ctrl-C, and not run the script that this process runs: it may be without a guard."""
    main: Any = vars(sys.modules["__main__"])
    hidden = {name: main.pop(name) for name in ("__file__", "__spec__") if name in main}
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        main["__spec__"] = None
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        main.update(hidden)


@contextmanager
def workers(count: int) -> Iterator[Executor | None]:
    """Yield an executor of so many processes, which end with it; None for one, this process alone.

    Workers are started afresh: what a forked process inherits of threads is undefined.
    """
    if count == 1:
        yield None
        return
    pool = ProcessPoolExecutor(count, mp_context=get_context("spawn"), initializer=_begin)
    try:
        with _starting():
            for _ in range(count):
                pool.submit(os.getpid)
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)
