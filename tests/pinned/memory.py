"""Parameters, bytes on a rank in serving and in training, and conditions on layouts."""

import attrs
import numpy as np

import roofline as rl
from roofline.hardware.engines import Engine, StackMemory
from roofline.models.architecture import Formats, Hyper, PerLayer, Tower
from roofline.operators import compressed_cache, feasibility, memory, serving_memory, training_memory
from roofline.operators.transformer import attention, ffn

from . import pinned
from .networks import NODE, RAILS, links
from .operators import ATTENTIONS, CHIP, FFNS, INDEX, model

GIB = 2.0**30
SYSTEM = rl.System("made", CHIP, chips=8.0, tiers=(NODE, RAILS))
WIRED = rl.System("wired", attrs.evolve(CHIP, dies=2, memory=rl.Memory(2.2e11, 8e12, usable=0.97)), chips=8.0, ranks_per_chip=2,
                  tiers=(attrs.evolve(NODE, load_store=False, size=16), RAILS))  # fmt: skip
SMALL = rl.Model(
    "draft",
    600,
    7000,
    (rl.Layers(3, ATTENTIONS["grouped"], FFNS["ungated"]),),
    embedded=False,
    headed=False,
    fusion=1800,
)
RUNS = (
    rl.Layers(3, ATTENTIONS["grouped"], FFNS["dense"]),
    rl.Layers(5, ATTENTIONS["window"], FFNS["experts"]),
    rl.Layers(2, ATTENTIONS["delta"], FFNS["experts"]),
)
MIXED = rl.Model("mixed", 600, 7000, RUNS, mtp=2, positions=77, head_bias=True, norm_params=2, outer_norms=2)
MODELS = {
    **{name: model(name, "none") for name in ATTENTIONS},
    **{f"{name} alone": model("none", name) for name in FFNS if name != "none"},
    "mixed": MIXED,
    "mixed, tied": attrs.evolve(MIXED, tied=True),
    "narrow": MIXED.stored("nvfp4", "fp8"),
    "wide": MIXED.stored("fp32"),
    "hyper-connections": model(hyper=Hyper(4, 24, 3, head=True), formats=Formats(residual="fp32")),
    "embedding of each layer": model(
        per_layer=PerLayer(900, 28), towers=(Tower("vision", 123_456), Tower("sound", 7_001))
    ),
    "embedding of each layer, tied": model(per_layer=PerLayer(900, 28), tied=True),
    "draft model": model(speculator=SMALL),
    "small draft": SMALL,
    "scaled": model("latent", "experts", scale=1.07),
}
STAGES = np.array([1.0, 2.0, 3.0, 4.0, 5.0, 10.0])
LAYOUTS = {
    "stages": rl.Layout(pp=STAGES),
    "tp 4": rl.Layout(tp=4.0, dp=2.0, ep=4.0),
    "tp 16": rl.Layout(tp=16.0, ep=16.0, redundant_experts=8.0),
}


@pinned
def parameters():
    """Parameters by component and by convention."""
    for name, m in MODELS.items():
        yield name, {
            **memory.parameters(m), "total": memory.total(m), "active": memory.active(m), **memory.active_by_convention(m),
            "cache": memory.kv_bytes_per_token(m), "cache in fp8": memory.kv_bytes_per_token(m, "fp8"),
            "state": [memory.state_bytes(m), memory.state_bytes(m, 4.0), memory.state_bytes(m, 16.0)],
        }  # fmt: skip
    for name, kind in ATTENTIONS.items():
        yield f"attention {name}", {
            "inner": attention.inner(kind), "width": attention.width(kind), "cached": attention.cached(kind, 1700.0, 4.0),
            "state": attention.state(kind, 2.0), "matrices": {m.name: [m.elements, m.share(4.0), m.share(16.0)] for m in attention.matrices(kind, 600)},
        }  # fmt: skip
    for name, kind in FFNS.items():
        yield f"feed-forward {name}", {m.name: [m.elements, m.share(4.0)] for m in ffn.matrices(kind, 600)}


