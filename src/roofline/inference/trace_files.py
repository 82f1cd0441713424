"""Reads traces line by line, in the formats of published traces and load generators.

| form | fields |
|---|---|
| own CSV or JSONL | ``arrival_s, input_len, output_len``, and where wanted ``session, hash_ids, priority, delay_s`` |
| Mooncake JSONL (also of Dynamo and AIPerf) | ``timestamp`` in ms, ``input_length, output_length, hash_ids``, ``session_id``, ``delay`` in ms |
| Azure LLM inference CSV | ``TIMESTAMP`` (date and time), ``ContextTokens, GeneratedTokens`` |
| BurstGPT CSV | ``Timestamp`` in s, ``Request tokens, Response tokens`` |
| vLLM ``bench`` custom JSONL, AIPerf JSONL | ``prompt`` or ``text``, ``output_tokens``: a token is taken for four characters |
| vLLM ``bench`` result JSON (``--save-detailed``) | ``input_lens, output_lens`` |

Sources: https://github.com/kvcache-ai/Mooncake/tree/main/FAST25-release, https://github.com/Azure/AzurePublicDataset,
https://github.com/HPMLL/BurstGPT, https://docs.vllm.ai/en/latest/benchmarking/, https://github.com/ai-dynamo/aiperf.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any, Final

from attrs import frozen

from roofline import catalog
from roofline.core.errors import DescriptorError, fault, shown
from roofline.core.fields import refuse
from roofline.core.text import csv_text, parse_cell
from roofline.core.units import MILLI, MILLION
from roofline.inference.requests import HASH_BLOCK, Request

_MOST_TOKENS: Final = 100_000_000
_PROBED: Final = 64
_MOST_HASHES: Final = int(MILLION)
_LETTERS: Final = 4
"""Characters that are taken for one token."""
_NAMES: Final = {
    "time": ("arrival_s", "arrival", "arrival_time", "timestamp", "timestamp_s", "arrived_at"),
    "input": (
        "input_len", "input_length", "input", "isl", "contexttokens", "request tokens", "prompt_len", "prompt_tokens", "input_tokens",
        "num_prefill_tokens",
    ),
    "output": (
        "output_len", "output_length", "output", "osl", "generatedtokens", "response tokens", "output_tokens", "completion_tokens",
        "max_tokens", "num_decode_tokens",
    ),
    "session": ("session", "session_id", "conversation_id"),
    "hashes": ("hash_ids", "block_hashes"),
    "priority": ("priority", "class"),
    "delay": ("delay_s", "delay"),
    "text": ("prompt", "text", "text_input"),
}  # fmt: skip
"""Names of fields that files have, in lower case."""


@frozen(eq=False)
class Opened:
    """A file of requests.

    Attributes:
        name: name of the file.
        requests: goes through its requests afresh each time.
        timed: whether requests have times.
        notes: what was assumed to read it.
    """

    name: str
    requests: Callable[[], Iterator[Request]]
    timed: bool
    notes: tuple[str, ...] = ()


def opened(path: str | Path, *, hash_block: int = HASH_BLOCK) -> Opened:
    """Return the requests of a file, whose form is recognised by its fields; those without tokens (failed ones) are left out.

    Raises:
        DescriptorError: the file cannot be read, or its first request has no meaning; later lines are checked when they come.
    """
    refuse("hash_block", hash_block, 1, _MOST_TOKENS, whole=True)
    place = catalog.located("trace", path)
    first = next((line for line in catalog.lines_of(place) if line.strip()), "")
    if not first:
        raise DescriptorError(f"{shown(str(path))}: is empty; a trace has one request a line")
    rows, milli = _form(place, first)
    probe = next(iter(rows()), None)
    if probe is None:
        raise DescriptorError(f"{place}: holds no request")
    line, fields = probe
    # Later turns of a session have fields that the first one has not.
    known = _fields({name: None for _, row in islice(rows(), _PROBED) for name in row} if milli else fields)
    for ours, what, instead in (("input", "prompt", "text"), ("output", "output", "")):
        if ours not in known and instead not in known:
            such = ", ".join(_NAMES[ours][:3])
            raise DescriptorError(f"{place}: line {line}: names no {what} tokens; a line has {such} or the like")
    notes = () if "input" in known else (f"prompts are text: {_LETTERS} characters are taken for a token",)
    reader = _Reader(place, rows, known, milli=milli)
    next(iter(reader.requests()), None)
    return Opened(place.name, reader.requests, "time" in known, notes)


Rows = Callable[[], Iterator[tuple[int, Mapping[str, Any]]]]


def _form(path: Path, first: str) -> tuple[Rows, bool]:
    """Return what yields the rows of a file and their line numbers, and whether bare timestamps are milliseconds."""
    start = first.lstrip()[0]
    if start == "{" and path.suffix.lower() != ".jsonl" and _is_result(first):
        return (lambda: _columns(path)), False
    if start == "{":
        return (lambda: _json_lines(path)), True
    if start == "[":
        raise DescriptorError(f"{path}: line 1: is a list; write one JSON object a line (JSONL)")
    return (lambda: _csv_rows(path)), False


def _is_result(first: str) -> bool:
    """Return whether a file is one JSON object over several lines, or one line that holds lists of lengths."""
    if '"input_lens"' in first:
        return True
    try:
        json.loads(first)
    except (ValueError, RecursionError):
        return True
    return False


def _json_lines(path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    for number, line in enumerate(catalog.lines_of(path), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            reason = str(error).splitlines()[0][:100]
            raise DescriptorError(f"{path}: line {number}: is not valid JSON: {reason}") from None
        if not isinstance(row, dict):
            raise DescriptorError(f"{path}: line {number}: must hold one JSON object, not {type(row).__name__}")
        yield number, row


def _csv_rows(path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    reader = csv.reader(catalog.lines_of(path), strict=True)
    try:
        names = [name.strip() for name in next(reader, [])]
        if len(set(names)) < len(names) or not all(names):
            raise DescriptorError(fault(f"{path}: line 1", ",".join(names), "must name every column once"))
        for row in reader:
            if row and len(row) != len(names):
                raise DescriptorError(f"{path}: line {reader.line_num}: has {len(row)} cells, not {len(names)}")
            if row:
                yield reader.line_num, dict(zip(names, map(parse_cell, row), strict=True))
    except csv.Error as error:
        raise DescriptorError(f"{path}: line {reader.line_num}: is not valid CSV: {error}") from None


def _columns(path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Yield the requests of a result file that holds lists of lengths."""
    data = catalog.read_json(path)
    inputs, outputs = data.get("input_lens"), data.get("output_lens")
    if not isinstance(inputs, list) or not isinstance(outputs, list) or len(inputs) != len(outputs):
        rule = "holds no lists input_lens and output_lens of one length; save the benchmark with --save-detailed, or write JSONL"
        raise DescriptorError(f"{path}: {rule}")
    for i, (one, other) in enumerate(zip(inputs, outputs, strict=True), 1):
        yield i, {"input_len": one, "output_len": other}


