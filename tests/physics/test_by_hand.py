"""Laws of physics worked out by hand, in sums written out anew: each constant is a number of its own."""

import math

import attrs
import numpy as np
import pytest

import roofline as rl
from roofline.core.errors import QuestionError
from roofline.hardware.constants import COLLECTIVES, Kernel, Link
from roofline.hardware.engines import Engine
from roofline.hardware.hardware import Fabric
from roofline.operators.operations import Message, Op
from roofline.physics import energy, kernels, pipeline, pipeline_trace, queueing, reliability
from roofline.physics.collectives import price, sent
from roofline.physics.pipeline import Pace
from roofline.physics.pool_queueing import Lanes
from roofline.physics.topology import usable


def close(one, other):
    assert float(one) == pytest.approx(other, rel=1e-12)


# Kernels -------------------------------------------------------------------------------------------------------------

CHIP = rl.Chip("made", {"bf16": 1e15, "fp8": 2e15}, rl.Memory(1e11, 4e12), cores=100.0)
KERNEL = Kernel(
    eta_compute=0.8, eta_memory=0.5, t0=3e-6, p=1.0, step=2e-9, item=5e-7, eta_staging=0.25, turn=7e-9, elsewhere=0.3, error=0.1
)  # fmt: skip
WORK = Op("up", "moe", "bf16", 4e11, 1e9, launches=2.0, staging=6e7, depth=500.0, items=40.0, elsewhere=2e8)


def profile(kernel, **words):
    return rl.Calibration("made", "calibrated", {("moe", "any"): kernel, ("gemm", "any"): kernel}, {}, **words)


def test_the_time_of_an_operation_is_the_sum_of_its_seven_terms():
    launches, walk = 2 * 3e-6, 500 * 2e-9
    items = 40 * (5e-7 / 100 + 7e-9)
    passes = (6e7 + 0.3 * 2e8) / (0.25 * 4e12)
    compute, memory = 4e11 / (0.8 * 1e15), 1e9 / (0.5 * 4e12)
    cost = kernels.price(WORK, CHIP, profile(KERNEL))
    close(cost.time, launches + walk + items + passes + compute + memory)
    close(cost.latency, launches + walk + items)
    close(cost.memory, memory + passes)
    close(cost.compute, compute)
    # p = infinity: the longer of the two; p = 2: the root of their squares.
    side = kernels.price(WORK, CHIP, profile(attrs.evolve(KERNEL, p=math.inf)))
    close(side.time, launches + walk + items + passes + max(compute, memory))
    square = kernels.price(WORK, CHIP, profile(attrs.evolve(KERNEL, p=2.0)))
    close(square.time, launches + walk + items + passes + math.hypot(compute, memory))


def test_a_host_that_launches_waits_for_no_kernel_but_kernels_wait_for_it():
    free = float(kernels.price(WORK, CHIP, profile(KERNEL)).time)
    close(kernels.price(WORK, CHIP, profile(KERNEL, host=free / 2 * 1.5)).time, 1.5 * free)
    close(kernels.price(WORK, CHIP, profile(KERNEL, host=free / 2 * 0.5)).time, free)


def test_exponentials_and_products_of_attention_add_in_squares():
    work = Op("attention", "moe", "bf16", 4e11, 1e9, scores=3e9)
    own = profile(Kernel(eta_compute=0.8, eta_score=0.6), exponential=1e11)
    close(kernels.price(work, CHIP, own).compute, math.hypot(4e11 / 8e14, 3e9 / (0.6 * 100 * 1e11)))
    known = attrs.evolve(CHIP, exponentials=2e13)
    close(kernels.price(work, known, own).compute, math.hypot(4e11 / 8e14, 3e9 / (0.6 * 2e13)))


