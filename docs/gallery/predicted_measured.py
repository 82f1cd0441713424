"""Predicted against measured.

Published steps of training with their intervals, a colour for each framework.
"""

import roofline as rl
from roofline import plots

found = rl.validate("training")
ax = found.plot(key="framework")
plots.save(ax, "predicted_measured.svg")
