"""What is typed into the form is the address, and the question that the address asks."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

import roofline as rl
from roofline.app.question import BEST, FIELDS, MODEL, MORE, ONE, parse, typed_fields

LLAMA = [("model", "llama-3.1-8b"), ("system", "dgx-h100")]
words = st.sampled_from(
    [MODEL.name, *(each.name for each in (*FIELDS, *MORE)), "system", "chips", "price", "isl", "osl", "other"]
)
pairs = st.lists(st.tuples(words, st.text(max_size=8)), max_size=14)


@given(pairs)
def test_an_address_is_read_as_it_was_written(some):
    once = typed_fields(some)
    if not once.strange:
        again = typed_fields(once.pairs)
        assert again == once
        assert again.pairs == once.pairs


def test_what_was_left_empty_is_not_in_the_address():
    some = [
        *LLAMA,
        ("chips", ""),
        ("price", ""),
        ("system", ""),
        ("output", " 512 "),
        ("tpot", ""),
        ("deployment", BEST),
    ]
    assert typed_fields(some).address == "/?model=llama-3.1-8b&system=dgx-h100&output=512"
    assert typed_fields([]).address == "/"
    assert typed_fields([]).empty


def test_systems_keep_their_chips_and_prices():
    some = [
        ("model", "llama-3.1-8b"),
        ("system", "dgx-h100"),
        ("system", "dgx-b200"),
        ("chips", ""),
        ("chips", "4"),
        ("price", "2.5"),
        ("price", ""),
    ]
    text = typed_fields(some)
    assert text.rows == (("dgx-h100", "", "2.5"), ("dgx-b200", "4", ""))
    first, second = parse(text).sides
    assert (first.chips, second.chips) == (None, 4)
    assert (first.price, second.price) == (2.5, None)


def test_words_of_other_tools_are_taken():
    question = parse(typed_fields([*LLAMA, ("isl", "1000"), ("osl", "100")]))
    assert question.words == {"input": 1000.0, "output": 100.0}


def test_what_is_typed_reaches_the_library():
    some = [
        *LLAMA,
        ("tpot", "30ms"),
        ("concurrency", "64"),
        ("engine", "vllm"),
        ("dtype", "fp8"),
        ("deployment", ONE),
        ("cached", "100"),
    ]
    question = parse(typed_fields(some))
    assert (question.tpot, question.ttft, question.deployment) == ("30ms", "10s", ONE)
    assert question.words == {"concurrency": 64.0, "engine": "vllm", "dtype": "fp8", "cached": 100.0}


@pytest.mark.parametrize(
    ("some", "line"),
    [
        ([("system", "dgx-h100")], "model: is missing"),
        ([("model", "llama-3.1-8b")], "system: is missing"),
        ([("model", "llama-3.1-8b"), ("chips", "8")], "system: is missing where"),
        ([*LLAMA, ("input", "8k")], "input='8k': must be a number in digits; write 8000 or 8192"),
        ([*LLAMA, ("chips", "7.5")], "chips='7.5': must be a whole number"),
        ([*LLAMA, ("chips", "0")], "chips=0"),
        ([*LLAMA, ("price", "-1")], "price=-1"),
        ([*LLAMA, ("outptu", "1")], "word='outptu': is no field of this page; did you mean output"),
        ([*LLAMA, ("input", "1"), ("isl", "2")], "input: was given twice|isl: was given twice|word='isl'"),
        ([*LLAMA, ("deployment", "both")], "deployment='both': no such deployment"),
        ([("model", "llama-3.1-80b"), ("system", "dgx-h100")], "no such model; did you mean"),
        ([("model", "llama-3.1-8b"), ("system", "h1000")], "no such system; did you mean"),
        ([("model", "/nowhere/config.json"), ("system", "dgx-h100")], "/nowhere/config.json"),
        ([("model", "llama-3.1-8b"), *[("system", "dgx-h100")] * 5], "systems=5: are more than 4"),
    ],
)  # fmt: skip
def test_a_wrong_question_has_one_line(some, line):
    with pytest.raises(rl.RooflineError, match=line) as error:
        parse(typed_fields(some))
    assert "\n" not in str(error.value)
