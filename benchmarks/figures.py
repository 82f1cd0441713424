"""What is timed, and how: processor time of one core, as a multiple of one pass over memory timed in the same run.

The pass, ``x * 1.5 + x`` over a million doubles, makes figures of different machines and of a busy machine comparable.
"""

import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from statistics import median

import numpy as np
from attrs import frozen

import roofline as rl

COMPARED = ("gb200-nvl72", "cloudmatrix384", "dgx-b200", "mi355x-8", "tpu-v7x-pod")


@frozen
class Figure:
    """One figure: what runs, how often for a median, and what it must reach.

    Attributes:
        name: key of the figure.
        make: builds its inputs and returns what is timed.
        rounds: repetitions, of which the median is taken, after one that is not counted.
        passes: the most reference passes that it may take; 0 if none is stated.
        seconds: the most seconds of processor time; 0 if none is stated.
        rate: the fewest configurations a second; 0 if none is stated.
        child: whether it is a fresh process, whose own processor time counts.
        warm: whether a call that is not counted goes before each that is: the passes empty the core's caches.
    """

    name: str
    make: Callable[[], Callable[[], object]]
    rounds: int = 3
    passes: float = 0.0
    seconds: float = 0.0
    rate: float = 0.0
    child: bool = False
    warm: bool = False


@frozen
class Measured:
    """What was measured of a figure.

    Attributes:
        seconds: median of its processor time.
        passes: the same as a multiple of a reference pass.
        rate: configurations a second; 0 where it is not a sweep.
        passed: one pass in seconds, median of those timed around it.
    """

    seconds: float
    passes: float
    rate: float
    passed: float


@cache
def _numbers() -> np.ndarray:
    return np.random.default_rng(0).random(1_000_000)


def reference(repeats: int = 15) -> float:
    """Median processor time of one reference pass, in seconds."""
    x, times = _numbers(), []
    for _ in range(repeats):
        before = time.process_time()
        x * 1.5 + x
        times.append(time.process_time() - before)
    return median(times)


def child_time() -> float:
    """Processor time of all child processes that ended, user and system, in seconds."""
    found = resource.getrusage(resource.RUSAGE_CHILDREN)
    return found.ru_utime + found.ru_stime


def measure(figure: Figure) -> Measured:
    """Time one figure, with reference passes before and after each round."""
    ask, clock = figure.make(), child_time if figure.child else time.process_time
    answer = ask()
    times, passes = [], [reference()]
    for _ in range(figure.rounds):
        if figure.warm:
            ask()
        before = clock()
        answer = ask()
        times.append(clock() - before)
        passes.append(reference(5))
    seconds, passed = median(times), median(passes)
    priced = sum(family.points for family in answer.space.families) if isinstance(answer, rl.Sweep) else 0
    return Measured(seconds, seconds / passed, priced / seconds, passed)


def _process(*words: str) -> Callable[[], Callable[[], object]]:
    """A fresh process, whose modules were compiled before as those of an installed package are."""
    compiled = {"PYTHONPYCACHEPREFIX": f"{tempfile.gettempdir()}/roofline-bytecode-{os.getuid()}"}
    named = {**os.environ, **compiled}
    named.pop("PYTHONDONTWRITEBYTECODE", None)
    return lambda: lambda: subprocess.run([sys.executable, *words], check=True, stdout=subprocess.DEVNULL, env=named)  # noqa: S603


def _command(line: str) -> Callable[[], Callable[[], object]]:
    return _process("-c", "from roofline.cli import main; main()", *line.split())


def _decode() -> Callable[[], object]:
    question = rl.Decode(rl.model("deepseek-v3"), 2048, 4096)
    rack, layout = rl.system("gb200-nvl72"), rl.Layout(dp=64, ep=64)
    return lambda: rl.estimate(question, rack, layout)


def _service() -> Callable[[], object]:
    question = rl.Serve(rl.model("deepseek-v3"), concurrency=2048)
    rack, layout = rl.system("gb200-nvl72"), rl.Layout(dp=64, ep=64)
    return lambda: rl.estimate(question, rack, layout)


def _chosen() -> Callable[[], object]:
    question, rack = rl.Serve(rl.model("deepseek-v3"), concurrency=2048), rl.system("gb200-nvl72")
    return lambda: rl.estimate(question, rack)


def _step() -> Callable[[], object]:
    question, rack = rl.TrainStep(rl.model("gpt-3-175b"), 1536, 2048), rl.system("dgx-h100")
    layout = rl.Layout(tp=8, pp=8, dp=16, vpp=2, sequence_parallel=True)
    return lambda: rl.train(question, rack, layout)


BATCH, CONTEXT = np.arange(1.0, 501.0), np.linspace(512, 65536, 250).round()
SPLIT = rl.Layout(tp=[1.0, 1, 1, 2, 2, 4], dp=[64.0, 32, 16, 32, 16, 16], ep=[64.0, 32, 16, 64, 32, 64])


def _llama() -> Callable[[], object]:
    model, node = rl.model("llama-3.1-70b"), rl.system("dgx-h100")
    return lambda: rl.sweep(model, node, batch=8 * BATCH, context=CONTEXT, limits={"tpot": "50ms"})


