"""Whole training runs, and how training grows with chips."""

import json

import attrs
import numpy as np
import pytest

import roofline as rl
from roofline import catalog
from roofline.planner.train import train
from roofline.results import records
from roofline.studies.scaling import scaling
from roofline.training.campaign import campaign, saved
from roofline.workload.questions import TrainStep

HELD = rl.Layout(tp=8, pp=16, vpp=4, sharding="zero2", sequence_parallel=True)
BIG = {"global_batch": 2048, "seq_len": 8192, "recompute": "selective"}


@pytest.fixture(scope="module")
def llama():
    """Llama 3 405B as it was trained for the most of its tokens (arXiv:2407.21783, table 4): 16,384 H100, 16 M tokens a step."""
    return train("llama-3.1-405b", "dgx-h100", attrs.evolve(HELD, dp=128), **BIG)


def test_llama_3_as_published(llama):
    """Higher than 90 % effective training time; 419 interruptions in 54 days; 3.8e25 FLOP; 30.84 million H100 hours in all.

    The hours of the model card hold every phase, those of smaller batches and long contexts too: 15 % more than this one would take.
    """
    run = campaign(llama, "15.6T")
    assert 0.90 < float(run.goodput) < 0.95
    assert float(54 * run.failures / run.days) == pytest.approx(419, rel=1e-3)
    assert run.to_dict()["model_flop"] == pytest.approx(3.8e25, rel=0.05)
    assert float(run.chip_hours) == pytest.approx(30.84e6, rel=0.25)
    # With planned interruptions, 466 in all, and those alone.
    assert 0.90 < float(campaign(llama, mtbf=f"{54 * 24 / 466:.2f} h").goodput) < run.goodput


def test_a_run_by_hand(llama):
    run = campaign(llama, 1e12, mtbf=10800.0, storage="200 GB/s", restart="5 min", pue=1.2, price="2 USD/h", spares=100)
    steps = np.ceil(1e12 / (2048 * 8192))
    size = float(run.checkpoint_bytes)
    assert size == pytest.approx(14 * 405_853_388_800, rel=1e-4)
    assert float(run.checkpoint) == pytest.approx(size / 200e9)
    assert float(run.restart) == pytest.approx(300 + size / 200e9)
    left = np.exp(-(run.checkpoint_interval + run.checkpoint + run.restart) / 10800)
    assert float(run.goodput) == pytest.approx(float(left))
    days = steps * float(llama.step_time) / 86400 / float(left)
    assert float(run.days) == pytest.approx(days)
    assert float(run.failures) == pytest.approx(days * 8)
    assert float(run.dollars) == pytest.approx(2 * (16384 + 100) * days * 24)
    down = 1 - np.exp(-float(run.restart) / 10800)
    # Chips of 700 W: at work as the step says (no more than rated), else with a model loaded at 18 %; 215 W of host and fans; conversion.
    busy = min(float(llama.demand), 1.0) * (1 - down) + 0.18 * down
    watts = 1.2 * (16384 * (700 * busy + 215) + 100 * (700 * 0.18 + 215)) / 0.978
    assert float(run.megawatt_hours) == pytest.approx(watts * days * 24 / 1e6)


def test_nothing_fails(llama):
    run = campaign(llama, mtbf="inf")
    assert run.goodput == 1
    assert float(run.days) == float(run.days_ideal)
    assert run.to_dict()["checkpoint_interval_s"] is None
    assert run.goodput_range is None
    assert "none needed" in str(run)
    tokens = float(run.steps * llama.tokens)
    # But for the building, energy and cost are those of the step.
    assert float(run.joules) == pytest.approx(1.1 * float(llama.joules_per_token) * tokens)
    assert float(run.dollars) == pytest.approx(float(llama.dollars_per_trillion_tokens) * tokens / 1e12)


def test_checkpoints_written_behind_the_work(llama):
    whole, behind = (campaign(llama, storage="50 GB/s", checkpoint=pause) for pause in (None, "2 s"))
    assert float(behind.written) == float(whole.checkpoint) == pytest.approx(113.6, rel=0.01)
    assert float(behind.checkpoint) == 2
    assert behind.checkpoint_interval >= behind.written - behind.checkpoint
    assert behind.goodput > whole.goodput


def test_a_checkpoint_holds_weights_and_states_once():
    """The checkpoint of BLOOM 176B with the optimizer has 2.3 TB (its authors; 2.24 TiB here)."""
    assert saved(TrainStep(rl.model("bloom-176b"), 1)) == pytest.approx(2.3 * 2**40, rel=0.03)
    model = rl.model("llama-3.1-8b")
    full = saved(TrainStep(model, 1))
    assert saved(TrainStep(model, 1, task="lora")) < full / 100
    assert saved(TrainStep(model, 1, recompute="full")) == full


