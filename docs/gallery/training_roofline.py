"""A step of training on the roofline.

Forward and backward passes and gradients of weights have markers of their own.
"""

import roofline as rl
from roofline import plots

est = rl.train("llama-3.1-405b", "dgx-h100", chips=1024, global_batch=256, seq_len=8192)
ax = est.plot()
plots.save(ax, "training_roofline.svg")
