"""``collective``: the time of one collective on a system."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final, TypedDict

import numpy as np
from attrs import evolve, frozen
from numpy.typing import ArrayLike

from roofline import catalog
from roofline.core.arrays import Mask, larger, smaller
from roofline.core.errors import QuestionError, fault, unknown
from roofline.core.fields import number, refuse
from roofline.core.lazy import plots
from roofline.core.provenance import Fact
from roofline.core.quantities import spaced
from roofline.core.signatures import typed, typed_methods
from roofline.core.units import (
    BYTE,
    BYTE_RATE,
    GIBI,
    SECOND,
    Bytes,
    BytesPerSecond,
    Count,
    Num,
    Ratio,
    Seconds,
    parse,
    show,
)
from roofline.core.values import Record
from roofline.hardware.constants import EXCHANGES, Calibration
from roofline.hardware.evidence import COVERAGE, scaled
from roofline.hardware.hardware import Fabric, System, Tier
from roofline.operators.operations import Message
from roofline.physics.collectives import climb, price, shifted
from roofline.physics.spans import Span, leaf
from roofline.results.answer import Answer, Text
from roofline.results.citations import cited

if TYPE_CHECKING:
    from matplotlib.axes import Axes

KINDS: Final = {
    "all-reduce": "all_reduce", "all-gather": "all_gather", "reduce-scatter": "reduce_scatter", "all-to-all": "all_to_all",
    "send-recv": "point_to_point", "broadcast": "broadcast", "dispatch": "dispatch", "combine": "combine",
}  # fmt: skip
"""Kinds of collective, and what messages call them."""
ALGORITHMS: Final = {
    "ring": ("ring", "gather"), "tree": ("tree",), "in-network": ("in_network",), "halving": ("halving",), "one-shot": ("one_shot",),
    "two-shot": ("two_shot",), "direct": ("all_to_all", "point_to_point"), "chain": ("chain",), "binomial": ("binomial",),
    "low-latency": ("low_latency",), "throughput": ("throughput",),
}  # fmt: skip
"""Algorithms by name, and the ways of :data:`roofline.hardware.constants.COLLECTIVES` that are one."""
_ENGINES: Final = ("one_shot", "two_shot")
"""Kernels of serving engines, which a collective library does not choose."""
_SINGLE: Final = ("halving",)
"""Ways that NCCL and RCCL have between nodes of one rank each only."""
_LEAST, _MOST = 2.0, float(GIBI) * float(GIBI)


class CollectiveWords(TypedDict):
    """Words of :func:`collective` besides what is sent and between how many."""

    algorithm: str | None
    fabric: str | Path | Fabric | None
    in_network: bool | None
    plane: str | None
    per_node: float | None
    copies: float
    tokens: float
    groups: float
    top_groups: float
    library: str | None
    level: str | Path | Calibration


@typed_methods
@frozen(eq=False, repr=False)
class Collective(Answer):
    """The time of a collective on a system, as nccl-tests counts its bytes. Quantities are floats, or arrays over the points asked.

    Attributes:
        kind: a key of :data:`KINDS`.
        bytes: of the whole buffer of one rank (all-gather: what it ends with; dispatch: one copy of its tokens).
        ranks: that take part, on neighbouring places.
        system: the system that it runs on.
        tiers: the tiers of the network that it meets.
        fabric: the network between nodes that it crosses; "" inside one node.
        calibration: coefficients of the links.
        time: of the quickest algorithm, or of the one asked for, s.
        latency: the part of ``time`` that no bandwidth shortens, s.
        algorithm: which that is.
        error: half-width of the 80 % interval, relative.
        algorithms: times of all that are open to it, by name.
        whole: the message with its cost.
        options: words that it was asked with.
    """

    KIND: ClassVar[str] = "collective"
    SECTIONED = False
    LEAST: ClassVar[tuple[str, ...]] = ("time", "latency")
    KNOWN: ClassVar[str] = "such as time or busbw"
    COLUMNS: ClassVar[Mapping[str, str]] = {
        "time_s": "time", "busbw_bytes_per_s": "busbw", "algbw_bytes_per_s": "algbw", "algorithm": "algorithm",
    }  # fmt: skip
    SURE: ClassVar[Mapping[str, str]] = {"time_s": "time"}

    kind: str
    bytes: Bytes
    ranks: Count
    system: System
    tiers: tuple[Tier, ...]
    fabric: str
    calibration: Calibration
    time: Seconds
    latency: Seconds
    algorithm: Text
    error: Ratio
    algorithms: dict[str, Num]
    whole: Span
    options: CollectiveWords

    @property
    def level(self) -> str:
        """Level of the coefficients: ``ideal``, ``generic`` or ``calibrated``."""
        return self.calibration.level

    @property
    def algbw(self) -> BytesPerSecond:
        """Algorithm bandwidth: bytes over time."""
        return self.bytes / self.time

    @property
    def busbw(self) -> BytesPerSecond:
        """Bus bandwidth: algorithm bandwidth times ``2 (n - 1) / n`` of an all-reduce, ``(n - 1) / n`` of a gather, scatter or exchange."""
        n = self.ranks
        match self.kind:
            case "all-reduce":
                return self.algbw * 2 * (n - 1) / n
            case "all-gather" | "reduce-scatter" | "all-to-all":
                return self.algbw * (n - 1) / n
            case _:
                return self.algbw

    @property
    def bound(self) -> Text:
        """What most of the time is spent on: ``network``, or ``latency``."""
        named = np.where(self.latency > self.time / 2, "latency", "network")
        return named if self.shape else str(named)

    def interval(self, quantity: str = "time", coverage: Ratio = COVERAGE) -> tuple[Num, Num] | None:
        """Return the interval of ``time``, ``busbw`` or ``algbw`` expected to contain a share of measurements; None at the ideal level.

        It is that of the coefficients, ``1 + error`` at 80 %, and of how far figures of other people are from them
        (``hardware/evidence/collectives.csv``): of exchanges of experts, whose libraries differ, and inside a node of long messages and
        of short ones by the part of the time that no bandwidth shortens. A fabric's own error holds that of other people already.

        Raises:
            QuestionError: another quantity.
        """
        if quantity not in ("time", "busbw", "algbw"):
            raise QuestionError(fault("quantity", quantity, "has no interval", "ask for time, busbw or algbw"))
        value: Num = getattr(self, quantity)
        if self.level == "ideal":
            return None
        shorter, longer = (
            np.exp(end)
            for end in ends(
                self.kind,
                self.fabric,
                self.latency / self.time,
                self.error,
                coverage,
                known=self.options["library"] is not None,
            )
        )
        return (value * shorter, value * longer) if quantity == "time" else (value / longer, value / shorter)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the points asked; () for one."""
        return np.shape(self.time)

    def at(self, *index: int) -> Collective:
        """Return the answer at one point; a negative index counts from the end of its axis.

        Raises:
            QuestionError: the index picks no point.
        """
        place = self.place(index)
        size, ranks = (np.asarray(each)[place] for each in (self.bytes, self.ranks))
        return collective(self.kind, size, self.system, ranks=ranks, **self.options)

    @property
    def fits(self) -> Mask:
        """True: a collective needs no memory that is counted here."""
        return True

    @property
    def reasons(self) -> tuple[str, ...]:
        """Empty: every collective that is asked can be done."""
        return ()

    @property
    def assumptions(self) -> tuple[str, ...]:
        """What was assumed to answer."""
        named = self.options["algorithm"] is None
        return ("algorithm: the quickest that a collective library has",) if named else ()

    @property
    def labels(self) -> Mapping[str, str]:
        """Words that are the same at all points."""
        return {"kind": self.kind, "system": self.system.name, "level": self.level}

    @property
    def inputs(self) -> Mapping[str, Num]:
        """Size and ranks."""
        return {"bytes": self.bytes, "ranks": self.ranks}

    def citations(self) -> tuple[Fact, ...]:
        """Return every number of the network, and every coefficient of its links, with its source."""
        over = evolve(self.system, tiers=self.tiers) if self.options["plane"] is None else self.system
        facts = cited(over, self.calibration, self.whole)
        hidden = "chip." if self.options["plane"] is None else ("chip.", "system.")
        planes = [fact for fact in self.system.facts if fact.path.startswith("system.plane[")]
        return (
            *(fact for fact in facts if not fact.path.startswith(hidden)),
            *(planes if self.options["plane"] else ()),
        )

    @property
    def _asked_in_words(self) -> str:
        if self.shape:
            return f"{self.kind}, {self.system.name}"
        return f"{self.kind} of {show(float(self.bytes), BYTE)}, {float(self.ranks):,.0f} ranks of {self.system.name}"

    @property
    def _given_in_words(self) -> str:
        return f": {show(float(self.time), SECOND, 3)}"

    def __str__(self) -> str:
        if self.shape:
            return super().__str__()
        pair = self.interval()
        sure = (
            ""
            if pair is None
            else f"  (80 % interval {show(float(pair[0]), SECOND, 3)} to {show(float(pair[1]), SECOND, 3)})"
        )
        over = f", over {self.fabric}" if self.fabric else ""
        others = ", ".join(
            f"{name} {show(float(t), SECOND, 3)}" for name, t in self.algorithms.items() if np.isfinite(t)
        )
        return "\n".join(
            [
                f"{self.kind} of {show(float(self.bytes), BYTE)} over {float(self.ranks):,.0f} ranks of {self.system.title or self.system.name}{over}",
                f"time                 {show(float(self.time), SECOND)}{sure}{'  (a bound: ideal coefficients)' if self.level == 'ideal' else ''}",
                f"bus bandwidth        {show(float(self.busbw), BYTE_RATE)}",
                f"algorithm bandwidth  {show(float(self.algbw), BYTE_RATE)}",
                f"algorithm            {self.algorithm}  ({others})",
                f"bound                {self.bound}",
            ]
        )

    def to_dict(self) -> Record:
        """Return the answer under names with units; arrays become lists."""
        pair = self.interval()
        return {
            "kind": self.kind, "bytes": _plain(self.bytes), "ranks": _plain(self.ranks), "system": self.system.name,
            "fabric": self.fabric or None, "level": self.level, "bound_only": self.level == "ideal", "time_s": _plain(self.time),
            "busbw_bytes_per_s": _plain(self.busbw), "algbw_bytes_per_s": _plain(self.algbw), "algorithm": _plain(self.algorithm),
            "bound": _plain(self.bound), "interval": {"time_s": None if pair is None else [_plain(each) for each in pair]},
        }  # fmt: skip

    def over(self, sizes: ArrayLike) -> Collective:
        """Return the same collective at other sizes."""
        return collective(self.kind, number(sizes, "sizes"), self.system, ranks=self.ranks, **self.options)

    def plot(self, ax: Axes | None = None, *, style: str | None = None, width: float | str | None = None) -> Axes:
        """Draw bus bandwidth against size; see :func:`roofline.plots.collective`."""
        return plots().collective(self, ax=ax, style=style, width=width)  # type: ignore[no-any-return]


