"""Ports and numbers that no two testbeds share."""

import socket
import tempfile
from pathlib import Path

import pytest

from testbed.ports import PORTS_PER_SLOT, Slot


def test_two_slots_have_different_numbers_and_no_port_in_common() -> None:
    with Slot() as one, Slot() as other:
        assert one.number != other.number
        ports = [slot.port() for slot in (one, other) for _ in range(10)]
        assert len(set(ports)) == 20
        assert all(port < 32768 for port in ports)


def test_a_port_that_something_listens_on_is_passed_over() -> None:
    with Slot() as slot:
        port = slot.port()
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", port + 1))
            listener.listen()
            assert slot.port() == port + 2
        assert PORTS_PER_SLOT > 3


def test_a_number_that_was_given_back_is_given_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    # Not where others look for a place: a test or a testbed beside this one could take the number first.
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with Slot() as one:
        number = one.number
    taken: list[Slot] = []
    while not taken or taken[-1].number < number:
        taken.append(Slot())
    assert taken[-1].number == number
    for slot in taken:
        slot.__exit__(None, None, None)