def test_a_part_of_the_best_measured_rate_bounds_a_format_that_was_not_measured():
    kernel = Kernel(eta_compute=0.9, eta_best=0.95)
    seen = attrs.evolve(CHIP, best={"bf16": 0.7})
    for rate, part in (("bf16", 0.95 * 0.7), ("fp8", min(0.9, 0.95 * 0.7))):
        work = attrs.evolve(WORK, rate=rate, launches=0.0)
        close(kernels.price(work, seen, profile(kernel)).compute, 4e11 / (part * CHIP.peak[rate]))
    close(kernels.price(WORK, CHIP, profile(kernel)).compute, 4e11 / (0.9 * 1e15))


def test_rows_that_a_matrix_instruction_lacks_are_multiplied_all_the_same():
    own, wide = profile(Kernel(), tile=0.5), attrs.evolve(CHIP, tile=128.0)
    for rows, times in ((16.0, 4.0), (64.0, 1.0), (100.0, 1.0), (0.0, 1.0)):
        close(kernels.price(Op("up", "gemm", "bf16", 1e12, 1.0, rows=rows), wide, own).compute, times * 1e12 / 1e15)
    close(kernels.price(Op("up", "moe", "bf16", 1e12, 1.0, rows=16.0), wide, own).compute, 1e12 / 1e15)


def test_a_fused_quantisation_takes_one_launch_and_no_pass():
    engine = Engine("made", fused=("fp8",), launch=0.5, formats={"fp8": 0.8}, compute=0.9)
    work = attrs.evolve(WORK, kernel="gemm", rate="fp8", form="fp8")
    cost = kernels.price(work, CHIP, profile(KERNEL, engine=engine))
    close(cost.latency, 1 * 3e-6 * 0.5 * 0.8 + 500 * 2e-9 + 40 * (5e-7 / 100 + 7e-9))
    close(cost.memory, 1e9 / 2e12)
    close(cost.compute, 4e11 / (0.8 * 0.9 * 2e15))


# Collectives ---------------------------------------------------------------------------------------------------------

NODE, FAR = rl.Tier("node", 8, 4e11, 2e-6), rl.Tier("far", 64, 5e10, 3e-6)
CARDS = Fabric("cards", step=1e-5, share=0.8, rounding=2.0, chunk=1e18, sums=0.7, post=1e-7)


def linked(**constants):
    return rl.Calibration("made", "calibrated", {}, {name: Link(**constants) for name in COLLECTIVES})


def ways(collective, size, group, tiers, **constants):
    copies = constants.pop("copies", 1.0)
    cost = price(Message("m", collective, size, group, copies=copies), tiers, linked(**constants))
    return {name: float(time) for name, time in cost.ways.items()}


def test_a_ring_sends_all_but_its_own_part_twice():
    # 8 ranks: 14 steps of 2 us, and 2 x 7/8 of the buffer at 4e11.
    found = ways("all_reduce", 8e6, 8.0, (NODE,), hop=1.0, alpha=5e-6)
    close(found["ring"], 5e-6 + 14 * 2e-6 + 2 * 7 / 8 * 8e6 / 4e11)
    close(found["halving"], 5e-6 + 6 * 2e-6 + 2 * 7 / 8 * 8e6 / 4e11)
    close(found["tree"], 5e-6 + 6 * 2e-6 + 2 * 8e6 / 4e11)


def test_tiers_carry_their_parts_at_the_same_time():
    # 16 ranks on two nodes: inside 7/8 of the buffer, outside an eighth of it for each of 8 ranks, half of which leaves.
    found = ways("all_gather", 8e6, 16.0, (NODE, FAR), hop=1.0)
    inside, outside = 7 / 8 * 8e6 / 4e11, 8e6 / 8 / 2 / 5e10
    close(found["gather"], 7 * 2e-6 + 1 * 3e-6 + max(inside, outside))
    shared = attrs.evolve(FAR, same_ports=True)
    close(ways("all_gather", 8e6, 16.0, (NODE, shared), hop=1.0)["gather"], 7 * 2e-6 + 3e-6 + inside + outside)


