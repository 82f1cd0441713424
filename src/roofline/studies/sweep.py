"""``sweep``: a design space estimated in cache-sized blocks, here or by workers, and reduced on the way."""

from __future__ import annotations

import functools
import pickle
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, wait
from contextlib import nullcontext
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import Any, Final, Unpack, cast

import numpy as np

from roofline import catalog
from roofline.catalog.journal import Journal
from roofline.core.arrays import blocks, sizes, take
from roofline.core.errors import QuestionError, RooflineError, fault
from roofline.core.signatures import typed
from roofline.planner.estimate import renamed
from roofline.planner.evaluation import Progress
from roofline.planner.frontier import Part, Wanted, merged, seen
from roofline.planner.metrics import bounded, metric
from roofline.planner.words import (
    LabelWords,
    ModelLike,
    RankWords,
    RunWords,
    SweepWords,
    SystemLike,
    keywords,
    part,
    rest,
)
from roofline.studies.checkpoint import FORM, restored, stored
from roofline.studies.pricing import priced
from roofline.studies.space import Family, Space, digest, space
from roofline.studies.sweep_result import Sweep
from roofline.workload.layout import PoolLayouts

Block = tuple[slice, ...]

BLOCK: Final = 98304
"""Configurations priced at once. In a grid few arrays vary along all axes, so that blocks may be larger than those of a plain list."""
QUEUED: Final = 8192
"""The same of disaggregated pools, each of which takes a few hundred times as long: their queue is solved in turn with their step."""
TASK: Final = 16
"""Blocks that one worker prices in one go at most: about a million and a half decode steps, a quarter of a second."""
TASKS: Final = 1024
"""Tasks that a sweep is cut into before any has more than one block, whoever works on them: enough for some hundred workers."""
WAITING: Final = 512
"""Tasks that are handed to an executor before the first of them is back."""
OFTEN: Final = 10.0
"""Seconds after which what a checkpoint has is brought to the disk."""
MOST: Final = 10_000
"""Configurations that are kept at most; a sweep is for finding some among many."""


@keywords(SweepWords)
@typed
def sweep(
    models: ModelLike | Sequence[ModelLike],
    systems: SystemLike | Sequence[SystemLike],
    *,
    phase: str | Sequence[str] = "decode",
    **words: Unpack[SweepWords],
) -> Sweep:
    """Estimate every combination of models, systems, layouts, loads and hardware; return the best or a frontier.

    Nothing but what is kept is ever in memory. An interrupt (Ctrl-C) ends the sweep with what there is; with a ``checkpoint`` the
    same call goes on where it was.

    Args:
        models, systems: one, or a list: names, paths or objects.
        phase: ``decode``, ``prefill``, ``serve``, ``pools`` (a service by disaggregated prefill and decode) or ``train``, or several.
        chips: to use, or a list; by default all of each system. Every layout worth trying on them is tried, holding to the degrees
            that are given; or those of a ``layout`` of arrays. Of pools they are the chips that decode, and ``prefill_chips`` those of
            the prefill pool: every layout of one with every layout of the other.
        executor: what computes blocks, any of ``concurrent.futures`` or like it, or a client of Dask; by default this process.
        checkpoint: a file to which every finished task is added, from which the same sweep continues.

    Returns:
        The configurations that are retained, the best first or along a frontier, and how many were rejected for which reason.

    Raises:
        QuestionError: the question has no meaning. That no configuration meets the limits is an answer.
        DescriptorError: the checkpoint is of another sweep, or damaged.
        RooflineError: a worker was killed.

    >>> found = sweep("llama-3.1-70b", "dgx-h100", batch=[8, 64, 512], context=4096, limits={"tpot": "30ms"})
    >>> found.points, found.accepted, found.best.layout.short(), float(found.best.question.batch)
    (30, 8, 'tp=8', 64.0)
    """
    phases = [phase] if isinstance(phase, str) else list(phase)
    usual = "prompt_tokens_per_second_per_chip" if phases[:1] == ["prefill"] else "tokens_per_second_per_chip"
    wanted = _wanted(usual, **part(words, RankWords))
    whole = space(models, systems, phases, renamed(rest(words, RankWords, LabelWords, RunWords)))
    per = words.get("per", ())
    groups = (per,) if isinstance(per, str) else tuple(per)
    for label in groups:
        if any(label not in family.labels for family in whole.families):
            raise QuestionError(
                fault("per", label, "is no label of every configuration", ", ".join(whole.families[0].labels))
            )
    parts, complete = _run(whole, wanted, **part(words, RunWords))
    return Sweep(whole, wanted, parts, groups, complete)


