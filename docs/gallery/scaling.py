"""Strong and weak scaling of training.

Tokens per second and chip, with MFU, and what failures leave.
"""

import roofline as rl
from roofline import plots

held = rl.Layout(tp=8, pp=8, vpp=4)
words = {"layout": held, "seq_len": 8192, "recompute": "full"}
strong = rl.scaling("llama-3.1-405b", "dgx-h100", [1024, 2048, 4096, 8192], global_batch=1024, **words)
weak = rl.scaling("llama-3.1-405b", "dgx-h100", [1024, 2048, 4096, 8192], mode="weak", global_batch=256, **words)
ax = weak.plot(strong.plot(label="strong"), label="weak")
plots.save(ax, "scaling.svg")
