"""Families of dense models with softmax attention: GPT-2 to Llama, Qwen, Phi, OLMo, Falcon, Nemotron."""

from __future__ import annotations

from typing import Any

from attrs import evolve

from roofline.core.mappings import Table
from roofline.models.architecture import Absent, Attention, Dense, FeedForward, Gqa
from roofline.models.huggingface.common import (
    DEEPEST,
    FEW,
    HEADS,
    KV_HEADS,
    Plan,
    chosen,
    dense,
    depth,
    gqa,
    hidden,
    mixed,
    moe,
    plan,
    sparse_layers,
    upto,
    width,
    windows,
)


def llama(t: Table) -> Plan:
    """Llama, and those that take its name."""
    bias, layers = t.flag("attention_bias"), depth(t)
    return Plan([(gqa(t, bias=bias, out_bias=bias), dense(t, bias=t.flag("mlp_bias")))] * layers)


def mistral(t: Table) -> Plan:
    """Mistral: every layer has the window, if there is one."""
    return Plan([(gqa(t, window=width(t, "sliding_window", default=None)), dense(t))] * depth(t))


def phi3(t: Table) -> Plan:
    """Phi-3 and Phi-4."""
    return mistral(t)


def seed_oss(t: Table) -> Plan:
    """Seed-OSS: a bias on queries, keys and values, and one on the output of its own."""
    attention = gqa(t, bias=t.flag("attention_bias", default=True), out_bias=t.flag("attention_out_bias"))
    return Plan([(attention, dense(t, bias=t.flag("mlp_bias")))] * depth(t))


def qwen_attention(t: Table, **kind: Any) -> list[Attention]:
    """Return the attention of each layer: full, or windowed from ``max_window_layers`` on where that is switched on."""
    full, layers = gqa(t, **kind), depth(t)
    if not t.flag("use_sliding_window"):
        for unused in ("sliding_window", "max_window_layers", "layer_types"):
            t.raw(unused, None)
        return [full] * layers
    windowed = evolve(full, window=width(t, "sliding_window"))
    start = upto(t, "max_window_layers", default=layers, most=DEEPEST)
    if "layer_types" in t:
        return [windowed if is_local else full for is_local in windows(t, layers)]
    return [full if i < start else windowed for i in range(layers)]


def qwen2(t: Table) -> Plan:
    """Qwen2, Qwen2.5 and MiMo: biases on queries, keys and values."""
    t.flag("attention_bias")
    attentions = qwen_attention(t, bias=True)
    return plan(attentions, [dense(t)] * len(attentions))


def qwen3(t: Table) -> Plan:
    """Qwen3: normed queries and keys."""
    bias = t.flag("attention_bias")
    attentions = qwen_attention(t, bias=bias, out_bias=bias, qk_norm=True)
    return plan(attentions, [dense(t)] * len(attentions))


def gpt2(t: Table) -> Plan:
    """GPT-2, GPT-3 and StarCoder: learned positions, biases everywhere, norms with a bias; in the last, one key-value head."""
    size, kv = hidden(t), 1 if t.flag("multi_query") else None
    block = Dense(width(t, "n_inner", default=None) or 4 * size, gated=False, bias=True)
    return Plan(
        [(gqa(t, bias=True, out_bias=True, kv_heads=kv), block)] * depth(t),
        {"norm_params": 2, "positions": upto(t, "n_positions", "max_position_embeddings", default=1024)},
    )


def gpt_neo(t: Table) -> Plan:
    """GPT-Neo: as GPT-2, without biases on queries, keys and values; every other layer has a window."""
    layers, size = depth(t), hidden(t)
    full = gqa(t, heads=width(t, "num_heads", *HEADS), out_bias=True)
    local = width(t, "window_size", default=256)
    t.raw("attention_types", None)
    names = {"global": False, "local": True}
    every = chosen(t, "attention_layers", layers, names, lambda i: "local" if i % 2 else "global")
    block = Dense(width(t, "intermediate_size", default=None) or 4 * size, gated=False, bias=True)
    windowed = evolve(full, window=local)
    also = {"norm_params": 2, "positions": upto(t, "max_position_embeddings", default=2048)}
    return plan([windowed if is_local else full for is_local in every], [block] * layers, **also)


