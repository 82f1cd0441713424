"""Feasibility rules of a layout: which degrees divide a model, which groups fit the network, how many ranks it has."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from itertools import pairwise
from typing import Final, assert_never

import numpy as np
from attrs import evolve, frozen

from roofline.core.arrays import Mask
from roofline.core.remember import remembered
from roofline.core.units import Count, Num
from roofline.hardware.hardware import System
from roofline.models.architecture import Absent, Dense, FeedForward, Model, Moe
from roofline.workload.layout import Layout
from roofline.workload.questions import TrainStep

REACH: Final = "ranks_within_reach"
"""The key of the condition that the network joins the ranks."""
_MOST_TP: Final = 128
"""The greatest tensor-parallel degree that a message proposes."""


@frozen(eq=False)
class Rule:
    """A feasibility rule: where it holds, and the message where it does not.

    Attributes:
        key: a stable word for the condition, such as ``tp_divides_heads_64``; it begins with the degree to change, if one is.
        ok: where it holds.
        text: the sentence for where it does not, in which ``{limit}`` stands for the greatest ``limit``.
        limit: the number that the sentence names, if any; a float, or an array over the points.

    >>> Rule("ranks_within_reach", np.array([True, False]), "joins {limit} ranks at most", np.array([8.0, 16.0])).reason
    'joins 16 ranks at most'
    """

    key: str
    ok: Mask
    text: str
    limit: Num = 0.0

    @property
    def reason(self) -> str:
        """The sentence, made from all points."""
        return sentence(self.text, self.limit)

    def of_pool(self, name: str) -> Rule:
        """Return the condition as one on the pool of this name, of several."""
        return evolve(self, key=f"{name}_{self.key}", text=f"{name} pool: {self.text}")

    @property
    def degree(self) -> str:
        """The first word of the key: the degree of the layout that the sentence begins with, if it does."""
        return self.key.partition("_")[0]


def sentence(text: str, limit: Num) -> str:
    """Return the text of a rule with the greatest of its limits in place."""
    return text.replace("{limit}", f"{float(np.max(limit)):g}")


def satisfied(rules: Iterable[Rule]) -> Mask:
    """Return a mask: where all rules hold."""
    out: Mask = True
    for rule in rules:
        out = out & rule.ok
    return out


def broken(rules: Iterable[Rule]) -> list[str]:
    """Return the sentences of the rules that do not hold everywhere."""
    return [rule.reason for rule in rules if not np.all(rule.ok)]


@remembered(64)
def serving_rules(model: Model, system: System, layout: Layout) -> tuple[Rule, ...]:
    """Return the conditions under which a model can be served in a layout on a system."""
    tp, pp, ep = layout.tp, layout.pp, layout.ep
    hint = some_tp(model)
    out = [
        *(evolve(rule, text=f"{rule.text}; {hint}") for rule in tensor_rules(model, tp)),
        Rule("pp_within_layers", pp <= model.depth, f"pp cannot exceed the {model.depth} layers of {model.name}"),
        within_reach(system, layout),
    ]
    if model.experts:
        out.append(Rule("ep_divides_stage", layout.stage % ep == 0, "ep must divide tp * dp"))
        most = f"ep cannot exceed the {model.experts} experts and their redundant copies"
        out.append(Rule("ep_within_experts", ep <= model.experts + layout.redundant_experts, most))
        widths = sorted({run.ffn.width for run in model.layers if isinstance(run.ffn, Moe)})
        out += [
            Rule(
                f"tp_dp_ep_divides_expert_width_{n}",
                n % layout.expert_tp == 0,
                f"tp * dp / ep must divide the expert width {n}",
            )
            for n in widths
        ]
    else:
        out.append(Rule("ep_without_experts", ep == 1, f"ep must be 1: {model.name} has no experts"))
    return (*out, *_placement_rules(model, system, layout))


def training_rules(question: TrainStep, system: System, layout: Layout) -> tuple[Rule, ...]:
    """Return the conditions under which a step of training can be done in a layout on a system."""
    model, d = question.model, layout.dp
    group = question.micro_batch * d
    out = [
        Rule(
            "micro_batch_dp_divides_batch",
            question.global_batch % group == 0,
            "micro_batch * dp must divide the global batch",
        ),
        # Embedding and head may have places of their own.
        Rule(
            "pp_vpp_within_layers",
            layout.pp * layout.vpp <= model.depth + 2,
            f"pp * vpp cannot exceed the {model.depth} layers of {model.name}",
        ),
        within_reach(system, layout),
        Rule("cp_divides_sequence", question.seq_len % layout.cp == 0, "cp must divide the sequence"),
        *_context_rules(model, layout),
        Rule("replicas_is_one", layout.replicas == 1, "replicas must be 1: dp counts the copies that train"),
        *tensor_rules(model, layout.tp),
    ]
    if model.experts:
        etp = layout.tp if layout.etp is None else layout.etp
        out.append(
            Rule("ep_etp_divides_stage", layout.stage % (layout.ep * etp) == 0, "ep * etp must divide tp * cp * dp")
        )
        out.append(
            Rule(
                "ep_within_experts",
                layout.ep <= model.experts,
                f"ep cannot exceed the {model.experts} experts of {model.name}",
            )
        )
    else:
        out.append(Rule("ep_without_experts", layout.ep == 1, f"ep must be 1: {model.name} has no experts"))
    return tuple(out)


def _context_rules(model: Model, layout: Layout) -> list[Rule]:
    """Return where heads can be shared out among context-parallel ranks, if that is what they exchange."""
    if layout.context != "ulysses":
        return []
    heads = sorted({run.attention.heads for run in model.layers} - {0})
    return [
        Rule(
            f"tp_cp_divides_heads_{n}",
            n % (layout.tp * layout.cp) == 0,
            f"tp * cp must divide the {n} attention heads of {model.name}",
        )
        for n in heads
    ]


def within_reach(system: System, layout: Layout) -> Rule:
    """Return the condition that the network joins so many ranks."""
    text = f"{system.name} joins {{limit}} ranks at most"
    return Rule(REACH, layout.ranks <= system.reach, text, system.reach)


def _width(block: FeedForward) -> int:
    """Return the width of what every token visits in a feed-forward block."""
    match block:
        case Dense():
            return block.width
        case Moe():
            return block.shared_width
        case Absent():
            return 0
        case _:
            assert_never(block)


def tensor_rules(model: Model, tp: Count) -> list[Rule]:
    """Return the conditions that each count which tensor parallelism cuts can be cut."""
    heads = sorted({run.attention.heads for run in model.layers} - {0})
    kv = sorted({getattr(run.attention, "kv_heads", run.attention.heads) for run in model.layers} - {0})
    widths = sorted({_width(run.ffn) for run in model.layers} - {0})
    return [
        *(
            Rule(f"tp_divides_heads_{n}", n % tp == 0, f"tp must divide the {n} attention heads of {model.name}")
            for n in heads
        ),
        *(
            Rule(
                f"tp_divides_kv_heads_{n}",
                _shared(tp, n),
                f"tp must divide the {n} key-value heads of {model.name}, or be a multiple of them",
            )
            for n in kv
        ),
        *(
            Rule(f"tp_divides_width_{n}", n % tp == 0, f"tp must divide the feed-forward width {n} of {model.name}")
            for n in widths
        ),
    ]


@functools.cache
def some_tp(model: Model) -> str:
    """Return the remedy for a tensor parallel degree that a model cannot be cut by."""
    degrees = np.arange(1.0, _MOST_TP + 1)
    masks = np.array([np.broadcast_to(rule.ok, degrees.shape) for rule in tensor_rules(model, degrees)])
    found = [f"{tp:g}" for tp in degrees[masks.all(axis=0)]]
    return f"try {' or '.join(filter(None, (', '.join(found[:-1]), found[-1])))}"


def _placement_rules(model: Model, system: System, layout: Layout) -> list[Rule]:
    """Return where groups lie evenly over the tiers: none straddles two instances of a tier that others do not."""
    groups = {"tp": layout.tp} | ({"tp * dp": layout.stage} if model.experts else {})
    out = []
    for i, (tier, _) in enumerate(pairwise(system.tiers)):
        size = tier.size
        for name, group in groups.items():
            even = (layout.ranks <= size) | (size % group == 0) | (group % size == 0)
            rule = f"{{limit}} ranks of {tier.name}, or be a multiple of them, once a deployment is larger"
            key = f"{name.replace(' * ', '_')}_divides_tier_{i}"
            out.append(Rule(key, even, f"{name} must divide the {rule}", size))
    return out


def _shared(tp: Count, kv_heads: int) -> Mask:
    return (kv_heads % tp == 0) | (tp % kv_heads == 0)