def test_each_way_reaches_a_part_of_the_link_and_begins_with_a_fixed_time():
    found = ways("all_gather", 8e6, 8.0, (NODE,), hop=0.5, alpha=5e-6, peer=1e-7, start=3.0, far=0.8, c=0.25)
    t0, x = 5e-6 + 7 * 1e-7 + 3 * 2e-6 + 0.5 * 7 * 2e-6, 7 / 8 * 8e6 / 4e11 / 0.8
    close(found["gather"], t0 + x + 2 * math.sqrt(0.25 * t0 * x))


def test_ranks_that_read_each_other_do_it_in_one_step_or_two():
    near = attrs.evolve(NODE, load_store=True)
    found = ways("all_reduce", 8e4, 8.0, (near,), hop=1.0, eta=0.5)
    close(found["one_shot"], 2e-6 + 7 * 8e4 / 2e11)
    close(found["two_shot"], 4e-6 + 2 * 7 / 8 * 8e4 / 2e11)


def test_a_switch_that_adds_up_takes_the_buffer_once():
    found = ways("all_reduce", 8e6, 8.0, (attrs.evolve(NODE, in_network=True),), hop=1.0)
    close(found["in_network"], 2 * 2e-6 + 8e6 / 4e11)
    # Two ranks exchange halves: 2 x 1/2 of it, which is as much.
    close(
        ways("all_reduce", 8e6, 2.0, (attrs.evolve(NODE, in_network=True),), hop=1.0)["in_network"], 4e-6 + 8e6 / 4e11
    )


def test_a_ring_over_cards_is_flat_over_all_ranks():
    # 4 nodes of 8: each card carries an eighth of the buffer times 31/32, twice; 3 steps between nodes a pass, 28 inside.
    rails = attrs.evolve(FAR, fabric=CARDS)
    found = ways("all_reduce", 8e8, 32.0, (NODE, rails), hop=1.0)
    cards = 2 * 8e8 / 8 * 31 / 32 / (5e10 * 0.8)
    close(found["ring"], 2 * 7 * 4 * 2e-6 + 2 * 3 * 1e-5 + max(cards, 2 * 7 / 8 * 8e8 / 4e11))


def test_long_pieces_between_nodes_wait_for_a_handshake():
    # Four nodes of eight: a ring takes 3 steps between nodes in 32 pieces, a tree 4 up and down with eighths of the buffer.
    rails = attrs.evolve(FAR, fabric=attrs.evolve(CARDS, handshake=5e-6, eager=1e5))
    plain = attrs.evolve(FAR, fabric=CARDS)
    for collective, way, steps, pieces in (
        ("all_gather", "gather", 3, 32),
        ("all_reduce", "ring", 6, 32),
        ("all_reduce", "tree", 4, 8),
    ):
        longer, shorter = (ways(collective, 6e6, 32.0, (NODE, tier))[way] for tier in (rails, plain))
        assert longer - shorter == pytest.approx(steps * 5e-6 * 6e6 / (6e6 + pieces * 1e5), rel=1e-6)


def test_cores_that_copy_bound_an_exchange_on_quick_links():
    near = attrs.evolve(NODE, load_store=True)
    for copied, rate in ((1e11, 1e11), (1e12, 4e11)):
        found = ways("dispatch", 1e6, 8.0, (near,), copies=4.0, copied=copied)
        close(found["low_latency"], 4 * 1e6 * 7 / 8 / rate)


def test_trees_over_cards():
    rails = attrs.evolve(FAR, fabric=CARDS)
    # Two nodes: each sends its eighth up and down once; four: twice, at half of the rate.
    two, four = (ways("all_reduce", 8e8, n, (NODE, rails), hop=1.0)["tree"] for n in (16.0, 32.0))
    close(two, 2 * 3 * 2e-6 + 2 * 1e-5 + max(8e8 / 8 / 4e10, 2 * 8e8 / 4e11))
    close(four, 2 * 3 * 2e-6 + 4 * 1e-5 + max(2 * 8e8 / 8 / (4e10 / 2), 2 * 8e8 / 4e11))


