"""Parallel layouts: degrees, and the placement of the ranks of each group."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from attrs import evolve, field, frozen
from numpy.typing import NDArray

from roofline.core.errors import QuestionError, fault
from roofline.core.fields import MOST_RANKS, amount, degree, number, one_of, optional, refuse, without_none
from roofline.core.remember import by_numbers
from roofline.core.signatures import typed_methods
from roofline.core.units import Count, Num

SHARDINGS: Final = {
    "none": "every data-parallel rank stores everything",
    "zero1": "the states of the optimizer are sharded",
    "zero2": "gradients too",
    "zero3": "and weights (FSDP): gathered layer by layer for each micro-batch",
}
"""What data-parallel ranks share out instead of keeping copies (Rajbhandari and others, ZeRO, SC 2020, arXiv:1910.02054)."""

_DEGREES: Final = ("tp", "cp", "pp", "vpp", "dp", "ep", "replicas")


CONTEXTS: Final = {
    "ring": "keys and values go round, behind the attention to those that came before (Ring Attention, arXiv:2310.01889)",
    "all-gather": "keys and values are gathered before attention (Llama 3, arXiv:2407.21783, section 3.3.2)",
    "ulysses": "tokens are exchanged for heads before attention, and back after it (DeepSpeed-Ulysses, arXiv:2309.14509)",
}
"""How the ranks that share a sequence attend to all of it."""


@by_numbers
@typed_methods
@frozen(eq=False)
class Layout:
    """Degrees of parallelism, counted in ranks; every one may be an array.

    One replica holds ``tp * pp * dp`` ranks. Ranks are placed with tensor parallelism innermost, attention data
    parallelism next, pipeline stages outside that and replicas outermost, so tensor peers are neighbours.

    Attributes:
        tp: tensor parallel degree of attention and dense layers.
        pp: pipeline stages.
        dp: attention data parallel degree inside a replica: each group of ``tp`` ranks serves its own sequences, and
            mixture-of-experts layers are shared by all ``tp * dp`` ranks of a stage.
        ep: expert parallel degree; each expert is cut over the remaining ``tp * dp / ep`` ranks.
        replicas: independent copies of all that.
        redundant_experts: extra copies of routed experts, spread with them over the ``ep`` shards.
        sequence_parallel: split the tokens between tensor-parallel regions (reduce-scatter + all-gather for
            all-reduce).
        cp: context parallel degree: ranks that share the tokens of a sequence (training). They lie between ``tp`` and ``dp``.
        vpp: chunks of layers that a pipeline stage holds, interleaved with those of the others (training).
        etp: ranks over which one expert is cut in training, where ``tp * cp * dp / (ep * etp)`` copies of the experts share a
            stage; None for ``tp``. A service has one copy, cut over ``tp * dp / ep`` ranks.
        sharding: what data-parallel ranks do not keep copies of: :data:`SHARDINGS`.
        schedule: order of the micro-batches on a pipeline: a name of :data:`roofline.physics.pipeline.SCHEDULES`.
        fsdp: how many data-parallel ranks share it out, where groups of so many hold copies (hybrid sharding); None
            for all.
        context: how context-parallel ranks see the whole sequence: ``ring``, ``all-gather`` or ``ulysses``.
    """

    tp: Count = degree()
    pp: Count = degree()
    dp: Count = degree()
    ep: Count = degree()
    replicas: Count = degree()
    redundant_experts: Count = amount(0.0, high=MOST_RANKS, whole=True)
    sequence_parallel: bool = False
    cp: Count = degree()
    vpp: Count = degree()
    etp: Count | None = optional(1, MOST_RANKS, whole=True)
    sharding: str = field(default="zero1", validator=one_of(SHARDINGS))
    schedule: str = "1f1b"
    fsdp: Count | None = optional(1, MOST_RANKS, whole=True)
    context: str = field(default="ring", validator=one_of(CONTEXTS))

    @property
    def ranks(self) -> Count:
        """Ranks in the whole deployment."""
        return self.tp * self.cp * self.pp * self.dp * self.replicas

    @property
    def stage(self) -> Count:
        """Ranks of one pipeline stage of one replica: those that share its experts, unless ``etp`` says how many do."""
        return self.tp * self.cp * self.dp

    @property
    def expert_tp(self) -> Count:
        """Ranks over which one expert is cut."""
        return self.stage / self.ep if self.etp is None else self.etp

    @property
    def sharing(self) -> Count:
        """Ranks that hold one copy of a stage's experts among them."""
        return self.ep * self.expert_tp

    @classmethod
    def grid(cls, ranks: int | None = None, *, chips: int | None = None, **words: Num | None) -> Layout:
        """Return every layout of ``ranks`` ranks (or ``chips`` of one rank each) as arrays of one axis, with the given degrees fixed.

        >>> Layout.grid(4, dp=1, ep=1).tp
        array([1., 1., 1., 2., 2., 4.])

        Raises:
            QuestionError: no layout of that many ranks has the degrees given.
        """
        count = ranks if chips is None else chips
        if count is None or (ranks is not None and chips is not None):
            raise QuestionError(fault("ranks", ranks, "give the ranks to lay out, or the chips", "Layout.grid(72)"))
        size = one("ranks", count)
        refuse("ranks", size, 1, MOST_RANKS, whole=True)
        ranks = int(size)
        fixed = {name: one(name, value) for name, value in without_none(**words).items()}
        for name, value in fixed.items():
            refuse(name, value, 1, MOST_RANKS, whole=True)
        divisors = [float(n) for n in range(1, ranks + 1) if ranks % n == 0]
        rows: list[tuple[float, ...]] = []
        for tp in _candidates("tp", fixed, divisors):
            for pp in _candidates("pp", fixed, divisors):
                if ranks % (tp * pp):
                    continue
                for dp in _candidates("dp", fixed, divisors):
                    if ranks % (tp * pp * dp):
                        continue
                    shards = [n for n in divisors if (tp * dp) % n == 0]
                    rows += [(tp, pp, dp, ep, ranks / (tp * pp * dp)) for ep in _candidates("ep", fixed, shards)]
        if not rows:
            asked = ", ".join(f"{name}={value:g}" for name, value in fixed.items())
            raise QuestionError(
                fault(
                    "layout",
                    asked,
                    f"no such layout of {ranks} ranks",
                    "tp * pp * dp must divide them; give other degrees, or chips",
                )
            )
        tp_, pp_, dp_, ep_, replicas = np.array(rows).T
        return cls(tp=tp_, pp=pp_, dp=dp_, ep=ep_, replicas=replicas)

    def select(self, where: NDArray[np.bool_] | NDArray[np.integer] | int) -> Layout:
        """Return the layouts at the places of a mask or index."""
        cut: Any = {name: value[where] for name in _DEGREES if np.ndim(value := getattr(self, name))}
        optionals = {"etp": self.etp, "fsdp": self.fsdp}
        cut |= {name: value[where] for name, value in optionals.items() if isinstance(value, np.ndarray)}
        return evolve(self, **cut)

    def replaced(self, name: str, degree: Num) -> Layout:
        """Return the layouts with one degree replaced."""
        change: Any = {name: degree * np.ones(np.shape(self.tp))}
        return evolve(self, **change)

    def words(self) -> dict[str, int]:
        """Return the degrees of one layout as whole numbers."""
        out = {name: int(getattr(self, name)) for name in ("tp", "pp", "dp", "ep", "replicas")}
        out |= {name: int(getattr(self, name)) for name in ("cp", "vpp") if getattr(self, name) != 1}
        out |= {name: int(value) for name, value in (("etp", self.etp), ("fsdp", self.fsdp)) if value is not None}
        if self.redundant_experts:
            out["redundant_experts"] = int(self.redundant_experts)
        return out

    def short(self) -> str:
        """Return the degrees of one layout that are not 1."""
        return " ".join(f"{name}={n}" for name, n in self.words().items() if n > 1) or "one rank"

    def __str__(self) -> str:
        if any(np.ndim(getattr(self, name)) for name in _DEGREES):
            return "many layouts"
        return " ".join(f"{name}={n}" for name, n in self.words().items()) + (" sp" if self.sequence_parallel else "")


