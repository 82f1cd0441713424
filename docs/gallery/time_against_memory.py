"""Time against memory of training.

Every configuration that fits, and the frontier in time and memory.
"""

import roofline as rl
from roofline import plots

found = rl.search_training("llama-3.1-70b", "dgx-h100", chips=64, global_batch=128, seq_len=4096)
ax = found.plot()
plots.save(ax, "time_against_memory.svg")
