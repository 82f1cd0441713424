"""Units: one strict parser, no conversion outside it, and formulas that rescale as their annotations say."""

import ast
import collections.abc
import importlib
import inspect
import math
import typing
from pathlib import Path

import attrs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import roofline as rl
import strategies as made
from roofline.core import units
from roofline.core.units import BYTE, BYTE_RATE, DOLLAR_RATE, FLOP_RATE, ONE, SECOND, WATT, Unit, parse, show
from roofline.operators import operations
from roofline.physics.kernels import Cost

SOURCE = Path(units.__file__).parents[1]


# Parsing -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "unit", "value"),
    [
        ("8 TB/s", BYTE_RATE, 8e12), ("192 GiB", BYTE, 192 * 2**30), ("186 GB", BYTE, 186e9), ("2.25 PFLOP/s", FLOP_RATE, 2.25e15),
        ("1504 TOP/s", FLOP_RATE, 1.504e15), ("400 Gbit/s", BYTE_RATE, 50e9), ("1.2 us", SECOND, 1.2e-6), ("1.2 µs", SECOND, 1.2e-6),
        ("559 kW", WATT, 559e3), ("3.6 USD/h", DOLLAR_RATE, 1e-3), ("1e3 ms", SECOND, 1.0), ("0 s", SECOND, 0.0), ("2 GB/ms", BYTE_RATE, 2e12),
    ],
)  # fmt: skip
def test_parse(text, unit, value):
    assert parse(text, unit) == pytest.approx(value, rel=1e-15)


@pytest.mark.parametrize(
    ("text", "unit", "says"),
    [
        ("13.4 TB", BYTE_RATE, "is a size in bytes, expected a bandwidth"),  # a rack's capacity typed as a bandwidth
        ("900 Gb/s", BYTE_RATE, "b is ambiguous"), ("900 Gbps", BYTE_RATE, "b is ambiguous"), ("2250 TFLOPS", FLOP_RATE, "never FLOPS"),
        ("8TB/s", BYTE_RATE, "one space"), ("8  TB/s", BYTE_RATE, "write for example"), ("-8 TB/s", BYTE_RATE, "write for example"),
        ("nan TB/s", BYTE_RATE, "is not"), ("inf s", SECOND, "is not"), ("1e999 s", SECOND, "is not finite"), ("8", BYTE_RATE, "is not"),
        (8e12, BYTE_RATE, "needs a unit"), (True, BYTE, "needs a unit"), (None, BYTE, "needs a unit"), ("8 KB", BYTE, "is not"),
        ("8 tb/s", BYTE_RATE, "is not"), ("0x8 TB", BYTE, "is not"), ("8 TB/s/s", BYTE_RATE, "is not"), ("1,000 W", WATT, "is not"),
        ("700 W/s", WATT, "expected a power"), ("٣ W", WATT, "is not"), ("5 TFLOP", FLOP_RATE, "a count of FLOP, expected a compute rate"),
    ],
)  # fmt: skip
def test_parse_refuses(text, unit, says):
    with pytest.raises(rl.UnitError) as error:
        parse(text, unit, "file.toml: key")
    assert says in str(error.value)
    assert str(error.value).startswith("file.toml: key=")
    assert "\n" not in str(error.value)


@given(st.text(max_size=40))
def test_parse_takes_or_refuses_any_text(text):
    try:
        value = parse(text, BYTE_RATE)
    except rl.UnitError as error:
        assert "\n" not in str(error)
    else:
        assert math.isfinite(value)
        assert value >= 0


@given(made.floats(1e-9, 1e18), st.sampled_from([SECOND, BYTE, BYTE_RATE, FLOP_RATE, WATT, DOLLAR_RATE]))
def test_what_is_shown_can_be_read_again(value, unit):
    assert parse(show(value, unit, digits=6).replace(",", ""), unit) == pytest.approx(value, rel=1e-4)


def test_show():
    assert [show(*pair) for pair in ((999.96e9, BYTE), (0.0, SECOND), (3600.0, SECOND), (float("inf"), SECOND), (0.5, ONE))] == [
        "1 TB", "0 s", "3,600 s", "inf s", "0.5",
    ]  # fmt: skip


# No conversion outside units -----------------------------------------------------------------------------------------------

_POWERS = (
    {10.0**k for k in (3, 6, 9, 12, 15, 18)} | {10.0**-k for k in (3, 6, 9, 12)} | {float(2**k) for k in (20, 30, 40)}
)


