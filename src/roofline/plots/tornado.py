r"""Tornado plot: the gain from a 10 % better part of the machine, the largest first.

Of a part's elasticity e, :math:`\mathrm{d} \ln \text{rate} / \mathrm{d} \ln \text{part}`, a part that is b better buys
:math:`(1 + b)^e - 1`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np
from attrs import frozen

from roofline.core.errors import QuestionError, fault
from roofline.core.fields import refuse
from roofline.core.units import Ratio
from roofline.plots import paper, style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from roofline.results.estimate import Estimate
    from roofline.results.training import Training

    Answered: TypeAlias = Estimate | Training

BETTER: Final = 0.1


@frozen
class Tornado:
    """The numbers of a picture.

    Attributes:
        title: what was asked.
        quantity: what there is more of.
        better: by how much each part is better.
        parts: names of the parts, in the order of their gains.
        gains: what each part buys, relative; the greatest first.
    """

    title: str
    quantity: str
    better: Ratio
    parts: tuple[str, ...]
    gains: tuple[Ratio, ...]

    def alt(self) -> str:
        """Return what the bars show as text, made of their numbers."""
        bought = [f"{part} {gain:+.1%}" for part, gain in zip(self.parts, self.gains, strict=True)]
        return f"What a part that is {self.better:.0%} better buys: {self.title}. {self.quantity}: {', '.join(bought)}."


def tornado(
    elasticities: Mapping[str, Ratio], title: str = "", quantity: str = "tokens per second", better: Ratio = BETTER
) -> Tornado:
    """Return what each part buys when it is better, the greatest first.

    Args:
        elasticities: of each part: relative change of the quantity over that of the part.
        title, quantity: what was asked, and what there is more of.
        better: how much better a part is.

    Raises:
        QuestionError: no parts, or one whose elasticity is no number.

    >>> found = tornado({"links": 0.0, "memory": 1.0})
    >>> found.parts, [round(gain, 3) for gain in found.gains]
    (('memory', 'links'), [0.1, 0.0])
    """
    if not elasticities:
        raise QuestionError(
            fault("elasticities", {}, "must name at least one part", "give for example {'memory': 0.4}")
        )
    refuse("better", better, 0.0, 10.0, strict=True)
    for name, value in elasticities.items():
        if not np.isfinite(value):
            raise QuestionError(fault(f"elasticity of {name}", value, "must be a number", "leave the part out"))
    gains = {name: float((1 + better) ** value - 1) for name, value in elasticities.items()}
    order = sorted(gains, key=lambda name: -abs(gains[name]))
    return Tornado(title, quantity, better, tuple(order), tuple(gains[name] for name in order))


def elasticities(est: Answered, quantity: str = "tokens_per_second") -> Mapping[str, float]:
    """Return the elasticity of a quantity in each number of the hardware that matters, at the number itself.

    The batch and the layout are as they are: more memory bandwidth makes steps shorter, more capacity alone changes nothing. A
    latency is better when it is shorter. Calibrated constants stay, so what bounds in practice is what is bought. These are the
    rows of :class:`roofline.results.sensitivity.Sensitivity` that are hardware.

    Args:
        est: an answer about one point, of serving or training.
        quantity: a rate of it.
    """
    return est.sensitivity(quantity).parts()


def draw(ax: Axes, found: Tornado) -> None:
    """Draw a bar for each part on axes of their own, its gain behind it; dotted: what a part that takes all the time would buy."""
    axes: Any = ax
    look = style.of(ax)
    first, most = found.parts[0].split(" (")[0], found.gains[0]
    finding = f"{found.better:.0%} better {first} buys most: {most:+.1%} {found.quantity}"
    size = paper.frame(ax, "\n".join(filter(None, (finding, found.title))), f"more {found.quantity}", "")
    gains = np.array(found.gains)
    rows = np.arange(len(gains))
    colors = [look.color(0) if gain >= 0 else look.color(1) for gain in gains]
    axes.barh(rows, gains, height=0.66, color=colors, zorder=3)
    top, low = max(float(gains.max()), found.better), min(float(gains.min()), 0.0)
    axes.axvline(found.better, color=look.grey(0.4), linewidth=0.7, linestyle=":", zorder=2)
    axes.annotate("if it took all the time", (found.better, 0.0), (-1, 2), xycoords=axes.get_xaxis_transform(), textcoords="offset points",
                  fontsize=size - 0.5, rotation=90, ha="right", va="bottom", color=look.grey(0.3), zorder=1)  # fmt: skip
    axes.axvline(0.0, color=look.ink, linewidth=0.6, zorder=4)
    for row, gain in zip(rows, gains, strict=True):
        axes.annotate(f"{gain:+.1%}", (gain, row), (3 if gain >= 0 else -3, 0), textcoords="offset points", fontsize=size,
                      va="center", ha="left" if gain >= 0 else "right", color=look.ink, zorder=5, bbox=look.halo)  # fmt: skip
    axes.set(xlim=(1.3 * low, 1.22 * top), ylim=(len(rows) - 0.4, -0.6))
    axes.set_yticks(rows, found.parts, fontsize=size)
    axes.tick_params(axis="y", length=0)
    axes.xaxis.set_major_formatter(lambda x, _: f"{x:.0%}")
    axes.grid(visible=False, axis="y")
    paper.set_description(ax, "tornado", found.alt())
