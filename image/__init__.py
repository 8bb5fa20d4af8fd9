"""The recipe of pie's container image: made with mmdebstrap and Python, without registry or engine.

`python -m image OUTPUT.tar` builds it. The same recipe serves the testbed's nodes and the released image.
"""
