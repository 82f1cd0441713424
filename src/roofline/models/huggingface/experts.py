"""Families of mixtures of experts with softmax attention: Mixtral, Qwen, Llama 4, GLM, MiniMax, gpt-oss, Gemma 4."""

from __future__ import annotations

from collections.abc import Callable

from attrs import evolve

from roofline.core.mappings import Table
from roofline.models.architecture import Attention, Dense, FeedForward, Gqa, Indexer, Moe, PerLayer, Tower
from roofline.models.huggingface.common import (
    DEEPEST,
    FULL,
    HEADS,
    MOST_EXPERTS,
    SLIDING,
    WIDEST,
    Plan,
    chosen,
    dense,
    depth,
    gqa,
    hidden,
    integers,
    listed,
    mixed,
    moe,
    plan,
    shared,
    sparse_layers,
    table,
    upto,
    width,
    windows,
)
from roofline.models.huggingface.softmax import qwen_attention


def mixtral(t: Table) -> Plan:
    """Mixtral: every layer a mixture."""
    window = width(t, "sliding_window", default=None)
    return Plan([(gqa(t, window=window), moe(t, "intermediate_size"))] * depth(t))


def phimoe(t: Table) -> Plan:
    """Phi-3.5-MoE: norms with a bias."""
    bias, window = t.flag("attention_bias"), width(t, "sliding_window", default=None)
    also = {"norm_params": 2, "head_bias": t.flag("lm_head_bias")}
    return Plan([(gqa(t, bias=bias, out_bias=bias, window=window), moe(t, "intermediate_size"))] * depth(t), also)


def olmoe(t: Table) -> Plan:
    """OLMoE: queries and keys normed over all heads."""
    bias = t.flag("attention_bias")
    attention = gqa(t, bias=bias, out_bias=bias, qk_norm=True, norm_all=True)
    return Plan([(attention, moe(t, "intermediate_size"))] * depth(t))


def qwen_experts(t: Table, layers: int, mixture: Moe) -> list[FeedForward]:
    """Return the feed-forwards of which every ``decoder_sparse_step``-th is a mixture, those of ``mlp_only_layers`` excepted."""
    step = t.count("decoder_sparse_step", 1, most=DEEPEST)
    if not isinstance(t.raw("mlp_only_layers", []), list):
        raise t.fail("mlp_only_layers", "must be a list of layer numbers")
    plain = set(integers(t, "mlp_only_layers"))
    t.raw("intermediate_size", None)
    return mixed(((i + 1) % step == 0 and i not in plain for i in range(layers)), mixture, lambda: dense(t))


def qwen2_moe(t: Table) -> Plan:
    """Qwen2-MoE: a gated shared expert."""
    common = upto(t, "shared_expert_intermediate_size")
    attentions = qwen_attention(t, bias=True)
    return plan(attentions, qwen_experts(t, len(attentions), moe(t, shared_width=common, shared_gate=common > 0)))


def qwen3_moe(t: Table) -> Plan:
    """Qwen3-MoE: normed queries and keys, no shared expert."""
    bias = t.flag("attention_bias")
    attentions = qwen_attention(t, bias=bias, out_bias=bias, qk_norm=True)
    return plan(attentions, qwen_experts(t, len(attentions), moe(t)))


