"""Roofs of every level: cache, memory, scale-up, scale-out.

One roof for the cache, one for the memory, one for each network, and a diamond for what a step sends over it.
"""

import roofline as rl
from roofline import plots

est = rl.estimate("deepseek-v3", "cloudmatrix384", concurrency=8192, dtype="int8")
ax = est.plot(levels=True)
plots.save(ax, "every_level.svg")
