import concurrent.futures

import numpy as np
import pytest
from attrs import evolve

import roofline as rl
from roofline.core.arrays import sizes, take
from roofline.hardware.numbers import number_of, with_number
from roofline.studies import sweep as sweeping
from roofline.studies.space import space

WORDS = {"phase": "pools", "chips": [4, 8], "prefill_chips": [2, 4], "input": 2000.0, "output": [200.0, 600.0]}
LOADS = {"concurrency": [4.0, 32.0, 256.0]}


def small(**words):
    return rl.sweep("llama-3.1-70b", "dgx-h100", **{"top": 9999, **WORDS, **LOADS, **words})


@pytest.mark.parametrize(
    "load", [LOADS, {"rate": [0.1, 0.5, 2.0]}, {"concurrency": [8.0, 64.0], "requests_per_slot": 4.0}]
)
def test_any_point_is_the_answer_of_two_pools(load):
    asked = {
        name: value
        for name, value in {**WORDS, "vary": {"bandwidth": ["1x", "1.5x"]}, **load}.items()
        if name != "phase"
    }
    (family,) = space("llama-3.1-70b", "dgx-h100", ["pools"], asked).families
    assert family.axes[0][0] == "layout"
    assert family.axes[1][0] == "prefill_layout"
    assert sizes(*family.asked) == family.shape
    found = rl.sweep("llama-3.1-70b", "dgx-h100", phase="pools", top=9999, **asked)
    model, rack = rl.model("llama-3.1-70b"), rl.system("dgx-h100")
    random = np.random.default_rng(0)
    names = [name for name, _ in family.axes[2:]]
    for k in random.choice(len(found.places), 12, replace=False):
        row = {name: float(found[name][k]) for name in found.frame if found[name].dtype.kind == "f"}
        own = {name: row[name] for name in names if name != "bandwidth"}
        words = {"input": 2000.0, **{n: float(v) for n, v in load.items() if not isinstance(v, list)}, **own}
        layouts = [
            rl.Layout(**{name: row[f"{pool}{name}"] for name in ("tp", "pp", "dp", "ep", "replicas")})
            for pool in ("", "prefill_")
        ]
        on = with_number(rack, "bandwidth", row["bandwidth"])
        alone = rl.pools(rl.Serve(model, **words), on, *layouts)
        assert bool(alone.fits)
        for column, value in (
            ("ttft_s", alone.ttft),
            ("tpot_s", alone.tpot),
            ("tokens_per_s", alone.tokens_per_second),
        ):
            assert row[column] == pytest.approx(float(value), rel=1e-9), (column, words)
        assert row["chips"] == alone.chips
        assert row["bandwidth"] in (number_of(rack, "bandwidth"), 1.5 * number_of(rack, "bandwidth"))
        again = found.at(int(k))
        assert isinstance(again, rl.Pools)
        assert float(again.ttft) == pytest.approx(float(alone.ttft), rel=1e-12)


def test_what_is_rejected_is_what_does_not_fit():
    found = small()
    (family,) = found.space.families
    fits = 0
    for place in np.ndindex(family.shape):
        question, system, layout, _ = take(family.asked, place)
        fits += bool(rl.pools(question, system, layout.decode, layout.prefill).fits)
    assert found.accepted == fits
    assert found.points == found.accepted + sum(found.rejected["plans"])
    # Layouts that cannot be laid out are counted with all that they would have been paired with.
    cut = small(prefill_chips=[3])
    assert cut.points == cut.accepted + sum(cut.rejected["plans"])
    assert any(reason.startswith("prefill pool: ") for reason in cut.rejected["reason"])


def test_the_best_of_a_grid_is_the_best_of_all_pairs():
    best = small(top=1, limits={"tpot": "25ms"}).best
    rates = []
    for chips, prefill_chips in ((4, 2), (8, 4), (4, 4), (8, 2)):
        found = small(chips=chips, prefill_chips=prefill_chips, limits={"tpot": "25ms"}, top=1).best
        rates.append(0.0 if found is None else float(found.tokens_per_second_per_chip))
    assert float(best.tokens_per_second_per_chip) == pytest.approx(max(rates), rel=1e-12)


def test_workers_and_blocks_change_no_bit(monkeypatch, tmp_path):
    whole = small().csv()
    monkeypatch.setattr(sweeping, "BLOCK", 50)
    assert small(checkpoint=tmp_path / "sweep.json").csv() == whole
    assert small(checkpoint=tmp_path / "sweep.json").csv() == whole
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        assert small(executor=pool).csv() == whole


def test_an_interrupt_keeps_what_there_is(monkeypatch):
    monkeypatch.setattr(sweeping, "BLOCK", 50)

    def stop(done, total):
        if done > total / 2:
            raise KeyboardInterrupt

    found = small(progress=stop)
    assert not found.complete
    assert found.points / 2 < found.seen < found.points
    assert found.best is not None
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        assert not small(progress=stop, executor=pool).complete


def test_layouts_may_be_given():
    found = small(
        chips=None, prefill_chips=None, layout=rl.Layout(tp=[4.0, 8.0]), prefill_layout=rl.Layout(tp=[2.0, 4.0, 8.0])
    )
    assert found.space.families[0].shape == (2, 3, 2, 3)
    assert set(found["layout"]) <= {"tp=4", "tp=8"}
    held = small(tp=4, prefill_tp=2)
    assert set(held["prefill_tp"]) == {2.0}
    assert set(held["tp"]) == {4.0}


def test_wrong_words():
    with pytest.raises(
        rl.QuestionError, match="prefill_chips=None: each pool has layouts, or numbers of chips; give prefill_chips"
    ):
        small(prefill_chips=None)
    with pytest.raises(rl.QuestionError, match=r"chips=.*each pool has layouts, or numbers of chips"):
        small(layout=rl.Layout(tp=8))
    with pytest.raises(rl.QuestionError, match='prefill_tp=4: is of a pool that prefills; ask for phase="pools"'):
        rl.sweep("llama-3.1-70b", "dgx-h100", batch=8, context=4096, prefill_tp=4)
    with pytest.raises(rl.QuestionError, match="odds need answers about one pool"):
        small(top=2).odds()


def test_a_frontier_and_all_metrics():
    found = small(frontier=("tokens_per_second_per_user", "tokens_per_second_per_chip", "memory"))
    assert found.places
    rates = found["tokens_per_s_per_user"]
    assert (np.diff(rates) <= 0).all()
    held = small(limits={"memory": "70 GB", "power": "20 kW", "ttft": "5s"})
    assert (held["memory_bytes"] <= 70e9).all()
    assert (held["ttft_s"] <= 5).all()
    assert "prefill_layout" in held.table()


def test_several_phases_at_once():
    found = rl.sweep(
        "llama-3.1-70b",
        "dgx-h100",
        phase=["serve", "pools"],
        chips=8,
        prefill_chips=4,
        concurrency=[16.0, 64.0],
        per="phase",
    )
    assert list(found["phase"]) == ["serve", "pools"]
    assert evolve(found.at(1).question, concurrency=1.0).input == found.at(0).question.input