def test_filling_a_pipeline_over_cards_is_bounded():
    rails = attrs.evolve(FAR, fabric=attrs.evolve(CARDS, chunk=4e5))
    found = ways("all_to_all", 8e8, 16.0, (NODE, rails), hop=1.0, c=0.25)
    # Eight peers in the other node are posted at 0.15 of a step each, and the first takes a whole one.
    fixed = 3 * 2e-6 + (1 + 0.15 * 8) * 1e-5
    cards = 8e8 / 2 / 4e10
    free, most = 2 * math.sqrt(0.25 * 2.0 * fixed * cards), (1 + 0.15 * 8) * 4e5 / 4e10
    # The pipelines inside the node are filled meanwhile, which takes less.
    assert 2 * math.sqrt(0.25 * fixed * 7 / 16 * 8e8 / 4e11) > free * most / (free + most)
    inside = 2 * math.sqrt(0.25 * (3 * 2e-6) * (7 / 16 * 8e8 / 4e11))
    close(found["all_to_all"], fixed + cards + max(inside, free * most / (free + most)))


def test_copies_go_straight_or_once_to_each_node():
    # 16 ranks, 4 copies: 4 x 8/16 leave the node; or once to each other node that has one, 1 - (1 - 1/2)^4 of both, half of them not here.
    found = ways("dispatch", 1e6, 16.0, (NODE, FAR), copies=4.0)
    close(found["low_latency"], max(4 * 1e6 * 7 / 16 / 4e11, 4 * 1e6 * 8 / 16 / 5e10))
    nodes, ranks = 2 * (1 - 0.5**4), 16 * (1 - (15 / 16) ** 4)
    close(found["throughput"], max(1e6 * ranks * 7 / 8 / 4e11, 1e6 * nodes / 2 / 5e10))


def test_a_host_posts_each_message_that_leaves_the_node():
    tiers = (NODE, attrs.evolve(FAR, fabric=CARDS))
    plain, posted = (
        price(Message("m", "dispatch", 1e6, 16.0, copies=4.0, rows=rows), tiers, linked()).ways for rows in (0.0, 30.0)
    )
    close(posted["low_latency"] - plain["low_latency"], 30 * 4 * 8 / 16 * 1e-7)
    close(posted["throughput"], float(plain["throughput"]))


def test_a_broadcast_goes_down_a_chain_or_a_tree():
    found = ways("broadcast", 8e6, 8.0, (NODE,), hop=1.0)
    close(found["chain"], 7 * 2e-6 + 8e6 / 4e11)
    close(found["binomial"], 3 * 2e-6 + 3 * 8e6 / 4e11)


def test_a_chain_of_transfers_crosses_each_link_in_turn():
    # 16 ranks: 14 hops inside nodes and one between them; over cards a hop takes two steps of the fabric.
    found = ways("point_to_point", 1e6, 16.0, (NODE, FAR), hop=1.0)
    close(found["point_to_point"], 14 * (2e-6 + 1e6 / 4e11) + 3e-6 + 1e6 / 5e10)
    found = ways("point_to_point", 1e6, 16.0, (NODE, attrs.evolve(FAR, fabric=CARDS)), hop=1.0)
    close(found["point_to_point"], 14 * (2e-6 + 1e6 / 4e11) + 2 * 1e-5 + 1e6 / 4e10)


def test_the_error_of_a_message_grows_with_the_distance_from_what_was_timed():
    def error(group, size, tiers=(NODE, FAR)):
        return float(
            price(Message("m", "all_to_all", size, group), tiers, linked(error=0.05, ranks=4.0, bytes=1e6)).error
        )

    assert error(4.0, 1e6) == pytest.approx(0.05)
    # Two doublings of the ranks and three of the bytes, which count half.
    assert error(16.0, 8e6) == pytest.approx(math.hypot(0.05, 0.1 * (2 + 1.5)))
    # Over cards the transfer has the error of the fabric, and nodes beyond those that were timed add to it.
    rails = attrs.evolve(FAR, fabric=attrs.evolve(CARDS, nodes=2.0, error=0.3, short=0.6))
    assert error(64.0, 1e12, (NODE, rails)) == pytest.approx(math.hypot(0.3, 0.1 * 2), rel=1e-3)


