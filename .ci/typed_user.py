"""What a user writes, checked by mypy --strict and pyright against the installed wheel."""

from __future__ import annotations

import roofline as rl


def tokens_per_second(model: str, system: str, concurrency: int) -> float:
    """Return the output tokens per second of a service."""
    est: rl.Estimate = rl.estimate(model, system, concurrency=concurrency)
    return float(est.tokens_per_second or 0.0)


step: rl.Training = rl.train("llama-3.1-8b", "dgx-h100", global_batch=64, seq_len=4096)
layout: rl.Layout = step.layout
kinds: dict[str, bool] = {w.name: w.recompute for w, _, _ in step.whole.leaves() if isinstance(w, rl.Op)}
print(rl.__version__, tokens_per_second("llama-3.1-8b", "dgx-h100", 64), float(step.step_time), layout, len(kinds))
