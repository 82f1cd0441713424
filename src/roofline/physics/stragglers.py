r"""Stragglers: a step waits for the slowest of its hosts, longer the more hosts there are.

A host is late by a random delay now and then: a page fault, a retransmission, a hot chip, traffic of others on the spine. Its tail
is heavy: delays beyond d are seen with a probability that falls as :math:`d^{-2}`. The longest of N such delays follows a Fréchet
law, whose mean and quantiles grow with the square root of N:

.. math:: \mathrm{E}[\max] = \sigma \sqrt{\pi N}, \qquad Q_q = \sigma \sqrt{N / \ln(1/q)},

so that a step of N hosts takes :math:`1 + k\,(\sqrt N - 1)` times as long as one of a single host, and one step in a hundred
5.6 times as much longer as the mean. Published weak-scaling series say :math:`k`, each fitted within itself so that what else a
prediction misses does not count: 0.32 % for GPT-3 on 128 to 6,144 Ascend 910B (+8.2 %; MindSpeed-LLM), 0.49 % for MaxText on 256 to
8,192 TPU v5e, 0.56 % for NVIDIA's recipes on 8 to 512 H100, 0.35 % on 128 to 512 GB200; a logarithm of N fits all of these less
well. Part of it is in the exchange of gradients that is priced apart: 0.35 % here leaves predicted series within a third of the measured
on 910B (8.2 % from 128 to 6,144 chips) and H100 (2.0 % in the middle of 36 series), and the mean error over all runs where it is. Nothing was published beyond 1,024 hosts of eight chips at one batch for
each chip: there the term stays what it is at 1,024.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from roofline.core.arrays import larger, smaller
from roofline.core.units import Count, Ratio

HOST: Final = 8.0
"""Chips that count as one host, whatever the rack: series of 4 to 16 chips a host were fitted alike."""
GROWTH: Final = 0.0035
"""``k``: part of a step that the square root of the hosts adds."""
MOST: Final = 1024.0
"""Hosts up to which series were published."""


def slowdown(chips: Count) -> Ratio:
    """Return the slowdown of a step by its slowest host, relative to the step: ``k (sqrt(N) - 1)``.

    >>> [round(float(slowdown(n)), 4) for n in (8, 512, 6144, 16384)]
    [0.0, 0.0245, 0.0935, 0.1085]
    """
    hosts = smaller(larger(chips / HOST, 1.0), MOST)
    return GROWTH * (np.sqrt(hosts) - 1)


def slowdown_at(chips: Count, q: Ratio) -> Ratio:
    r"""Return the same at a quantile of the steps: the mean times :math:`1 / \sqrt{\pi \ln(1/q)}`.

    >>> round(float(slowdown_at(512.0, 0.99)), 4)
    0.1379
    """
    return slowdown(chips) / np.sqrt(np.pi * np.log(1 / q))