def opt(t: Table) -> Plan:
    """OPT: as GPT-2, with two positions more than it says."""
    bias = t.flag("enable_bias", default=True)
    if width(t, "word_embed_proj_dim", default=hidden(t)) != hidden(t):
        raise t.fail("word_embed_proj_dim", "an embedding narrower than the hidden state is not described here")
    block = dense(t, "ffn_dim", gated=False, bias=bias)
    affine = 2 if t.flag("layer_norm_elementwise_affine", default=True) else 0
    also = {"norm_params": affine, "positions": upto(t, "max_position_embeddings", default=2048) + 2}
    outer = 1 if t.flag("do_layer_norm_before", default=True) and not t.flag("_remove_final_layer_norm") else 0
    return Plan([(gqa(t, bias=bias, out_bias=bias), block)] * depth(t), {**also, "outer_norms": outer})


def bloom(t: Table) -> Plan:
    """BLOOM: slopes for positions, one more norm after the embedding."""
    block = Dense(width(t, "n_inner", default=None) or 4 * hidden(t), gated=False, bias=True)
    return Plan([(gqa(t, bias=True, out_bias=True), block)] * depth(t), {"norm_params": 2, "outer_norms": 2})


def mpt(t: Table) -> Plan:
    """MPT: no biases at all; slopes for positions, or a table of them where the slopes are off."""
    bias = not t.flag("no_bias", default=True)
    block = Dense(t.count("expansion_ratio", 4, most=FEW) * hidden(t), gated=False, bias=bias)
    attention = t.table("attn_config", {})
    # With slopes there are no positions, whatever this says.
    learned = t.flag("learned_pos_emb", default=True) and not attention.flag("alibi", default=True)
    kv = upto(attention, "kv_n_heads", default=0)
    return Plan(
        [(gqa(t, bias=bias, out_bias=bias, kv_heads=kv or None), block)] * depth(t),
        {"norm_params": 1 + int(bias), "positions": learned * upto(t, "max_seq_len", default=2048)},
    )


def falcon(t: Table) -> Plan:
    """Falcon: attention and feed-forward side by side, behind one norm or behind two."""
    bias, new, parallel = t.flag("bias"), t.flag("new_decoder_architecture"), t.flag("parallel_attn", default=True)
    heads = width(t, *HEADS)
    multi = t.flag("multi_query", default=True)
    kv = width(t, *KV_HEADS, default=heads) if new or not multi else 1
    for unused in KV_HEADS:
        t.raw(unused, None)
    both = upto(t, "num_ln_in_parallel_attn", default=2 if new else 1, most=2) == 2 or not parallel
    block = Dense(
        width(t, "ffn_hidden_size", default=None) or 4 * hidden(t),
        gated=False, bias=bias, parallel=parallel, norms=int(both),
    )  # fmt: skip
    return Plan([(gqa(t, bias=bias, out_bias=bias, kv_heads=kv), block)] * depth(t), {"norm_params": 2})


def gptj(t: Table) -> Plan:
    """GPT-J: side by side behind one norm, biases on the feed-forward and the head."""
    block = Dense(width(t, "n_inner", default=None) or 4 * hidden(t), gated=False, bias=True, parallel=True, norms=0)
    t.raw("n_positions", None)
    return Plan([(gqa(t), block)] * depth(t), {"norm_params": 2, "head_bias": True})


def gpt_neox(t: Table) -> Plan:
    """GPT-NeoX and Pythia: side by side, each behind a norm of its own."""
    bias, parallel = t.flag("attention_bias", default=True), t.flag("use_parallel_residual", default=True)
    block = dense(t, gated=False, bias=True, parallel=parallel)
    return Plan([(gqa(t, bias=bias, out_bias=bias), block)] * depth(t), {"norm_params": 2})


def phi(t: Table) -> Plan:
    """Phi-1, Phi-1.5 and Phi-2: side by side behind one norm, biases everywhere."""
    block = dense(t, gated=False, bias=True, parallel=True, norms=0)
    attention = gqa(t, bias=True, out_bias=True, qk_norm=t.flag("qk_layernorm"))
    return Plan([(attention, block)] * depth(t), {"norm_params": 2, "head_bias": True})


