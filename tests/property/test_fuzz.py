"""Whatever bytes come in, there is an answer: resources that are valid FHIR, or a refusal.

Messages of the cases and samples are cut, doubled, shuffled and spoilt. `make fuzz` runs many more examples than CI does
(CARELOOP_FUZZ: how many).
"""

from __future__ import annotations

import random
from pathlib import Path

import orjson
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from adapter import cli, logs
from tests.fuzz import LONG
from tests.property.spoiling import BOUNDED, HL7_FEEDS, MESSAGES, answer, assert_sound, spoilt


@BOUNDED
@given(spoilt(), st.sampled_from(HL7_FEEDS), st.booleans())
def test_a_spoilt_message_has_an_answer(raw: bytes, feed: str | None, trace: bool) -> None:
    bundle = answer(raw, feed, trace=trace)
    if bundle is not None:
        assert_sound(bundle)


REPLACEMENT = (b"\xef\xbf\xbd", b"EFBFBD", b"\xff\xfd", b"\xfd\xff")
"""U+FFFD as senders may write it themselves."""


@BOUNDED
@given(spoilt().filter(lambda raw: not any(sent in raw for sent in REPLACEMENT)))
def test_no_replacement_character_enters_a_resource(raw: bytes) -> None:
    assert b"\xef\xbf\xbd" not in orjson.dumps(answer(raw))


@BOUNDED
@given(st.binary(max_size=200).map(lambda tail: b"MSH|^~\\&|" + tail) | st.binary(max_size=200))
def test_any_bytes_have_an_answer(raw: bytes) -> None:
    bundle = answer(raw)
    if bundle is not None:
        assert_sound(bundle)


def test_a_message_cut_at_every_byte_has_an_answer() -> None:
    raw = min((m for m in MESSAGES if b"\rPV1" in m), key=len)
    for n in range(0, len(raw), 1 if LONG else 3):
        bundle = answer(raw[:n])
        if bundle is not None:
            assert_sound(bundle)


@pytest.mark.usefixtures("no_settings")
def test_the_command_answers_for_each_of_many_spoilt_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chance = random.Random(1)
    (tmp_path / "in").mkdir()
    for n in range(120):
        raw = bytearray(chance.choice(MESSAGES))
        for _ in range(chance.randrange(6)):
            raw[chance.randrange(len(raw))] = chance.randrange(256)
        (tmp_path / "in" / f"{n}.hl7").write_bytes(raw[:chance.randrange(len(raw))] if n % 5 == 0 else raw)
    monkeypatch.setenv("CARELOOP_KEY", "00" * 32)
    monkeypatch.setattr(logs, "configure", lambda: None)
    arguments = ["convert", str(tmp_path / "in"), "--out", str(tmp_path / "out"), "--loss", "--explain"]
    result = CliRunner().invoke(cli.main, arguments)
    assert result.exit_code in (0, 1)
    assert "Traceback" not in result.stderr
    refused = [orjson.loads(line) for line in result.stderr.splitlines()]
    assert not [r for r in refused if r.get("code") in ("defect", "mapping-failed")]
    written = {path.name.split(".")[0].split("-")[0] for path in (tmp_path / "out").iterdir()}
    assert written | {Path(r["file"]).stem for r in refused} == {str(n) for n in range(120)}
