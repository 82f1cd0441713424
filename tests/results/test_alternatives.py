"""What a question leaves open widens its interval and is said; what it states does neither."""

import numpy as np
import pytest

import roofline as rl
from roofline.results.alternatives import Z80, Alternative, squares


def ends(est, quantity="tpot"):
    return np.log(np.array(est.interval(quantity)) / getattr(est, quantity))


def said(est):
    return [note for note in est.assumptions if "is not stated" in note]


def test_an_open_format_of_the_cache_is_said_and_widens_the_quicker_side():
    words = {"dtype": "fp8", "concurrency": 64, "tp": 4, "engine": "vllm@0.12+tuned"}
    left, stated = (rl.estimate("llama-3.1-70b", "dgx-h100", **words, **more) for more in ({}, {"kv_dtype": "bf16"}))
    (note,) = said(left)
    assert note.startswith(
        "the format of the cache is not stated: bf16 is assumed; in fp8, as vLLM serves such weights: TPOT -"
    )
    assert said(stated) == []
    assert float(left.tpot) == float(stated.tpot)
    assert ends(left)[0] < ends(stated)[0]
    assert ends(left)[1] == pytest.approx(ends(stated)[1])


def test_the_kind_of_launch_is_open_unless_it_is_stated():
    names = {
        kind: "the kind of launch"
        in [
            each.open
            for each in rl.estimate("llama-3.1-8b", "dgx-h100", tp=1, concurrency=8, engine=f"vllm{kind}").open
        ]
        for kind in ("", "+default", "+tuned")
    }
    assert names == {"": True, "+default": False, "+tuned": False}


def test_one_other_answer_adds_half_its_distance():
    """Two answers that are as likely, 20 % apart: z^2 (ln 1.2)^2 / 2 on the side of the other."""
    est = rl.estimate("llama-3.1-8b", "dgx-h100", tp=1, concurrency=8, engine="vllm@0.12+tuned", kv_dtype="bf16")
    assert squares(est, "tpot") == (0.0, 0.0)

    class Other:
        open = (Alternative("a", "b", "c", lambda question, profile: (question, profile)),)
        question = system = layout = calibration = None
        tpot = 1.0

        @staticmethod
        def again(*_):
            return type("Slow", (), {"tpot": 1.2})

    below, above = squares(Other(), "tpot")
    assert below == 0
    assert above == pytest.approx(Z80**2 * np.log(1.2) ** 2 / 2)


def test_arrays_and_points_agree():
    many = rl.estimate("llama-3.1-70b", "dgx-h100", dtype="fp8", tp=4, concurrency=np.array([4.0, 64.0]), engine="vllm")
    for i in range(2):
        one = many.at(i)
        assert np.array(one.interval("tpot")) == pytest.approx([end[i] for end in many.interval("tpot")])