def _deepseek() -> Callable[[], object]:
    model, rack = rl.model("deepseek-v3"), rl.system("gb200-nvl72")
    words = {"batch": 64 * BATCH, "context": CONTEXT, "limits": {"tpot": "50ms"}}
    return lambda: rl.sweep(model, rack, layout=SPLIT, **words)


def _training(model: str, chips: int, **degrees: int) -> Callable[[], Callable[[], object]]:
    batches, lengths = np.arange(64.0, 3265.0, 64.0), np.linspace(1024, 8192, 113).round()

    def make() -> Callable[[], object]:
        words = {"chips": chips, "global_batch": batches, "seq_len": lengths, **degrees}
        read, node = rl.model(model), rl.system("dgx-h100")
        return lambda: rl.sweep(read, node, phase="train", **words)

    return make


def _pools() -> Callable[[], object]:
    model, node = rl.model("llama-3.1-70b"), rl.system("dgx-h100")
    words = {"chips": [2, 4, 8], "prefill_chips": [2, 4, 8], "input": [500.0, 1000.0, 2000.0, 4000.0], "output": 300.0}
    limits = {"tpot": "30ms", "ttft": "2s"}
    return lambda: rl.sweep(model, node, phase="pools", concurrency=np.arange(16.0, 513.0, 8.0), limits=limits, **words)


FIGURES = (
    Figure("python alone", _process("-c", "pass"), child=True),
    Figure("import numpy", _process("-c", "import numpy"), child=True, rounds=9),
    Figure("import roofline", _process("-c", "import roofline"), child=True, rounds=9),
    Figure("decode step by objects", _decode, rounds=200, passes=0.7, warm=True),
    Figure("decode step by objects, caches emptied", _decode, rounds=200),
    Figure("service by objects", _service, rounds=60, passes=3, warm=True),
    Figure("service by objects, caches emptied", _service, rounds=60),
    Figure("service, layout chosen among 72 chips", _chosen, rounds=15, passes=12, warm=True),
    Figure("training step by objects", _step, rounds=60, warm=True),
    Figure("sweep: decode of Llama-3.1-70B", _llama, rate=9e6),
    Figure("sweep: decode of DeepSeek-V3", _deepseek, rate=9e6),
    Figure("sweep: training of Llama-3.1-70B", _training("llama-3.1-70b", 64, tp=8), rate=3e6),
    Figure("sweep: training of DeepSeek-V3", _training("deepseek-v3", 1024, tp=8, pp=16, cp=1, vpp=1), rate=3e6),
    Figure("sweep: pools of Llama-3.1-70B", _pools),
    Figure("list", _command("list systems"), child=True, seconds=0.35),
    Figure(
        "estimate",
        _command("estimate deepseek-v3 --system gb200-nvl72 --concurrency 4096 --tp 1 --dp 72 --ep 72"),
        child=True,
        seconds=0.5,
    ),
    Figure(
        "estimate, layout chosen", _command("estimate deepseek-v3 --system gb200-nvl72 --concurrency 4096"), child=True
    ),
    Figure("compare", _command("compare cloudmatrix384 gb200-nvl72 --model deepseek-v3"), child=True, seconds=1.5),
    Figure(
        "compare of five with a pod",
        _command(f"compare {' '.join(COMPARED)} --model deepseek-v3"),
        child=True,
        seconds=3,
    ),
    Figure(
        "search serve",
        _command("search serve deepseek-v3 --system gb200-nvl72 --ttft 2s --tpot 50ms"),
        child=True,
        seconds=1.0,
    ),
    Figure(
        "search train, GPT-3 on 1,024",
        _command("search train gpt-3-175b --system dgx-h100 --chips 1024 --global-batch 1536"),
        child=True,
        seconds=1.2,
    ),
    Figure(
        "search train, DeepSeek-V3 on 2,304",
        _command("search train deepseek-v3 --system gb200-nvl72 --chips 2304 --global-batch 4608"),
        child=True,
        seconds=2.0,
    ),
    Figure(
        "plot",
        _command(
            f"plot llama-3.1-70b --system dgx-h100 -s dgx-b200 --concurrency 64 -o {tempfile.gettempdir()}/plot.svg"
        ),
        child=True,
        seconds=1.2,
    ),
)


def table(figures: Sequence[Figure] = FIGURES) -> Iterator[str]:
    """Rows of the table of figures in Markdown, one as soon as it is measured."""
    yield "| figure | seconds | reference passes | a second | to reach |"
    yield "|---|---|---|---|---|"
    for figure in figures:
        found = measure(figure)
        rate = f"{found.rate / 1e6:.2f} M" if found.rate else ""
        goal = f"{figure.passes:g} passes" if figure.passes else f"{figure.seconds:g} s" if figure.seconds else ""
        goal = f"{figure.rate / 1e6:g} M a second" if figure.rate else goal
        yield f"| {figure.name} | {found.seconds:.4g} | {found.passes:.3g} | {rate} | {goal} |"


if __name__ == "__main__":
    wanted = [figure for figure in FIGURES if not sys.argv[1:] or any(word in figure.name for word in sys.argv[1:])]
    for row in table(wanted):
        print(row, flush=True)  # noqa: T201
    print(  # noqa: T201
        f"\nOne reference pass: {reference(101) * 1e3:.3f} ms; Python {sys.version.split()[0]}, numpy {np.__version__}"
    )
