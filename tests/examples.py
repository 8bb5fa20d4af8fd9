"""How many examples the property tests try, and whether these are the same each time.

$HYPOTHESIS_PROFILE or --hypothesis-profile chooses: `fast` (the default), `ci`, `explore` or `deep`. The same
code gets the same examples each time in the first two; the other two try others (`make explore`).
"""

import os

from hypothesis import HealthCheck, settings

_PROFILES = {"fast": (40, True), "ci": (100, True), "explore": (100, False), "deep": (1000, False)}


def load_profile() -> None:
    """Load the profile that the environment names. How fast an example is depends on who uses the machine."""
    for name, (count, same) in _PROFILES.items():
        settings.register_profile(
            name,
            deadline=None,
            max_examples=count,
            derandomize=same,
            suppress_health_check=[HealthCheck.too_slow],
        )
    settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fast"))


def examples(share: float) -> settings:
    """Return the settings of a test that tries more or fewer examples than others do: this share of them."""
    return settings(max_examples=max(1, round(share * settings().max_examples)))
