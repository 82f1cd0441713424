"""Strategies for the library's nouns: plausible hardware, models, layouts and questions, floats throughout."""

import attrs
import numpy as np
from hypothesis import strategies as st

import roofline as rl
from roofline.hardware.constants import COLLECTIVES, KERNELS, STACKS, Stack
from roofline.hardware.engines import Engine
from roofline.hardware.hardware import Fabric
from roofline.physics.collectives import MESSAGES

SYSTEMS = rl.names("system")
MODELS = rl.names("model")
LEVELS = ("ideal", "generic", "calibrated")


def floats(low, high):
    """Floats spread evenly in the logarithm."""
    return st.floats(np.log(low), np.log(high)).map(lambda x: float(np.exp(x)))


@st.composite
def chips(draw):
    bf16 = draw(floats(1e13, 1e16))
    peaks = {"bf16": bf16, "fp8": 2 * bf16, "int8": 2 * bf16, "fp4": 4 * bf16}
    memory = rl.Memory(draw(floats(1e10, 1e12)), draw(floats(1e11, 3e13)))
    best = {rate: draw(st.floats(0.5, 1)) for rate in draw(st.sets(st.sampled_from(sorted(peaks))))}
    return rl.Chip("made", peaks, memory, best=best, cores=draw(st.integers(1, 300)), vendor="NVIDIA")


@st.composite
def tiers(draw, most=4, topologies=("switch", "mesh", "ring", "torus")):
    size, out = 1, []
    for i in range(draw(st.integers(1, most))):
        topology = draw(st.sampled_from(topologies))
        dims = tuple(draw(st.lists(st.integers(2, 8), min_size=1, max_size=3))) if topology == "torus" else ()
        size *= int(np.prod(dims)) if dims else draw(st.integers(2, 64))
        out.append(
            rl.Tier(
                f"tier {i}", size, draw(floats(1e9, 2e12)), draw(st.floats(0, 1e-5)), draw(st.booleans()), draw(st.booleans()),
                topology, dims, draw(st.floats(1, 4)) if topology == "switch" else 1.0,
            )
        )  # fmt: skip
    return tuple(out)


@st.composite
def fabrics(draw):
    return Fabric(
        "made", step=draw(floats(1e-6, 1e-4)), share=draw(st.floats(0.3, 1)), rounding=draw(st.floats(0, 20)), chunk=draw(floats(1e5, 1e7)),
        handshake=draw(st.just(0.0) | floats(1e-6, 5e-5)), eager=draw(floats(1e3, 1e5)), sums=draw(st.floats(0.3, 1)), post=draw(st.floats(0, 1e-6)),
        nodes=float(draw(st.integers(2, 512))), error=draw(st.floats(0, 0.5)), short=draw(st.floats(0, 1.5)),
    )  # fmt: skip


@st.composite
def clusters(draw):
    """Nodes or racks of a switch, and a fabric between them, as most clusters are."""
    ranks = draw(st.sampled_from([1, 2, 4, 8, 64]))
    node = rl.Tier("node", max(ranks, 2), draw(floats(1e11, 2e12)), draw(floats(1e-7, 5e-6)), draw(st.booleans()), draw(st.booleans()),
                   host=draw(st.sampled_from([0.0, 4.0])))  # fmt: skip
    return node, rl.Tier(
        "rails", node.size * 512, draw(floats(1e9, 2e11)), 5e-6, draw(st.booleans()), fabric=draw(fabrics())
    )


@st.composite
def kernels(draw):
    return rl.Kernel(
        eta_compute=draw(st.floats(0.1, 1)), eta_memory=draw(st.floats(0.1, 1)), t0=draw(st.floats(0, 1e-4)),
        p=draw(st.sampled_from([1.0, 1.4, 2.0, 3.0, float("inf")])), step=draw(st.floats(0, 1e-8)), item=draw(st.floats(0, 1e-5)),
        turn=draw(st.floats(0, 1e-6)), hit=draw(st.floats(0, 1e-6)), eta_score=draw(st.none() | st.floats(0.1, 1)), eta_staging=draw(st.floats(0.1, 1)), eta_best=draw(st.none() | st.floats(0.1, 1)),
        error=draw(st.floats(0, 0.5)),
    )  # fmt: skip


@st.composite
def links(draw):
    return rl.Link(
        alpha=draw(st.floats(0, 1e-4)), peer=draw(st.floats(0, 1e-6)), start=draw(st.floats(0, 20)), hop=draw(st.floats(0, 3)),
        eta=draw(st.floats(0.1, 1)), far=draw(st.floats(0.1, 1)), pair=draw(st.floats(0.5, 1)), c=draw(st.floats(0, 1)),
        error=draw(st.floats(0, 0.5)), copied=draw(st.sampled_from([1e9, 1e11, float("inf")])),
    )  # fmt: skip