def nemotron(t: Table) -> Plan:
    """Nemotron-4: squared ReLU without a gate, norms with a bias."""
    bias = t.flag("attention_bias")
    block = dense(t, gated=False, bias=t.flag("mlp_bias"))
    return Plan([(gqa(t, bias=bias, out_bias=bias), block)] * depth(t), {"norm_params": 2})


def olmo(t: Table) -> Plan:
    """OLMo: norms without weights."""
    bias = t.flag("attention_bias")
    return Plan([(gqa(t, bias=bias, out_bias=bias), dense(t))] * depth(t), {"norm_params": 0})


def olmo2(t: Table) -> Plan:
    """OLMo 2 and 3: norms after the blocks, over all heads; in OLMo 3 three of four layers have a window."""
    bias, layers = t.flag("attention_bias"), depth(t)
    full = gqa(t, bias=bias, out_bias=bias, qk_norm=True, norm_all=True)
    local = width(t, "sliding_window", default=None)
    every = windows(t, layers, lambda i: "full_attention" if local is None or i % 4 == 3 else "sliding_attention")
    windowed = evolve(full, window=width(t, "sliding_window")) if any(every) else full
    return plan([windowed if is_local else full for is_local in every], [dense(t)] * layers)


def gemma(t: Table) -> Plan:
    """Gemma: as Llama, with a head of its own width."""
    bias = t.flag("attention_bias")
    return Plan([(gqa(t, bias=bias, out_bias=bias), dense(t))] * depth(t))


def gemma2(t: Table) -> Plan:
    """Gemma 2: every other layer has a window; norms before and after each block."""
    return _sandwiched(t, 2)


def gemma3(t: Table) -> Plan:
    """Gemma 3: five windows to a full layer, normed queries and keys."""
    return _sandwiched(t, upto(t, "sliding_window_pattern", default=6, most=DEEPEST) or 6, qk_norm=True)


def _sandwiched(t: Table, period: int, **kind: Any) -> Plan:
    bias, layers = t.flag("attention_bias"), depth(t)
    every = windows(t, layers, lambda i: "sliding_attention" if (i + 1) % period else "full_attention")
    full = gqa(t, bias=bias, out_bias=bias, norms=2, **kind)
    windowed = evolve(full, window=width(t, "sliding_window")) if any(every) else full
    return plan([windowed if is_local else full for is_local in every], [dense(t, norms=2)] * layers)


