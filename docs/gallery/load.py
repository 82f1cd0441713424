"""Throughput and latency against load.

Tokens per second and chip on the left scale, TPOT and TTFT on the right one, shaded the 80 % interval; the dotted line is where caches are
full.
"""

import roofline as rl
from roofline import plots

one = rl.estimate("deepseek-v3", "gb200-nvl72", concurrency=4096)
two = rl.estimate("deepseek-v3", "cloudmatrix384", concurrency=8192, dtype="int8")
ax = two.plot(one.plot(kind="load"), kind="load")
plots.save(ax, "load.svg")
