"""The explorer's page as HTML, in pieces: what is known is sent at once, and progress is shown while an estimate runs."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from functools import partial
from importlib.metadata import version
from queue import Queue
from threading import Event, Thread
from typing import Any, Final, TypeVar

from roofline import catalog
from roofline.app import view
from roofline.app.answers import Found, Remembered, aggregates_of, answer_of
from roofline.app.question import FIELDS, MODEL, MORE, MOST, ROW, Question, Side, Typed, parse
from roofline.core.errors import QuestionError, RooflineError, fault
from roofline.models.dtypes import DTYPES
from roofline.planner.evaluation import Progress
from roofline.reports.blocks import Chapter, Drawing
from roofline.reports.page import template
from roofline.reports.report import report

T = TypeVar("T")

EXAMPLES: Final = (
    ("DeepSeek-V3 on CloudMatrix 384 and on GB200 NVL72, within 50 ms a token", "/?model=deepseek-v3&system=cloudmatrix384&system=gb200-nvl72&tpot=50ms"),
    ("Llama 3.1 70B on eight H100 and on eight B200", "/?model=llama-3.1-70b&system=dgx-h100&system=dgx-b200&tpot=30ms"),
    ("Llama 3.1 8B on one H100, 64 requests in flight", "/?model=llama-3.1-8b&system=dgx-h100&chips=1&concurrency=64"),
)  # fmt: skip
"""Questions that a reader may begin with."""

_log = logging.getLogger(__name__)


class _ReaderLeft(Exception):  # noqa: N818
    """The reader has left the page."""


def pages(text: Typed, known: Remembered) -> Iterator[str]:
    """Yield the page for the typed fields, in pieces."""
    parts = template("app.html.j2").module
    yield _head(parts, text)
    try:
        yield from _body(parts, text, known)
    except RooflineError as error:
        yield parts.refused(str(error))
    except MemoryError:
        yield parts.refused("memory: there is not enough of it for this question; ask for fewer chips")
    except Exception:
        _log.exception("a question could not be answered")
        yield parts.refused(
            "roofline: this question could not be answered, which is a fault of roofline; please report it with the address"
        )
    yield parts.tail(version("roofline"))


def refusal(text: Typed) -> str:
    """Return why the typed fields are not a valid question, before anything is estimated; "" if they are."""
    try:
        if not text.empty:
            parse(text)
    except RooflineError as error:
        return str(error)
    return ""


def reported(text: Typed, number: int, known: Remembered) -> tuple[str, int]:
    """Return the report of one pool of an answer as HTML, and the status of the response."""
    try:
        question = parse(text)
        answers = [known.found(question, side, partial(answer_of, question, side)) for side in question.sides]
        est = view.pool_of(answers, number)
        if est is None:
            raise QuestionError(fault(view.REPORT, number, "is no pool of these services"))
        return report(est, frontier=False).html, 200
    except RooflineError as error:
        parts = template("app.html.j2").module
        return "".join([_head(parts, text), parts.refused(str(error)), parts.tail(version("roofline"))]), 400


def _head(parts: Any, text: Typed) -> str:
    rows = [*text.rows, *[("", "", "")] * (MOST - len(text.rows))][: max(2, len(text.rows) + 1)][:MOST]
    names = ", ".join(row[0] for row in text.rows if row[0])
    title = f"{text.words[MODEL.name]} on {names}" if MODEL.name in text.words and names else "roofline"
    lists = {
        "model": catalog.names("model"),
        "system": _systems(),
        "engine": catalog.names("engine"),
        "dtype": _dtypes(),
    }
    made: str = parts.head(title, version("roofline"), text, rows, MODEL, ROW, FIELDS, MORE, lists)
    return made


def _systems() -> list[str]:
    return sorted({*catalog.names("system"), *catalog.names("chip")})


def _dtypes() -> list[str]:
    return ["checkpoint", *DTYPES]


def _body(parts: Any, text: Typed, known: Remembered) -> Iterator[str]:
    if text.empty:
        yield parts.welcome(EXAMPLES)
        return
    question = parse(text)
    sums = aggregates_of(question)
    yield parts.waiting(view.machines_table(sums, "What the machines add up to, while their services are looked for"))
    answers: list[Found] = []
    try:
        for side in question.sides:
            yield parts.step(side.name, 0, 0)
            answer = None
            for reached in with_progress(partial(_answer, known, question, side)):
                if isinstance(reached, Found):
                    answer = reached
                else:
                    yield parts.step(side.name, *reached)
            if answer is not None:
                answers.append(answer)
    finally:
        yield parts.arrived()
    shown = view.chapters(question, answers, sums)
    links = [(f"#{each.key}", each.name) for each in shown]
    yield parts.verdict(view.verdict(answers), links, view.reports(text, answers))
    for each in shown:
        yield parts.chapter(each, _figures(each))


def _answer(known: Remembered, question: Question, side: Side, tell: Progress) -> Found:
    return known.found(question, side, lambda: answer_of(question, side, tell))


def with_progress(work: Callable[[Progress], T]) -> Iterator[T | tuple[int, int]]:
    """Yield the progress of some work (done, total) and last its result; it is cancelled when the reader has left.

    Raises:
        BaseException: what the work raises.
    """
    messages: Queue[tuple[str, Any]] = Queue()
    left = Event()

    def tell(done: int, total: int) -> None:
        if left.is_set():
            raise _ReaderLeft
        messages.put(("step", (done, total)))

    def run() -> None:
        try:
            messages.put(("result", work(tell)))
        except _ReaderLeft:
            pass
        except BaseException as error:
            messages.put(("error", error))

    Thread(target=run, daemon=True).start()
    try:
        while True:
            kind, value = messages.get()
            if kind == "error":
                raise value
            yield value
            if kind == "result":
                return
    finally:
        left.set()


def _figures(chapter: Chapter) -> str:
    """Return what the browser draws of a chapter."""
    drawn = {each.key: each.data for each in chapter.blocks if isinstance(each, Drawing)}
    # "<" would end a script in the middle of a string.
    return json.dumps(drawn, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c") if drawn else ""