@pinned
def on_a_rank():
    """Weights, cache and activations by layout."""
    for name, m in MODELS.items():
        for title, layout in LAYOUTS.items():
            yield f"{name}, {title}", {
                "weights": memory.weights(m, layout), "with drafts": memory.weights(m, layout, drafting=True),
                "paired": memory.weights(m, layout, paired=True), "paired, with drafts": memory.weights(m, layout, drafting=True, paired=True),
                "cache": memory.kv_cache(m, layout, 1700.0), "cache with drafts": memory.kv_cache(m, layout, 1700.0, drafting=True),
                "activations": memory.activations(m, layout, 37.0, 5.0),
            }  # fmt: skip
    for degree in (1.0, 2.0, 4.0, 7.0):
        yield (
            f"mixed, {degree:g} stages",
            [
                memory.weights(MIXED, rl.Layout(pp=degree)),
                memory.weights(MIXED, rl.Layout(pp=degree), paired=True),
                memory.kv_cache(MIXED, rl.Layout(pp=degree), 100.0),
            ],
        )
    yield "sequences", memory.most_sequences(np.array([80e9, 80e9, 1e9]), np.array([16e9, 17e9, 2e9]), 2e9)
    yield (
        "rooms",
        [memory.usable_bytes(SYSTEM, attrs.evolve(links(), memory_fraction=0.87)), memory.usable_bytes(WIRED, links())],
    )
    yield (
        "placed",
        [
            memory.ranks_per_package(WIRED, rl.Layout()),
            memory.ranks_per_package(WIRED, rl.Layout(tp=4.0)),
            memory.ranks_per_package(SYSTEM, rl.Layout(tp=4.0)),
        ],
    )


FULL = StackMemory(
    rule="all", driver=0.31e9, context=0.71e9, communicators=0.43e9, wired=0.23e9, large=7e10, small_tokens=2048.0, huge=1.6e11, huge_tokens=16384.0,
    tiny=3e10, tiny_tokens=1024.0, sequences=1024.0, small_sequences=256.0, logit=6.0, experts=0.37, encoder=8100.0, encoded=130_000.0, index=4.0,
    graph=0.013e9, padding=256.0, reserve=1.1e9, reserve_token=130_000.0, reserve_rank=0.09e9, reserve_sequence=1.3e6, reserve_share=0.031,
    reserve_share_rank=0.0043, long=100_000.0, long_share=0.93,
)  # fmt: skip


def profile(**words):
    """A profile of an engine with memory of its own."""
    own = attrs.evolve(FULL, **{key: value for key, value in words.items() if key not in ("fraction", "host")})
    engine = Engine("made", budget=4096.0, memory=own, captured=("decode",), memory_fraction=words.get("fraction"))
    return attrs.evolve(links(), engine=engine, memory_fraction=0.89, host=words.get("host", 0.0))


MACHINES = {"": SYSTEM, ", two dies": WIRED, ", small": rl.System("small", attrs.evolve(CHIP, memory=rl.Memory(2.4e10, 1e12)), chips=8.0, tiers=(NODE,)),
            ", middling": rl.System("middling", attrs.evolve(CHIP, memory=rl.Memory(4.8e10, 1e12)), chips=8.0, tiers=(NODE,)),
            ", just large": rl.System(
        "just large", attrs.evolve(CHIP, memory=rl.Memory(6.9e10, 1e12, usable=1.03)), chips=8.0, tiers=(NODE,)
    ),
    ", huge": rl.System("huge", attrs.evolve(CHIP, memory=rl.Memory(1.6e11, 1e12, usable=1.05)), chips=8.0, tiers=(NODE,))}  # fmt: skip


@pinned
def rooms():
    """How engines share out memory, by their rules and on chips of several sizes."""
    for name in ("mixed", "sparse latent", "embedding of each layer", "experts alone", "dense alone", "encoder"):
        for machine, system in MACHINES.items():
            for rule in ("all", "static", "free"):
                for title, layout in (
                    ("one rank", rl.Layout()),
                    ("16 ranks", rl.Layout(tp=4.0, pp=2.0, dp=2.0, ep=4.0)),
                ):
                    if machine and name != "mixed":
                        continue
                    room = serving_memory.memory_budget(
                        MODELS[name], system, layout, profile(rule=rule), np.array([1000.0, 200_000.0])
                    )
                    yield f"{name}{machine}, {rule}, {title}", room
    yield (
        "stated",
        serving_memory.memory_budget(MIXED, SYSTEM, rl.Layout(tp=2.0), profile(rule="static", fraction=0.8), 1000.0),
    )
    yield "not captured", serving_memory.memory_budget(MIXED, SYSTEM, rl.Layout(tp=2.0), profile(host=9e-6), 1000.0)
    yield (
        "no logits",
        serving_memory.memory_budget(MIXED, SYSTEM, rl.Layout(tp=2.0), profile(logit=0.0, encoder=0.0), 1000.0),
    )
    yield (
        "little encoded",
        serving_memory.memory_budget(
            MODELS["embedding of each layer"], SYSTEM, rl.Layout(tp=2.0), profile(logit=0.5, encoded=20.0), 1000.0
        ),
    )
    yield (
        "many sequences",
        serving_memory.memory_budget(MIXED, SYSTEM, rl.Layout(tp=2.0), profile(sequences=90_000.0), 1000.0),
    )
    yield "limits", [serving_memory.profiling_limits(system, profile()) for system in MACHINES.values()]
    for edge in (FULL.tiny, FULL.large, FULL.huge):
        exact = rl.System("exact", attrs.evolve(CHIP, memory=rl.Memory(edge, 1e12)), chips=8.0, tiers=(NODE,))
        yield f"limits at {edge:g}", serving_memory.profiling_limits(exact, profile())
    yield "driven", [serving_memory.driven_memory(system, FULL) for system in MACHINES.values()]
    for name in ("mixed", "latent", "draft model"):
        yield f"drafting {name}", serving_memory.uses_own_drafts(MODELS[name], np.array([0.0, 1.0, 3.0]))


