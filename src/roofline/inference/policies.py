"""Scheduler policies of engines as data: budgets of a step, order, preemption when the cache is full.

Defaults are those of the engines' servers: vLLM passes prompt chunks in the decode steps of others and lets requests in while cache
blocks are free (https://docs.vllm.ai/en/latest/configuration/optimization.html); SGLang passes prompts in steps of their own, before
decode steps, unless ``--enable-mixed-chunk`` is given, and lets requests in by an estimate of what answers will hold
(https://docs.sglang.ai/advanced_features/hyperparameter_tuning.html); TensorRT-LLM's default scheduler reserves the cache of whole
answers (``GUARANTEED_NO_EVICT``, https://nvidia.github.io/TensorRT-LLM/performance/performance-tuning-guide/useful-runtime-flags.html).

Where host memory caches prefixes too: vLLM's offloading connector copies blocks to the host as they fill, and a request waits for its
copy back while others run (https://blog.vllm.ai/2026/01/08/kv-offloading-connector.html); SGLang's HiCache writes through as well and
copies back layer by layer behind the prefill (https://docs.sglang.io/advanced_features/hicache_design.html); TensorRT-LLM moves a block
to the host when it is evicted, and back before the step that reads it
(https://nvidia.github.io/TensorRT-LLM/latest/features/kvcache.html).
"""

from __future__ import annotations

from math import inf
from typing import Any, Final

from attrs import evolve, field, frozen

from roofline.core.fields import MOST_TOKENS, one_of, refuse, without_none
from roofline.hardware.engines import Engine

ROUTERS: Final = {
    "round_robin": "each request goes to the next replica",
    "least_loaded": "to the replica with the fewest requests in flight",
    "prefix": "to the replica that caches the longest prefix of it, unless that one is far more loaded than others",
}
"""Ways to choose a replica."""

ORDERS: Final = {
    "fcfs": "first come, first served",
    "priority": "the lowest priority number first; among equals, first come, first served",
}
"""Ways to choose the next request of a queue."""

HOST_WRITES: Final = {
    "through": "a block is copied to the host as soon as it is filled",
    "evicted": "a block moves to the host when its place on the chip is needed, and back when it is read",
}
"""When a block of the prefix cache comes to host memory."""

HOST_LOADS: Final = {
    "ahead": "a request waits for its blocks, while others run",
    "layers": "blocks come layer by layer during the step that reads the rest of the prompt",
    "step": "the step that reads the rest of the prompt begins when the blocks are there",
}
"""How blocks come back from host memory."""


def _number(low: float, high: float, *, whole: bool = True) -> Any:
    def validate(_: object, attribute: Any, value: float) -> None:
        refuse(attribute.name, value, low, high, whole=whole)

    return validate


@frozen
class Policy:
    """How an engine schedules requests.

    Attributes:
        mixed: prompts pass in decode steps of others; where not, in steps of their own while no request of the rank decodes.
        shared_budget: tokens of decoding sequences count against the budget of a step too.
        max_num_seqs: sequences that an attention rank runs at once at most.
        block_size: tokens of a cache block.
        reserve: part of a request's answer for which cache must be free when it is admitted.
        order: order of waiting requests, one of :data:`ORDERS`.
        router: how requests are spread over replicas, one of :data:`ROUTERS`.
        prefix_cache: blocks with the same hash are stored once, and stay until their place is needed.
        slack: the ``prefix`` router falls back to the least loaded replica where the best match has this many
            requests more than it, and ``ratio`` times as many (balance thresholds of SGLang's router).
        ratio: requests of the best match over those of the least loaded replica, for the same.
        host_write: when blocks come to host memory, one of :data:`HOST_WRITES`; matters where hosts cache prefixes.
        host_load: how they come back, one of :data:`HOST_LOADS`.
    """

    mixed: bool = True
    shared_budget: bool = False
    max_num_seqs: int = field(default=4096, validator=_number(1, 1 << 20))
    block_size: int = field(default=16, validator=_number(1, 1 << 20))
    reserve: float = field(default=0.0, validator=_number(0, 1, whole=False))
    order: str = field(default="fcfs", validator=one_of(ORDERS))
    router: str = field(default="round_robin", validator=one_of(ROUTERS))
    prefix_cache: bool = True
    slack: int = field(default=32, validator=_number(0, MOST_TOKENS))
    ratio: float = field(default=1.5, validator=_number(1, MOST_TOKENS, whole=False))
    host_write: str = field(default="through", validator=one_of(HOST_WRITES))
    host_load: str = field(default="ahead", validator=one_of(HOST_LOADS))


POLICIES: Final = {
    "vllm": Policy(shared_budget=True, max_num_seqs=1024),
    "sglang": Policy(block_size=1, reserve=0.5, host_load="layers"),
    "trtllm": Policy(block_size=32, reserve=1.0, max_num_seqs=2048, host_write="evicted", host_load="step"),
    "": Policy(),
}
"""Policies by the software stack of an engine."""


def policy_of(engine: Engine, *, drafting: bool = False, ranks: float = 1.0, **words: Any) -> Policy:
    """Return the policy of an engine, with the words that were given in place of its own.

    Args:
        drafting: tokens are drafted, of which an engine may serve fewer requests at once.
        ranks: attention ranks of a replica.

    >>> policy_of(Engine(stack="sglang", mixed=False), max_num_seqs=64).mixed
    False
    """
    own: dict[str, Any] = {"mixed": engine.mixed}
    if engine.most is not None:
        own["max_num_seqs"] = int(engine.most)
    if drafting and engine.most_drafting is not None:
        own["max_num_seqs"] = min(own.get("max_num_seqs", inf), max(int(engine.most_drafting / ranks), 1))
    return evolve(POLICIES.get(engine.stack, POLICIES[""]), **own | without_none(**words))