def conversions(source):
    """Return the lines of a source that hold a power of a thousand, or multiply or divide by 1024."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and type(node.value) in (int, float) and float(node.value) in _POWERS:
            yield node.lineno
        if isinstance(node, ast.BinOp) and isinstance(node.op, (ast.Mult, ast.Div, ast.FloorDiv)):
            yield from (
                node.lineno for side in (node.left, node.right) if isinstance(side, ast.Constant) and side.value == 1024
            )
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow):
            base, power = node.left, node.right
            if isinstance(base, ast.Constant) and base.value in (2, 10) and isinstance(power, ast.Constant):
                yield node.lineno


@pytest.mark.parametrize("path", sorted(SOURCE.rglob("*.py")), ids=lambda p: p.name)
def test_no_unit_is_converted_outside_units(path):
    if path.name != "units.py":
        assert list(conversions(path.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    "line", ["x = y * 1e9", "x = y / 1024", "x = y * 1000", "x = 2**30", "x = y / 10**12", "x = 1_000_000"]
)
def test_a_conversion_is_seen(line):
    assert list(conversions(line)) == [1]


# Dimensions by introspection -----------------------------------------------------------------------------------------------

FORMULAS = (
    "physics.kernels",
    "physics.collectives",
    "physics.energy",
    "operators.memory",
    "operators.serving_memory",
    "physics.spans",
    "inference.passes",
    "physics.queueing",
    "inference.service",
    "operators.transformer.flow",
)
SKIPPED = {
    "physics.collectives.climb": "yields; tested by conservation", "physics.collectives.links": "what prices messages; price is tested",
    "operators.memory.parameters": "counts", "operators.memory.total": "counts", "operators.memory.active": "counts",
    "operators.memory.active_by_convention": "counts",
    "physics.spans.bound": "a name", "physics.spans.partly_exposed": "takes a span; tested with what is hidden", "physics.spans.after": "takes spans; its sum is tested in test_timeline",
    "operators.serving_memory.uses_own_drafts": "a mask", "operators.memory.ranks_per_package": "a count",
    "operators.transformer.flow.tensor_reduce": "messages", "operators.transformer.flow.total": "a sum", "inference.service.chunk_of": "a count",
    "physics.queueing.full_house": "has no end at a load of 1", "physics.queueing.queue": "has no end at a load of 1",
    **{f"physics.energy.{name}": "tested by its laws in test_energy" for name in ("costs_apart", "demand", "drawn", "ownership", "parts_of_chip", "surrounded", "total", "uses")},
    **{f"operators.serving_memory.{name}": "an account of one engine; worked by hand in test_serving_memory" for name in ("as_cached", "cached_bytes", "driven_memory")},
    "physics.queueing.whole_steps": "a count of steps", "physics.queueing.residual": "of a share of steps, which is at most 1",
    "inference.passes.prompts_per_second": "takes a span; it is the rate of a prefill",
    "physics.queueing.pace": "of a question; held to a simulation in test_serving",
}  # fmt: skip
# These make bytes and FLOP out of counts, so their constants carry those units; time, energy and money still rescale.
MAKES_WORK = {"inference.passes.step", "inference.passes.decode_step", "inference.passes.decode", "inference.passes.prefill", "inference.passes.decode_capacity", "operators.serving_memory.fill_memory",
              "inference.service.serve", "inference.service.served_at_once", "operators.transformer.flow.gemm", "operators.transformer.flow.norms", "operators.transformer.flow.elementwise",
              "operators.transformer.flow.flow"}  # fmt: skip
BASES = ("s", "B", "FLOP", "J", "USD")

BUILDERS = {
    rl.Chip: made.chips(), rl.Calibration: made.calibrations(), rl.Op: made.ops(), rl.System: made.systems(), rl.Model: made.models(),
    rl.Tier: made.tiers(most=1).map(lambda t: t[0]),
}  # fmt: skip


def public_functions():
    for name in FORMULAS:
        module = importlib.import_module(f"roofline.{name}")
        for function_name, function in vars(module).items():
            if (
                inspect.isfunction(function)
                and function.__module__ == module.__name__
                and not function_name.startswith("_")
            ):
                yield f"{name}.{function_name}", function


def unit_of(hint):
    return next((m for m in getattr(hint, "__metadata__", ()) if isinstance(m, Unit)), None)


def strategy(name, hint, draw):
    unit = unit_of(hint)
    if unit is not None:
        return draw(made.floats(1e-3, 1e3)) + (1.0 if unit == ONE else 0.0)
    if hint in BUILDERS:
        return draw(BUILDERS[hint])
    if hint is rl.Message:
        return draw(made.messages())
    if typing.get_origin(hint) is collections.abc.Sequence and typing.get_args(hint) == (rl.Tier,):
        return draw(made.tiers())
    return None


def scale(value, hint, factors):
    """Return the value in units rescaled by ``factors``, as its annotation says."""
    unit = unit_of(hint)
    if value is None:
        return None
    if unit is not None:
        return value * math.prod(factors[base] ** getattr(unit, base) for base in BASES)
    if isinstance(value, (tuple, list)):
        inner = typing.get_args(hint)
        return type(value)(scale(item, inner[0] if inner else type(item), factors) for item in value)
    if isinstance(value, dict):
        inner = typing.get_args(hint)
        return {key: scale(item, inner[1] if inner else type(item), factors) for key, item in value.items()}
    if attrs.has(type(value)):
        return attrs.evolve(value, **{name: scale(own, hint, factors) for name, own, hint in known(value)})
    return value


def known(noun):
    """Yield the name, the value and the annotation of every field; what is worked out when asked for is a property."""
    kind = type(noun)
    hints = typing.get_type_hints(kind, include_extras=True)
    for field in attrs.fields(kind):
        if field.init:
            made = getattr(kind, field.alias, None)
            late = isinstance(made, property)
            hint = typing.get_type_hints(made.fget, include_extras=True)["return"] if late else hints[field.name]
            yield field.alias, getattr(noun, field.alias), strip(hint)


def strip(hint):
    """Return the annotation inside an optional one."""
    inner = [arg for arg in typing.get_args(hint) if arg is not type(None)]
    optional = type(None) in typing.get_args(hint) and len(inner) == 1
    return inner[0] if optional else hint


def dimensions(value, hint):
    """Return the base units that occur in a value's annotation."""
    unit = unit_of(hint)
    if value is None:
        return set()
    if unit is not None:
        return {base for base in BASES if getattr(unit, base)}
    if isinstance(value, (tuple, list)):
        return set().union(*(dimensions(item, type(item)) for item in value))
    if isinstance(value, dict):
        inner = typing.get_args(hint)
        return set().union(*(dimensions(item, inner[1] if inner else type(item)) for item in value.values()))
    if attrs.has(type(value)):
        return set().union(*(dimensions(own, hint) for _, own, hint in known(value)))
    return set()