def ends(
    kind: str, fabric: str, waiting: Num, error: Num, coverage: Ratio = COVERAGE, *, known: bool = False
) -> tuple[Num, Num]:
    """Return the logarithms of the ends of the interval of a time of a collective, over the time.

    Args:
        kind: ``dispatch`` and ``combine`` are exchanges of experts; others are collectives.
        fabric: the network between nodes that is crossed, "" inside one.
        waiting: part of the time that no bandwidth shortens.
        error: half-width of the 80 % interval that the coefficients leave, relative.
        coverage: the share of measurements that the interval holds.
        known: whether it is known which library exchanges tokens; the interval holds the others' too where it is not.

    >>> low, high = ends("all-reduce", "", 0.1, 0.1)
    >>> bool(low < 0 < high)
    True
    """
    evidence, none = catalog.evidence(), 0.0
    parts: dict[str, Num] = {}
    if kind in ("dispatch", "combine"):
        parts = {} if known else {"exchange": 1.0}
    elif not fabric:
        short = smaller(waiting, 1.0)
        parts = {"collective_short": short, "collective_long": 1 - short}
    others = {name: evidence.spread(name, "chip").ends(coverage) for name in parts}
    low, high = (sum((part * others[name][i] for name, part in parts.items()), start=none) for i in (0, 1))
    own = scaled(coverage) * np.log1p(error)
    return -np.hypot(own, smaller(low, none)), np.hypot(own, larger(high, none))


