"""A decode step and a prefill on the roofline.

DeepSeek-V3 on a GB200 NVL72: roofs named in place, ridges marked, each operation as large as its share of the time.
"""

import roofline as rl
from roofline import plots

est = rl.estimate("deepseek-v3", "gb200-nvl72", concurrency=4096)
ax = est.plot()
plots.save(ax, "one_rack.svg")
