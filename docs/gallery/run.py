"""What the days of a training run go into.

Useful work, checkpoints, restarts, work done again.
"""

import roofline as rl
from roofline import plots

step = rl.train("llama-3.1-405b", "dgx-h100", chips=16384, global_batch=2048, seq_len=8192)
ax = rl.campaign(step, "15.6T").plot()
plots.save(ax, "run.svg")
