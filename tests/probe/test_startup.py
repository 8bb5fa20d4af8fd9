"""What a probe costs a node before it does anything. `bench/probe_startup.py` measures it closely."""

from bench.probe_startup import LIMIT_SECONDS, first_io

# CPU time does not depend on who else runs, but for caches and the clock of a busy processor.
MARGIN = 2.0


def test_a_probe_starts_for_little_cpu_time() -> None:
    used = [first_io()[0] for _ in range(5)]
    assert min(used) < MARGIN * LIMIT_SECONDS