def llama4(t: Table) -> Plan:
    """Llama 4: three chunks to a full layer, a shared expert of the routed ones' width, dense layers of another."""
    layers, bias = depth(t), t.flag("attention_bias")
    # 1: the layer turns its keys, and sees a chunk.
    turned = listed(t, "no_rope_layers", layers) if t.raw("no_rope_layers", None) else None
    every = upto(t, "no_rope_layer_interval", default=4, most=DEEPEST) or 4
    local = [bool(flag) for flag in turned] if turned is not None else [(i + 1) % every != 0 for i in range(layers)]
    names = ("full_attention", "chunked_attention")
    chunks = windows(t, layers, lambda i: names[local[i]])
    full = gqa(t, bias=bias, out_bias=bias)
    chunk = evolve(full, window=width(t, "attention_chunk_size"), chunked=True) if any(chunks) else full
    mixture = moe(t, "intermediate_size", shared_width=width(t, "intermediate_size"))
    step = upto(t, "interleave_moe_layer_step", default=1, most=DEEPEST) or 1
    named = set(integers(t, "moe_layers")) if "moe_layers" in t else None
    sparse = [(i in named if named is not None else (i + 1) % step == 0) for i in range(layers)]
    t.raw("intermediate_size_mlp", None)
    ffns = mixed(sparse, mixture, lambda: dense(t, "intermediate_size_mlp"))
    return plan([chunk if is_local else full for is_local in chunks], ffns)


def gpt_oss(t: Table) -> Plan:
    """gpt-oss: every other layer has a window, sinks, biases everywhere."""
    layers, bias = depth(t), t.flag("attention_bias", default=True)
    every = windows(t, layers, lambda i: "full_attention" if i % 2 else "sliding_attention")
    full = gqa(t, bias=bias, out_bias=bias, sinks=True)
    windowed = evolve(full, window=width(t, "sliding_window")) if any(every) else full
    mixture = moe(t, "intermediate_size", bias=True, router_bias=True)
    return plan([windowed if is_local else full for is_local in every], [mixture] * layers)


def glm4_moe(t: Table) -> Plan:
    """GLM-4.5 to 4.7, Solar Open and Hy3: a shared expert, the first layers dense."""
    bias = t.flag("attention_bias")
    return _shared_experts(t, gqa(t, bias=bias, qk_norm=t.flag("use_qk_norm")))


def hy_v3(t: Table) -> Plan:
    """Hy3: normed queries and keys; the first layer dense."""
    bias = t.flag("attention_bias")
    return _shared_experts(t, gqa(t, bias=bias, out_bias=bias, qk_norm=t.flag("qk_norm", default=True)), start=1)


def solar_open(t: Table) -> Plan:
    """Solar Open: every layer a mixture."""
    return _shared_experts(t, gqa(t, bias=t.flag("attention_bias")))


def _shared_experts(t: Table, attention: Attention, start: int = 0) -> Plan:
    layers = depth(t)
    mixture = moe(t, shared_width=shared(t, "n_shared_experts", "num_shared_experts"))
    t.raw("intermediate_size", None)
    return plan([attention] * layers, mixed(sparse_layers(t, layers, start), mixture, lambda: dense(t)))


def deepseek_moe(t: Table) -> Plan:
    """DeepSeek-MoE: softmax attention with as many key-value heads as it says, shared experts, the first layers dense."""
    bias = t.flag("attention_bias")
    return _shared_experts(t, gqa(t, bias=bias, out_bias=bias))


def dbrx(t: Table) -> Plan:
    """DBRX: every layer a mixture; the parts of a layer have tables of their own."""
    attention, block = table(t, "attn_config"), table(t, "ffn_config")
    kv_heads = width(attention, "kv_n_heads", default=1)
    return Plan([(gqa(t, kv_heads=kv_heads), moe(block, "ffn_hidden_size"))] * depth(t))


def arctic(t: Table) -> Plan:
    """Arctic: in every layer a dense block of the hidden size, and beside it a mixture with a norm of its own."""
    step = t.count("moe_layer_frequency", 1, most=DEEPEST)
    if step != 1 or not t.flag("parallel_attn_mlp_res", default=True):
        raise t.fail(
            "moe_layer_frequency", "only layers that are all mixtures, beside a dense block, are described here"
        )
    mixture = moe(t, "intermediate_size", shared_width=hidden(t), norms=2)
    return Plan([(gqa(t), mixture)] * depth(t))


