"""Numbers are API: what is pinned in ``tests/pinned`` stays what it was, or is written anew with ``python -m tests.pinned``."""

import pytest

import pinned

CASES = [(table, name) for table in pinned.TABLES for name in pinned.functions(table)]


@pytest.mark.parametrize(("table", "name"), CASES)
def test_pinned(table, name):
    new = dict(pinned.worked_out(pinned.functions(table)[name]))
    changes = list(pinned.differences(pinned.read(table).get(name, {}), new))
    said = "\n".join(changes[:20])
    assert not changes, f"{len(changes)} numbers changed; if that is meant, run python -m tests.pinned {table}\n{said}"


def test_every_line_of_a_table_is_worked_out():
    for table in pinned.TABLES:
        assert list(pinned.read(table)) == list(pinned.functions(table))


def test_differences_are_told_a_line_each():
    told = list(pinned.differences({"a": {"x": 2, "y": [1, 2]}, "b": 1}, {"a": {"x": 3, "y": [1, 2 + 1e-12]}}))
    assert told == ["a / x: 2 -> 3 (+50.00%)", "b: gone"]
