"""Number of Hypothesis examples, and whether they are random.

Locally few and always the same, so that results depend only on the code. In CI many, with a seed
that ``.ci/run`` prints: ``make test-all ARGS=--hypothesis-seed=N`` repeats them.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

PROFILE = os.environ.get("HYPOTHESIS_PROFILE", "local")
LOCAL_SHARE = 5
FEWEST = 20


def load_profiles() -> None:
    """Register both profiles and load the one that ``HYPOTHESIS_PROFILE`` names."""
    # no deadline, for busy machines
    patient = settings(
        deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
    )
    settings.register_profile(
        "local", patient, derandomize=True, max_examples=_scaled(100, "local")
    )
    settings.register_profile("ci", patient, derandomize=False, max_examples=100)
    settings.load_profile(PROFILE)


def examples(count: int) -> settings:
    """Return a decorator that runs this number of examples in CI, and a fifth of them locally."""
    return settings(max_examples=_scaled(count, PROFILE))


def _scaled(count: int, profile: str) -> int:
    return count if profile == "ci" else max(FEWEST, count // LOCAL_SHARE)