def test_bytes_over_each_tier():
    m = Message("m", "all_to_all", 64.0, 16.0)
    assert [float(b) for b in sent(m, (NODE, FAR))] == [28.0, 32.0]
    assert [float(b) for b in sent(attrs.evolve(m, collective="all_reduce"), (NODE, FAR))] == [112.0, 8.0]
    assert [float(b) for b in sent(attrs.evolve(m, collective="broadcast", group=8.0), (NODE, FAR))] == [64.0, 0.0]
    assert [float(b) for b in sent(attrs.evolve(m, collective="point_to_point"), (NODE, FAR))] == [14 * 64.0, 64.0]


@pytest.mark.parametrize(
    ("start", "fan", "gather", "steps"),
    [
        (1.0, 2.0, 1 / 3 / 2, 1.0),  # a line of two: a third of the links, one direction
        (1.0, 8.0, 1.0 / 3, 4.0),  # a whole ring of eight: both directions of a third
        (1.0, 64.0, 2 / 3, 8.0),  # a whole plane
        (1.0, 512.0, 1.0, 12.0),  # everything
        (8.0, 8.0, 1.0 / 3, 4.0),  # a ring across rows
        (2.0, 4.0, 1 / 3 / 2, 4.0),  # every second rank of a row: links are shared by two groups
    ],
)
def test_what_a_group_uses_of_a_torus(start, fan, gather, steps):
    use = usable(rl.Tier("ICI", 512, 1e11, 1e-6, topology="torus", dims=(8, 8, 8)), 512.0, start, fan)
    assert (float(use.gather), float(use.steps)) == pytest.approx((gather, steps))


def test_an_all_to_all_travels_a_quarter_of_a_ring():
    ring = rl.Tier("ring", 16, 1e11, 1e-6, topology="ring")
    # 16 ranks: each sends 15/16 of its buffer, and the ring takes 16/4 times the buffer over both directions.
    close(usable(ring, 16.0, 1.0, 16.0).exchange, 4 * (15 / 16) / 16)
    # A line of 8 in it is twice as long to travel.
    close(usable(ring, 16.0, 1.0, 8.0).exchange, 4 * (7 / 8) / (2 * 8))


# Pipelines -----------------------------------------------------------------------------------------------------------

FBW = Pace(1.0, 2.0, 0.5)


@pytest.mark.parametrize(
    ("schedule", "bubble", "kept"),
    [
        ("gpipe", 3 * 3.5, 64.0),
        ("1f1b", 3 * 3.5, 4.0),
        ("zb-h1", 3 * (2 + 0.5), 4.0),
        ("zb-h2", 3 * max(1 + 2 - 1, 2 - 1, 0), 7.0),
    ],
)
def test_bubbles_of_the_table(schedule, bubble, kept):
    """Four even stages, a forward pass of 1, gradients of inputs of 2 and of weights of 0.5, as the module's table has it."""
    found = pipeline.run(schedule, 4.0, 64.0, fullest=FBW)
    assert (float(found.bubble), float(found.in_flight)) == pytest.approx((bubble, kept))
    close(found.time, 64 * 3.5 + bubble)


def test_the_bubble_of_dualpipe_is_the_published_one_where_both_passes_are_equal():
    found = pipeline.run("dualpipe", 8.0, 64.0, fullest=Pace(2.0, 2.0, 0.5))
    assert (float(found.bubble), float(found.in_flight)) == pytest.approx((3 * (4.5 + 2 - 2 * 0.5), 9.0))
    # Of 64 micro-batches 64 - 12 + 1 go in pairs, which save half a second each.
    close(pipeline.run("dualpipe", 8.0, 64.0, fullest=Pace(2.0, 2.0, 0.5, pair=4.0)).work, 64 * 4.5 - 53 * 0.5)


