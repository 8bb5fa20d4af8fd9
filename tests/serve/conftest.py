"""The embedded cluster and its stage, for tests of what the controller serves."""

from tests.embedded.conftest import embedded, stage, start_embedded

__all__ = ["embedded", "stage", "start_embedded"]
