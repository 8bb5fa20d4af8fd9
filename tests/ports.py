"""Ports for what must be told beforehand where to listen."""

import random
import socket

# Below the ports of testbeds and of outgoing connections (testbed/ports.py), so that nothing takes one before
# it is used. Browsers open no connection to port 10080.
_FIRST, _LAST = 11_000, 19_999


def free_port() -> int:
    """Return a port of loopback that nothing listens on."""
    while True:
        port = random.SystemRandom().randint(_FIRST, _LAST)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
