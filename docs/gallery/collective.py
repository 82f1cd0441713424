"""Bus bandwidth of an all-reduce against its size.

Inside one server and across eight, with the 80 % interval and the algorithm.
"""

import roofline as rl
from roofline import plots

inside = rl.collective("all-reduce", "1 GiB", "dgx-h100", ranks=8)
across = rl.collective("all-reduce", "1 GiB", "dgx-h100", ranks=64)
ax = across.plot(inside.plot())
plots.save(ax, "collective.svg")
