"""What a part that is 10 % better buys.

Each part of the machine in turn, the question recomputed.
"""

import roofline as rl
from roofline import plots

est = rl.estimate("deepseek-v3", "cloudmatrix384", concurrency=8192, dtype="int8")
ax = est.plot(kind="tornado")
plots.save(ax, "tornado.svg")
