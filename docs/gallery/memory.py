"""Memory of a chip by layout.

Weights, caches and activations under other layouts of the same chips, the one asked for in bold.
"""

import roofline as rl
from roofline import plots

est = rl.estimate("llama-3.1-405b", "hgx-h200", concurrency=64)
ax = est.plot(kind="memory")
plots.save(ax, "memory.svg")
