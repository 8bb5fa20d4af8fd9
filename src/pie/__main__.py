"""The door: ``pie probe …`` goes straight to the probe, everything else to the command line.

A probe pod starts once a minute on every node, so its way in loads no CLI framework.
"""

import sys


def main() -> None:
    """Run the ``pie`` program and exit with its status."""
    if sys.argv[1:2] == ["probe"]:
        from pie.probe.main import main as probe  # noqa: PLC0415  start-up counts in a probe pod

        sys.exit(probe(sys.argv[2:]))
    from pie.cli.app import app  # noqa: PLC0415  not loaded in a probe pod

    app(prog_name="kubectl pie" if sys.argv[0].endswith("kubectl-pie") else "pie")


if __name__ == "__main__":
    main()
