"""Predicted against measured values on logarithmic axes: a point for each, its interval, and the line they should lie on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, cast

from roofline.core.units import SECOND, show
from roofline.plots import paper, style
from roofline.validation.scoring import Prediction, by, score

if TYPE_CHECKING:
    from matplotlib.axes import Axes

NAMES: Final = {"ttft_s": "TTFT", "tpot_s": "TPOT", "output_tokens_per_s": "tokens/s", "step_time_s": "time of a step"}
_TIMES: Final = ("ttft_s", "tpot_s", "step_time_s")

_MARKERS: Final = "osD^vPX"
_MANY: Final = 500
"""Points beyond which those of a vector picture become one image."""
_AWAY: Final = 1.25
"""Factor at which the dashed lines lie."""


def draw(ax: Axes, predictions: Sequence[Prediction], key: str) -> None:
    """Add the predictions to the axes, those of one ``key`` in one colour; the rarest share the last."""
    axes: Any = cast("Any", ax)
    look = style.of(ax)
    groups = _few(by(predictions, lambda p: str(getattr(p.run, key))), len(look.palette))
    lines: list[str] = []
    many = len(predictions) > _MANY
    for i, (group, found) in enumerate(groups.items()):
        color, name = (look.color(i), group) if group else (look.grey(0.55), "others")
        error = score(found)
        x, y = [p.measured for p in found], [p.predicted for p in found]
        bounded = [p for p in found if p.low is not None]
        axes.vlines([p.measured for p in bounded], [p.low for p in bounded], [p.high for p in bounded],
                    color=color, linewidth=0.5, alpha=0.25, rasterized=many, zorder=2)  # fmt: skip
        lines.append(f"{name}: {error.n:,} runs, {error.mape:.0%} off")
        label = f"{name}: {error.n:,}, {error.mape:.0%} off"
        axes.scatter(x, y, s=9, marker=_MARKERS[i % len(_MARKERS)], facecolor=color, edgecolor="none", alpha=0.65, rasterized=many,
                     zorder=3, label=label)  # fmt: skip
    low = min(min(p.measured, p.predicted) for p in predictions) / 1.5  # type: ignore[type-var, operator]
    high = max(max(p.measured, p.predicted) for p in predictions) * 1.5  # type: ignore[type-var, operator]
    for factor in (1.0, _AWAY, 1 / _AWAY):
        axes.plot([low, high], [low * factor, high * factor], color=look.grey(0.3), linewidth=0.9 if factor == 1 else 0.5,
                  linestyle="-" if factor == 1 else (0, (4, 3)), zorder=1)  # fmt: skip
    name = NAMES.get(predictions[0].quantity, predictions[0].quantity)
    axes.set(
        xscale="log",
        yscale="log",
        xlim=(low, high),
        ylim=(low, high),
        xlabel=f"{name}, measured",
        ylabel=f"{name}, predicted",
    )
    axes.grid(visible=True, which="major", color=look.grey(0.92), linewidth=0.6, zorder=0)
    timed = predictions[0].quantity in _TIMES
    for axis in (axes.xaxis, axes.yaxis):
        paper.plain_ticks(axis, low, high)
        if timed:
            axis.set_major_formatter(lambda value, _: show(value, SECOND, 3))
    whole = score(predictions)
    inside = "" if whole.inside_interval is None else f", {whole.inside_interval:.0%} inside the interval"
    axes.set_title(
        f"{whole.n:,} runs, mean error {whole.mape:.1%}{inside}; dashed: off by {_AWAY - 1:.0%}",
        loc="left",
        fontsize=8.5,
    )
    paper.set_description(
        ax,
        "scatter",
        f"{name}, predicted against measured: {whole.n:,} runs, mean error {whole.mape:.1%}{inside}. {'; '.join(lines)}.",
    )
    axes.legend(loc="upper left", fontsize=7, framealpha=0.9, edgecolor=look.grey(0.85), markerscale=1.6).set_zorder(6)


def _few(groups: dict[str, list[Prediction]], most: int) -> dict[str, list[Prediction]]:
    """Return the largest groups, as many as there are colours, and the rest together under ""; so are runs without a name."""
    ranked = sorted(groups, key=lambda name: (not name, -len(groups[name]), name))
    first = [name for name in ranked if name][:most]
    rest = [p for name in ranked if name not in first for p in groups[name]]
    return {name: groups[name] for name in first} | ({"": rest} if rest else {})