@frozen(eq=False)
class PoolLayouts:
    """The layouts of the two pools of disaggregated prefill and decode.

    Attributes:
        decode: layout of the pool that decodes.
        prefill: layout of the pool that prefills.
    """

    decode: Layout
    prefill: Layout

    def short(self) -> str:
        """Return the degrees of both that are not 1."""
        return f"prefill {self.prefill.short()}, decode {self.decode.short()}"


def _candidates(name: str, fixed: dict[str, float], divisors: list[float]) -> list[float]:
    return [fixed[name]] if name in fixed else divisors


def one(name: str, value: object) -> float:
    """Return a degree as one number.

    Raises:
        QuestionError: many numbers, or none.
    """
    found = number(value, name)
    if isinstance(found, np.ndarray):
        raise QuestionError(
            fault(name, value, "must be one number where layouts are chosen", "pass a Layout of arrays instead")
        )
    return found


def expert_tensors(tp: Count, cp: Count, dp: Count, ep: Count) -> Count:
    """Return the ranks that share the tensors of an expert where they are not stated: ``gcd(tp, tp cp dp / ep)``.

    Megatron-Core takes ``tp`` (``--expert-tensor-parallel-size``); what does not divide the ranks left by ``ep`` is no choice.

    >>> float(expert_tensors(4.0, 1.0, 8.0, 8.0)), float(expert_tensors(4.0, 1.0, 2.0, 8.0))
    (4.0, 1.0)
    """
    left = np.maximum(np.floor_divide(tp * cp * dp, ep), 1.0)
    return np.gcd(np.asarray(tp, np.int64), np.asarray(left, np.int64)).astype(np.float64)
