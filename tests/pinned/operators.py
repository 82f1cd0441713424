"""What one rank does: every operation and message of small models of every kind, in serving and in training."""

import attrs
import numpy as np

import roofline as rl
from roofline.hardware.engines import Engine
from roofline.models.architecture import Formats, Hyper, PerLayer, Tower
from roofline.operators import gradients, operations
from roofline.operators.transformer import ends, flow, layers, sections, stage_share
from roofline.operators.transformer.ffn import moe
from roofline.operators.transformer.flow import attended, chunked, micro_batch
from roofline.workload.questions import Mixed

from . import pinned, spread

CHIP = rl.Chip("made", {"bf16": 1e15, "fp8": 2e15, "fp4": 4e15, "int8": 2e15}, rl.Memory(1e11, 4e12), cores=100)
OLD = rl.Chip("old", {"fp16": 1e14}, rl.Memory(1e10, 4e11))
INDEX = rl.Indexer(heads=5, dim=36, top_k=700, q_rank=70, pool=2, projections=3, extra=11)
WHOLE = rl.Indexer(heads=5, dim=36, top_k=700, weighted=False, extra=17)
LATER = attrs.evolve(INDEX, reused=True)
ATTENTIONS = {
    "grouped": rl.Gqa(
        heads=12, kv_heads=6, head_dim=50, value_dim=30, bias=True, out_bias=True, qk_norm=True, sinks=True
    ),
    "window": rl.Gqa(12, 3, 50, window=900, norms=2, norm_all=True, qk_norm=True, same_kv=True),
    "chunk": rl.Gqa(12, 3, 50, window=900, chunked=True, gate_dim=7),
    "latent queries": rl.Gqa(12, 3, 50, q_rank=110, streams=2, gate_dim=50),
    "shared cache": rl.Gqa(12, 3, 50, shared_kv=True, qk_norm=True),
    "cross": rl.Gqa(12, 3, 50, cross=330),
    "encoder": rl.Gqa(12, 12, 50, causal=False, window=640),
    "sparse grouped": rl.Gqa(12, 3, 50, indexer=WHOLE),
    "latent": rl.Mla(
        heads=14,
        kv_rank=130,
        nope_dim=40,
        rope_dim=18,
        value_dim=34,
        q_rank=170,
        bias=True,
        gate_dim=34,
        sinks=True,
        extra=9,
    ),
    "latent, whole queries": rl.Mla(14, 130, 40, 18, 34, streams=2, norms=2),
    "sparse latent": rl.Mla(14, 130, 40, 18, 34, q_rank=170, indexer=INDEX, shared_kv=True),
    "sparse latent, chosen before": rl.Mla(14, 130, 40, 18, 34, q_rank=170, indexer=LATER),
    "compressed": rl.Compressed(
        heads=16, dim=52, q_rank=90, out_groups=8, out_rank=44, window=128, ratio=4, overlap=True, indexer=INDEX
    ),
    "high ratio": rl.Compressed(16, 52, 90, 4, 44, 128, ratio=64),
    "two groups": rl.Compressed(16, 52, 90, 2, 44, 128, ratio=16, indexer=WHOLE),
    "window alone": rl.Compressed(16, 52, 90, 4, 44, 128),
    "delta": rl.Linear(
        key_heads=4, value_heads=8, key_dim=30, value_dim=42, conv=4, conv_bias=True, decay=1, norm_all=True, bias=True
    ),
    "decays of each key": rl.Linear(4, 8, 30, 42, conv=3, decay=30, bias=True),
    "low rank decays": rl.Linear(4, 8, 30, 42, decay=30, decay_rank=22, gate_rank=26, skip=True, delta=False, norms=2),
    "fixed decay": rl.Linear(4, 8, 30, 42, decay=0, delta=False),
    "scan": rl.Mamba(inner=1200, state=14, rank=38, bias=True, normed=True),
    "scan, no bias": rl.Mamba(inner=1200, state=14, rank=38, conv_bias=False, conv=1),
    "none": rl.Absent(),
}
FFNS = {
    "dense": rl.Dense(4000, bias=True, norms=2),
    "ungated": rl.Dense(4000, gated=False, parallel=True, norms=0),
    "experts": rl.Moe(
        experts=48,
        top_k=5,
        width=520,
        shared_width=310,
        shared_gate=True,
        bias=True,
        router_bias=True,
        extra=13,
        groups=8,
        among=3,
    ),
    "ungated experts": rl.Moe(48, 5, 520, gated=False, latent=270, idle=6),
    "none": rl.Absent(),
}
QUESTIONS = {
    "decode": lambda m: rl.Decode(m, 37.0, 1500.0),
    "draft": lambda m: rl.Decode(m, 37.0, 410.0, draft_tokens=2.0),
    "prompt": lambda m: rl.Prefill(m, 3.0, 1700.0),
    "cached prompt": lambda m: rl.Prefill(m, 3.0, 1700.0, cached=650.0),
    "mixed": lambda m: Mixed(m, 37.0, 1500.0, prompts=2.0, chunk=270.0, past=810.0, busy=1.5),
    "prompts alone": lambda m: Mixed(m, 0.0, 1500.0, prompts=1.0, chunk=130.0, past=50.0),
}
LAYOUTS = {
    "one rank": rl.Layout(),
    "tp 2": rl.Layout(tp=2.0),
    "tp 4, sequence parallel": rl.Layout(tp=4.0, sequence_parallel=True),
    "dp 4, ep 8": rl.Layout(tp=2.0, dp=4.0, ep=8.0, redundant_experts=8.0),
    "pp 3": rl.Layout(tp=2.0, pp=3.0, dp=2.0, ep=2.0, replicas=2.0),
    "tp 16": rl.Layout(tp=16.0),
}


