"""Three ways to search for counter-examples: the same ones every time, many new ones (HYPOTHESIS_PROFILE=thorough), or a few (mutants)."""

import os

from hypothesis import HealthCheck, Phase, settings

_SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example]
# Plans are large; reducing one to its smallest form takes minutes, and the draws are printed anyway.
_UNSHRUNK = [Phase.explicit, Phase.reuse, Phase.generate]

settings.register_profile(
    "default", deadline=None, derandomize=True, max_examples=60, suppress_health_check=_SLOW, phases=_UNSHRUNK
)
settings.register_profile(
    "mutants", deadline=None, derandomize=True, max_examples=15, suppress_health_check=_SLOW, phases=_UNSHRUNK
)
settings.register_profile("thorough", deadline=None, max_examples=1000, suppress_health_check=_SLOW, phases=_UNSHRUNK)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))
