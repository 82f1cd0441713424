"""What could be had: the frontier of a search.

Tokens per second and chip against tokens per second and user; a bar is an 80 % interval, the star the best configuration under the limits.
"""

import roofline as rl
from roofline import plots

found = rl.search("deepseek-v3", "gb200-nvl72", ttft="2s", tpot="50ms")
ax = found.plot()
plots.save(ax, "frontier.svg")
