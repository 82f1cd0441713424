"""Two racks on one sheet.

The second answer is drawn on the axes of the first, in the next colour. A CloudMatrix 384 counts dies.
"""

import roofline as rl
from roofline import plots

one = rl.estimate("deepseek-v3", "gb200-nvl72", concurrency=4096)
two = rl.estimate("deepseek-v3", "cloudmatrix384", concurrency=8192, dtype="int8")
ax = two.plot(one.plot())
plots.save(ax, "two_racks.svg")