def numbers(value, hint):
    """Return every number of an answer, those annotated with a unit first converted to nothing."""
    if unit_of(hint) is not None or isinstance(value, (float, np.floating)):
        return [float(value)]
    if isinstance(value, (tuple, list)):
        return [n for item in value for n in numbers(item, type(item))]
    if isinstance(value, dict):
        inner = typing.get_args(hint)
        return [n for item in value.values() for n in numbers(item, inner[1] if inner else type(item))]
    if isinstance(value, Cost) and value.ways:
        # Where two ways take equally long, rounding may choose either, and with it how the time is explained.
        return [float(value.time), *map(float, value.ways.values())]
    if attrs.has(type(value)) and not isinstance(value, (rl.System, rl.Calibration, rl.Model)):
        left_out = ("question", "layout", "rules", "capacity")
        return [
            n
            for name, own, hint in known(value)
            if name not in left_out and own is not None
            for n in numbers(own, hint)
        ]
    return []


def arguments(key, function, draw):
    hints = typing.get_type_hints(function, include_extras=True)
    names = list(inspect.signature(function).parameters)
    if {"question", "system"} <= set(names) or key == "operators.transformer.flow.flow":
        question, system, layout, profile = draw(made.plans())
        if key in ("inference.service.serve", "inference.service.served_at_once"):
            question = rl.Serve(question.model, 512.0, 64.0, draw(made.floats(1, 1e4)), requests_per_slot=8.0)
        kind = hints["question"]
        if key == "operators.transformer.flow.flow":
            found = {"question": question, "layout": layout, "chip": system.chip, "engine": profile.engine}
            return {name: found[name] for name in names}, hints
        if kind is rl.TrainStep:
            question = rl.TrainStep(question.model, draw(made.floats(1, 1e3)), draw(made.floats(1, 1e4)))
        if kind in (rl.Decode, rl.Prefill) and not isinstance(question, kind):
            question = (
                rl.Decode(question.model, 8.0, 512.0) if kind is rl.Decode else rl.Prefill(question.model, 8.0, 512.0)
            )
        found = {"question": question, "system": system, "layout": layout, "calibration": profile, "chip": system.chip,
                 "served": draw(made.floats(1, 1e3))}  # fmt: skip
        return {name: found[name] for name in names}, hints
    out = {}
    for name in names:
        parameter = inspect.signature(function).parameters[name]
        value = strategy(name, strip(hints[name]), draw)
        if value is None and parameter.default is inspect.Parameter.empty:
            value = special(key, name, draw)
        if value is not None:
            out[name] = value
    return out, hints


