"""The host's time of sequences: of an attention rank's own."""

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
