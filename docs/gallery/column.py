"""For a column of a paper, printed without colours.

Style `print` has hatches and dashes, width `column` is 3.4 inches.
"""

import roofline as rl
from roofline import plots

est = rl.estimate("deepseek-v3", "gb200-nvl72", concurrency=4096)
ax = est.plot(kind="breakdown", style="print", width="column")
plots.save(ax, "column.svg")