def minimax_m2(t: Table) -> Plan:
    """MiniMax-M2: queries and keys normed over all heads."""
    common = upto(t, "shared_intermediate_size")
    attention = gqa(
        t, qk_norm=t.flag("use_qk_norm", default=True), norm_all=t.text("qk_norm_type", "per_layer") == "per_layer"
    )
    # MiniMax-01's list of softmax layers: here all of them.
    t.raw("attn_type_list", None)
    also = {} if t.flag("use_mtp", default=True) else {"mtp": 0}
    return Plan([(attention, moe(t, "intermediate_size", shared_width=common))] * depth(t), also)


def minimax_m3(t: Table) -> Plan:
    """MiniMax-M3: an indexer chooses blocks of keys in most layers."""
    layers = depth(t)
    full = gqa(
        t, qk_norm=t.flag("use_qk_norm", default=True), norm_all=t.text("qk_norm_type", "per_head") == "per_layer"
    )
    sparse = table(t, "sparse_attention_config")
    chosen = [False] * layers
    if sparse.flag("use_sparse_attention", default=bool(sparse.data)):
        flags = listed(sparse, "sparse_attention_freq", layers)
        chosen = [True] * layers if flags is None else [bool(flag) for flag in flags]
    indexed = evolve(full, indexer=_blocks(sparse)) if any(chosen) else full
    mixture = moe(t, "intermediate_size", shared_width=upto(t, "shared_intermediate_size"))
    t.raw("n_shared_experts", None)
    ffns = mixed(sparse_layers(t, layers), mixture, lambda: dense(t, "dense_intermediate_size"))
    for same in ("moe_intermediate_size", "dense_intermediate_size"):
        t.raw(same, None)
    return plan([indexed if is_chosen else full for is_chosen in chosen], ffns)


def _blocks(t: Table) -> Indexer:
    dim, block = width(t, "sparse_index_dim"), width(t, "sparse_block_size")
    beside = upto(t, "sparse_local_block", default=0, most=DEEPEST) + upto(t, "sparse_init_block", most=DEEPEST)
    top_k = (width(t, "sparse_topk_blocks") + beside) * block
    return Indexer(width(t, "sparse_num_index_heads"), dim, top_k, weighted=False, extra=2 * dim)


def hunyuan(t: Table) -> Plan:
    """Hunyuan-Large and A13B: shared experts; in the first, pairs of layers share a cache."""
    bias, layers = t.flag("attention_bias"), depth(t)
    own = gqa(t, bias=bias, out_bias=bias, qk_norm=t.flag("use_qk_norm", default=True))
    share = upto(t, "cla_share_factor", default=1, most=DEEPEST) if t.flag("use_cla") else 1
    # use_mixed_mlp_moe says what num_shared_expert says again.
    t.flag("use_mixed_mlp_moe")
    key = "moe_intermediate_size" if t.raw("moe_intermediate_size", None) else "intermediate_size"
    t.raw("intermediate_size", None)
    mixture = moe(t, key, shared_width=shared(t, "num_shared_expert", key=key))
    again = evolve(own, shared_kv=True)
    return Plan([(own if share < 2 or i % share == 0 else again, mixture) for i in range(layers)])


def ernie(t: Table) -> Plan:
    """ERNIE 4.5: mixtures between two layer numbers; the correction of the router's scores is a parameter."""
    bias, layers = t.flag("use_bias"), depth(t)
    start = upto(t, "moe_layer_start_index", default=1, most=DEEPEST)
    end = t.count("moe_layer_end_index", -1, least=-1, most=DEEPEST)
    step = t.count("moe_layer_interval", 1, most=DEEPEST)
    last = end if end >= 0 else layers - 1
    sparse = [start <= i <= last and (i + 1) % step == 0 for i in range(layers)]
    mixture = moe(t, router_bias=True, shared_width=shared(t, "moe_num_shared_experts"))
    attention = gqa(t, bias=bias, out_bias=bias)
    return plan([attention] * layers, mixed(sparse, mixture, lambda: dense(t, bias=bias)))