@st.composite
def stacks(draw):
    kernel = (draw(st.sampled_from(sorted(KERNELS))), draw(st.sampled_from(["bf16", "fp8", "any"])))
    return Stack({kernel: draw(kernels())}, {draw(st.sampled_from(sorted(COLLECTIVES))): draw(links())})


@st.composite
def engines(draw):
    time = st.just(0.0) | st.floats(0, 1e-2)
    return Engine(
        "made", fused=draw(st.sampled_from([(), ("fp8",)])), launch=draw(st.floats(0.5, 1)), gap=draw(time), prompt_gap=draw(time),
        sequence=draw(time), stream=draw(time), front=draw(time), budget=draw(floats(256, 1e5)), reserve=draw(st.floats(0, 1)),
        crowd=draw(st.floats(0, 4)), bunched=draw(st.floats(0, 1)),
    )  # fmt: skip


@st.composite
def calibrations(draw):
    return rl.Calibration(
        "made", "generic", {(name, "any"): draw(kernels()) for name in KERNELS}, {name: draw(links()) for name in COLLECTIVES},
        memory_fraction=draw(st.floats(0.5, 1)), eager=draw(st.floats(0, 1e-4)), host=draw(st.just(0.0) | st.floats(0, 1e-4)),
        sustained=draw(st.floats(0.5, 1)), vendors=("NVIDIA",), engine=draw(st.just(Engine()) | engines()), stacks={name: draw(stacks()) for name in draw(st.sets(st.sampled_from(STACKS)))},
    )  # fmt: skip


@st.composite
def ops(draw):
    return rl.Op(
        "made", draw(st.sampled_from(sorted(KERNELS))), draw(st.sampled_from(["bf16", "fp8"])), flops=draw(floats(1e3, 1e16)),
        bytes=draw(floats(1e2, 1e13)), launches=draw(st.integers(1, 3)), staging=draw(st.just(0.0) | floats(1e2, 1e13)),
        depth=draw(st.floats(0, 1e6)), items=draw(st.floats(0, 1e5)), hits=draw(st.floats(0, 1e4)), scores=draw(st.just(0.0) | floats(1, 1e12)),
        form=draw(st.sampled_from(["", "bf16", "fp8", "fp8-block"])),
    )  # fmt: skip


@st.composite
def messages(draw, collectives=MESSAGES):
    return rl.Message(
        "made", draw(st.sampled_from(collectives)), size=draw(floats(1, 1e12)), group=float(draw(st.integers(1, 512))),
        stride=float(draw(st.integers(1, 64))), copies=float(draw(st.integers(1, 16))),
    )  # fmt: skip


@st.composite
def systems(draw):
    chip = draw(chips())
    ring = draw(tiers())
    return rl.System("made", chip, chips=ring[-1].size, tiers=ring, power=draw(floats(1e3, 1e6)))


indexers = st.none() | st.builds(
    rl.Indexer, heads=st.just(32), dim=st.just(128), top_k=st.sampled_from([256, 2048]), weighted=st.booleans(), pool=st.sampled_from([1, 4]),
    projections=st.sampled_from([1, 4]), reused=st.booleans(),
)  # fmt: skip
norms = st.sampled_from([1, 2])


@st.composite
def gqas(draw, indexer=indexers):
    kv = draw(st.sampled_from([1, 2, 4, 8]))
    window = draw(st.sampled_from([None, 128, 4096]))
    return rl.Gqa(kv * draw(st.sampled_from([1, 2, 8])), kv, draw(st.sampled_from([64, 128])), bias=draw(st.booleans()),
                  qk_norm=draw(st.booleans()), window=window, value_dim=draw(st.sampled_from([None, 128])), chunked=draw(st.booleans()),
                  sinks=draw(st.booleans()), gate_dim=draw(st.sampled_from([0, 1, 64])), q_rank=draw(st.sampled_from([None, 512])),
                  shared_kv=draw(st.booleans()), same_kv=draw(st.booleans()), indexer=draw(indexer) if window is None else None,
                  norms=draw(norms))  # fmt: skip


mlas = st.builds(
    rl.Mla, heads=st.sampled_from([16, 64, 128]), kv_rank=st.just(512), nope_dim=st.just(128), rope_dim=st.sampled_from([0, 64]),
    value_dim=st.just(128), q_rank=st.sampled_from([None, 1536]), gate_dim=st.sampled_from([0, 1, 128]), indexer=indexers, norms=norms,
)  # fmt: skip
compressed = st.builds(
    rl.Compressed, heads=st.sampled_from([16, 64]), dim=st.just(512), q_rank=st.just(1024), out_groups=st.sampled_from([8, 16]),
    out_rank=st.just(1024), window=st.just(128), ratio=st.sampled_from([0, 4, 128]), overlap=st.booleans(), indexer=indexers,
)  # fmt: skip


