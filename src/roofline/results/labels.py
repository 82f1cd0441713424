"""An answer in one line: what was asked, on what, laid out how."""

from __future__ import annotations

from typing import Final

import numpy as np

from roofline.core.text import counted, figure
from roofline.hardware.hardware import System
from roofline.results.estimate import Estimate
from roofline.results.training import Training
from roofline.workload.layout import Layout
from roofline.workload.questions import Serve, tokens_per_step

MEMORY_PARTS: Final = {"weights": "weights", "kv_cache": "KV cache", "activations": "activations", "runtime": "engine"}
"""What the memory of a chip that serves holds, by the fields of a footprint."""


def machine(system: System) -> str:
    """Return a machine and its chip, as titles name them.

    >>> from roofline import catalog
    >>> machine(catalog.system("cloudmatrix384"))
    'CloudMatrix 384 (chip: Ascend 910C, 2 dies)'
    """
    package = system.package
    chip = (package.title or package.name).split(" (")[0]
    dies = f", {system.ranks_per_chip} dies" if system.ranks_per_chip > 1 else ""
    return f"{system.title or system.name} (chip: {chip}{dies}{', announced' if package.announced else ''})"


def layout_in_words(est: Training) -> str:
    """Return the layout of one plan in words: degrees that are not 1, what is shared, micro-batch and recomputation."""
    layout, q = est.layout, est.question
    size, parallel = float(q.micro_batch), " sp" if layout.sequence_parallel else ""
    recompute = "no recomputation" if q.recompute == "none" else f"{q.recompute} recomputation"
    ordered = f", {layout.schedule}" if layout.pp > 1 else ""
    return f"{degrees(layout)}{parallel}, {layout.sharding}, micro-batch {size:g}, {recompute}{ordered}"


def degrees(layout: Layout) -> str:
    """Return the degrees of one layout that are not 1, in the order in which ranks are placed."""
    shown = [(name, getattr(layout, name)) for name in ("tp", "cp", "pp", "vpp", "dp", "ep", "etp")]
    return (
        " ".join(f"{name}={float(n):g}" for name, n in shown if n is not None and (n > 1 or name == "etp"))
        or "one rank"
    )


def coefficients_in_words(level: str) -> str:
    """Return what calibration coefficients an answer is made with; those of the ideal level make a bound.

    >>> coefficients_in_words("generic"), coefficients_in_words("ideal")
    ('generic coefficients', 'ideal coefficients: a bound, not a prediction')
    """
    return f"{level} coefficients{': a bound, not a prediction' if level == 'ideal' else ''}"


SURE: Final = 0.9
"""Chance of fitting from which on an answer just fits, and no note reports it; below one less that it does not."""


def fit_in_words(chance: float) -> str:
    """Return how surely memory holds a layout: nothing where it does for sure.

    >>> fit_in_words(0.99), fit_in_words(0.64), fit_in_words(0.32), fit_in_words(0.0)
    ('', 'fits probably (64 %)', 'may fit (32 %)', 'does not fit')
    """
    if chance >= SURE:
        return ""
    return (
        f"fits probably ({chance:.0%})"
        if chance >= 0.5
        else f"may fit ({chance:.0%})"
        if chance > 1 - SURE
        else "does not fit"
    ).replace("%", " %")


def headline(est: Estimate | Training) -> str:
    """Return what was asked, on what, laid out how, in one line."""
    q, level = est.question, coefficients_in_words(est.calibration.level)
    where = f"{q.model.name} on {est.system.name}: {counted(float(est.chips), 'chip')}"
    if isinstance(est, Training):
        return f"{where}, {layout_in_words(est)}; {q.model.dtype}; {level}"
    return f"{where}, {est.layout}; {q.model.formats_line}; {level}"


def question_in_words(est: Estimate | Training) -> str:
    """Return what a service is asked, or what a training step is, in words; empty for a single pass."""
    if isinstance(est, Training):
        return _step(est)
    q = est.question
    if not isinstance(q, Serve):
        return ""
    drafts = (
        f", {figure(float(q.draft_tokens))} draft tokens a step for {figure(float(tokens_per_step(q)))} tokens accepted"
        if q.draft_tokens
        else ""
    )
    load, read, made = (figure(float(value)) for value in (est.concurrency, q.input, q.output))
    if q.rate is not None:
        each = figure(float(est.requests_per_second or 0.0))
        in_flight = f"{load} requests" if np.isfinite(est.concurrency) else "ever more requests"
        return (
            f"{figure(float(q.rate))} requests/s arrive and {each} are answered: {in_flight} in flight, "
            f"{read} tokens in and {made} out{drafts}"
        )
    return f"{load} requests in flight, {read} tokens in and {made} out{drafts}"


def _step(est: Training) -> str:
    """Return what a step is, in words."""
    q, m = est.question, float(est.micro_batches)
    kind = {"pretrain": "", "finetune": " of a fine-tuning", "lora": f" of adapters of rank {float(q.rank):g}"}[q.task]
    step = f"a step{kind} is {figure(float(q.global_batch))} sequences of {figure(float(q.seq_len))} tokens"
    return f"{step}, {float(est.tokens):,.0f} in all: {figure(m)} micro-batch{'' if m == 1 else 'es'} per rank"
