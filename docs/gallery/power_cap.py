"""Energy against the power cap.

Energy per output token of the system as sold on the left scale, TPOT on the right one. A lower cap saves energy until what draws power all
the time outweighs it in longer steps: there is the star.
"""

import roofline as rl
from roofline import plots

one = rl.estimate("llama-3.1-70b", "dgx-h100", dtype="fp8", concurrency=256)
two = rl.estimate("llama-3.1-70b", "dgx-b200", dtype="fp8", concurrency=256)
ax = two.plot(one.plot(kind="energy"), kind="energy")
plots.save(ax, "power_cap.svg")