USUALLY_ONE = {"useful", "launches", "stride", "copies", "groups", "among"}
TEXTS = ("name", "phase", "recompute", "module", "role")
"""Fields that say what an operation belongs to; its label, by which it is listed, has the phase."""


def model(attention="grouped", ffn="dense", count=7, **words):
    """A model of one kind of layer."""
    return rl.Model("made", 600, 7000, (rl.Layers(count, ATTENTIONS[attention], FFNS[ffn]),), **words)


def listed(parts):
    """Operations of sections, each with the fields that are not zero."""
    out = {}
    for part in parts:
        out[part.name] = {
            "times": part.times,
            "place": part.place if part.place != "layers" else "",
            **told(part.operations),
        }
    return out


def told(works):
    """Operations by their labels, numbered where two have one; a field of which one is usual is left out where it is one."""
    out = {}
    for work in works:
        row = {each.name: getattr(work, each.name) for each in attrs.fields(type(work)) if each.name not in TEXTS}
        for key in USUALLY_ONE & row.keys():
            if np.all(row[key] == 1):
                del row[key]
            elif not np.any(row[key]):
                row[key] = "none"
        name = work.label if work.label not in out else f"{work.label} {sum(key.startswith(work.label) for key in out)}"
        out[name] = row
    return out


def of_layers(m, question, layout, chip=CHIP, engine=None):
    """Sections of a model's layers alone."""
    return listed(layers(flow(QUESTIONS[question](m), layout, chip, engine)))


@pinned
def attention():
    """Every kind of attention, decoding and over prompts."""
    for name in ATTENTIONS:
        m = model(name, "none")
        for question, layout in (
            ("decode", "one rank"),
            ("draft", "tp 4, sequence parallel"),
            ("prompt", "tp 2"),
            ("cached prompt", "tp 16"),
            ("mixed", "pp 3"),
        ):
            yield f"{name}, {question}, {layout}", of_layers(m, question, LAYOUTS[layout])
        yield f"{name}, prompts alone", of_layers(m, "prompts alone", LAYOUTS["tp 2"])


@pinned
def feed_forward():
    """Every kind of feed-forward block over layouts."""
    for name in FFNS:
        m = model("none", name)
        for question, layout in (
            ("decode", "one rank"),
            ("decode", "dp 4, ep 8"),
            ("prompt", "pp 3"),
            ("draft", "tp 4, sequence parallel"),
            ("mixed", "dp 4, ep 8"),
        ):
            yield f"{name}, {question}, {layout}", of_layers(m, question, LAYOUTS[layout])
    m = model("none", "experts")
    yield "uneven", listed(layers(flow(rl.Decode(m, 37.0, 9.0, imbalance=1.9), LAYOUTS["dp 4, ep 8"], CHIP)))
    yield "very uneven", listed(layers(flow(rl.Decode(m, 37.0, 9.0, imbalance=90.0), LAYOUTS["dp 4, ep 8"], CHIP)))
    yield "few tokens", listed(layers(flow(rl.Decode(m, np.array([1.0, 2.0, 5.0]), 9.0), LAYOUTS["dp 4, ep 8"], CHIP)))
    for tokens in (0.0, 1.0, 300.0):
        yield f"imbalance of {tokens:g}", moe.imbalance(tokens, np.array([1.0, 2.0, 48.0]))
    yield (
        "passes",
        [moe.passes(7.0, 31.0, 600.0, 130.0, passed=each, into=into) for each in (0.5, 1.0, 2.0) for into in (1, 2)],
    )
    for width in (1040, 310):
        yield f"shared experts of {width}", moe.with_shared_routed(attrs.evolve(FFNS["experts"], shared_width=width))


