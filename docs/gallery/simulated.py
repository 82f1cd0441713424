"""A simulated service over time.

Requests that wait and run, the cache, and the time to the first token, request by request.
"""

import roofline as rl
from roofline import plots

trace = rl.Trace.poisson(6.0, 2000, input=2048, output=256, lengths_are="lognormal", seed=1)
sim = rl.simulate("llama-3.1-70b", "dgx-h100", trace, rl.Layout(tp=8), engine="vllm", ttft="2s", tpot="50ms")
ax = sim.plot()
plots.save(ax, "simulated.svg")
