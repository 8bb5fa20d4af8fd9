"""`python -m testbed.doctor`: say what this machine lacks for the real tests, and how to install it.

`--packages` prints the Debian packages they need, for who sets a machine up. In CI a lack is an error;
elsewhere the tests that need what is not there skip.
"""

import os
import sys

from testbed.packages import debian_packages, missing


def main(arguments: list[str]) -> int:
    """Print what is asked for; return 1 when something is missing and this is CI."""
    if "--packages" in arguments:
        print(*debian_packages())
        return 0
    lacks = missing(nodes=True)
    if not lacks:
        return 0
    strict = bool(os.environ.get("CI"))
    consequence = "In CI that is an error." if strict else "Tests that need it will be SKIPPED."
    heading = f"This machine lacks what the real tests need. {consequence}"
    rule = "=" * len(heading)
    print(rule, heading, *lacks, rule, sep="\n", file=sys.stderr)
    return 1 if strict else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