def _plain(value: Any) -> Any:
    """Return a number, or a list of them, as JSON has it."""
    return value.tolist() if isinstance(value, (np.ndarray, np.generic)) else value


@typed
def collective(
    kind: str,
    size: float | str | ArrayLike,
    system: str | Path | System,
    *,
    ranks: float | ArrayLike,
    algorithm: str | None = None,
    fabric: str | Path | Fabric | None = None,
    in_network: bool | None = None,
    plane: str | None = None,
    per_node: float | None = None,
    copies: float = 8.0,
    tokens: float = 0.0,
    groups: float = 1.0,
    top_groups: float = 1.0,
    library: str | None = None,
    level: str | Path | Calibration = "calibrated",
) -> Collective:
    """Return how long a collective takes, with its bus bandwidth, algorithm and interval.

    Args:
        kind: ``all-reduce``, ``all-gather``, ``reduce-scatter``, ``all-to-all``, ``send-recv`` (every rank to the next at once),
            ``broadcast``, or ``dispatch`` and ``combine`` of tokens to their experts.
        size: bytes as nccl-tests counts them, a number, text such as ``"1 GiB"``, or an array.
        system: a name in ``hardware/systems``, the path of a TOML file, or an object.
        ranks: how many take part, at least 2; an array broadcasts with ``size``.
        algorithm: one of :data:`ALGORITHMS`; by default the quickest that a collective library has.
        fabric: the network that the outermost tier is taken to be; a name in ``hardware/fabrics``. Its bandwidth stays that of the tier.
        in_network: whether the switches of the outermost tier add up (SHARP); NCCL leaves that off unless NCCL_COLLNET_ENABLE=1.
        plane: another network of the system that carries the message, such as ``VPC`` of a CloudMatrix.
        per_node: ranks that take part on each node, or of each rack's NVLink partition; by default all that the tier inside the network joins.
        copies: experts of each token, of a dispatch or combine.
        tokens: of each rank, of a dispatch or combine whose low-latency kernels reach the cards through a thread of the host: that takes
            the ``post`` of the fabric for each copy that leaves a node (EFA, TCPX, Slingshot); 0 where the GPU writes to the card itself.
        groups: equal parts of the ranks that the router of a dispatch or combine chooses among (``n_group``); 1 for any.
        top_groups: parts that the experts of one token lie in at most (``topk_group``).
        library: what exchanges the tokens of a dispatch or combine, a key of :data:`roofline.hardware.constants.EXCHANGES`; by default
            DeepEP's first version, which the coefficients of every profile are of.
        level: as in :func:`roofline.estimate`.

    Returns:
        The time in seconds, bus and algorithm bandwidth in bytes per second, the algorithm, and the interval.

    Raises:
        QuestionError: a word is not known, or a number is out of range.

    >>> answer = collective("all-reduce", "1 GiB", "dgx-h100", ranks=64)
    >>> answer.algorithm, 250 < answer.busbw / 1e9 < 400
    ('in-network', True)
    """
    rack = catalog.system(system)
    named = _kind(kind)
    buffer = _bytes(size)
    group = number(ranks, "ranks")
    for name, each in (("size", buffer), ("ranks", group)):
        if not np.size(each):
            raise QuestionError(fault(name, each, "must be a number, or an array of numbers"))
    refuse("size", buffer, 1.0, _MOST)
    refuse("ranks", group, _LEAST, whole=True)
    if np.any(group > rack.reach):
        rule = f"is more than the {float(rack.reach):,.0f} ranks that {rack.name} joins"
        raise QuestionError(fault("ranks", float(np.max(group)), rule, catalog.larger(rack) or "name a larger system"))
    buffer, group = (each + 0.0 for each in np.broadcast_arrays(buffer, group))
    tiers, ways = _tiers(rack, fabric, in_network, plane, per_node), _ways(algorithm, rack)
    profile = catalog.profile(level, rack)
    if library is not None:
        if library not in EXCHANGES:
            raise unknown("library", library, tuple(EXCHANGES))
        profile = profile if profile.level == "ideal" else profile.on(library)
    parts, among = number(groups, "groups"), number(top_groups, "top_groups")
    refuse("tokens", number(tokens, "tokens"), 0.0, _MOST)
    refuse("groups", parts, 1.0, float(np.min(group)), whole=True)
    refuse("top_groups", among, 1.0, float(np.min(parts)), whole=True)
    message = Message(
        named,
        KINDS[named],
        buffer,
        group,
        copies=number(copies, "copies"),
        rows=number(tokens, "tokens"),
        groups=parts,
        among=among,
    )
    if named == "send-recv":
        message, tiers = shifted(buffer, group, tiers)
    cost = price(message, tiers, profile, ways)
    if not cost.ways or not np.all(np.isfinite(cost.time)):
        asked = algorithm or "collective"
        raise QuestionError(
            fault("algorithm", asked, f"is no way of a {named} on {rack.name}", f"try {', '.join(ALGORITHMS)}")
        )
    names = {way: name for name, each in ALGORITHMS.items() for way in each}
    times = {names[way]: np.asarray(time) + 0.0 * cost.time for way, time in cost.ways.items()}
    which = np.argmin(np.stack([np.asarray(t, dtype=np.float64) for t in times.values()]), axis=0)
    chosen = np.array(list(times))[which]
    crossed = [
        c.fabric.name for c in climb(tiers, message.group, message.stride) if c.fabric is not None and np.any(c.fan > 1)
    ]
    options: CollectiveWords = {
        "algorithm": algorithm, "fabric": fabric, "in_network": in_network, "plane": plane, "per_node": per_node, "copies": copies, "tokens": tokens,
        "groups": groups, "top_groups": top_groups, "library": library, "level": level,
    }  # fmt: skip
    return Collective(
        named, _scalar(buffer), _scalar(group), rack, tiers, crossed[-1] if crossed else "", profile, _scalar(cost.time),
        _scalar(cost.latency), _scalar(chosen), _scalar(cost.error), {name: _scalar(t) for name, t in times.items()}, leaf(message, cost), options,
    )  # fmt: skip


