"""Pictures that a browser draws: the roofline and the frontier as traces, which ``draw.js`` of the page turns into SVG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, Final

import numpy as np
from attrs import frozen

from roofline.core.units import BYTE, BYTE_RATE, FLOP_RATE, GIGA, SECOND, TERA, show
from roofline.plots._frontier import Curve
from roofline.plots._points import Point, Roof, Sheet
from roofline.plots.tradeoff import Tradeoff

STEPS: Final = {"mixed": "decode with a prefill chunk", "weights": "gradients of weights"}
"""What steps are called, where the name of the span says too little."""

COLORS: Final = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#808080")
"""Those of the pictures on paper, and grey; the style of a page has them too, in this order."""

_LEAST_DOT: Final = 7.0
_MOST_DOT: Final = 30.0
_BESIDE: Final = ("bottom right", "bottom left", "top left", "top right")
"""Where the operation that takes the most time of a step has its name, step by step."""


@frozen(eq=False)
class Picture:
    """What is drawn, and which of its traces a reader may switch off: a name, their numbers, the class of their mark.

    Attributes:
        figure: traces and layout, as the browser draws them.
        switches: parts that a reader may switch off: a name, the numbers of the traces, the class of the mark.
        spots: trace and point of each operation, by step and name.
    """

    figure: Mapping[str, Any]
    switches: tuple[tuple[str, str, str], ...] = ()
    spots: Mapping[tuple[str, str], tuple[int, int]] = {}
    """Trace and point of each operation, by step and name."""


def _picture(data: Sequence[Mapping[str, Any]], layout: Mapping[str, Any]) -> Mapping[str, Any]:
    return {"data": list(data), "layout": dict(layout)}


def _log(title: str, low: float, high: float) -> dict[str, Any]:
    return {
        "type": "log", "range": [float(np.log10(low)), float(np.log10(high))], "title": {"text": title},
    }  # fmt: skip


def roofline(sheet: Sheet) -> Picture:
    """Return the roofs of a rank with the operations of its steps on them, each a point with a description."""
    peaks = [float(roof.peak) for roof in sheet.roofs if roof.peak]
    slopes = [float(roof.bandwidth) for roof in sheet.roofs if roof.bandwidth]
    top, fastest = max(peaks), max(slopes)
    places = [float(point.intensity) for point in sheet.points]
    left = min([*places, min(peaks) / fastest]) / 4
    right = max([*places, top / min(slopes)]) * 4
    low = min([*(float(point.rate) for point in sheet.points), left * fastest]) / 3
    data = [_roof(roof, top, (left, right), low, fastest) for roof in sheet.roofs]
    switches = [(_called(roof), str(i), "dash" if roof.network else "line") for i, roof in enumerate(sheet.roofs)]
    spots: dict[tuple[str, str], tuple[int, int]] = {}
    for color, step in enumerate(dict.fromkeys(point.step for point in sheet.points)):
        trace, mine = len(data), [point for point in sheet.points if point.step == step]
        data.append(
            {
                "type": "scatter", "mode": "markers+text", "name": escape(step),
                "x": [p.intensity for p in mine], "y": [p.rate / TERA for p in mine],
                "text": ["" if i or p.network else escape(p.name) for i, p in enumerate(mine)],
                "textposition": _BESIDE[color % len(_BESIDE)], "meta": "ink",
                "marker": {
                    "color": COLORS[color], "opacity": 0.8, "line": {"width": 1, "color": "#ffffff"},
                    "size": [_LEAST_DOT + (_MOST_DOT - _LEAST_DOT) * float(np.sqrt(p.share)) for p in mine],
                    "symbol": ["diamond" if p.network else "square" if step in ("prefill", "mixed") else "circle" for p in mine],
                },
                "hovertext": [_point(p) for p in mine], "hoverinfo": "text",
            }
        )  # fmt: skip
        spots |= {(step, point.name): (trace, i) for i, point in enumerate(mine)}
        switches.append((f"operations of {STEPS.get(step, step)}", str(trace), f"dot c{color}"))
    layout = {
        "xaxis": _log("arithmetic intensity, FLOP/B", left, right),
        "yaxis": _log(f"TFLOP/s of one {sheet.rank}", low / TERA, top * 3 / TERA),
    }
    return Picture(_picture(data, layout), tuple(switches), spots)


def _called(roof: Roof) -> str:
    value = show(float(roof.peak), FLOP_RATE, 3) if roof.peak else show(float(roof.bandwidth or 0.0), BYTE_RATE, 3)
    return f"{roof.name} {value}"


def _roof(roof: Roof, top: float, ends: tuple[float, float], low: float, fastest: float) -> dict[str, Any]:
    """Return a roof as a line that is named at its end: a peak where it is flat, a bandwidth along its slope."""
    left, right = ends
    if roof.peak:
        xs, ys, at, place = [float(roof.peak) / fastest, right], [float(roof.peak)] * 2, 1, "top left"
    else:
        speed = float(roof.bandwidth or 1.0)
        start = max(left, low / speed)
        xs, ys, at, place = [start, top / speed], [start * speed, top], 0, "bottom right"
    # Lines on logarithmic axes are described all along, not only at their ends.
    along = np.geomspace(xs[0], xs[1], 24)
    rates = np.geomspace(ys[0], ys[1], 24)
    name = escape(_called(roof))
    named = [""] * 24
    named[-1 if at else 2] = name
    return {
        "type": "scatter", "mode": "lines+text", "name": name, "x": along.tolist(), "y": (rates / TERA).tolist(), "meta": "ink",
        "line": {"color": COLORS[6], "width": 1.6, "dash": "dash" if roof.network else "solid"}, "text": named,
        "textposition": place, "hoverinfo": "text", "hovertext": [f"<b>{name}</b><br>a roof"] * 24,
    }  # fmt: skip


def _point(point: Point) -> str:
    name, step, intensity = point.name, point.step, float(point.intensity)
    if name == "network":
        lines = [f"<b>{escape(step)}, all communication</b>", f"{intensity:,.4g} FLOP for each byte sent"]
    else:
        lines = [f"<b>{escape(name)}</b>, {escape(step)}, bound by {point.bound}", f"{intensity:,.4g} FLOP/B"]
    return "<br>".join([*lines, show(float(point.rate), FLOP_RATE, 3), f"{float(point.share):.1%} of the time"])


def frontier(
    lines: Sequence[Mapping[str, Any]], free: tuple[Any, Any], start: int, here: tuple[float, float] | None
) -> Picture:
    """Return the frontier of a service with a mark that walks along it.

    Args:
        lines: configurations, each with ``x`` tokens/s per user, ``y`` tokens/s per chip, ``low`` and ``high`` ends of y, and ``told``.
        free: tokens/s per user and a chip of what could be had without limits.
        start: where the walk begins.
        here: the configuration that the page is about.
    """
    xs, ys = [each["x"] for each in lines], [each["y"] for each in lines]
    texts = ["<br>".join(escape(part) for part in each["told"]) for each in lines]
    data: list[dict[str, Any]] = [
        {"type": "scatter", "mode": "lines", "x": list(map(float, free[0])), "y": list(map(float, free[1])),
         "line": {"color": COLORS[6], "width": 1.2, "dash": "dash"}, "hoverinfo": "skip", "name": "without limits"},
        {"type": "scatter", "mode": "lines+markers", "x": xs, "y": ys, "name": "frontier", "hoverinfo": "text", "hovertext": texts,
         "line": {"color": COLORS[0], "width": 2}, "marker": {"size": 6}},
    ]  # fmt: skip
    switches = [("without limits", "0", "dash"), ("frontier", "1", "dot c0")]
    if lines and lines[0]["low"] is not None:
        # Both rates are those of one step, and move together.
        bars: tuple[list[Any], list[Any]] = ([], [])
        for each in lines[:: max(1, len(lines) // 12)]:
            ends = (each["low"] / each["y"], each["high"] / each["y"])
            bars[0].extend([each["x"] * ends[0], each["x"] * ends[1], None])
            bars[1].extend([each["y"] * ends[0], each["y"] * ends[1], None])
        data.append({"type": "scatter", "mode": "lines", "x": bars[0], "y": bars[1], "opacity": 0.45, "hoverinfo": "skip",
                     "line": {"color": COLORS[0], "width": 1.2}, "name": "80 % interval"})  # fmt: skip
        switches.append(("80 % intervals", str(len(data) - 1), "thin"))
    if here is not None:
        data.append(_star(*here))
        switches.append(("the configuration of this page", str(len(data) - 1), "star c2"))
    data.append(_ring(xs[start], ys[start]))
    axis = {"rangemode": "tozero"}
    layout = {
        "xaxis": {"title": {"text": "tokens/s per user (1 / TPOT)"}, **axis},
        "yaxis": {"title": {"text": "output tokens/s per chip"}, **axis},
    }
    return Picture(_picture(data, layout), tuple(switches))


def frontiers(
    curves: Sequence[tuple[int, Curve]], best: Sequence[tuple[int, str, float, float]], tpot: float
) -> Picture:
    """Return the frontiers of several services in one picture, with a star for each service that was chosen.

    Args:
        curves: the number of the colour of each frontier, and its numbers; a second one of a colour is dashed, with squares.
        best: of each service that was chosen the number of its colour, its name, and its tokens/s per user and per chip.
        tpot: the limit on the time per output token.
    """
    data: list[dict[str, Any]] = []
    switches = []
    seen: set[int] = set()
    for color, curve in curves:
        order = np.argsort(curve.speed)
        xs, ys = curve.speed[order].tolist(), curve.rate[order].tolist()
        texts = [
            f"<b>{escape(curve.label)}</b><br>{y:,.4g} tokens/s per chip, {x:,.4g} per user<br>{escape(curve.plans[i])}"
            for x, y, i in zip(xs, ys, order, strict=True)
        ]
        dash, symbol = ("dash", "square") if color in seen else ("solid", "circle")
        seen.add(color)
        switches.append((curve.label, str(len(data)), f"{'box' if dash == 'dash' else 'dot'} c{color}"))
        data.append(
            {"type": "scatter", "mode": "lines+markers", "x": xs, "y": ys, "name": curve.label, "hoverinfo": "text", "hovertext": texts,
             "line": {"color": COLORS[color], "width": 2, "dash": dash}, "marker": {"size": 6, "symbol": symbol}}
        )  # fmt: skip
    top = max(max(trace["y"]) for trace in data)
    switches.append(("limit on TPOT", str(len(data)), "dash"))
    data.append(
        {"type": "scatter", "mode": "lines", "x": [1 / tpot] * 2, "y": [0.0, top], "name": "limit", "hoverinfo": "skip",
         "line": {"color": COLORS[6], "width": 1.2, "dash": "dash"}}
    )  # fmt: skip
    for color, name, speed, rate in best:
        star = _star(speed, rate)
        told_ = (
            f"<b>{escape(name)}</b>, the service of this page<br>{rate:,.4g} tokens/s per chip, {speed:,.4g} per user"
        )
        switches.append((f"{name}: this page", str(len(data)), f"star c{color}"))
        data.append({**star, "hovertext": [told_], "marker": {**star["marker"], "color": COLORS[color]}})
    axis = {"rangemode": "tozero"}
    layout = {
        "xaxis": {"title": {"text": "tokens/s per user (1 / TPOT)"}, **axis},
        "yaxis": {"title": {"text": "output tokens/s per chip"}, **axis},
    }
    return Picture(_picture(data, layout), tuple(switches))


def _star(x: float, y: float) -> dict[str, Any]:
    """Return the configuration that the page is about."""
    return {
        "type": "scatter", "mode": "markers", "x": [x], "y": [y], "name": "this page", "hoverinfo": "text",
        "hovertext": ["the configuration of this page"],
        "marker": {"symbol": "star", "size": 15, "color": COLORS[2], "line": {"width": 1, "color": "#ffffff"}},
    }  # fmt: skip


def _ring(x: float, y: float) -> dict[str, Any]:
    """Return where a walk stands: the last trace of its figure."""
    return {
        "type": "scatter", "mode": "markers", "x": [x], "y": [y], "name": "walk", "hoverinfo": "skip",
        "marker": {"symbol": "circle-open", "size": 17, "color": COLORS[1], "line": {"width": 3}},
    }  # fmt: skip


def tradeoff(found: Tradeoff, told: Sequence[Sequence[str]], start: int, here: tuple[float, float] | None) -> Picture:
    """Return time against memory of configurations for a step of training, with a mark that walks along those that nothing beats."""
    memory, time = (found.memory / GIGA).tolist(), found.time.tolist()
    places = np.linspace(0, len(found.all_time) - 1, min(len(found.all_time), 1500)).astype(int)
    data: list[dict[str, Any]] = [
        {"type": "scatter", "mode": "markers", "x": (found.all_memory[places] / GIGA).tolist(),
         "y": found.all_time[places].tolist(), "marker": {"size": 3, "color": COLORS[6], "opacity": 0.35}, "hoverinfo": "skip",
         "name": "all"},
        {"type": "scatter", "mode": "lines+markers", "x": memory, "y": time, "name": "frontier", "hoverinfo": "text",
         "hovertext": ["<br>".join(map(escape, each)) for each in told], "line": {"color": COLORS[0], "width": 2, "shape": "hv"},
         "marker": {"size": 6}},
    ]  # fmt: skip
    switches = [("every configuration that fits", "0", "dot c6"), ("frontier", "1", "dot c0")]
    if here is not None:
        data.append(_star(here[0] / GIGA, here[1]))
        switches.append(("the configuration of this page", "2", "star c2"))
    data.append(_ring(memory[start], time[start]))
    layout = {
        "xaxis": {"title": {"text": "memory of the fullest chip, GB"}},
        "yaxis": {"title": {"text": "time of a step, s"}, "type": "log"},
    }
    return Picture(_picture(data, layout), tuple(switches))


def sized(memory: float, time: float) -> tuple[str, str]:
    """Return memory and time of a configuration in words."""
    return show(memory, BYTE, 3), show(time, SECOND, 3)