def _fields(row: Mapping[str, Any]) -> dict[str, str]:
    """Return the names that a file has for our fields."""
    lower = {str(name).strip().lower(): str(name) for name in row}
    found = {ours: next((lower[name] for name in names if name in lower), None) for ours, names in _NAMES.items()}
    return {ours: name for ours, name in found.items() if name is not None}


class _Reader:
    """Reads the requests of a file; made once, gone through as often as wanted."""

    def __init__(self, path: Path, rows: Rows, names: dict[str, str], *, milli: bool) -> None:
        self.path, self.rows, self.names = path, rows, names
        time, delay = names.get("time", ""), names.get("delay", "")
        self.time_scale = MILLI if milli and time.lower() == "timestamp" else 1.0
        self.delay_scale = MILLI if milli and delay.lower() == "delay" else 1.0

    def requests(self) -> Iterator[Request]:
        """Yield the requests in their order, later turns of a session behind the first one."""
        names, origin, last, waiting, tail = self.names, None, 0.0, None, None
        for line, row in self.rows():
            request, time = self._request(line, row)
            if request is None:
                continue
            if (
                time is None
                and "time" in names
                and tail is not None
                and request.session
                and request.session == tail.session
            ):
                # A turn without a time of its own follows the answer before it.
                tail.then = (self._delay(line, row), request)
                tail = request
                continue
            if time is not None:
                origin = time if origin is None else origin
                now = time - origin
                if now < last:
                    raise self._fault(
                        line, names["time"], row[names["time"]], "goes back in time", "sort the lines by time"
                    )
                last = now
            elif "time" in names:
                raise self._fault(line, names["time"], row.get(names["time"]), "is missing", "give the time of arrival")
            request.arrival = last
            if waiting is not None:
                yield waiting
            waiting = tail = request
        if waiting is not None:
            yield waiting

    def _request(self, line: int, row: Mapping[str, Any]) -> tuple[Request | None, float | None]:
        names = self.names
        if "input" in names:
            asked = self._whole(line, names["input"], row.get(names["input"]))
        else:
            text = row.get(names["text"])
            if not isinstance(text, str):
                raise self._fault(line, names["text"], text, "must be text")
            asked = -(-len(text) // _LETTERS)
        answered = self._whole(line, names["output"], row.get(names["output"]))
        time = self._time(line, row.get(names["time"])) if "time" in names else None
        if asked < 1 or answered < 1:
            return None, None
        hashes = self._hashes(line, row.get(names["hashes"])) if "hashes" in names else ()
        priority = (
            self._whole(line, names["priority"], row.get(names["priority"]) or 0, -32768) if "priority" in names else 0
        )
        session = str(row.get(names["session"]) or "")[:200] if "session" in names else ""
        return Request(0.0, asked, answered, hashes, priority=priority, session=session), time

    def _delay(self, line: int, row: Mapping[str, Any]) -> float:
        name = self.names.get("delay")
        value = row.get(name) if name else None
        return 0.0 if value in (None, "") else self._number(line, name or "", value) * self.delay_scale

    def _number(self, line: int, name: str, value: Any) -> float:
        try:
            out = float(value) if not isinstance(value, bool) else float("nan")
        except (TypeError, ValueError, OverflowError):
            out = float("nan")
        if not 0 <= out < 9e14:  # also what is no number
            raise self._fault(line, name, value, "must be a finite number of at least 0")
        return out

    def _whole(self, line: int, name: str, value: Any, low: int = 0) -> int:
        try:
            out = int(value) if isinstance(value, (int, str)) and not isinstance(value, bool) else int(float(value))
            right = low <= out <= _MOST_TOKENS and float(value) == out
        except (TypeError, ValueError, OverflowError):
            right = False
        if not right:
            raise self._fault(line, name, value, f"must be a whole number of {low:,} to {_MOST_TOKENS:,}")
        return out

    def _time(self, line: int, value: Any) -> float | None:
        if value in (None, ""):
            return None
        name = self.names["time"]
        if isinstance(value, str) and not _plain_number(value):
            return self._clock(line, name, value)
        return self._number(line, name, value) * self.time_scale

    def _clock(self, line: int, name: str, value: str) -> float:
        """Return the seconds of a date and time, whose fraction may have more digits than six."""
        head, dot, tail = value.strip().partition(".")
        digits = len(tail) - len(tail.lstrip("0123456789"))
        try:
            whole = datetime.fromisoformat(head + tail[digits:])
            stamp = (whole if whole.tzinfo else whole.replace(tzinfo=UTC)).timestamp()
            return stamp + (float(f"0.{tail[:digits] or '0'}") if dot else 0.0)
        except (ValueError, OverflowError):
            raise self._fault(
                line, name, value, "is no time", "give seconds, or a date such as 2024-05-10 00:00:01.5"
            ) from None

    def _hashes(self, line: int, value: Any) -> tuple[int, ...]:
        if value in (None, ""):
            return ()
        if isinstance(value, str):
            value = value.replace(";", " ").replace("|", " ").replace(",", " ").strip("[] ").split()
        if not isinstance(value, list) or len(value) > _MOST_HASHES:
            raise self._fault(line, self.names["hashes"], value, "must be a list of ids")
        try:
            return tuple([each if type(each) is int else int(each) for each in value])
        except (TypeError, ValueError, OverflowError):
            if all(isinstance(each, str) for each in value):
                return tuple(hash(each) for each in value)
            raise self._fault(line, self.names["hashes"], value, "must be a list of whole numbers") from None

    def _fault(self, line: int, name: str, value: Any, rule: str, remedy: str = "") -> DescriptorError:
        return DescriptorError(f"{self.path}: line {line}: {fault(name or 'value', value, rule, remedy)}")


def _plain_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def written(requests: Iterable[Request]) -> str:
    """Return requests as the text of our own CSV; later turns of sessions are rows without a time."""
    rows: list[Sequence[object]] = []
    for each in requests:
        request: Request | None = each
        stated: float | None = each.arrival
        delay: float | None = None
        while request is not None:
            ids = " ".join(map(str, request.hashes))
            rows.append((stated, request.input, request.output, request.session, ids, request.priority, delay))
            follows = request.then
            request = None if follows is None else follows[1]
            stated, delay = None, None if follows is None else follows[0]
    return csv_text(("arrival_s", "input_len", "output_len", "session", "hash_ids", "priority", "delay_s"), rows)