def special(key, name, draw):
    if name == "layout":
        return rl.Layout(tp=2.0)
    if name == "work":
        return draw(made.ops() | made.messages())
    if name == "cost":
        return draw(st.builds(Cost, time=made.floats(1e-6, 1)))
    if name in ("p", "name", "matrices", "window"):
        model = draw(made.models())
        flow = importlib.import_module("roofline.operators.transformer.flow")
        chip = draw(made.chips())
        passing = flow.flow(rl.Decode(model, 8.0, 512.0), rl.Layout(tp=1.0), chip)
        return {"p": passing, "name": "made", "matrices": flow.Matrix("m", "dense", 64, 64), "window": 64}[name]
    if name == "question" and key == "operators.transformer.flow.micro_batch":
        return rl.TrainStep(draw(made.models()), draw(made.floats(1, 1e3)), draw(made.floats(1, 1e4)))
    if name == "question":
        return rl.Serve(
            draw(made.models()), requests_per_slot=draw(made.floats(1, 10)), variation=draw(st.floats(0, 0.1))
        )
    if name == "engine":
        return draw(made.engines())
    if name == "chunk":
        return 64
    if name == "drafting":
        return False
    if name == "c":
        queueing = importlib.import_module("roofline.physics.queueing")
        return queueing.cadence(*(draw(made.floats(1, 1e3)) for _ in range(5)))
    if name == "random":
        return False
    if name == "module":
        return "mlp"
    if name == "rate":
        return "bf16"
    raise AssertionError(
        f"{key}: no way to make {name!r}; teach this test, or list the function in SKIPPED with the reason"
    )


@pytest.mark.parametrize(("key", "function"), sorted(public_functions()), ids=lambda x: x if isinstance(x, str) else "")
@settings(max_examples=30)
@given(data=st.data())
def test_every_formula_rescales_as_annotated(key, function, data):
    if key in SKIPPED:
        return
    kept, hints = arguments(key, function, data.draw)
    present = set().union(*(dimensions(value, strip(hints[name])) for name, value in kept.items()))
    if key in MAKES_WORK:
        present -= {"B", "FLOP"}
    factors = {base: data.draw(made.floats(1e-2, 1e2)) if base in present else 1.0 for base in BASES}
    changed = {name: scale(value, strip(hints[name]), factors) for name, value in kept.items()}

    def call(given):
        positional = [
            given[n]
            for n, p in inspect.signature(function).parameters.items()
            if n in given and p.kind is not p.KEYWORD_ONLY
        ]
        keywords = {
            n: given[n]
            for n, p in inspect.signature(function).parameters.items()
            if n in given and p.kind is p.KEYWORD_ONLY
        }
        return function(*positional, **keywords)

    back = strip(hints["return"])
    before, after = call(kept), call(changed)
    expected = scale(before, back, factors) if not isinstance(before, rl.Estimate) else None
    if isinstance(before, rl.Estimate):
        for name, power in (
            ("ttft", 1),
            ("tpot", 1),
            ("cycle", 1),
            ("tokens_per_second", -1),
            ("prompt_tokens_per_second", -1),
        ):
            if getattr(before, name) is not None:
                assert getattr(after, name) == pytest.approx(getattr(before, name) * factors["s"] ** power, rel=1e-9)
        return
    assert numbers(after, back) == pytest.approx(numbers(expected, back), rel=1e-9, abs=1e-25)


def test_the_rescale_test_sees_a_wrong_dimension():
    def wrong(size: units.Bytes, rate: units.BytesPerSecond) -> units.Seconds:
        return size / rate + 1.0

    hints = typing.get_type_hints(wrong, include_extras=True)
    factors = {"s": 2.0, "B": 3.0, "FLOP": 1.0, "J": 1.0, "USD": 1.0}
    before, after = wrong(6.0, 2.0), wrong(scale(6.0, hints["size"], factors), scale(2.0, hints["rate"], factors))
    assert after != pytest.approx(scale(before, hints["return"], factors))


def test_every_number_of_a_noun_is_annotated():
    for noun in (rl.Chip, rl.Memory, rl.Tier, rl.System, rl.Op, rl.Message, rl.Kernel, rl.Link, rl.Footprint):
        for name, hint in typing.get_type_hints(noun, include_extras=True).items():
            if hint is float:
                assert (noun, name) in {(rl.Op, "launches"), (rl.Kernel, "p")}, (
                    f"{noun.__name__}.{name} is a bare float"
                )
    assert operations.Op is rl.Op
