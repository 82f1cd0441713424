"""``report``: one self-contained HTML page of an answer."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any, Unpack, cast

import attrs
import numpy as np
from attrs import frozen

from roofline import catalog
from roofline.core.errors import QuestionError, fault
from roofline.core.fields import without_none
from roofline.core.signatures import typed, typed_methods
from roofline.planner.candidates import PATIENCE
from roofline.planner.estimate import estimate
from roofline.planner.search import search, search_training
from roofline.planner.service_search import Search
from roofline.planner.train import train as train_
from roofline.planner.training_search import TrainingSearch
from roofline.planner.words import ModelLike, ReportWords, SystemLike, keywords
from roofline.reports import page
from roofline.results.estimate import Estimate
from roofline.results.pools import Pools
from roofline.results.training import Training
from roofline.workload.layout import Layout
from roofline.workload.questions import Question, Serve, TrainStep

ENDINGS = (".html", ".htm")


@typed_methods
@frozen(eq=False, repr=False)
class Report:
    """A page about one answer.

    Attributes:
        title: what the page is about.
        html: the whole page, which asks no address for anything.
        answer: what it tells.
    """

    title: str
    html: str
    answer: Estimate | Training

    def __repr__(self) -> str:
        return f"<Report: {self.title}, {len(self.html.encode()):,} bytes>"

    def write(self, file: str | Path) -> Path:
        """Write the page whole or not at all, and return where.

        Raises:
            QuestionError: not a name that ends in .html, or a place that cannot be written.
        """
        path = named(file)
        catalog.write(path, self.html.encode())
        return path


def named(file: str | Path) -> Path:
    """Return the path of a page.

    Raises:
        QuestionError: its name does not end in .html.
    """
    path = catalog.located("file", file)
    if path.suffix.lower() not in ENDINGS:
        raise QuestionError(fault("file", str(path), "a report is one HTML page", "end the file name in .html"))
    return path


@keywords(ReportWords)
@typed
def report(
    what: Estimate | Training | Pools | Question | TrainStep | ModelLike,
    system: SystemLike | None = None,
    layout: Layout | None = None,
    *,
    train: bool = False,
    frontier: bool = True,
    ttft: float | str | None = PATIENCE,
    tpot: float | str | None = None,
    made: date | None = None,
    **words: Unpack[ReportWords],
) -> Report:
    """Make a page of an answer: one self-contained HTML file of a few hundred kB, interactive in a browser, plain on paper.

    It begins with the answer in a sentence, the date, and the command that makes it again. Jinja2, an extra
    (``pip install 'roofline[report]'``), makes the page; it requests no address, and its own policy has the browser refuse any, and
    any script but its own.

    Args:
        what: an :class:`Estimate` or a :class:`Training` for one point; or what :func:`roofline.estimate` or, with
            ``global_batch`` or ``train=True``, :func:`roofline.train` takes.
        system, layout: as those take them; left out with an answer.
        train: a training step is asked for.
        frontier: also search for what else could be had, of a service or a step: a second or a few.
        ttft, tpot: limits of that search, as :func:`roofline.search` takes them.
        made: the date that the page states; by default today.

    Returns:
        The page: its title and its HTML.

    Raises:
        QuestionError: the question has no meaning or many points, or the extra is missing.

    >>> made = report("llama-3.1-8b", "dgx-h100", concurrency=64, frontier=False)
    >>> made.title, made.html.startswith("<!doctype html>")
    ('llama-3.1-8b on DGX H100', True)
    """
    page.template()  # before anything is priced
    answer = _answered(what, system, layout, train=train, words={**words})
    answer.one()
    found: Any = _searched(answer, ttft, tpot) if frontier else None
    chosen = what is not answer and layout is None and answer.candidates is not None
    if isinstance(answer, Training) and chosen and found is not None and found.best is not None:
        # Where no layout was given, the page is about the fastest that its own frontier has.
        best = found.best
        if not answer.fits or float(best.step_time) < float(answer.step_time):
            answer = best.noted((f"the fastest of the {found.tried:,} layouts that were searched",))
    title = page.title(answer)
    return Report(title, page.page(answer, found, made or date.today()), answer)


def _answered(
    what: Any, system: Any, layout: Layout | None, *, train: bool, words: dict[str, Any]
) -> Estimate | Training:
    """Return the answer that is given, or that to the question."""
    if isinstance(what, (Estimate, Training)):
        beside = [*without_none(system=system, layout=layout), *words]
        if beside:
            rule = f"was given together with an {type(what).__name__}, which already states every option"
            raise QuestionError(fault(beside[0], {**words, "system": system}.get(beside[0]), rule, "leave it out"))
        return what
    if isinstance(what, Pools):
        raise QuestionError("report: is of one pool; give one of the two answers, split.prefill or split.decode")
    if system is None:
        raise QuestionError("system: is missing; give a name (roofline list systems), or the path of a TOML file")
    if train or isinstance(what, TrainStep) or words.get("global_batch") is not None:
        return train_(what, system, layout, **words)
    return cast("Estimate", estimate(what, system, layout, **words))


def _searched(answer: Estimate | Training, ttft: Any, tpot: Any) -> Search | TrainingSearch | None:
    """Return the search for what else could be had with as many chips; None where there is no frontier."""
    q, chips = answer.question, int(answer.chips)
    if isinstance(q, TrainStep):
        fields = ("micro_batch", "recompute", "share", "model")
        words = {field.name: getattr(q, field.name) for field in attrs.fields(TrainStep) if field.name not in fields}
        return search_training(q.model, answer.system, chips=chips, level=answer.calibration, **words)
    if not isinstance(q, Serve) or not np.all(q.output > 1):
        return None
    fields = ("model", "concurrency", "rate", "chunk")
    words = {field.name: getattr(q, field.name) for field in attrs.fields(Serve) if field.name not in fields}
    return search(q.model, answer.system, chips=chips, ttft=ttft, tpot=tpot, level=answer.calibration, **words)
