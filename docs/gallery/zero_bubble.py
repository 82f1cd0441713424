"""The same under a zero-bubble schedule.

Gradients of weights come apart and fill what would be bubble.
"""

import roofline as rl
from roofline import plots

layout = rl.Layout(tp=8, pp=8, dp=16, schedule="zb-h1")
est = rl.train("llama-3.1-405b", "dgx-h100", layout, global_batch=256, seq_len=8192, recompute="full")
ax = est.plot(kind="timeline")
plots.save(ax, "zero_bubble.svg")
