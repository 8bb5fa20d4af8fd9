"""A real Kubernetes on one machine: `python -m testbed up`, or `async with Cluster(...)` in a test."""