@pinned
def formats():
    """Number formats: narrow weights and caches, on chips that multiply them and on one that does not."""
    engine = Engine("made", attention=("fp8",), index="fp8")
    for name in ("fp8", "fp8-block", "nvfp4", "int8", "mxfp4", "int4", "w4a8"):
        for kind, block in (("sparse latent", "experts"), ("grouped", "dense")):
            m = model(kind, block).stored(name, "fp8")
            for chip in (CHIP, OLD):
                yield f"{name}, {kind}, {chip.name}", of_layers(m, "decode", LAYOUTS["tp 2"], chip, engine)
    mixed = Formats().mixed("experts", {"nvfp4": 3.0, "bf16": 1.0}).mixed("attention", {"fp8": 1.0, "bf16": 2.0})
    m = rl.Model(
        "made",
        600,
        7000,
        (rl.Layers(3, ATTENTIONS["grouped"], FFNS["experts"]), rl.Layers(4, ATTENTIONS["delta"], FFNS["dense"])),
        formats=mixed,
    )
    yield "several formats", of_layers(m, "prompt", LAYOUTS["tp 2"])
    yield (
        "index in 16 bits",
        of_layers(model("sparse latent"), "decode", LAYOUTS["tp 2"], CHIP, attrs.evolve(engine, index="bf16")),
    )


@pinned
def whole_passes():
    """Embedding, head, residual streams, drafts and pipeline of whole models."""
    small = rl.Model(
        "draft", 600, 7000, (rl.Layers(2, ATTENTIONS["window"], FFNS["ungated"]),), fusion=1800, role="draft"
    )
    models = {
        "dense": model(head_bias=True, tied=True),
        "hyper-connections": model(hyper=Hyper(4, 24, 3, head=True), formats=Formats(residual="fp8", head="fp8")),
        "embedding of each layer": model(per_layer=PerLayer(900, 28)),
        "prediction modules": model("latent", "experts", mtp=2, formats=Formats.all("bf16"), draft=rl.Layers(1, ATTENTIONS["latent"], FFNS["dense"])),
        "draft model": model(speculator=small),
        "draft model of blocks": model(speculator=attrs.evolve(small, block=4)),
        "several kinds": rl.Model("made", 600, 7000, (rl.Layers(3, ATTENTIONS["window"], FFNS["dense"]), rl.Layers(2, ATTENTIONS["grouped"], rl.Dense(900)),
                                                      rl.Layers(1, ATTENTIONS["grouped"], FFNS["dense"]), rl.Layers(2, rl.Absent(), FFNS["experts"]))),
    }  # fmt: skip
    for name, m in models.items():
        for question, layout in (("decode", "pp 3"), ("draft", "tp 2"), ("prompt", "tp 4, sequence parallel")):
            yield f"{name}, {question}, {layout}", listed(sections(QUESTIONS[question](m), LAYOUTS[layout], CHIP))
    for name in ("prediction modules", "draft model", "draft model of blocks"):
        for drafts in (0.0, np.array([0.0, 3.0])):
            parts = sections(rl.Decode(models[name], 37.0, 410.0, draft_tokens=drafts), LAYOUTS["one rank"], CHIP)
            yield f"{name}, {np.size(drafts)} kinds of drafts", [[part.name, part.times] for part in parts]
    batches = flow(rl.Decode(model(), np.array([0.5, 1.0, 3.0, 8.0, 9.0]), 100.0), LAYOUTS["pp 3"], CHIP)
    yield (
        "sequences",
        {
            "mine": batches.streams[0].sequences,
            "group": batches.streams[0].group,
            "tokens": batches.tokens,
            "all": batches.group_tokens,
        },
    )
    prompts = flow(rl.Prefill(model(), np.array([1.0, 3.0, 9.0]), 100.0, cached=30.0), LAYOUTS["pp 3"], CHIP)
    yield (
        "prompts",
        {
            "mine": prompts.streams[0].sequences,
            "group": prompts.streams[0].group,
            "rows": prompts.rows,
            "all": prompts.group_tokens,
        },
    )
    yield "fullest stage", stage_share(model(), np.array([1.0, 2.0, 3.0, 7.0]))


