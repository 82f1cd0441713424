import json
import tomllib
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roofline.catalog import files, index
from roofline.catalog.folders import root

SHIPPED = sorted(path for folder in ("hardware", "workloads") for path in (root() / folder).rglob("*.toml"))


def test_the_index_of_a_wheel_has_the_tables_of_every_file(tmp_path):
    place = tmp_path / index.NAME
    place.write_bytes(b"".join(index.lines(SHIPPED)))
    for path in SHIPPED:
        found = index.tables(path.read_bytes(), place)
        assert found == tomllib.loads(path.read_text(encoding="utf-8")), path
        assert [*found] == [*tomllib.loads(path.read_text(encoding="utf-8"))]


def test_a_file_of_other_content_is_parsed(tmp_path, monkeypatch):
    chip = tmp_path / "chip.toml"
    chip.write_text('name = "a"\nday = 2026-11-30\n', encoding="utf-8")
    monkeypatch.setattr(files, "root", lambda: tmp_path)
    line = b"".join(index.lines([chip]))
    (tmp_path / index.NAME).write_bytes(line.replace(b'"a"', b'"from the index"'))
    assert files.read_toml(chip) == {"name": "from the index", "day": date(2026, 11, 30)}
    chip.write_text('name = "a"\nday = 2026-12-01\n', encoding="utf-8")
    assert files.read_toml(chip) == {"name": "a", "day": date(2026, 12, 1)}


def test_a_checkout_has_no_index(tmp_path):
    assert index.tables(b"a = 1\n", tmp_path / index.NAME) is None


def test_what_json_cannot_hold_is_refused(tmp_path):
    path = tmp_path / "a.toml"
    path.write_text("a = 12:00:00\n", encoding="utf-8")
    with pytest.raises(TypeError, match="no value of a descriptor"):
        list(index.lines([path]))


VALUES = st.recursive(
    st.booleans()
    | st.integers(-(2**62), 2**62)
    | st.floats(allow_nan=False)
    | st.text(max_size=8).filter(str.isprintable),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=6,
)


@given(st.dictionaries(st.from_regex(r"[a-z]{1,6}", fullmatch=True), VALUES, max_size=4))
def test_values_come_back_as_they_were(tmp_path_factory, tables):
    folder = tmp_path_factory.mktemp("index")
    path, place = folder / "a.toml", folder / index.NAME
    path.write_text("".join(f"{key} = {_toml(value)}\n" for key, value in tables.items()), encoding="utf-8")
    place.write_bytes(b"".join(index.lines([path])))
    parsed = tomllib.loads(path.read_text(encoding="utf-8"))
    assert repr(index.tables(path.read_bytes(), place)) == repr(parsed)


def _toml(value):
    if isinstance(value, list):
        return f"[{', '.join(map(_toml, value))}]"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, (str, bool)) else repr(value)
