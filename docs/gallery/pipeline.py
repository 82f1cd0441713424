"""A training step on its pipeline.

1F1B: a row for each rank, micro-batches numbered, grey where a rank waits.
"""

import roofline as rl
from roofline import plots

layout = rl.Layout(tp=8, pp=8, dp=16)
est = rl.train("llama-3.1-405b", "dgx-h100", layout, global_batch=256, seq_len=8192, recompute="full")
ax = est.plot(kind="timeline")
plots.save(ax, "pipeline.svg")
