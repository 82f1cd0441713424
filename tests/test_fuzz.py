"""A few cases of hostile input of every kind; ``python -m tests.fuzz`` draws as many as there is time for."""

import pytest

import fuzz


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("kind", fuzz.KINDS)
def test_hostile_input_is_refused_or_answered(kind):
    for seed in range(30 if kind in ("config", "toml", "table", "trace") else 6):
        assert fuzz.once(kind, seed) in ("answered", "refused"), (
            f"python -m tests.fuzz --kind {kind} --seed {seed} --cases 1"
        )