def _scalar(value: Any) -> Any:
    """Return an array of no dimension as what it holds."""
    return value if np.ndim(value) else np.asarray(value).item()


def _bytes(size: float | str | ArrayLike) -> Num:
    """Return a size: a number, an array, or text such as ``1GiB``, ``1 GiB`` or ``1073741824``."""
    if not isinstance(size, str):
        return number(size, "size")
    plain = size.strip()
    if re.fullmatch(r"([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,4})?", plain):
        return number(float(plain), "size")
    return parse(spaced(plain), BYTE, "size")


def _kind(kind: str) -> str:
    """Return the kind in this library's spelling: ``all_reduce`` and ``allreduce`` are ``all-reduce``."""
    plain = str(kind).strip().lower().replace("_", "").replace("-", "").replace(" ", "")
    also = {"alltoall": "all-to-all", "a2a": "all-to-all", "p2p": "send-recv", "pointtopoint": "send-recv"}
    spelt = {name.replace("-", ""): name for name in KINDS} | also
    if plain not in spelt:
        raise unknown("kind", str(kind), tuple(KINDS))
    return spelt[plain]


def _ways(algorithm: str | None, rack: System) -> Sequence[str]:
    if algorithm is None:
        aside = (*_ENGINES, *_SINGLE) if rack.tiers[0].load_store else _ENGINES
        return [way for ways in ALGORITHMS.values() for way in ways if way not in aside]
    name = algorithm.strip().lower().replace("_", "-")
    if name not in ALGORITHMS:
        raise unknown("algorithm", algorithm, tuple(ALGORITHMS))
    return ALGORITHMS[name]


