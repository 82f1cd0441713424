"""Memory of training by layout and sharding.

What does not fit is pale.
"""

import roofline as rl
from roofline import plots

est = rl.train("llama-3.1-405b", "dgx-h100", chips=1024, global_batch=256, seq_len=8192)
ax = est.plot(kind="memory")
plots.save(ax, "training_memory.svg")
