"""Where the time of a training step goes, by phase.

With the bubble, what is done again, and the exchange of gradients.
"""

import roofline as rl
from roofline import plots

est = rl.train("llama-3.1-405b", "dgx-h100", chips=1024, global_batch=256, seq_len=8192)
ax = est.plot(kind="breakdown", by="phase")
plots.save(ax, "training_phases.svg")