def nemotron_nas(t: Table) -> Plan:
    """Llama-Nemotron, found by a search over blocks: attention or feed-forward may be missing, widths differ."""
    bias, size = t.flag("attention_bias"), hidden(t)
    heads, blocks = width(t, *HEADS), t.tables("block_configs")
    if len(blocks) != depth(t):
        raise t.fail("block_configs", f"must hold {depth(t)} blocks, one a layer")
    pairs: list[tuple[Attention, FeedForward]] = []
    for block in blocks:
        mixer, ffn = block.table("attention"), block.table("ffn")
        for part in (mixer, ffn):
            if part.flag("replace_with_linear"):
                raise part.fail("replace_with_linear", "a matrix in place of a block is not described here")
        attention: Attention = Absent()
        if not mixer.flag("no_op"):
            share = width(mixer, "n_heads_in_group", default=1)
            window = width(mixer, "window_length", default=None)
            attention = _grouped(t, heads, share, bias, window)
        # Rounded up to 256, as the checkpoints are.
        wide = 2 * ffn.real("ffn_mult", 0.0, most=FEW) * size / 3
        absent = ffn.flag("no_op") or wide < 1
        pairs.append((attention, Absent() if absent else Dense(-(-int(wide) // 256) * 256, bias=t.flag("mlp_bias"))))
    return Plan(pairs)


def _grouped(t: Table, heads: int, share: int, bias: bool, window: int | None) -> Gqa:
    if heads % share:
        raise t.fail("block_configs", f"n_heads_in_group {share} must divide the {heads} attention heads")
    return gqa(t, heads=heads, kv_heads=heads // share, bias=bias, out_bias=bias, window=window)


def ministral(t: Table) -> Plan:
    """Ministral: as Mistral; a list may say which layers have the window."""
    window, layers = width(t, "sliding_window", default=None), depth(t)
    every = windows(t, layers, lambda _: "full_attention" if window is None else "sliding_attention")
    full = gqa(t)
    windowed = evolve(full, window=width(t, "sliding_window")) if any(every) else full
    return plan([windowed if is_local else full for is_local in every], [dense(t)] * layers)


def muse_glimmer(t: Table) -> Plan:
    """Muse Glimmer: gated output, queries and keys normed without weights, three windows to a full layer, norms before and after blocks."""
    layers, bias = depth(t), t.flag("attention_bias")
    every = windows(t, layers, lambda i: "full_attention" if i % 4 == 3 else "sliding_attention")
    base = gqa(t, bias=bias, out_bias=bias, norms=2)
    full = evolve(base, gate_dim=base.head_dim)
    windowed = evolve(full, window=width(t, "sliding_window")) if any(every) else full
    return plan([windowed if is_local else full for is_local in every], [dense(t, norms=2)] * layers)


def exaone4(t: Table) -> Plan:
    """EXAONE 4: normed queries and keys, norms after the blocks; three windows to a full layer in the larger ones."""
    layers, pattern = depth(t), t.raw("sliding_window_pattern", None)
    word = pattern if isinstance(pattern, str) and pattern and set(pattern) <= {"L", "G"} else "LLLG"
    local = width(t, "sliding_window", default=None)
    every = windows(
        t,
        layers,
        lambda i: "sliding_attention" if local is not None and word[i % len(word)] == "L" else "full_attention",
    )
    t.flag("mtp_share_layers")
    t.raw("_num_mtp_layers", None)
    full = gqa(t, qk_norm=True)
    windowed = evolve(full, window=width(t, "sliding_window")) if any(every) else full
    return plan([windowed if is_local else full for is_local in every], [dense(t)] * layers)


def cohere(t: Table) -> Plan:
    """Cohere Command: attention and feed-forward side by side behind one norm; in Command R7B and A most layers have a window."""
    bias, layers = t.flag("attention_bias"), depth(t)
    local = width(t, "sliding_window", default=None)
    period = upto(t, "sliding_window_pattern", default=4, most=DEEPEST) or 4
    every = windows(
        t, layers, lambda i: "sliding_attention" if local is not None and (i + 1) % period else "full_attention"
    )
    full = gqa(t, bias=bias, out_bias=bias, qk_norm=t.flag("use_qk_norm"), norm_all=True)
    windowed = evolve(full, window=width(t, "sliding_window")) if any(every) else full
    block = dense(t, parallel=True, norms=0)
    return plan([windowed if is_local else full for is_local in every], [block] * layers)


def smollm3(t: Table) -> Plan:
    """SmolLM3: as Llama; some layers turn no keys."""
    for key in ("no_rope_layers", "no_rope_layer_interval", "use_sliding_window", "layer_types", "max_window_layers"):
        t.raw(key, None)
    return llama(t)


def apertus(t: Table) -> Plan:
    """Apertus: a feed-forward without a gate, normed queries and keys."""
    bias = t.flag("attention_bias")
    block = dense(t, gated=False, bias=t.flag("mlp_bias"))
    return Plan([(gqa(t, bias=bias, out_bias=bias, qk_norm=t.flag("qk_norm", default=True)), block)] * depth(t))


def arcee(t: Table) -> Plan:
    """Arcee: as Llama, with a feed-forward without a gate."""
    bias = t.flag("attention_bias")
    return Plan([(gqa(t, bias=bias, out_bias=bias), dense(t, gated=False, bias=t.flag("mlp_bias")))] * depth(t))


def starcoder2(t: Table) -> Plan:
    """StarCoder2: biases everywhere, no gate, norms with a bias."""
    bias = t.flag("use_bias", default=True)
    attention = gqa(t, bias=bias, out_bias=bias, window=width(t, "sliding_window", default=None))
    return Plan([(attention, dense(t, gated=False, bias=bias))] * depth(t), {"norm_params": 2})


def stablelm(t: Table) -> Plan:
    """StableLM 2: norms with a bias; blocks side by side where it says so."""
    bias, parallel = t.flag("use_qkv_bias"), t.flag("use_parallel_residual")
    block = dense(t, parallel=parallel, norms=0 if parallel else 1)
    return Plan(
        [(gqa(t, bias=bias, qk_norm=t.flag("qk_layernorm"), norm_all=True), block)] * depth(t), {"norm_params": 2}
    )


def internlm2(t: Table) -> Plan:
    """InternLM 2 and 3, and others like Llama with one flag for biases."""
    bias = t.flag("bias") or t.flag("qkv_bias")
    t.raw("qkv_bias", None)
    return Plan([(gqa(t, bias=bias, out_bias=t.flag("bias")), dense(t))] * depth(t))


def glm4(t: Table) -> Plan:
    """GLM-4: biases on queries, keys and values; in GLM-4-0414 norms before and after each block."""
    bias, layers = t.flag("attention_bias", default=True), depth(t)
    norms = 2 if t.raw("model_type", "glm4") not in ("glm", "glm_text") else 1
    return Plan([(gqa(t, bias=bias, norms=norms), dense(t, norms=norms))] * layers)


def chatglm(t: Table) -> Plan:
    """ChatGLM 2 and 3, and GLM-4-9B under its first name."""
    groups = upto(t, "multi_query_group_num") if t.flag("multi_query_attention") else 0
    attention = gqa(
        t, bias=t.flag("add_qkv_bias") or t.flag("add_bias_linear"), kv_heads=groups or None,
        head_dim=width(t, "kv_channels", default=None),
    )  # fmt: skip
    return Plan([(attention, dense(t, "ffn_hidden_size", bias=t.flag("add_bias_linear")))] * depth(t))


def qwen(t: Table) -> Plan:
    """Qwen of the first generation: its width of the feed-forward counts gate and up."""
    block = Dense(width(t, "intermediate_size") // 2)
    t.flag("no_bias", default=True)
    return Plan([(gqa(t, bias=True), block)] * depth(t))


def ernie_dense(t: Table) -> Plan:
    """ERNIE 4.5 without experts."""
    bias = t.flag("use_bias")
    return Plan([(gqa(t, bias=bias, out_bias=bias), dense(t, bias=bias))] * depth(t))


def hunyuan_dense(t: Table) -> Plan:
    """Hunyuan without experts: normed queries and keys."""
    bias = t.flag("attention_bias")
    attention = gqa(t, bias=bias, out_bias=bias, qk_norm=t.flag("use_qk_norm", default=True))
    for key in ("cla_share_factor", "use_cla", "dense_list", "num_experts", "moe_topk"):
        t.raw(key, None)
    return Plan([(attention, dense(t))] * depth(t))


def granite(t: Table) -> Plan:
    """Granite: as Llama, with scales that change no sizes."""
    for key in ("embedding_multiplier", "residual_multiplier", "attention_multiplier"):
        t.raw(key, None)
    return llama(t)


def peer(t: Table) -> Plan:
    """A model file of another tool (:mod:`roofline.models.huggingface.peers`): dense, or a mixture with shared experts."""
    layers, gated = depth(t), t.flag("gated", default=True)
    for key in ("multiple_of", "ffn_dim_multiplier", "moe"):
        t.raw(key, None)
    also = {"warnings": assumed_vocabulary(t)}
    attention = gqa(t, bias=t.flag("add_qkv_bias"), qk_norm=t.flag("qk_norm"))
    if "n_routed_experts" not in t:
        return plan([attention] * layers, [dense(t, gated=gated)] * layers, **also)
    mixture = moe(t, _expert_width(t), shared_width=upto(t, "shared_expert_intermediate_size"), gated=gated)
    return plan([attention] * layers, mixed(sparse_layers(t, layers), mixture, lambda: dense(t, gated=gated)), **also)


def assumed_vocabulary(t: Table) -> tuple[str, ...]:
    """Return a warning where a file of another tool states no vocabulary."""
    assumed = t.flag("vocab_assumed")
    return (f"vocab_size is not given: {width(t, 'vocab_size'):,}, as GPT-3's, is taken",) if assumed else ()


def _expert_width(t: Table) -> str:
    t.raw("n_shared_experts", None)
    t.raw("intermediate_size", None)
    return "moe_intermediate_size" if "moe_intermediate_size" in t else "intermediate_size"
