"""Time against memory of training.

Every plan that fits, and those that nothing beats in both.
"""

import roofline as rl
from roofline import plots

found = rl.search_training("llama-3.1-70b", "dgx-h100", chips=64, global_batch=128, seq_len=4096)
ax = found.plot()
plots.save(ax, "time_against_memory.svg")
