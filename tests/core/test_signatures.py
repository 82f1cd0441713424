"""What a call is checked by."""

from roofline.core.signatures import typed


@typed
def first(*values: str, count: int = 1, progress: float | None = None) -> str:
    return values[0] * count


def test_values_behind_a_star_are_of_no_name_after_it():
    assert first("a", "b", "c", "d") == "a"