CACHES = {
    "plain": {},
    "paged": {"paged": True, "state_pages": 1.3, "state_copies": 2.0},
    "state room": {"state_room": 0.9},
    "window room": {"window_room": 0.8},
    "uniform": {"uniform": True},
    "chunked": {"chunked": True},
    "pages": {"page": 256.0},
    "pages, chunked": {"page": 256.0, "chunked": True},
    "pages of two sizes": {"page": 256.0, "index_pages": True, "entry": 1.14},
    "pools of compressors": {"compressed_room": 0.13, "entry": 1.14},
}
TOKENS = np.array([90.0, 128.0, 700.0, 3000.0, 40_001.0])


def caches():
    """Models whose caches engines lay out in ways of their own."""
    delta = rl.Layers(6, ATTENTIONS["delta"], FFNS["dense"])
    wide = rl.Layers(2, rl.Gqa(12, 6, 50), FFNS["dense"])
    window = rl.Layers(3, rl.Gqa(12, 3, 50, window=900), FFNS["dense"])
    streams = tuple(
        rl.Layers(i + 1, ATTENTIONS[name], FFNS["experts"])
        for i, name in enumerate(("compressed", "high ratio", "window alone"))
    )
    made = {"hybrid": (wide, delta), "states alone": (delta,), "windows": (wide, window), "windows alone": (window,), "compressed": streams,
            "one stream": streams[1:2], "scan and windows": (window, rl.Layers(4, ATTENTIONS["scan"], FFNS["dense"]), wide), "sparse": (rl.Layers(5, ATTENTIONS["sparse latent"], FFNS["dense"]), rl.Layers(1, rl.Gqa(12, 3, 50, window=70, chunked=True), FFNS["dense"]))}  # fmt: skip
    return {name: rl.Model(name, 600, 7000, runs, mtp=1).stored(None, "fp8") for name, runs in made.items()}


@pinned
def laid_out():
    """Bytes of a sequence's cache as engines lay it out."""
    for name, m in caches().items():
        for title, words in CACHES.items():
            for told, layout in (("one rank", rl.Layout()), ("tp 4, pp 3", rl.Layout(tp=4.0, pp=3.0))):
                yield (
                    f"{name}, {title}, {told}",
                    serving_memory.cached_bytes(
                        m, layout, TOKENS, profile(**words), drafting=told == "one rank", passing=2048.0
                    ),
                )
        wide = m.stored(None, "bf16")
        yield (
            f"{name}, wide",
            serving_memory.cached_bytes(wide, rl.Layout(), TOKENS, profile(page=256.0, chunked=True), passing=512.0),
        )
        yield (
            f"{name}, compressors",
            [
                compressed_cache.compressor_bytes(m),
                *(
                    compressed_cache.paged(m, length, entry, TOKENS, 512.0, apart=apart)
                    for length, entry, apart in ((64.0, 0.0, False), (256.0, 1.14, True), (256.0, 0.6, True))
                ),
                compressed_cache.pooled(m, 0.1, 1.14, TOKENS),
            ],
        )
        for title in ("uniform", "chunked"):
            changed = serving_memory.as_cached(m, profile(**CACHES[title]).engine.memory, 2048.0)
            yield f"{name}, {title}, windows", [getattr(run.attention, "window", None) for run in changed.layers]
    narrow = MIXED.stored("mxfp4")
    for padding in (1.0, 128.0, 256.0):
        yield (
            f"padded to {padding:g}",
            [
                getattr(run.ffn, "width", None)
                for each in (MIXED, narrow)
                for run in serving_memory.as_loaded(each, padding).layers
            ],
        )
    blind = attrs.evolve(profile(), engine=attrs.evolve(profile().engine, windows=False))
    for each in (blind, profile()):
        yield (
            f"as served, {each.engine.windows}",
            [run.attention.window for run in serving_memory.as_served(caches()["windows"], each).layers],
        )


