"""Where the time goes, by what bounds it.

One output token and the first token, one bar each.
"""

import roofline as rl
from roofline import plots

est = rl.estimate("deepseek-v3", "cloudmatrix384", concurrency=8192, dtype="int8")
ax = est.plot(kind="breakdown", by="bound")
plots.save(ax, "by_bound.svg")
