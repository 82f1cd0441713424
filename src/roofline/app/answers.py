"""Estimates for the explorer: the answer of each system, cached while the server runs."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from threading import Lock
from typing import Any, Final

from attrs import field, frozen

from roofline import catalog
from roofline.app.question import ONE, Question, Side
from roofline.catalog.folders import looks_like_path
from roofline.planner.evaluation import Progress
from roofline.planner.service_search import Search
from roofline.plots._frontier import Curve
from roofline.studies.compare import Comparison, Service, compare

_MOST: Final = 64
"""Answers that are remembered."""


@frozen(eq=False)
class Found:
    """The answer of one system.

    Attributes:
        side: the system.
        service: its best service within the limits, or that with the requests in flight that were asked for; where nothing keeps the
            limits, the service that was looked at.
        given: whether it fits, and meets the limits where it was to be found within them.
        met: whether it meets the limits.
        tpot: the limit on the time per output token.
        alike: the best service with weights as the checkpoint has them, where ``service`` has them in another format.
        widened: whether ``alike`` is a question here.
        curves: the frontier of one pool of chips, and of disaggregated prefill and decode.
        words: what was chosen for it, in sentences.
        cost: what a chip of it costs, and who says so, in a sentence.
    """

    side: Side
    service: Service
    given: bool
    met: bool
    tpot: float
    alike: Service | None
    widened: bool
    curves: tuple[Curve, ...]
    words: tuple[str, ...]
    cost: str


def aggregates_of(question: Question) -> Comparison:
    """Return the aggregates of the systems (no estimate is needed)."""
    return Comparison(tuple(side.system for side in question.sides))


def answer_of(question: Question, side: Side, progress: Progress | None = None) -> Found:
    """Return the answer of a system.

    Raises:
        RooflineError: the question has no meaning for this system.
    """
    words = dict(question.words)
    model = catalog.model(question.model)
    if question.deployment == ONE and "engine" not in words:
        words["engine"] = f"{catalog.served_by(side.system)}+tuned"
        if model.mtp:
            words.setdefault("draft_tokens", 1.0)
    curves: list[Curve] = []

    def searched(search: Search) -> None:
        if search.frontier is not None and words.get("output", 2) > 1:
            curves.append(search.curve(side.system.name))
        apart = None if search.disaggregated is None else search.disaggregated.curve()
        curves.extend([] if apart is None else [apart])

    made = compare(
        side.system, model=question.model, tpot=question.tpot, ttft=question.ttft, chips=side.chips, progress=progress,
        price=side.price, searched=searched, **words,
    )  # fmt: skip
    (service,), (under,) = made.estimates, made.under
    ((most, best),) = under.items()
    given = bool(service.fits) and (made.asked or best is not None)
    times = (service.tpot, most), (service.ttft, made.patience)
    within = given and all(time is not None and bool(time <= limit) for time, limit in times)
    alike = made.alike[0] if made.alike else None
    return Found(side, service, given, within, most, alike, bool(made.alike), tuple(curves), made.words, made.costs[0])


@frozen(eq=False)
class Remembered:
    """Answers cached by question, so that changing one of four systems estimates only that one.

    A file may change, so that what stands in files of the reader's own is asked each time. One question is answered at a time.
    """

    _answers: OrderedDict[Any, Found] = field(factory=OrderedDict, init=False)
    _busy: Lock = field(factory=Lock, init=False)

    def found(self, question: Question, side: Side, ask: Callable[[], Found]) -> Found:
        """Return the answer that is remembered, or the one that ``ask`` gives."""
        key = _key(question, side)
        with self._busy:
            if key is not None and key in self._answers:
                self._answers.move_to_end(key)
                return self._answers[key]
            answer = ask()
            if key is not None:
                self._answers[key] = answer
                while len(self._answers) > _MOST:
                    self._answers.popitem(last=False)
            return answer


def _key(question: Question, side: Side) -> Any:
    """Return what an answer depends on; None where that is also a file of the reader's own."""
    names = (question.model, side.name, str(question.words.get("engine", "")))
    if any(map(looks_like_path, names)):
        return None
    words = tuple(sorted(question.words.items()))
    return question.model, side.name, side.chips, side.price, question.tpot, question.ttft, question.deployment, words