@pinned
def belongs():
    """The module and the role of every operation, in words."""
    for kind, block in (
        *((name, "none") for name in ATTENTIONS),
        *(("none", name) for name in FFNS if name != "none"),
        ("grouped", "dense"),
    ):
        m = model(kind, block, mtp=1, hyper=Hyper(4, 24, 3, head=True), per_layer=PerLayer(900, 28))
        for name in ("draft", "mixed"):
            parts = sections(QUESTIONS[name](m), LAYOUTS["tp 2"], CHIP)
            words = [
                f"{work.name}: {work.module} {getattr(work, 'role', '')}".strip()
                for part in parts
                for work in part.operations
            ]
            yield f"{kind}, {block}, {name}", "; ".join(dict.fromkeys(words))


@pinned
def pairs():
    """Pairs of queries and keys."""
    new, past = np.array([1.0, 3.0, 3.0, 50.0, 50.0, 700.0, 8.0]), np.array([0.0, 0.0, 10.0, 7.0, 100.0, 30.0, 24.0])
    for window in (None, 1, 8, 12, 32, 100):
        yield f"window {window}", attended(new, past, window)
        if window:
            yield f"chunk {window}", chunked(new, past, window)
    shared = flow(rl.Prefill(model(), 3.0, 100.0), LAYOUTS["one rank"], CHIP).streams[0]
    for window in (None, 40):
        for sharing in (1.0, 4.0):
            stream = attrs.evolve(shared, sharing=sharing, past=150.0)
            yield f"{sharing:g} ranks, window {window}", [stream.pairs(window), stream.pairs(window, in_chunks=True)]


TRAINED = {
    "one rank": rl.Layout(),
    "tp 2": rl.Layout(tp=2.0, dp=4.0, sequence_parallel=True),
    "context": rl.Layout(tp=2.0, cp=4.0, dp=2.0, ep=4.0),
    "experts cut": rl.Layout(tp=4.0, dp=4.0, ep=8.0, etp=2.0),
}


@pinned
def training():
    """The forward pass of a micro-batch, its gradients, and what they keep."""
    for kind, block in (("grouped", "dense"), ("window", "experts"), ("latent", "experts"), ("sparse latent", "ungated"), ("compressed", "ungated experts"),
                        ("delta", "dense"), ("scan", "dense"), ("chunk", "ungated")):  # fmt: skip
        for name, layout in TRAINED.items():
            for form in ("bf16", "fp8-block") if name == "tp 2" and kind in ("grouped", "latent") else ("bf16",):
                m = model(kind, block, mtp=1).stored(form)
                question = rl.TrainStep(
                    m, 64.0, 2000.0, micro_batch=2.0, document=None if name == "one rank" else 730.0
                )
                p = micro_batch(question, layout, CHIP)
                told_of = f"{kind}, {block}, {name}, {form}"
                works = [work for part in layers(p) for work in part.operations]
                if name not in ("one rank", "experts cut") or block == "experts":
                    yield told_of, listed([*layers(p), *ends(p)])
                if name == "tp 2":
                    yield (
                        f"{told_of}, again",
                        told(
                            [
                                operations.recomputed(gradients.recast_for_training(work))
                                for work in works
                                if gradients.recast_for_training(work) is not work
                            ]
                        ),
                    )
                    yield f"{told_of}, inputs", told(gradients.input_gradients(works))
                    yield f"{told_of}, inputs, frozen", told(gradients.input_gradients(works, trained=False))
                    yield f"{told_of}, weights", told(gradients.weight_gradients(works, 8.0))
                yield f"{told_of}, kept", gradients.saved_bytes(works)
                if name == "tp 2":
                    yield f"{told_of}, launched", [operations.launched(work) for work in works]
    plain = model(outer_norms=0)
    yield "no outer norms", listed(ends(micro_batch(rl.TrainStep(plain, 64.0, 2000.0), TRAINED["tp 2"], CHIP)))
    yield (
        "narrow",
        told(
            gradients.input_gradients(
                part
                for each in layers(
                    micro_batch(
                        rl.TrainStep(model("none", "experts").stored("nvfp4"), 64.0, 500.0), TRAINED["context"], CHIP
                    )
                )
                for part in each.operations
            )
        ),
    )
    yield (
        "narrow weights",
        told(
            gradients.weight_gradients(
                (
                    part
                    for each in layers(
                        micro_batch(
                            rl.TrainStep(model("grouped", "experts").stored("nvfp4"), 64.0, 500.0),
                            TRAINED["context"],
                            CHIP,
                        )
                    )
                    for part in each.operations
                ),
                6.0,
            )
        ),
    )


@pinned
def towers_and_ties():
    """Weights that no pass multiplies change no operation."""
    with_tower = model(towers=(Tower("vision", 123_456),))
    yield "tower", listed(sections(rl.Decode(with_tower, spread(1, 300, 5), 50.0), LAYOUTS["one rank"], CHIP))
