r"""Usable bandwidth and number of steps of a group of ranks in a topology.

A tier joins units (what the tiers below hold). A group covers ``fan`` of them, beginning where ``start`` units are covered
or skipped.

* switch: any unit reaches any other at full rate, less where it is oversubscribed.
* mesh: each unit has a link of its own to each of F - 1 others, so a group of f uses :math:`(f - 1) / (F - 1)` of them, at
  once.
* torus of k dimensions (a ring is one of one): a group covers e_i units along dimension i, and s_i of them lie between its
  neighbours. A dimension that is covered whole is a ring, in which both directions work: it gives :math:`1/k` of the
  bandwidth; a part of one is a line, in which a ring must come back the way it went: half of that. A group smaller than the
  first dimension lies in a compact block (2 x 2, 2 x 4), each side of which is a line. Interleaved groups share
  links: :math:`1/s_i`. All dimensions work at once. An all-to-all travels :math:`e/4` hops on average around a ring, so it
  takes :math:`S e / 4` over a dimension's bandwidth, twice that on a line (Austin and others, *How To Scale Your Model*,
  2025, part 3). Where optical switches join blocks (4 x 4 x 4 cubes of TPU v4, v5p and v7x), any slice of whole blocks is wrapped around
  in every dimension: a group lies in the slice that it spans, not in a corner of the pod.
"""

from __future__ import annotations

import numpy as np
from attrs import frozen

from roofline.core.arrays import floor, larger, pick, smaller
from roofline.core.units import Count, Num, Ratio
from roofline.hardware.hardware import Tier

_NEAR = 1e-7


@frozen(eq=False)
class Usable:
    """What a group can use of a tier.

    Attributes:
        gather: part of a rank's bandwidth in a reduce-scatter, an all-gather or an all-reduce.
        exchange: part of it in an all-to-all.
        hop: part of it from one rank to the next.
        steps: steps of one pass of a reduce-scatter.
        exchange_steps: steps of an all-to-all.
        any_to_any: whether the units that talk may be any, so that trees pay.
    """

    gather: Ratio
    exchange: Ratio
    hop: Ratio
    steps: Count
    exchange_steps: Count
    any_to_any: bool = False


def usable(tier: Tier, units: Count, start: Count, fan: Count) -> Usable:
    """Return what a group of ``fan`` of a tier's ``units`` can use of it, beginning after ``start`` of them.

    >>> from roofline.hardware.hardware import Tier
    >>> mesh = usable(Tier("mesh", 8, 448e9, 1e-6, topology="mesh"), 8.0, 1.0, 2.0)
    >>> round(float(mesh.gather), 3)
    0.143
    >>> pod = Tier("ICI", 256, 200e9, 1e-6, topology="torus", dims=(16, 16))
    >>> [float(usable(pod, 256.0, 1.0, fan).gather) for fan in (2.0, 4.0, 16.0, 256.0)]
    [0.25, 0.5, 0.5, 1.0]
    """
    match tier.topology:
        case "mesh":
            return _mesh(units, fan)
        case "ring":
            return _torus((units,), start, fan)
        case "torus" if tier.block:
            return _sliced(tier, start, fan)
        case "torus":
            return _torus(tier.dims, start, fan)
        case _:
            part = 1 / tier.oversubscription
            return Usable(part, part, part, fan - 1, np.log2(fan), any_to_any=True)


def _sliced(tier: Tier, start: Count, fan: Count) -> Usable:
    """Return what a group can use of a torus that optical switches put together of blocks.

    The ranks that the group spans, where they fill whole blocks, are a slice of their own: wrapped around in each dimension, and laid
    out as near to a cube as its blocks allow (a slice is chosen for its job). Elsewhere it lies in the whole torus.
    """
    edge, block = tier.block, float(np.prod(tier.block))
    span = start * fan
    blocks = span / block
    whole = (blocks >= 1 - _NEAR) & (abs(blocks - np.round(blocks)) < _NEAR)
    doublings, k = floor(np.log2(larger(blocks, 1.0)) + _NEAR), len(edge)
    sides = [length * 2 ** floor((doublings + i) / k) for i, length in enumerate(edge)]
    # What is no power of two lies along the last dimension.
    last = (
        larger(span, block) / np.prod(np.stack(np.broadcast_arrays(*sides[:-1])), axis=0)
        if k > 1
        else larger(span, block)
    )
    own, pod = _torus((*sides[:-1], last), start, fan), _torus(tier.dims, start, fan)
    return Usable(
        pick(whole, own.gather, pod.gather),
        pick(whole, own.exchange, pod.exchange),
        pick(whole, own.hop, pod.hop),
        pick(whole, own.steps, pod.steps),
        pick(whole, own.exchange_steps, pod.exchange_steps),
    )


def _mesh(units: Count, fan: Count) -> Usable:
    others = larger(units - 1, 1.0)
    part = pick(fan > 1, smaller((fan - 1) / others, 1.0), 1.0)
    once = (fan > 1) * 1.0
    return Usable(part, part, 1 / others, once, once)


def _torus(dims: tuple[Count, ...], start: Count, fan: Count) -> Usable:
    gather: Num = 0.0
    steps: Num = 0.0
    longest: Num = 0.0
    astride: Num = 0.0
    across: Num = 1.0
    below: Num = 1.0
    for d in dims:
        # Units along this dimension that the group's neighbours lie apart, and that it covers.
        apart = smaller(larger(start / below, 1.0), d)
        covered = smaller(larger(start * fan / below, 1.0), d) / apart
        used = (covered >= 2 - _NEAR) * 1.0
        ring = (covered * apart >= d - _NEAR) * 1.0
        gather = gather + used * (1 + ring) / 2 / apart
        steps = steps + used * apart * (ring * covered / 2 + (1 - ring) * (covered - 1))
        longest = larger(longest, used * covered * apart * (2 - ring))
        # A group that reaches into a dimension and fills none lies astride of it.
        part = (covered > 1 + _NEAR) * (1 + ring) / 2 / apart
        across = pick(part > astride, apart, across)
        astride = larger(astride, part)
        below = below * d
    k = len(dims)
    alone = fan <= 1
    fills = gather > 0
    gather, steps, longest = pick(fills, gather, astride), pick(fills, steps, across), pick(fills, longest, 4 * across)
    # A small group of neighbours lies in a compact block (2 x 2, 2 x 4, ...), whose sides are lines.
    sides = smaller(floor(np.log2(larger(fan, 1.0)) + _NEAR), float(k))
    small = (start <= 1) & (fan < dims[0]) & (sides > 1)
    side = fan ** (1 / larger(sides, 1.0))
    gather = pick(small, sides / 2, gather)
    steps = pick(small, sides * (side - 1), steps)
    longest = pick(small, 2 * side, longest)
    # A group that lies beyond the torus is masked elsewhere; it must be priced all the same.
    gather = larger(gather, 0.5 / below)
    exchange = smaller(4 * (1 - 1 / fan) / (k * larger(longest, 1.0)), 1.0)
    return Usable(
        pick(alone, 1.0, gather / k),
        pick(alone, 1.0, exchange),
        1 / (2 * k),
        pick(alone, 0.0, steps),
        pick(alone, 0.0, steps),
    )