@st.composite
def linears(draw):
    keys = draw(st.sampled_from([8, 16]))
    return rl.Linear(keys, keys * draw(st.sampled_from([1, 4])), 128, draw(st.sampled_from([64, 128])), conv=draw(st.sampled_from([0, 4])),
                     decay=draw(st.sampled_from([0, 1, 128])), decay_rank=draw(st.sampled_from([0, 128])),
                     gate_rank=draw(st.sampled_from([0, 128])), delta=draw(st.booleans()), skip=draw(st.booleans()))  # fmt: skip


mambas = st.builds(
    rl.Mamba, inner=st.sampled_from([2048, 5120]), state=st.just(16), rank=st.just(160), normed=st.booleans()
)
denses = st.builds(
    rl.Dense,
    width=st.sampled_from([1024, 4096, 14336]),
    gated=st.booleans(),
    parallel=st.booleans(),
    norms=st.sampled_from([0, 1, 2]),
)
moes = st.builds(
    rl.Moe, experts=st.sampled_from([8, 64, 256]), top_k=st.sampled_from([1, 2, 8]), width=st.sampled_from([512, 2048]),
    shared_width=st.sampled_from([0, 2048]), gated=st.booleans(), latent=st.sampled_from([0, 0, 1024]), idle=st.sampled_from([0, 0, 4]),
    bias=st.booleans(),
)  # fmt: skip


anything = gqas() | mlas | compressed | linears() | mambas


@st.composite
def models(draw, ffns=denses | moes, attentions=anything):
    runs = tuple(
        rl.Layers(draw(st.integers(1, 40)), draw(attentions), draw(ffns)) for _ in range(draw(st.integers(1, 3)))
    )
    model = rl.Model(
        "made",
        draw(st.sampled_from([1024, 4096, 7168])),
        draw(st.sampled_from([32000, 128256])),
        runs,
        tied=draw(st.booleans()),
        norm_params=draw(st.sampled_from([0, 1, 2])),
        hyper=draw(st.sampled_from([None, None, rl.Hyper(4, 24, 3, head=True)])),
        per_layer=draw(st.sampled_from([None, None, rl.PerLayer(32000, 256)])),
    )
    weights = draw(st.sampled_from([None, "fp8", "fp8-block", "int8", "nvfp4", "int4"]))
    return model.stored(weights, draw(st.sampled_from([None, "fp8"])))


@st.composite
def shipped(draw):
    """A model and a system of the library."""
    return rl.model(draw(st.sampled_from(MODELS))), rl.system(draw(st.sampled_from(SYSTEMS)))


@st.composite
def layouts(draw, model):
    """A layout that can be laid out for a model on an unlimited machine."""
    tp = draw(st.sampled_from([t for t in (1, 2, 4, 8) if model.heads % t == 0]))
    dp = draw(st.sampled_from([1, 2, 4, 16]))
    pp = draw(st.sampled_from([p for p in (1, 2, 3) if p <= model.depth]))
    ep = (
        draw(st.sampled_from([e for e in (1, 2, tp * dp) if tp * dp % e == 0 and e <= model.experts]))
        if model.experts
        else 1
    )
    return rl.Layout(
        tp=tp, pp=pp, dp=dp, ep=ep, replicas=draw(st.sampled_from([1, 3])), sequence_parallel=draw(st.booleans())
    )


@st.composite
def questions(draw, model):
    batch = draw(floats(1, 1e5))
    uneven = draw(st.none() | st.floats(1, 4))
    if draw(st.booleans()):
        return rl.Prefill(model, np.ceil(batch / 100), float(draw(st.integers(1, 30000))), imbalance=uneven)
    drafts = draw(st.integers(0, 3))
    context, kept = float(draw(st.integers(1, 100000))), draw(st.floats(1, drafts + 1))
    return rl.Decode(model, np.ceil(batch), context, drafts, kept, uneven)


@st.composite
def plans(draw):
    """A question, a machine and a layout made for each other."""
    model = draw(models())
    return draw(questions(model)), draw(systems()), draw(layouts(model)), draw(calibrations())


def scaled(noun, **factors):
    """Return a noun with the fields named multiplied."""
    return attrs.evolve(noun, **{name: getattr(noun, name) * factor for name, factor in factors.items()})
