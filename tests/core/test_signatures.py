"""Words of public functions are what their annotations say."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

import roofline as rl
from roofline.core.fields import number
from roofline.core.signatures import typed

STRANGE = [
    b"8",
    1j,
    object(),
    {1},
    print,
    True,
    np.array(["1"], dtype=object),
    np.array("8"),
    np.array([]),
    np.ma.masked,
    np.datetime64(1, "s"),
    [],
]


@typed
def asked(
    text: str = "", path: str | Path | None = None, value: float | None = None, whole: int = 1, some: Sequence[str] = (), by: Mapping[str, float] | None = None
) -> bool:  # fmt: skip
    return True


@pytest.mark.parametrize(
    "words",
    [{"text": "a"}, {"path": Path()}, {"path": None}, {"value": 1}, {"value": np.float32(1)}, {"value": [1, 2.5]}, {"value": np.arange(3)}, {"whole": 8.0},
     {"whole": np.int64(8)}, {"some": ["a", "b"]}, {"some": ("a",)}, {"by": {"a": 1.0}}],
)  # fmt: skip
def test_what_an_annotation_allows(words):
    assert asked(**words)


@pytest.mark.parametrize(
    ("words", "says"),
    [({"text": 1}, "text=1: must be text"), ({"path": 3}, "path=3: must be text or a path"), ({"value": "8"}, "value='8': must be a number"),
     ({"whole": 7.9}, "whole=7.9: must be a whole number"), ({"some": "ab"}, "some='ab': must be a list"), ({"some": [1]}, "must be a list"),
     ({"by": 3}, "by=3: must be a mapping")],
)  # fmt: skip
def test_what_it_does_not(words, says):
    with pytest.raises(rl.QuestionError, match=says):
        asked(**words)


@pytest.mark.parametrize("strange", STRANGE, ids=lambda each: type(each).__name__)
def test_what_is_no_number_is_none_anywhere(strange):
    for ask in (
        lambda: rl.estimate("llama-3.1-8b", "dgx-h100", tp=1, concurrency=strange),
        lambda: rl.train("llama-3.1-8b", "dgx-h100", global_batch=strange, seq_len=1024),
        lambda: rl.collective("all-reduce", 1e6, "dgx-h100", ranks=strange),
        lambda: rl.sweep("llama-3.1-8b", "dgx-h100", batch=strange, context=1024),
        lambda: rl.Trace.poisson(strange, 10),
    ):
        with pytest.raises(rl.RooflineError):
            ask()


@pytest.mark.parametrize(
    "verb", [rl.model, rl.system, rl.chip, rl.framework, rl.describe, rl.validate, rl.names, rl.listing]
)
@pytest.mark.parametrize("strange", [None, 3.0, b"x", object(), 1j])
def test_names_are_text(verb, strange):
    with pytest.raises(rl.RooflineError, match="must be"):
        verb(strange)


def test_texts_in_an_array_of_objects_are_no_numbers():
    assert list(number(np.array([1, 2.5], dtype=object))) == [1.0, 2.5]
    for strange in (np.array(["1", "2"], dtype=object), np.array([1, None], dtype=object), ["1"]):
        with pytest.raises(rl.QuestionError, match="must be a number"):
            number(strange)


def test_constants_are_numbers():
    for words in ({"t0": "x"}, {"eta_compute": float("nan")}, {"p": [1]}, {"step": object()}):
        with pytest.raises(rl.QuestionError, match="must be a number"):
            rl.Kernel(**words)
    assert rl.Kernel(t0=np.float64(1e-6)).t0 == 1e-6


def test_an_error_is_one_line():
    assert str(rl.DescriptorError("a\x1b[31m\u202e\nb")) == "a?[31m? b"


@pytest.mark.parametrize(
    ("call", "what"),
    [
        (lambda est: est.plot("roofline"), "ax="), (lambda est: est.plot(kind=3), "kind="), (lambda est: est.plot(style=[1]), "style="),
        (lambda est: est.plot(width={1}), "width="), (lambda est: est.interval(3), "quantity="), (lambda est: est.ttft_percentile("x"), "must be a number"),
        (lambda est: est.best(object()), "must be"), (lambda est: est.launch(7), "tool="), (lambda est: rl.launch(3), "answer="),
        (lambda est: est.question.model.cut(Path("x")), "must be a"), (lambda est: est.question.model.with_draft("x"), "must be a"),
        (lambda est: rl.collective("all-reduce", 1e6, "dgx-h100", ranks=8).over("1,5"), "sizes="), (lambda est: est.noted(3), "notes="), (lambda est: est.among(np.array([0.5])), "where="), (lambda est: est.among(np.array([99])), "where="),
        (lambda est: est.power(np.array([1, 2])), "scope="), (lambda est: rl.validate([ROW]).worst(of=["x"]), "must be a list"),
        (lambda est: rl.sweep(est.question.model, "dgx-h100", batch=[8], context=[100]).at("x"), "must be a"),
    ],
)  # fmt: skip
def test_methods_refuse_wrong_types_as_functions_do(call, what):
    est = rl.estimate("llama-3.1-8b", "dgx-h100", tp=1, concurrency=8, input=100, output=10)
    with pytest.raises(rl.RooflineError, match=what):
        call(est)


ROW = {"model": "llama-3.1-8b", "system": "dgx-h100", "mode": "decode", "tp": 1, "chips": 1, "input_len": 1000, "output_len": 9, "concurrency": 4,
       "tpot_s": 0.01}  # fmt: skip
