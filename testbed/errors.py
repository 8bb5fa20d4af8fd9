"""The error that every part of the testbed shows to the person at the keyboard."""


class TestbedError(Exception):
    """Something in the testbed did not work; the text says what, and what to do."""

    __test__ = False  # not a test class, whatever pytest makes of the name