def test_chunks_shorten_the_ramp_and_keep_more():
    found = pipeline.run("interleaved", 4.0, 64.0, 3.0, fullest=FBW)
    assert (float(found.bubble), float(found.in_flight)) == pytest.approx((3 * 3.5 / 3, 4 + 3 / 3))


def test_messages_of_one_forward_one_backward_are_seen_once_a_round():
    # Two stages, four micro-batches: the way through takes two messages more; two loops of two micro-batches would take
    # two passes each (7), but a way through of 7 + 2 s holds them up; the last is alone.
    s = 0.25
    found = pipeline.run("1f1b", 2.0, 4.0, fullest=attrs.evolve(FBW, send=s))
    through = 7 + 2 * s
    close(found.time, through + through + 3.5)


@pytest.mark.parametrize(
    ("schedule", "shape", "send", "events"),
    [
        ("1f1b", (2, 4, 1), 0.0, 2 * 4 * 3),
        ("1f1b", (2, 4, 3), 0.0, 2 * 4 * 3 * 3),
        ("1f1b", (2, 4, 1), 0.1, 2 * 4 * 5),
        ("zb-v", (2, 4, 1), 0.0, 2 * 4 * 2 * 3),
    ],
)
def test_a_trace_has_three_events_a_pass_and_five_with_messages_and_is_refused_beyond_its_most(
    monkeypatch, schedule, shape, send, events
):
    monkeypatch.setattr(pipeline_trace, "MOST_EVENTS", events)
    assert pipeline_trace.trace(schedule, *shape, fullest=attrs.evolve(FBW, send=send))["traceEvents"]
    monkeypatch.setattr(pipeline_trace, "MOST_EVENTS", events - 1)
    with pytest.raises(QuestionError, match="events"):
        pipeline_trace.trace(schedule, *shape, fullest=attrs.evolve(FBW, send=send))


def test_a_message_that_begins_as_another_ends_goes_on_in_its_thread():
    lanes = [3.0, 2.0]
    assert [pipeline_trace._lane(lanes, 2.0, 1.5), pipeline_trace._lane(lanes, 2.5, 1.0)] == [1, 2]
    assert lanes == [3.0, 3.5, 3.5]


def test_the_mean_of_the_others_leaves_the_fullest_out():
    rest = pipeline.others(Pace(4.0, 6.0, 2.0, 0.1), Pace(2.5, 3.0, 1.25, 0.1), 4.0)
    assert (float(rest.forward), float(rest.inputs), float(rest.weights), rest.send) == (2.0, 2.0, 1.0, 0.1)


# Queues --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("variation", [0.0, 0.4])
def test_the_cadence_solves_its_quadratic(variation):
    # 40 requests, prompts of 2 chunks, 100 decode steps.
    c = queueing.cadence(4000.0, 100.0, 40.0, 1.0, 2000.0, variation=variation)
    q, w = float(c.chunks), float(c.wait)
    assert q == pytest.approx(2 + (float(queueing.whole_steps(2.0, variation)) - 2) * (1 - 39 * 2 / (100 + 2)), rel=0.3)
    assert 2 * w * (100 + q + w - 39 * q) == pytest.approx(39 * q**2 * (1 + variation**2))
    close(c.cycle, 100 + q + w)
    close(c.decoding, 100 / float(c.cycle))
    close(c.arrivals, 40 / float(c.cycle) * 39 / 40)


def test_a_cadence_of_more_prompts_than_steps_is_as_long_as_its_prompts():
    c = queueing.cadence(8000.0, 10.0, 50.0, 1.0, 2000.0)
    assert float(c.cycle) == pytest.approx(50 * 4, rel=0.02)
    assert float(c.passing) == pytest.approx(1.0, abs=0.02)


