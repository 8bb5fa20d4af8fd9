"""Whatever others write comes out as one plain, bounded line."""

import re
import unicodedata

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pie.core.decode import decode
from pie.core.text import EVIDENCE_CHARACTERS, PLAIN, PlainText, evidence, one_line, plain_texts

ANY = st.characters(exclude_categories=[])
SPICE = st.sampled_from(
    [
        "\x1b[31m",
        "\x1b]0;title\x07",
        "\x1b]8;;http://x\x1b\\",
        "\x9b2J",
        "\x1b[",
        "\x9d",
        "\u202e",
        "\u200b",
        "\r\n",
    ]
)
TEXTS = st.lists(SPICE | st.text(ANY, max_size=40), max_size=20).map("".join)


class Box(msgspec.Struct):
    """Something with a text from outside."""

    said: PlainText = ""


@given(TEXTS, st.integers(16, 400))
def test_any_text_becomes_one_plain_bounded_line(text: str, limit: int) -> None:
    line = one_line(text, limit)
    assert len(line) <= limit
    assert {unicodedata.category(each) for each in line}.isdisjoint({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})
    assert line == " ".join(line.split())
    assert re.search(PLAIN, line)
    assert one_line(line, limit) == line


@given(st.text(st.characters(categories=["L", "N", "P", "S"]), max_size=EVIDENCE_CHARACTERS))
def test_ordinary_letters_of_any_script_stay(text: str) -> None:
    fillers = "\u115f\u1160\u3164\uffa0"
    assert one_line(text) == "".join(each for each in text if each not in fillers)


@given(TEXTS)
def test_a_field_for_the_text_of_others_is_decoded_clean(text: str) -> None:
    sent = msgspec.json.encode({"said": text.encode(errors="replace").decode()})
    said = decode(sent, Box).said
    assert re.search(PLAIN, said)
    assert one_line(said, 4096) == one_line(text.encode(errors="replace").decode(), 4096)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", ""),
        (" a\n\tb\r\nc\u2028d\x85e\xa0f ", "a b c d e f"),
        ("\x1b[1;31mred\x1b[0m \x9b2Jcleared", "red cleared"),
        ("\x1b]0;owned\x07title", "title"),
        ("\x1b]8;;http://evil\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1bPq#0\x1b\\sixel", "sixel"),
        ("\x1b(B\x1bcreset", "reset"),
        ("abc\x1b", "abc\ufffd"),
        ("\x1b\x1b[31m[31mx", "\ufffd[31mx"),
        ("a\x00b\x07c\x7fd", "a\ufffdb\ufffdc\ufffdd"),
        ("admin\u202etxt.exe\u2066!", "admintxt.exe!"),
        ("pass\u200bword\ufeff\u00ad\u2060\U000e0041", "password"),
        ("\ud800x\ue000", "\ufffdx\ufffd"),
        ("größer µs 日本語 → ✓ 👍 e\u0301", "größer µs 日本語 → ✓ 👍 e\u0301"),
    ],
)
def test_what_becomes_of_single_texts(text: str, line: str) -> None:
    assert one_line(text) == line


def test_of_a_long_text_the_cause_at_its_end_stays() -> None:
    said = (
        'MountVolume.MountDevice failed for volume "pvc-1" : rpc error: code = Internal desc = format of disk'
        f' "/dev/sdh" failed: target:("/var/lib/kubelet/{"f" * 400}") output:(must be larger than 300MB.'
    )
    line = one_line(said)
    assert len(line) == EVIDENCE_CHARACTERS
    assert line.startswith('MountVolume.MountDevice failed for volume "pvc-1" : rpc error: code = Internal')
    assert line.endswith("output:(must be larger than 300MB.")
    assert " … " in line


@pytest.mark.parametrize(
    "text", ["x" * 10_000_000, "\x1b]" * 2_000_000, "\x9d" * 4_000_000, "\x1b[" + "0" * 9_000_000]
)
@pytest.mark.timeout(20)
def test_a_text_of_megabytes_costs_little(text: str) -> None:
    assert len(one_line(f"head {text}\ntail")) <= EVIDENCE_CHARACTERS
    assert one_line(f"head {text}\ntail").startswith("head")
    assert one_line(f"head {text}\ntail").endswith("tail")


@given(TEXTS)
def test_what_was_cleaned_once_is_as_it_is_read_back(text: str) -> None:
    once = plain_texts({"a": [text, f"a  b {text}"]})
    assert plain_texts(once) == once
    assert plain_texts("two  blanks ") == "two  blanks "


def test_all_texts_of_free_json_are_cleaned() -> None:
    found = {"a": ["x\n", {"b": "\x1b[1m", "c": 3}], "d": None}
    assert plain_texts(found) == {"a": ["x", {"b": "", "c": 3}], "d": None}


NOISE = st.sampled_from(
    [
        "/var/lib/kubelet/plugins/kubernetes.io/csi/csi.example.com/globalmount",
        "RequestID: c56fd5ce-f4d5-4857-b1dc-908c935a705a",
        "16aa862fb1ba30683d5e321bae3ccf177dc55c1ae81a41b824ca2395f0a4b1eb",
        "pvc-034c0523-3ec7-4b06-b6a7-44ba55c722a9",
        "https://example.com/v3/volumes",
    ]
)


@given(st.lists(NOISE | TEXTS, max_size=20).map(" ".join), st.integers(64, 400))
def test_evidence_is_a_plain_bounded_line_and_stays_as_it_is(text: str, limit: int) -> None:
    said = evidence(text, limit)
    assert len(said) <= limit
    assert one_line(said, limit) == said
    assert evidence(said, limit) == said
    assert len(one_line(text, 4096)) > limit or said == one_line(text, 4096), "what fits is not touched"


@pytest.mark.parametrize(
    ("noise", "left"),
    [
        ("/var/lib/kubelet/plugins/csi/globalmount", "…/globalmount"),
        ("c56fd5ce-f4d5-4857-b1dc-908c935a705a", "…"),
        ("16aa862fb1ba30683d5e321bae3ccf177dc55c1ae81a41b824ca2395f0a4b1eb", "…"),
        ("pvc-034c0523-3ec7-4b06-b6a7-44ba55c722a9", "pvc-034c0523-3ec7-4b06-b6a7-44ba55c722a9"),
        ("https://example.com/v3/volumes", "https://example.com/v3/volumes"),
        ("/dev/sdh", "/dev/sdh"),
        ("csi.sock", "csi.sock"),
    ],
)
def test_paths_and_identifiers_make_room_for_the_cause_in_a_long_text(noise: str, left: str) -> None:
    assert evidence(f"head {noise} {'x ' * 500}").startswith(f"head {left} x")
