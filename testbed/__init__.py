"""A real Kubernetes on one machine, for tests and for trying pie: `python -m testbed up`, or `async with Cluster(...)`."""
