"""A list priced as a table of layouts and loads has the numbers of the list, to the bit."""

import numpy as np

import roofline as rl
from roofline.core.remember import Lazy
from roofline.planner.candidates import possible, worth_trying
from roofline.planner.estimate import service
from roofline.planner.evaluation import _tables, answer
from roofline.planner.settings import setting
from roofline.planner.survey import survey


def test_a_table_has_the_numbers_of_the_list():
    question = service(rl.model("deepseek-v3"), {})
    rack, profile, _ = setting("dgx-b200", level="calibrated", engine=None, launch="graph", power=None, price=None)
    layouts = possible(question.model, rack, worth_trying(question.model, rack, None, {}))
    table = survey(question, rack, profile, layouts, open=Lazy(tuple)).plans
    listed = answer(*table._asked)
    assert np.prod(table.shape) > 8192
    for name in ("ttft", "tpot", "tokens_per_second", "max_concurrency", "capacity", "demand"):
        assert np.array_equal(getattr(table, name), getattr(listed, name)), name
    assert np.array_equal(table.memory.total, listed.memory.total)
    assert [rule.key for rule in table.rules] == [rule.key for rule in listed.rules]
    assert all(np.array_equal(a.ok, b.ok) for a, b in zip(table.rules, listed.rules, strict=True))


def test_tables_hold_every_load_once():
    which = np.repeat([0, 1, 2, 5], [7, 1, 6, 3])
    met = np.zeros(which.size, dtype=int)
    for some, place, ours in _tables(which, 14):
        assert (which[place] == some).all()
        assert place.size <= 14
        np.add.at(met, place[ours], 1)
    assert (met == 1).all()