@pinned
def filled():
    """What a deployment holds, and how many sequences fit."""
    for name, m in {**caches(), "mixed": MIXED.stored("mxfp4")}.items():
        for rule in ("all", "static", "free"):
            for title, layout in (
                ("one rank", rl.Layout()),
                ("48 ranks", rl.Layout(tp=4.0, pp=2.0, dp=2.0, ep=2.0, replicas=3.0)),
            ):
                footprint, capacity, most = serving_memory.fill_memory(
                    m, WIRED if rule == "free" else SYSTEM, layout, profile(rule=rule, chunked=rule == "static"), sequences=np.array([1.0, 5.0, 40.0]), tokens=3000.0,
                    passing=2.0, logits=2.0, prompt=np.array([0.0, 512.0, 60_000.0]), drafting=True,
                )  # fmt: skip
                yield (
                    f"{name}, {rule}, {title}",
                    {**plain_fields(footprint), "total": footprint.total, "capacity": capacity, "most": most},
                )


def plain_fields(footprint):
    return {each.name: getattr(footprint, each.name) for each in attrs.fields(type(footprint))}


TRAINED = {
    "zero1": rl.Layout(tp=2.0, dp=8.0, ep=4.0, pp=STAGES),
    "none": rl.Layout(tp=2.0, dp=8.0, ep=4.0, cp=2.0, sharding="none"),
    "zero2": rl.Layout(tp=2.0, dp=8.0, ep=4.0, etp=1.0, sharding="zero2", pp=2.0),
    "zero3": rl.Layout(tp=2.0, dp=8.0, ep=4.0, etp=1.0, sharding="zero3", pp=STAGES, cp=3.0),
    "hybrid": rl.Layout(dp=64.0, ep=2.0, etp=1.0, sharding="zero3", fsdp=8.0),
}


@pinned
def training():
    """What training keeps on a rank, for every kind of sharding and task."""
    for name in ("mixed", "dense alone", "experts alone", "draft model", "narrow", "wide", "latent"):
        m = MODELS[name]
        for title, layout in TRAINED.items():
            dense, routed = training_memory.stage_weights(m, layout)
            yield (
                f"{name}, {title}",
                {
                    "dense": dense,
                    "routed": routed,
                    "copies": training_memory.copies(m, layout),
                    "adapters": training_memory.adapters(m, layout, 24.0),
                },
            )
            for task in ("pretrain", "lora"):
                for scattered in (False, True) if task == "pretrain" else (False,):
                    question = rl.TrainStep(
                        m, np.array([[16.0], [64.0]]), 2000.0, micro_batch=2.0, task=task, rank=24.0, gradient_bytes=3.0
                    )
                    kept = training_memory.states(question, layout, 1.7e9, scattered=scattered)
                    yield (
                        f"{name}, {title}, {task}{', scattered' if scattered else ''}",
                        {**plain_fields(kept), "total": kept.total},
                    )


@pinned
def conditions():
    """Which layouts a model can be served or trained in."""
    grid = rl.Layout.grid(24)
    odd = rl.Model(
        "odd",
        600,
        7000,
        (rl.Layers(3, rl.Gqa(12, 3, 50), rl.Dense(4001)), rl.Layers(4, rl.Gqa(18, 6, 50), FFNS["experts"])),
    )
    for m in (odd, MIXED, model("compressed", "none"), model("latent", "dense")):
        for system in (SYSTEM, MACHINES[", small"]):
            shape = np.shape(grid.tp)
            rules = feasibility.serving_rules(m, system, attrs.evolve(grid, redundant_experts=2.0))
            yield (
                f"{m.name} {m.layers[0].attention.__class__.__name__} on {system.name}",
                {rule.key: [np.broadcast_to(rule.ok, shape), rule.reason] for rule in rules},
            )
            yield (
                f"{m.name} {m.layers[0].attention.__class__.__name__} on {system.name}, in all",
                [feasibility.satisfied(rules), feasibility.broken(rules)],
            )
            for context, etp in (("ring", None), ("ulysses", 2.0)):
                layout = attrs.evolve(
                    grid,
                    context=context,
                    etp=etp,
                    cp=np.resize([1.0, 2.0, 3.0], shape),
                    vpp=np.resize([1.0, 2.0, 1.0, 4.0], shape),
                )
                question = rl.TrainStep(m, 72.0, 2000.0, micro_batch=2.0)
                rules = feasibility.training_rules(question, system, layout)
                yield (
                    f"{m.name} {m.layers[0].attention.__class__.__name__} on {system.name}, trained, {context}",
                    {rule.key: [np.broadcast_to(rule.ok, shape), rule.reason] for rule in rules},
                )
        yield f"{m.name} {m.layers[0].attention.__class__.__name__}, remedy", feasibility.some_tp(m)
    yield "degree", [rule.degree for rule in feasibility.serving_rules(odd, SYSTEM, rl.Layout())]
    yield "index", INDEX.top_k
