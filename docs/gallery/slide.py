"""For a dark slide.

Whatever is added to a sheet has its style.
"""

import roofline as rl
from roofline import plots

est = rl.estimate("deepseek-v3", "gb200-nvl72", concurrency=4096)
ax = est.plot(style="dark", levels=True)
plots.save(ax, "slide.svg")
