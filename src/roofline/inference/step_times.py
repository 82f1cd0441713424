r"""Tables of step times for a simulation, interpolated instead of pricing each step.

A step of B decoding sequences of mean context C that passes P prompt tokens, each of which attends to ``a`` tokens on average, takes

.. math:: t(B, C, P, a) = M(B, C, P) + [Q(P, a) - Q(P, P/2)],

M a mixed step whose prompt has no past, Q a step that only passes prompts; a step without prompts is D(B, C). All three are priced by
:func:`roofline.inference.passes.step` on grids whose nodes lie at most 15 % apart in B and P (every number up to 16), and
interpolated linearly. What the split into three tables and the interpolation cost is measured on random steps when the tables are
made: :attr:`StepTimes.error`.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from roofline.hardware.constants import Calibration
from roofline.hardware.hardware import System
from roofline.inference.passes import step
from roofline.models.architecture import Model
from roofline.workload.layout import Layout
from roofline.workload.questions import Decode, Mixed

_APART: Final = 1.15
_DENSE: Final = 16
_CHECKED: Final = 400
_COARSE: Final = 5

Row = tuple[list[float], list[float]]


def _nodes(high: float, low: float = 1.0, apart: float = _APART) -> NDArray[np.float64]:
    """Return whole nodes from ``low`` to ``high``: each number up to 16, then a ratio apart."""
    count = max(int(np.ceil(np.log(max(high / low, 1.0)) / np.log(apart))), 1) + 1
    spaced = np.round(np.geomspace(low, max(high, low), count))
    return np.unique(np.concatenate((np.arange(low, min(high, low + _DENSE)), spaced, [max(high, low)])))


def _lines(x: list[float], y: NDArray[np.float64]) -> Row:
    """Return intercepts and slopes of the pieces between nodes."""
    at = np.asarray(x)
    slope = np.diff(y) / np.diff(at) if len(x) > 1 else np.zeros(1)
    return (y[: len(slope)] - slope * at[: len(slope)]).tolist(), slope.tolist()


def _between(rows: list[Row], k: int, far: float, i: int, tokens: float) -> float:
    """Return the value at ``tokens`` in the piece i, between the rows k and the next."""
    row = rows[k]
    out = row[0][i] + row[1][i] * tokens
    if far:
        row = rows[k + 1]
        out += far * (row[0][i] + row[1][i] * tokens - out)
    return out


class StepTimes:
    """Times of the steps of one engine instance, one pipeline lane of one replica.

    Attributes:
        error: mean and 99th percentile of the relative error of the tables, on steps drawn at random.
    """

    def __init__(
        self, model: Model, system: System, layout: Layout, calibration: Calibration,
        *, most: float, context: float, chunk: float, draft_tokens: float = 0.0, imbalance: float | None = None,
    ) -> None:  # fmt: skip
        """Price the tables.

        Args:
            most: sequences of a step at most, over the attention ranks in lock-step.
            context: tokens of a sequence at most; ``chunk``: prompt tokens that a rank passes in a step at most.
        """
        self._asked = (model, system, layout, calibration)
        self._drafts, self._imbalance = draft_tokens, imbalance
        self._groups = layout.replicas * layout.pp
        self._ranks: float = float(layout.dp)
        batches, contexts = _nodes(max(most, 2.0)), _nodes(max(context, 64.0), 1.0, 1.25)
        chunks = _nodes(max(chunk, 2.0))
        self._reference = float(contexts[len(contexts) // 2])
        self._batches, self._contexts, self._chunks = batches, contexts.tolist(), chunks.tolist()
        self._context_top, self._chunk_top = len(self._contexts) - 2, len(self._chunks) - 2
        self._d = self._price_decode(batches[:, None], contexts[None, :])
        with_none = np.concatenate(([0.0], batches))
        coarse = np.unique(np.concatenate((contexts[::_COARSE], contexts[-1:])))
        self._coarse, self._coarse_top = coarse.tolist(), len(coarse) - 2
        self._with_none = with_none
        self._m = [
            self._price_mixed(
                with_none[:, None, None], coarse[None, :, None], chunks[None, None, :], chunks[None, None, :] / 2, busy
            )
            for busy in ((1.0, self._ranks) if self._ranks > 1 else (1.0,))
        ]
        q = self._price_mixed(0.0, self._reference, chunks[:, None], contexts[None, :], 1.0)
        base = self._price_mixed(0.0, self._reference, chunks, chunks / 2, 1.0)
        self._q = [_lines(self._contexts, row) for row in q - base[:, None]]
        self._decode_rows: dict[int, Row] = {}
        self._mixed_rows: dict[int, list[list[Row]]] = {}
        self.error = self._check(float(batches[-1]), float(contexts[-1]), float(chunks[-1]))

    def _price_decode(self, batch: Any, context: Any) -> NDArray[np.float64]:
        model, system, layout, calibration = self._asked
        batch, context = np.broadcast_arrays(np.asarray(batch, dtype=float), np.asarray(context, dtype=float))
        asked = Decode(model, self._groups * batch, context, self._drafts, None, self._imbalance)
        out = step(asked, system, layout, calibration, batch).time
        return np.asarray(np.broadcast_to(out, batch.shape))

    def _price_mixed(self, batch: Any, context: Any, tokens: Any, attended: Any, busy: float) -> NDArray[np.float64]:
        model, system, layout, calibration = self._asked
        batch, context, tokens, attended = np.broadcast_arrays(
            *(np.asarray(each, dtype=float) for each in (batch, context, tokens, attended))
        )
        # Prompt tokens that attend to less than half of them belong to several prompts.
        prompts = np.maximum(tokens / (2 * attended), 1.0)
        past = np.maximum(attended - tokens / 2, 0.0)
        asked = Mixed(
            model, self._groups * batch, context, prompts, tokens / prompts, past, busy, self._drafts, self._imbalance
        )
        out = step(asked, system, layout, calibration, batch).time
        return np.asarray(np.broadcast_to(out, batch.shape))

    def _row(self, table: NDArray[np.float64], nodes: NDArray[np.float64], batch: float) -> NDArray[np.float64]:
        i = int(np.clip(np.searchsorted(nodes, batch, side="right") - 1, 0, len(nodes) - 2))
        part = (batch - nodes[i]) / (nodes[i + 1] - nodes[i])
        return np.asarray(table[i] + part * (table[i + 1] - table[i]))

    def decode(self, batch: int, context: float) -> float:
        """Return the time of a step of so many sequences of a mean context."""
        row = self._decode_rows.get(batch)
        if row is None:
            row = self._decode_rows[batch] = _lines(self._contexts, self._row(self._d, self._batches, batch))
        i = bisect_right(self._contexts, context) - 1
        i = 0 if i < 0 else min(i, self._context_top)
        return row[0][i] + row[1][i] * context

    def mixed(self, batch: int, context: float, tokens: float, attended: float, busy: float = 1.0) -> float:
        """Return the time of a step that passes prompts too, or only prompts.

        Args:
            batch: sequences that decode, of a mean ``context``.
            tokens: prompt tokens of the fullest attention rank; ``attended``: tokens that each of them sees on average.
            busy: attention ranks that pass prompts.
        """
        rows = self._mixed_rows.get(batch)
        if rows is None:
            rows = self._mixed_rows[batch] = [
                [_lines(self._chunks, each) for each in self._row(table, self._with_none, batch)] for table in self._m
            ]
        chunks = self._chunks
        i = bisect_right(chunks, tokens) - 1
        i = 0 if i < 0 else min(i, self._chunk_top)
        k, far = 0, 0.0
        if batch:
            k = bisect_right(self._coarse, context) - 1
            k = 0 if k < 0 else min(k, self._coarse_top)
            far = (context - self._coarse[k]) / (self._coarse[k + 1] - self._coarse[k])
        out = _between(rows[0], k, far, i, tokens)
        if busy > 1.0 and len(rows) > 1:
            out += (_between(rows[1], k, far, i, tokens) - out) * (busy - 1.0) / (self._ranks - 1.0)
        j = bisect_right(self._contexts, attended) - 1
        j = 0 if j < 0 else min(j, self._context_top)
        part: float = (tokens - chunks[i]) / (chunks[i + 1] - chunks[i])
        low, high = self._q[i], self._q[i + 1]
        less = low[0][j] + low[1][j] * attended
        return out + less + part * (high[0][j] + high[1][j] * attended - less)

    def _check(self, most: float, context: float, chunk: float) -> tuple[float, float]:
        """Return the mean and the 99th percentile of the relative error on steps drawn at random, evenly in logarithms."""
        dice = np.random.default_rng(1)
        batch, length, tokens, seen = (
            np.exp(dice.uniform(np.log(low), np.log(max(high, low + 1)), _CHECKED))
            for low, high in ((1.0, most), (64.0, context), (16.0, chunk), (16.0, context))
        )
        batch, seen = np.round(batch), np.maximum(seen, tokens / 32)
        estimated = [self.mixed(int(b), c, p, a) for b, c, p, a in zip(batch, length, tokens, seen, strict=True)]
        off = np.abs(np.array(estimated) / self._price_mixed(batch, length, tokens, seen, 1.0) - 1)
        estimated = [self.decode(int(b), c) for b, c in zip(batch, length, strict=True)]
        off = np.concatenate((off, np.abs(np.array(estimated) / self._price_decode(batch, length) - 1)))
        return float(off.mean()), float(np.percentile(off, 99))