def _tiers(
    rack: System, fabric: str | Path | Fabric | None, in_network: bool | None, plane: str | None, per_node: float | None
) -> tuple[Tier, ...]:
    """Return the tiers that a message meets: the system's, with another network in place of the outermost where one is named.

    Where fewer ranks of a node take part than it has, the tiers inside it hold no more than those.
    """
    tiers = rack.tiers
    if plane is not None:
        wanted = {each.name.lower(): each for each in rack.planes}
        if plane.lower() not in wanted:
            raise unknown("plane", plane, tuple(each.name for each in rack.planes))
        tiers = (wanted[plane.lower()],)
    if fabric is not None:
        tiers = (*tiers[:-1], evolve(tiers[-1], fabric=catalog.fabric(fabric)))
    if in_network is not None:
        tiers = (*tiers[:-1], evolve(tiers[-1], in_network=in_network))
    if per_node is not None:
        some = number(per_node, "per_node")
        refuse("per_node", some, 1.0, float(tiers[-2].size) if len(tiers) > 1 else 1.0, whole=True)
        inner = tiers[:-1]
        if any(tier.topology == "torus" for tier in inner):
            raise QuestionError(
                fault("per_node", per_node, f"{rack.name} joins its ranks by a torus, which is not cut", "leave it out")
            )
        tiers = (*(evolve(tier, size=smaller(tier.size, some)) for tier in inner), tiers[-1])
    return tiers
