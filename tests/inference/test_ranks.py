"""The host's time of sequences: of an attention rank's own."""

import attrs

import roofline as rl
from roofline import catalog


def test_the_host_waits_for_the_sequences_of_one_rank():
    model, rack = rl.model("deepseek-v3", dtype="nvfp4"), rl.system("gb200-nvl72")
    profile = catalog.profile("calibrated", rack).driven(catalog.engine("trtllm", rack))

    def host(dp, batch):
        est = rl.estimate(rl.Decode(model, batch, 1024, served=1.0), rack, rl.Layout(dp=dp, ep=dp), level=profile)
        (step,) = est.steps
        return float(step.parts[-1].time)

    each = profile.engine.sequence
    # Eight ranks with 64 each: no more than 64 are scheduled by one of them, and what they send hides behind the chip.
    assert profile.engine.gap + 64 * each <= host(8, 512) < profile.engine.gap + 2 * 64 * (each + profile.engine.stream)
    assert host(8, 512) < host(8, 1024)


def test_a_shared_expert_among_the_routed_is_computed_where_it_lies():
    """DeepSeek-R1 at a small batch on 320 dies: no die reads the shared expert beside its own."""
    model, rack = rl.model("deepseek-r1", dtype="int8"), rl.system("cloudmatrix384")
    layout = rl.Layout(dp=320, ep=320, redundant_experts=64)
    engine = catalog.engine("cloudmatrix-infer", rack)

    def took(*, shared_routed):
        own = attrs.evolve(engine, shared_routed=shared_routed)
        return rl.estimate(rl.Decode(model, 160 * 8, 4096), rack, layout, engine=own)

    apart, among = took(shared_routed=False), took(shared_routed=True)
    assert among.tpot < apart.tpot
    # Weights are held all the same.
    assert among.memory.total == apart.memory.total
    assert "shared up" in apart.why()
    assert "shared up" not in among.why()
