"""A sweep that is killed at random, and resumed: ``python -m tests.killed --times 50`` (from the repository's root; Linux).

Each time the same command runs with a checkpoint and is ended after a random time by SIGINT, SIGTERM, SIGKILL, by a killed worker, or by
a disk that is full (a limit on the size of files). It must end within :data:`PATIENCE` seconds with one line or none on standard error,
leave no process, and what it leaves must lead the next run to the same bytes as a run that nothing disturbed, or be refused with a reason.
"""

import argparse
import contextlib
import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

COMMAND = [
    "sweep",
    "llama-3.1-70b",
    "llama-3.1-8b",
    "qwen3-8b",
    "-s",
    "dgx-h100",
    "-s",
    "dgx-b200",
    "--set",
    "batch=1..400",
    "--set",
    "context=512..51712+512",
    "--vary",
    "bandwidth=1x,1.2x,1.5x",
]
PATIENCE = 60
WAYS = ("SIGINT", "SIGTERM", "SIGKILL", "worker", "disk")
OURS = "killed-by-roofline-tests"


def start(file, out, workers, room=None):
    """Start the command; ``room`` bytes are what its files may have at most."""

    def begin():
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # which a process that runs in the background has ignored
        if room is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))

    words = [
        sys.executable,
        "-m",
        "roofline",
        *COMMAND,
        "-o",
        str(out),
        "--workers",
        str(workers),
        "--checkpoint",
        str(file),
    ]
    return subprocess.Popen(
        words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env={**os.environ, OURS: "1"}, start_new_session=True, preexec_fn=begin, text=True
    )  # fmt: skip


def ours():
    """Return the processes that were started here, by what their environment says."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and int(folder.name) != os.getpid():
            with contextlib.suppress(OSError):
                if f"{OURS}=1".encode() in (folder / "environ").read_bytes():
                    found.append(int(folder.name))
    return found


def workers_of(process):
    """Return the workers of a process, oldest first."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    with contextlib.suppress(OSError):
        every = [int(each) for each in children.read_text().split()]
        return [pid for pid in every if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    return []


def disturb(process, way, dice):
    """End a process, or one of its workers."""
    match way:
        case "worker":
            found = workers_of(process)
            if found:
                with contextlib.suppress(OSError):
                    os.kill(dice.choice(found), signal.SIGKILL)
        case "disk":
            pass
        case "SIGINT":  # as a terminal does: to all of the group
            with contextlib.suppress(OSError):
                os.killpg(process.pid, signal.SIGINT)
        case _:
            process.send_signal(getattr(signal, way))


def once(folder, dice, way, whole, took):
    """Disturb one run, resume it, and return what became of it: a word, and what is wrong ("" where nothing is)."""
    file, out = folder / "sweep.log", folder / "kept.csv"
    for each in folder.iterdir():
        each.unlink()
    workers = 2 if way == "worker" else dice.choice([1, 2])
    process = start(file, out, workers, room=dice.randint(1, 6000) if way == "disk" else None)
    if way == "worker":
        time.sleep(_begun(process) + dice.uniform(0.0, took / 4))
    else:
        time.sleep(dice.uniform(0.05, took))
    disturb(process, way, dice)
    try:
        _, said = process.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        return "hang", f"{way}: no end within {PATIENCE} s"
    if "Traceback" in said and not _starting(said):
        return "traceback", said[-2000:]
    status = process.returncode
    patience = time.monotonic() + 10
    while ours() and time.monotonic() < patience:
        time.sleep(0.1)
    if ours():
        return "orphan", f"{way}: {ours()} are left"
    left = sorted(each.name for each in folder.iterdir() if each.name not in ("sweep.log", "kept.csv"))
    if left and way != "SIGKILL":
        return "rest", f"{way}: {left} are left"
    if out.exists() and status == 0 and out.read_bytes() != whole:
        return "other", f"{way}: other bytes, undisturbed"
    if out.exists() and status != 0:
        out.unlink()
    again = start(file, out, dice.choice([1, 2]))
    _, said = again.communicate(timeout=10 * PATIENCE)
    if again.returncode == 0:
        same = out.read_bytes() == whole
        return (
            "resumed" if status else "ended before it was disturbed"
        ), "" if same else f"{way}: other bytes when resumed"
    refused = said.startswith("roofline: ") and said.count("\n") == 1
    return "refused", "" if refused else f"{way}: {said[-2000:]}"


def _begun(process):
    """Wait until a process has workers; return 0, so that what is added to it is the time since then."""
    until = time.monotonic() + PATIENCE
    while not workers_of(process) and process.poll() is None and time.monotonic() < until:
        time.sleep(0.02)
    return 0.0


def _starting(said):
    """Whether a traceback is of Python itself, before a line of ours ran."""
    return "roofline/" not in said


def main():
    """Disturb as often as asked, in turn by each way, and print what became of it."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--times", type=int, default=50)
    words.add_argument("--seed", type=int, default=0)
    words.add_argument("--way", choices=WAYS, help="only this one")
    asked = words.parse_args()
    dice, counts, wrong = random.Random(asked.seed), Counter(), []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        began = time.monotonic()
        start(folder / "sweep.log", folder / "kept.csv", 1).communicate()
        whole, took = (folder / "kept.csv").read_bytes(), time.monotonic() - began
        print(f"undisturbed: {took:.1f} s, {(folder / 'sweep.log').stat().st_size:,} bytes of checkpoint", flush=True)
        for i in range(asked.times):
            way = asked.way or WAYS[i % len(WAYS)]
            became, why = once(folder, dice, way, whole, took)
            counts[way, became] += 1
            if why:
                wrong.append(why)
                print(f"--- {i}: {became}: {why}", flush=True)
    for (way, became), count in sorted(counts.items()):
        print(f"{way:<10}{became:<32}{count:>4}")
    print(f"{counts.total()} times, {len(wrong)} wrong")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
