"""The error of the testbed; its text is for the user."""


class TestbedError(Exception):
    """Something in the testbed failed; the text says what, and what to do."""

    __test__ = False  # not a test class, although its name begins with Test
