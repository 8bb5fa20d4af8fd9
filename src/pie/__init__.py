"""pie proves around the clock that Kubernetes storage works, as an application sees it.

Imports point one way: ``cli -> controller -> {kube, serve} -> core`` and
``cli -> probe -> core``; ``pyproject.toml`` holds the contracts that enforce it.
"""

__version__ = "1.0.0"
