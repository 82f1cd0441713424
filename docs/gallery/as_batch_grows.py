"""An operation on its way as the load grows.

Experts climb along the memory's roof as more requests share their weights; latent attention only gets nearer to its roof. Shaded: what
is lost if compute and memory work in turn, `sum()`, and not side by side, `max()`.
"""

import roofline as rl
from roofline import plots

est = rl.estimate("deepseek-v3", "gb200-nvl72", concurrency=4096)
ax = est.plot(track=["experts", "attention"], values=[64, 256, 1024, 4096, 16384], band=True)
plots.save(ax, "as_batch_grows.svg")