def test_the_interval_is_that_of_the_step(llama):
    run = campaign(llama)
    low, high = llama.interval()
    for name in ("days", "days_ideal", "dollars", "megawatt_hours"):
        pair = run.interval(name)
        assert pair[0] / getattr(run, name) == pytest.approx(low / llama.step_time)
        assert pair[1] / getattr(run, name) == pytest.approx(high / llama.step_time)
    with pytest.raises(rl.QuestionError, match="ask for days"):
        run.interval("goodput")
    least, most = run.goodput_range
    assert least < run.goodput < most


def test_records_and_sheets(llama):
    run = campaign(llama, "15.6T")
    told = json.loads(json.dumps(run.to_dict(), allow_nan=False))
    assert told["steps"] == 929833
    assert sum(told["time_share"].values()) == pytest.approx(1)
    assert told["interval"]["days"][0] < told["days"] < told["interval"]["days"][1]
    assert set(records.fields_of_campaign(run)) < set(told)
    sheet = str(run)
    assert all(row[1] in sheet for row in records.rows_of_campaign(run))
    assert {fact.path for fact in run.facts} == {f"operation.{n}" for n in ("mtbf.h100", "storage", "restart", "pue")}
    assert set(run.facts) < set(run.citations())


def test_no_rent_and_no_power_are_said():
    step = train("llama-3.1-8b", "mi300x-8", rl.Layout(dp=64), global_batch=64, recompute="full")
    bare = attrs.evolve(step.system, package=attrs.evolve(step.system.package, power=None))
    told = campaign(attrs.evolve(step, system=bare)).to_dict()
    assert told["energy_mwh"] is None
    assert told["cost_usd"] is None
    assert "give power" in told["null_because"]["energy_mwh"]
    assert "no record of mi300x" in " ".join(told["assumptions"])
    assert campaign(step, price=2.0).to_dict()["cost_usd"] > 0


def test_arrays_are_the_runs_one_by_one(llama):
    degrees = np.array([32.0, 64, 128])
    many = train("llama-3.1-405b", "dgx-h100", attrs.evolve(HELD, dp=degrees), **BIG)
    restart = np.array([60.0, 600.0])[:, None]
    run = campaign(many, "15T", restart=restart)
    assert run.shape == (2, 3)
    for i, wait in enumerate((60.0, 600.0)):
        for j, dp in enumerate(degrees):
            one = campaign(train("llama-3.1-405b", "dgx-h100", attrs.evolve(HELD, dp=dp), **BIG), "15T", restart=wait)
            for name in ("days", "goodput", "failures", "megawatt_hours", "dollars"):
                assert getattr(run, name)[i, j] == pytest.approx(float(getattr(one, name)))
                assert getattr(run.at(i, j), name) == pytest.approx(float(getattr(one, name)))
    with pytest.raises(rl.QuestionError, match="one point only"):
        run.to_dict()
    with pytest.raises(rl.QuestionError, match="must pick one point"):
        run.at(2, 0)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"tokens": "15 trillion"}, "write for example 15T"),
        ({"tokens": 0}, "tokens=0"),
        ({"mtbf": "3 GB"}, "mtbf='3 GB'"),
        ({"mtbf": 0}, "mtbf=0"),
        ({"mtbf": float("nan")}, "mtbf=nan"),
        ({"restart": -1}, "restart=-1"),
        ({"storage": "2 TB"}, "expected a bandwidth"),
        ({"pue": 0.9}, "pue=0.9"),
        ({"interval": 0.1}, "save less often"),
        ({"price": "3 W"}, "price"),
        ({"spares": -1}, "spares=-1"),
    ],
)
def test_wrong_words(llama, words, said):
    with pytest.raises((rl.QuestionError, rl.UnitError), match=said):
        campaign(llama, **words)


def test_data_on_runs_is_read_strictly(tmp_path):
    known = catalog.operation()
    assert known.failures("h100").value == pytest.approx(54 * 86400 * 16384 / 419, rel=1e-3)
    assert known.failures("nothing").source.kind == "assumed"
    path = tmp_path / "mine.toml"
    head = (
        '[operation]\nsource = "me"\nrestart = "1 min"\nstorage = "1 GB/s"\npue = 1.2\n[operation.mtbf]\nh100 = "9 h"\n'
    )
    mine = '[sources.me]\nkind = "assumed"\ntitle = "Mine"\nwhy = "a guess"\n'
    path.write_text(head + mine)
    with pytest.raises(rl.DescriptorError, match=r"mtbf\.other: is missing"):
        catalog.operation(path)
    path.write_text(head + 'other = "8 h"\n' + mine)
    assert catalog.operation(path).failures("b200").value == 8 * 3600
    path.write_text(head.replace("pue", "pux") + mine)
    with pytest.raises(rl.DescriptorError, match="pue"):
        catalog.operation(path)