def test_prompts_that_stall_decode_pass_between_two_steps():
    # 41 requests of 100 decode steps: 0.4 others end with one. A prompt takes 2 passes, the last half full unless another follows.
    c = queueing.cadence(3000.0, 100.0, 41.0, 1.0, 2000.0, stalls=1.0)
    chunks = 2 + (1.5 - 2) * 0.4 / 2.4
    close(c.chunks, chunks)
    close(c.wait, chunks * 0.4 / 2)
    close(c.cycle, 100)
    together = min(1 + (0.41 / (1 - math.exp(-0.41)) - 1) * 40 / 41, 1.0)
    close(c.mixed, 0.4 * chunks / together)
    # Half of a second decode step, and three passes of 4 s to each.
    close(attrs.evolve(c, mixed=3.0).in_prompts(0.5, 4.0), 12 / 12.5)
    close(c.held_up(0.5, 4.0), 4.0)


def test_prompts_that_share_a_pass_wait_only_beyond_a_full_one():
    few, many = (queueing.cadence(500.0, 100.0, n, 1.0, 2000.0, stalls=1.0) for n in (201.0, 1001.0))
    close(few.wait, 0)
    close(many.wait, (10 + 1 - 4) / 8)
    close(many.together, 4)
    # All of 11 s of decode steps and passes are in a cycle, whoever waits: 100 of 0.06 s and 1001 / 4 of 0.02 s.
    close(many.mixed * 1001 / 1000 * 100, 1001 / 4)


def test_requests_that_only_pass_their_prompt_wait_for_all_others():
    c = queueing.cadence(4000.0, 0.0, 9.0, 1.0, 4000.0, stalls=1.0)
    close(c.wait, 8)


def test_a_mean_of_whole_steps_is_the_mean_of_all_lengths():
    mean, spread = 3.7, 0.25
    half = mean * 3**0.5 * spread
    lengths = np.ceil(np.linspace(mean - half, mean + half, 200_001))
    assert float(queueing.whole_steps(mean, spread)) == pytest.approx(float(lengths.mean()), rel=1e-4)


def test_a_step_in_progress_lasts_half_of_what_its_square_says():
    # A fifth of the steps take 5, the others 2.
    close(queueing.residual(0.2, 2.0, 5.0), (0.8 * 4 + 0.2 * 25) / (2 * (0.8 * 2 + 0.2 * 5)))


def test_a_full_house_is_that_of_sakasegawa():
    close(queueing.full_house(8.0, 0.9, 3.0, 0.5), 3 * (1 + 0.25) / 2 * 0.9 ** (math.sqrt(18) - 1) / (8 * 0.1))
    assert math.isnan(float(queueing.full_house(8.0, 1.0, 3.0, 0.5)))


def test_a_queue_at_full_load_has_no_end():
    c = queueing.cadence(4000.0, 100.0, 4.0, 1.0, 2000.0, random=True)
    full = 1 / (float(c.chunks) * 0.5)
    waits = [
        queueing.queue(c, rate, 0.25, 0.5, variation=0.0, coming=1.0, busy=1.0, grows=0.25)
        for rate in (full / 2, full, 2 * full)
    ]
    # Half loaded: each 1, waits a half of it (rho / 2 (1 - rho)), and half of a decode step.
    close(waits[0], float(c.chunks) * 0.5 * 0.5 / (2 * 0.5) + 0.25 / 2)
    assert [math.isnan(float(each)) for each in waits] == [False, True, True]


def test_one_server_without_variation_waits_as_pollaczek_and_khinchin_say():
    # rho = 0.6: rho s / (2 (1 - rho)) for equal lengths that come at random; more with the variance of lengths.
    for variation in (0.0, 0.5):
        wait, own = Lanes(1.0, alone=2.0, full=2.0).queue(0.3, variation)
        assert float(wait) == pytest.approx(2 * 0.6 * (1 + variation**2) / (2 * 0.4), rel=1e-6)
        close(own, 2.0)


def test_a_wave_ends_halfway_on_average():
    # Nine prompts to three lanes that read two at once, in passes of 1 and of 1.5: three each, in passes of two.
    lanes = Lanes(3.0, alone=1.0, full=1.5, most=2.0)
    close(lanes.each, 0.75)
    close(lanes.more, 0.5)
    close(lanes.most_per_second, 4.0)
    close(lanes.wave(9.0), (3 + 2) / 2 * 1.5 / 2)