def _wanted(
    usual: str,
    by: str | None = None,
    top: int = 1,
    frontier: Sequence[str] | None = None,
    limits: Mapping[str, float | str] | None = None,
) -> Wanted:
    names = (usual if by is None else by,) if frontier is None else tuple(frontier)
    for name in names:
        metric(name)
    if frontier is not None and (not 2 <= len(names) <= 3 or len(set(names)) < len(names)):
        raise QuestionError(fault("frontier", names, "is of two or three metrics"))
    if isinstance(top, bool) or not isinstance(top, int) or not 1 <= top <= MOST:
        raise QuestionError(
            fault("top", top, f"must be a whole number from 1 to {MOST:,}", "estimate with arrays returns all")
        )
    bounds = tuple((name, bounded(name, value)) for name, value in (limits or {}).items())
    return Wanted(names, None if frontier is not None else top, bounds)


# How it goes ---------------------------------------------------------------------------------------------------------


def reduced(asked: tuple[Any, ...], shape: tuple[int, ...], wheres: Sequence[Block], wanted: Wanted) -> Part:
    """Return what is kept of some blocks of a family: what a worker does."""
    out = Part(values=np.empty((len(wanted.metrics), 0)))
    # Constants, as a rule, are the same for all points: there is nothing in them to cut.
    cut = [bool(sizes(noun)) for noun in asked]
    for where in wheres:
        here = (take(noun, where) if varies else noun for noun, varies in zip(asked, cut, strict=True))
        out = seen(wanted, priced(*here), out, shape, where)
    return out


@functools.lru_cache(maxsize=4)
def _unpacked(packed: bytes) -> tuple[Any, ...]:
    """Return what was asked of a family: the same objects for all of its tasks, so that what was computed of them is found again."""
    return pickle.loads(packed)  # type: ignore[no-any-return]  # noqa: S301 - packed by the process that hands out tasks


def reduced_elsewhere(packed: bytes, shape: tuple[int, ...], wheres: Sequence[Block], wanted: Wanted) -> Part:
    """Return what :func:`reduced` does, of what another process packed."""
    return reduced(_unpacked(packed), shape, wheres, wanted)


def _limit(family: Family) -> int:
    """Return the most configurations of a block of a family."""
    return min(QUEUED, BLOCK) if isinstance(family.asked[2], PoolLayouts) else BLOCK