# Scaling -------------------------------------------------------------------------------------------------------------


def test_strong_and_weak():
    words = {"layout": HELD, "seq_len": 8192, "recompute": "selective"}
    strong = scaling("llama-3.1-405b", "dgx-h100", [16384, 4096, 8192], global_batch=2048, **words)
    assert strong.chips == (4096, 8192, 16384)
    assert strong.efficiency[0] == 1
    assert np.all(np.diff(strong.efficiency) < 0)
    assert np.all(np.diff(strong.goodput) < 0)
    assert np.all(np.diff(strong.useful_tokens_per_second) > 0)
    weak = scaling("llama-3.1-405b", "dgx-h100", [4096, 8192, 16384], mode="weak", global_batch=512, **words)
    assert [est.question.global_batch for est in weak.answers] == [512, 1024, 2048]
    assert np.all(weak.efficiency[1:] > strong.efficiency[1:])
    told = json.loads(json.dumps(weak.to_dict(), allow_nan=False))
    assert {len(value) for value in told.values() if isinstance(value, list)} == {3}


def test_a_system_that_ends_says_so():
    grown = scaling("llama-3.1-8b", "dgx-h100", [1024, 98304, 1001], layout=rl.Layout(tp=2), global_batch=98304)
    assert grown.answers[2] is None
    assert "joins 16,384 ranks at most" in grown.reasons[2]
    assert "no multiple of the 2" in grown.reasons[0]
    assert np.isnan(grown.step_time[2])
    assert grown.to_dict()["step_time_s"][2] is None
    assert "joins 16,384" in str(grown)
    assert list(grown.fits) == [False, bool(grown.answers[1].fits), False]


def test_to_a_hundred_thousand_chips():
    words = {"layout": HELD, "seq_len": 8192, "recompute": "selective"}
    grown = scaling("llama-3.1-405b", "atlas-950-superpod", [1024, 98304], global_batch=12288, **words)
    assert np.all(grown.fits)
    assert grown.efficiency[1] < 1
    assert grown.goodput[1] < 0.8
    steady = scaling(
        "llama-3.1-405b",
        "atlas-950-superpod",
        [98304],
        global_batch=12288,
        mtbf_per_chip="500000 h",
        restart=60,
        **words,
    )
    assert steady.goodput[0] > 0.97


def test_the_verb_may_choose_each_layout(monkeypatch):
    """Without a layout every size asks the verb for the best."""
    asked = []

    def best(question, system, *, chips):
        asked.append(chips)
        return train(question, system, rl.Layout(tp=2, dp=chips / 2))

    monkeypatch.setattr("roofline.studies.scaling.train", best)
    grown = scaling(TrainStep(rl.model("llama-3.1-8b"), 1024), "dgx-h100", [8, 64])
    assert asked == [8, 64]
    assert [est.layout.words()["dp"] for est in grown.answers] == [4, 32]


def test_wrong_scalings():
    with pytest.raises(rl.QuestionError, match="mode"):
        scaling("llama-3.1-8b", "dgx-h100", [8], mode="both")
    with pytest.raises(rl.QuestionError, match="chips"):
        scaling("llama-3.1-8b", "dgx-h100", [], global_batch=8)
    with pytest.raises(rl.QuestionError, match="chips"):
        scaling("llama-3.1-8b", "dgx-h100", [8.5], global_batch=8)


def test_curves_are_drawn_on_one_picture():
    words = {"layout": rl.Layout(tp=2), "global_batch": 1024, "recompute": "selective"}
    one = scaling("llama-3.1-8b", "dgx-h100", [64, 256, 1024], **words)
    ax = one.plot()
    assert scaling("llama-3.1-8b", "dgx-b200", [64, 256, 1024, 98304], **words).plot(ax, label="B200") is ax
    assert [text.get_text() for text in ax.figure.legends[0].get_texts()] == ["dgx-h100", "B200"]
    assert ax.get_xlabel() == "chips"
    marks = [text.get_text() for text in ax.texts if "fit" not in text.get_text()]
    assert len(marks) == 6
    assert marks[0] == f"{one.mfu[0]:.0%}"