# Energy and failures -------------------------------------------------------------------------------------------------


def test_a_chip_draws_what_it_does():
    draw = rl.hardware.energy.ChipDraw(0.1, 0.2, 0.4, 0.25, 1.5, 0.5, 0.3, 2.0, 0.1, 0.2)
    used = energy.Uses(0.3, 0.6, 0.2, 0.5)
    # Running kernels for half of the time: a quarter of what they add stays while the chip waits.
    awake = 0.2 + 0.2 * (0.25 + 0.75 * 0.5)
    found = energy.parts_of_chip(draw, used, 0.8)
    assert found == pytest.approx(
        {"awake": 0.1 + (awake - 0.1) * 0.64, "compute": 1.5 * 0.3 * 0.64, "memory": 0.3, "links": 0.06}
    )
    close(energy.demand(draw, used, 0.8), sum(found.values()))
    close(energy.drawn(draw, 0.9, 0.6, 0.7), 0.2 + (0.7 - 0.2) * 0.6)


def test_power_of_a_hall_by_part():
    around = rl.hardware.energy.Surroundings(300.0, 100.0, 50.0, 70.0, 0.8, 20.0, 30.0, 5e10, 0.1)
    parts = energy.surrounded(700.0, around, "hall", 0.5, 1.2)
    inside = 700 + 300 + 100 + (50 + 10) + (70 + 15)
    wall = inside / 0.8
    expected = {
        "chips": 700,
        "hosts": 300,
        "fans": 100,
        "switches": 60,
        "optics": 85,
        "conversion": wall - inside,
        "cooling": 0.2 * wall,
    }
    assert parts == pytest.approx(expected)


def test_what_failures_leave_is_what_a_renewal_says():
    # A failure every 5,000 s, a checkpoint of 50 s after 1,000 s, a restart of 200 s: Daly's equation 20.
    m, c, r, t = 5000.0, 50.0, 200.0, 1000.0
    close(reliability.goodput(m, c, r, t), t / (m * math.exp(r / m) * (math.exp((t + c) / m) - 1)))
    useful, saving, restarting, again = map(float, reliability.shares(m, c, r, t))
    close(saving, useful * c / t)
    close(restarting, 1 - math.exp(-r / m))
    close(useful + saving + restarting + again, 1.0)
    best = float(reliability.best_interval(m, c))
    for other in (0.99 * best, 1.01 * best):
        assert reliability.goodput(m, c, r, other) < reliability.goodput(m, c, r, best)
    x = best / m
    assert (1 - x) * math.exp(x + c / m) == pytest.approx(1.0, rel=1e-9)


def test_a_switch_that_adds_up_is_slower_where_nodes_are_joined():
    near = attrs.evolve(NODE, in_network=True)
    alone = ways("all_reduce", 8e8, 8.0, (near,), hop=0.0)["in_network"]
    close(alone, 8e8 / 4e11)
    # Over two nodes of eight the cards carry an eighth of the buffer in 2.5 ms, and the switch takes 1 / 0.88 of its own 2 ms.
    joined = ways("all_reduce", 8e8, 16.0, (near, attrs.evolve(FAR, fabric=CARDS)), hop=0.0)["in_network"]
    close(joined, 2e-5 + max(8e8 / 8 / 4e10, 8e8 / 4e11 / 0.88))


def test_a_tree_goes_from_host_to_host():
    # 32 ranks on hosts of 4: four ranks of a host are joined in 2 x 2 steps of 2 us, eight hosts in 2 x 3 of 14 us.
    rack = attrs.evolve(NODE, size=64.0, host=4.0)
    close(ways("all_reduce", 1e-3, 32.0, (rack,), hop=1.0)["tree"], 4 * 2e-6 + 6 * 14e-6)
    close(ways("all_reduce", 1e-3, 4.0, (rack,), hop=1.0)["tree"], 4 * 2e-6)
