"""Where the time of a service goes, by operation.

The longest operations and messages first, each in the colour of what bounds it.
"""

import roofline as rl
from roofline import plots

est = rl.estimate("deepseek-v3", "gb200-nvl72", concurrency=4096)
ax = est.plot(kind="breakdown")
plots.save(ax, "where_time_goes.svg")