def mimo_v2(t: Table) -> Plan:
    """MiMo-V2-Flash: full and windowed layers with heads, widths and sinks of their own."""
    bias, layers = t.flag("attention_bias"), depth(t)
    full = gqa(t, bias=bias, value_dim=width(t, "v_head_dim"), sinks=t.flag("add_full_attention_sink_bias"))
    local = gqa(
        t, bias=bias, heads=width(t, "swa_num_attention_heads"), kv_heads=width(t, "swa_num_key_value_heads"),
        head_dim=width(t, "swa_head_dim"), value_dim=width(t, "swa_v_head_dim"), window=width(t, "sliding_window"),
        sinks=t.flag("add_swa_attention_sink_bias"),
    )  # fmt: skip
    for same in ("sliding_window_size", "attention_chunk_size"):
        t.raw(same, None)
    pattern = listed(t, "hybrid_layer_pattern", layers)
    if pattern is None:
        raise t.fail("hybrid_layer_pattern", "is missing", "0 for a full layer, 1 for a windowed one")
    mixture = moe(t, shared_width=shared(t, "n_shared_experts"))
    ffns = mixed(sparse_layers(t, layers), mixture, lambda: dense(t))
    return plan([local if is_local else full for is_local in pattern], ffns)


def step3p5(t: Table) -> Plan:
    """Step-3.5 and 3.7: windowed layers with more heads, a gate a head."""
    layers = depth(t)
    gate = int(t.flag("use_head_wise_attn_gate", default=True))
    full = gqa(t, qk_norm=True, gate_dim=gate)
    other = table(t, "attention_other_setting")
    local = evolve(
        full,
        heads=width(other, *HEADS, default=full.heads * 3 // 2 // full.kv_heads * full.kv_heads or full.heads),
        kv_heads=width(other, "num_attention_groups", "num_key_value_heads", default=full.kv_heads),
        window=width(t, "sliding_window"),
    )
    for key in ("attention_type", "head_dim", "true_head_dim"):
        other.raw(key, None)
    every = windows(t, layers, lambda i: "sliding_attention" if i % 4 else "full_attention")
    mixture = moe(t, shared_width=upto(t, "share_expert_dim"))
    ffns = mixed(_named_layers(t, layers), mixture, lambda: dense(t))
    t.raw("n_shared_experts", None)
    # Step-3.5 and 3.7 have 96 heads in windowed layers and 64 in the others.
    missing = f"attention_other_setting is not given: windowed layers are taken to have {local.heads} heads, as the published models'"
    warnings = () if other.data or not any(every) else (missing,)
    return plan([local if is_local else full for is_local in every], ffns, warnings=warnings)


def _named_layers(t: Table, layers: int) -> list[bool]:
    """Return which layers are mixtures: those of ``moe_layers_enum``, numbers between commas."""
    if "moe_layers_enum" not in t:
        return sparse_layers(t, layers)
    words = t.text("moe_layers_enum").split(",")
    if not all(word.strip().isdecimal() for word in words):
        raise t.fail("moe_layers_enum", "must be layer numbers between commas")
    named = {int(word) for word in words if len(word) < 10}
    return [i in named for i in range(layers)]


def step3(t: Table) -> Plan:
    """Step-3: queries through a latent, one key head and one value head for all."""
    layers = depth(t)
    attention = gqa(t, kv_heads=1, q_rank=width(t, "share_q_dim", "q_lora_rank"))
    mixture = moe(t, shared_width=upto(t, "share_expert_dim"))
    return plan([attention] * layers, mixed(_named_layers(t, layers), mixture, lambda: dense(t)))


def pangu_pro(t: Table) -> Plan:
    """Pangu Pro MoE: experts in groups, as many of each group, so that no rank has more to do."""
    bias = t.flag("attention_bias")
    for group in ("num_groups", "num_expert_groups"):
        t.raw(group, None)
    attention = gqa(t, bias=bias, out_bias=bias)
    return Plan([(attention, moe(t, shared_width=upto(t, "shared_expert_intermediate_size")))] * depth(t))


def muse_spark(t: Table) -> Plan:
    """Muse Spark: gated output, experts in a narrower hidden state, gates on the residual stream."""
    layers, bias = depth(t), t.flag("attention_bias")
    every = windows(t, layers, lambda i: "sliding_attention" if (layers - 1 - i) % 4 else "full_attention")
    base = gqa(t, bias=bias, out_bias=bias, norms=2)
    full = evolve(base, gate_dim=base.head_dim)
    local = evolve(full, window=width(t, "sliding_window")) if any(every) else full
    latent = width(t, "moe_hidden_size")
    mixture = moe(t, latent=latent, extra=2 * latent, norms=3)
    t.raw("intermediate_size", None)
    ffns = mixed(sparse_layers(t, layers), mixture, lambda: dense(t, norms=3))
    return plan([local if is_local else full for is_local in every], ffns)


def gemma4(t: Table) -> Plan:
    """Gemma 4: wider heads, values from keys, in full layers; the last layers share a cache; a mixture beside a dense block."""
    layers, bias, size = depth(t), t.flag("attention_bias"), hidden(t)
    every = windows(t, layers, lambda i: "sliding_attention" if (i + 1) % 6 else "full_attention")
    local = gqa(t, bias=bias, out_bias=bias, qk_norm=True, norms=2, window=width(t, "sliding_window"))
    same = t.flag("attention_k_eq_v")
    full = evolve(
        local, window=None, same_kv=same,
        head_dim=width(t, "global_head_dim", default=local.head_dim),
        kv_heads=width(t, "num_global_key_value_heads", default=local.kv_heads) if same else local.kv_heads,
    )  # fmt: skip
    t.raw("num_global_key_value_heads", None)
    reused = layers - upto(t, "num_kv_shared_layers", most=layers)
    wide = t.flag("use_double_wide_mlp")
    block = _gemma4_block(t, size)
    pairs: list[tuple[Attention, FeedForward]] = []
    for i, is_local in enumerate(every):
        own: Gqa = local if is_local else full
        pairs.append((evolve(own, shared_kv=True) if i >= reused else own, block(wide and i >= reused)))
    dim = upto(t, "hidden_size_per_layer_input")
    rows = upto(t, "vocab_size_per_layer_input", default=0) or width(t, "vocab_size")
    return Plan(pairs, {"per_layer": PerLayer(rows, dim) if dim else None})


def _gemma4_block(t: Table, size: int) -> Callable[[bool], FeedForward]:
    inside = width(t, "intermediate_size")
    if t.flag("enable_moe_block"):
        mixture = moe(t, shared_width=inside, norms=5)
        # The router scales its input, and each expert; mixture and dense block have norms of their own on the way out.
        mixture = evolve(mixture, extra=size + mixture.experts)
        return lambda _: mixture
    return lambda double: Dense(inside * (1 + double), norms=2)


def laguna(t: Table) -> Plan:
    """Laguna: heads of their own in each layer, a gate a head on the output, a shared expert."""
    layers = depth(t)
    gating = t.raw("gating", None)
    t.raw("gating_types", None)
    heads = listed(t, "num_attention_heads_per_layer", layers)
    base = gqa(t, bias=t.flag("attention_bias"), qk_norm=True)
    gate = (
        0
        if gating in (None, False, "none")
        else 1
        if str(gating).replace("_", "-") == "per-head" or gating is True
        else base.head_dim
    )
    every = windows(t, layers)
    window = width(t, "sliding_window") if any(every) else None
    attentions = []
    for i, is_local in enumerate(every):
        count = base.heads if heads is None else heads[i]
        if not isinstance(count, int) or isinstance(count, bool) or count < 1 or count % base.kv_heads:
            raise t.fail(
                "num_attention_heads_per_layer", f"layer {i}: must be a multiple of the {base.kv_heads} key-value heads"
            )
        attentions.append(evolve(base, heads=count, gate_dim=gate, window=window if is_local else None))
    plain = set(integers(t, "mlp_only_layers"))
    t.raw("decoder_sparse_step", None)
    common = upto(t, "shared_expert_intermediate_size")
    mixture = moe(t, shared_width=common, shared_gate=t.flag("shared_expert_gate"))
    t.raw("intermediate_size", None)
    sparse = sparse_layers(t, layers) if "mlp_layer_types" in t else [i not in plain for i in range(layers)]
    return plan(attentions, mixed(sparse, mixture, lambda: dense(t)))


def bailing_moe(t: Table) -> Plan:
    """Ling and Ring, first and second generation: shared experts, the first layers dense."""
    layers = depth(t)
    bias = t.flag("use_qkv_bias")
    attention = gqa(t, bias=bias, out_bias=t.flag("use_bias"), qk_norm=t.flag("use_qk_norm"))
    each = upto(t, "moe_shared_expert_intermediate_size") or upto(t, "moe_intermediate_size")
    common = upto(t, "num_shared_experts", most=DEEPEST) * each
    mixture = moe(t, shared_width=common, router_bias=t.flag("moe_router_enable_expert_bias"))
    t.raw("intermediate_size", None)
    for key in ("norm_head", "norm_softmax", "group_norm_size", "num_expert_group", "routed_scaling_factor"):
        t.raw(key, None)
    return plan([attention] * layers, mixed(sparse_layers(t, layers), mixture, lambda: dense(t)))


def afmoe(t: Table) -> Plan:
    """Trinity: a gated output, three windows to a full layer, norms before and after each block, a shared expert."""
    layers = depth(t)
    period = upto(t, "global_attn_every_n_layers", default=4, most=DEEPEST) or 4
    every = windows(t, layers, lambda i: "sliding_attention" if (i + 1) % period else "full_attention")
    base = gqa(t, qk_norm=True, norms=2)
    full = evolve(base, gate_dim=base.head_dim)
    local = evolve(full, window=width(t, "sliding_window")) if any(every) else full
    start = upto(t, "num_dense_layers", most=layers)
    mixture = moe(t, shared_width=shared(t, "num_shared_experts"), norms=2, router_bias=True)
    t.raw("intermediate_size", None)
    ffns = mixed([i >= start for i in range(layers)], mixture, lambda: dense(t, norms=2))
    return plan([local if is_local else full for is_local in every], ffns)


def exaone_moe(t: Table) -> Plan:
    """K-EXAONE: as EXAONE 4, with experts and shared experts after the first layer."""
    layers, pattern = depth(t), t.raw("sliding_window_pattern", None)
    word = pattern if isinstance(pattern, str) and pattern and set(pattern) <= {"L", "G"} else "LLLG"
    every = windows(t, layers, lambda i: "sliding_attention" if word[i % len(word)] == "L" else "full_attention")
    full = gqa(t, qk_norm=True)
    local = evolve(full, window=width(t, "sliding_window")) if any(every) else full
    flags = listed(t, "is_moe_layer", layers)
    start = upto(t, "first_last_k_dense_replace", default=0, most=layers)
    sparse = (
        sparse_layers(t, layers)
        if "mlp_layer_types" in t
        else [bool(flag) for flag in flags]
        if flags is not None
        else sparse_layers(t, layers, 1)
        if not start
        else [start <= i < layers - start for i in range(layers)]
    )
    mixture = moe(t, shared_width=shared(t, "num_shared_experts", "n_shared_experts"))
    t.raw("intermediate_size", None)
    return plan([local if is_local else full for is_local in every], mixed(sparse, mixture, lambda: dense(t)))


def granite_moe(t: Table) -> Plan:
    """Granite with experts, and with a shared block beside them."""
    bias = t.flag("attention_bias")
    for key in ("embedding_multiplier", "residual_multiplier", "attention_multiplier"):
        t.raw(key, None)
    mixture = moe(t, "intermediate_size", shared_width=upto(t, "shared_intermediate_size"))
    return Plan([(gqa(t, bias=bias, out_bias=bias), mixture)] * depth(t))


def dots1(t: Table) -> Plan:
    """dots.llm1: as GLM-4.5, with normed queries and keys."""
    bias = t.flag("attention_bias")
    return _shared_experts(t, gqa(t, bias=bias, out_bias=bias, qk_norm=True))


def inkling(t: Table) -> Plan:
    """Inkling: windowed layers with heads of their own, relative positions from a projection a head, shared experts.

    Short convolutions over keys and values and inside the experts' inputs are below 0.1 % of the weights and are left out.
    """
    layers = depth(t)
    relative = upto(t, "d_rel", most=WIDEST)
    full = gqa(t, qk_norm=True, gate_dim=relative)
    local = gqa(
        t, heads=width(t, "swa_num_attention_heads", default=full.heads), kv_heads=width(t, "swa_num_key_value_heads", default=full.kv_heads),
        head_dim=width(t, "swa_head_dim", default=full.head_dim), qk_norm=True, gate_dim=relative,
        window=width(t, "sliding_window_size", "sliding_window", default=512),
    )  # fmt: skip
    named = set(integers(t, "local_layer_ids")) if "local_layer_ids" in t else None
    words = {"hybrid": False, "hybrid_sliding": True, **dict.fromkeys(FULL, False), **dict.fromkeys(SLIDING, True)}
    every = [i in named for i in range(layers)] if named is not None and "layer_types" not in t else chosen(
        t, "layer_types", layers, words, lambda i: "full_attention" if i % 6 == 5 else "sliding_attention"
    )  # fmt: skip
    for ignored in (
        "rel_extent",
        "sconv_kernel_size",
        "use_sconv",
        "log_scaling_n_floor",
        "padded_vocab_size",
        "use_embed_norm",
        "v_head_dim",
        "local_layer_ids",
        "shared_expert_sink",
    ):
        t.raw(ignored, None)
    key = "moe_intermediate_size" if "moe_intermediate_size" in t else "intermediate_size"
    start = upto(t, "dense_mlp_idx", most=DEEPEST)
    sparse = sparse_layers(t, layers) if "mlp_layer_types" in t else [i >= start for i in range(layers)]
    wide = "dense_intermediate_size" if "dense_intermediate_size" in t else "intermediate_size"
    t.raw("intermediate_size", None)
    t.raw("dense_intermediate_size", None)
    attentions = [local if is_local else full for is_local in every]
    if not upto(t, "n_routed_experts", "num_experts"):
        return plan(attentions, [dense(t, wide)] * layers)
    mixture = moe(t, key, shared_width=shared(t, "n_shared_experts", key=key))
    return plan(attentions, mixed(sparse, mixture, lambda: dense(t, wide)))


def ernie_vl(t: Table) -> Plan:
    """ERNIE 4.5 VL: text has experts of its own; those of images, narrower, are held and not met."""
    counts, sizes = t.raw("moe_num_experts", None), t.raw("moe_intermediate_size", None)
    if not isinstance(counts, (list, tuple)) or not isinstance(sizes, (list, tuple)):
        return ernie(t)
    own = {**t.data, "moe_num_experts": counts[0] if counts else 0, "moe_intermediate_size": sizes[0] if sizes else 0}
    for key in ("moe_layer_start_index", "moe_layer_end_index"):
        value = own.get(key)
        if isinstance(value, (list, tuple)) and value:
            own[key] = min(value) if key.endswith("start_index") else max(value)
        t.raw(key, None)
    text = Table(own, t.file, t.path)
    out = ernie(text)
    for key in own:
        if key not in text.unread():
            t.raw(key, None)
    sparse = sum(isinstance(ffn, Moe) for _, ffn in out.layers)
    images = 0
    for count, size in list(zip(counts, sizes, strict=False))[1:]:
        if isinstance(count, int) and isinstance(size, int) and 0 < count < MOST_EXPERTS and 0 < size < WIDEST:
            images += sparse * count * (3 * hidden(t) * size + hidden(t))
    tower = (Tower("experts of images", images),) if images else ()
    return Plan(out.layers, {**out.also, "towers": tower})
