"""Strong and weak scaling of training.

Tokens per second and chip with the best layout at each size, with MFU, and what failures leave. Under strong scaling the batch stays, under weak
scaling it grows with the chips.
"""

import roofline as rl
from roofline import plots

chips = [1024, 2048, 4096, 8192, 16384]
strong = rl.scaling("llama-3.1-405b", "dgx-h100", chips, global_batch=2048, seq_len=8192)
weak = rl.scaling("llama-3.1-405b", "dgx-h100", chips, mode="weak", global_batch=512, seq_len=8192)
ax = weak.plot(strong.plot(label="strong"), label="weak")
plots.save(ax, "scaling.svg")
