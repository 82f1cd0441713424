"""What one output token and the first token of a service are made of.

The parts add up to TPOT and TTFT: decode and what prefill chunks of other requests add; chunks, waiting and the front end.
"""

import roofline as rl
from roofline import plots

est = rl.estimate("deepseek-v3", "gb200-nvl72", concurrency=4096)
ax = est.plot(kind="breakdown", by="phase")
plots.save(ax, "token_phases.svg")