def _tasks(families: Sequence[Family]) -> Iterator[tuple[int, list[Block]]]:
    """Yield every task: the family and the blocks. How they are cut depends on the configurations alone, not on who works on them."""
    size = min(max(sum(family.points // _limit(family) for family in families) // TASKS, 1), TASK)
    for i, family in enumerate(families):
        every = blocks(family.shape, _limit(family)) if family.points else iter(())
        while some := list(islice(every, size)):
            yield i, some


def _counted(families: Sequence[Family]) -> Iterator[tuple[int, int]]:
    """Yield family and points of every task."""
    for family, wheres in _tasks(families):
        yield family, sum(int(np.prod([each.stop - each.start for each in where])) for where in wheres)


def _run(
    whole: Space,
    wanted: Wanted,
    executor: Executor | None = None,
    checkpoint: str | Path | None = None,
    progress: Progress | None = None,
) -> tuple[tuple[Part, ...], bool]:
    """Return what is left of each family, and whether every task was done."""
    file = None if checkpoint is None else catalog.located("checkpoint", checkpoint)
    nothing = np.empty((len(wanted.metrics), 0))
    parts = [
        Part(sum(one.plans for one in each.refused.values()), 0, each.refused, values=nothing)
        for each in whole.families
    ]
    done, total, complete = set[int](), whole.points, False
    with nullcontext() if file is None else Journal(file, _head(whole, wanted)) as log:
        if file is not None and log is not None:
            for task, family, part in restored(log.read(), _counted(whole.families), whole.families, wanted, file):
                parts[family] = merged(wanted, (parts[family], part))
                done.add(task)
        saved = time.monotonic()
        steps = _here(whole, wanted, done) if executor is None else _away(whole, wanted, done, submitting(executor))
        try:
            for task, family, part in steps:
                parts[family] = merged(wanted, (parts[family], part))
                done.add(task)
                if log is not None:
                    log.append(stored(task, family, part))
                    if time.monotonic() - saved > OFTEN:
                        log.sync()
                        saved = time.monotonic()
                if progress is not None:
                    progress(sum(each.points for each in parts), total)
            complete = True
        except KeyboardInterrupt:
            pass
        finally:
            steps.close()
    return tuple(parts), complete


def _head(whole: Space, wanted: Wanted) -> dict[str, Any]:
    """Return the first line of a checkpoint, which tells of what sweep it is: every number that is asked goes into its digest."""
    mark = digest(TASK, TASKS, BLOCK, QUEUED, wanted, [(each.asked, each.shape) for each in whole.families])
    return {"form": FORM, "version": version("roofline"), "sweep": mark}


def _left(whole: Space, done: AbstractSet[int]) -> Iterator[tuple[int, int, list[Block]]]:
    for task, (family, wheres) in enumerate(_tasks(whole.families)):
        if task not in done:
            yield task, family, wheres


def _here(whole: Space, wanted: Wanted, done: AbstractSet[int]) -> Any:
    """Yield the tasks as this process does them."""
    plain = functools.lru_cache(maxsize=1)(lambda i: whole.families[i].plain())
    for task, family, wheres in _left(whole, done):
        yield task, family, reduced(plain(family), whole.families[family].shape, wheres, wanted)


def submitting(executor: Any) -> Executor:
    """Return what has the methods of an executor of :mod:`concurrent.futures`; a client of Dask gives one.

    Raises:
        QuestionError: it has not.

    >>> submitting(4)
    Traceback (most recent call last):
        ...
    roofline.core.errors.QuestionError: executor=4: must be an executor; give concurrent.futures.ProcessPoolExecutor(4) or the like
    """
    made = executor if isinstance(executor, Executor) else getattr(executor, "get_executor", lambda: executor)()
    if isinstance(made, type) or not callable(getattr(made, "submit", None)):
        remedy = "give concurrent.futures.ProcessPoolExecutor(4) or the like"
        raise QuestionError(fault("executor", executor, "must be an executor", remedy))
    return cast("Executor", made)


def _submitted(executor: Executor, *work: Any) -> Future[Part]:
    try:
        future = executor.submit(reduced_elsewhere, *work)
    except BrokenExecutor:
        raise
    except RuntimeError as error:
        raise QuestionError(fault("executor", executor, f"takes no work: {error}", "give one that is open")) from None
    if not isinstance(future, Future):
        rule = f"submits {type(future).__name__}, no future of concurrent.futures"
        raise QuestionError(
            fault("executor", executor, rule, "give concurrent.futures.ProcessPoolExecutor(4) or the like")
        )
    return future


def _away(whole: Space, wanted: Wanted, done: AbstractSet[int], executor: Executor) -> Any:
    """Yield the tasks as workers do them, in whatever order they end; never more than some are under way."""
    packed = functools.lru_cache(maxsize=1)(lambda i: pickle.dumps(whole.families[i].plain()))
    left, under = _left(whole, done), dict[Future[Part], tuple[int, int]]()
    try:
        while True:
            for task, family, wheres in islice(left, WAITING - len(under)):
                future = _submitted(executor, packed(family), whole.families[family].shape, wheres, wanted)
                under[future] = task, family
            if not under:
                return
            ended: Iterable[Future[Part]] = wait(under, return_when=FIRST_COMPLETED).done
            for future in ended:
                task, family = under.pop(future)
                yield task, family, future.result()
    except BrokenExecutor:
        rule = "executor: a worker ended without a result: it was killed, or ran out of memory"
        remedy = "use fewer workers; with a checkpoint the same sweep goes on where it was"
        raise RooflineError(f"{rule}; {remedy}") from None
    finally:
        for future in under:
            future.cancel()
