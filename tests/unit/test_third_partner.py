"""A third partner: a Latin-1 file of referrals with bars, Spanish headers, codes and dates, bound by one feed.yaml."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner

from adapter.cli import main
from adapter.feeds import open_feeds
from adapter.mapping.lint import lint
from adapter.model import Json
from adapter.pipeline import convert_csv

ROOT = Path(__file__).parents[2]
FILE = (ROOT / "fixtures/partners/clinica-este-remisiones.csv").read_bytes()
FEED = """\
# Clínica Este: referrals in a Latin-1 file with bars, Spanish headers, day and time apart, 24-hour times with a point.
extends: referrals
charset: latin-1
time_zone: Europe/Madrid
csv:
  delimiter: "|"
  decimal: ","
  columns:
    member_id: Ficha
    from_org: Enviado por
    to_org: Recibe
    to_npi: Profesional
    service: Qué se pide
    urgency: Prioridad
    accepted_at: Aceptado el
    completed_at: Cerrado el
    status: Estado
    status_reason: Motivo
    member_setting: Dónde estaba
    updated_at: Última edición
  join:
    referral_id: {of: ["=ESTE", N° de remisión], with: "-"}
    requested_at: {of: [Fecha envío, Hora]}
  dates: ["%d/%m/%Y %H.%M", "%d/%m/%Y"]
  empty: [N/D]
  rows:
    skip: {Estado: [borrador], Ficha: empty}
  ignore: ["Apellidos, Nombre", Coste (EUR)]
codes:
  from_org: {Clínica Este: ORG-MAPLE, Puerto: ORG-HARBOR}
  to_org: {Puertas: ORG-DOOR, Puerto: ORG-HARBOR, Cumbre: ORG-SUMMIT, Mesa: ORG-TABLE}
  service: {vivienda: housing, salud mental: behavioral-health, especialista: specialty, comida: food}
  urgency: {normal: routine, urgente: urgent}
  status: {enviada: requested, aceptada: accepted, rechazada: rejected, cerrada: completed}
  member_setting: {casa: home, refugio: shelter}
"""


@pytest.fixture(name="mappings")
def _mappings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "mappings"
    folder.mkdir()
    for path in (ROOT / "mappings").iterdir():
        (folder / path.name).symlink_to(path)
    monkeypatch.setenv("CARELOOP_MAPPINGS", str(folder))
    return folder


def converted(mappings: Path, feed: str) -> tuple[list[Json], list[tuple[str, str]]]:
    (mappings / "este-referrals").mkdir(exist_ok=True)
    (mappings / "este-referrals/feed.yaml").write_text(feed, encoding="utf-8")
    done, refused = convert_csv(FILE, "este-referrals", open_feeds(mappings), b"key",
                                datetime(2026, 3, 1, tzinfo=UTC), trace=False)
    assert refused == []
    assert done is not None
    return [e["resource"] for e in done.bundle["entry"]], [(i.code, i.place) for i in done.issues if i.code.startswith("csv")]


def test_it_is_begun_from_the_file_and_says_what_is_left(mappings: Path, tmp_path: Path) -> None:
    sample = tmp_path / "remisiones.csv"
    sample.write_bytes(FILE)
    told = CliRunner().invoke(main, ["feed", "new", "este-referrals", str(sample), "--contract", "referrals"]).output
    assert "decide: status is required (its codes: requested, accepted, rejected," in told
    assert "(dates as %m/%d/%Y or %d/%m/%Y: days tell from months in no row)" in told
    assert "(numbers with a decimal comma?)" in told
    assert 'delimiter: "|"' in (mappings / "este-referrals/feed.yaml").read_text(encoding="utf-8")


def test_one_file_of_under_sixty_lines_binds_it(mappings: Path) -> None:
    assert FEED.count("\n") < 60
    found, issues = converted(mappings, FEED)
    assert [str(one) for one in lint(mappings)] == []
    assert issues == [("csv-row-skipped", "rows")]
    tasks = {t["identifier"][0]["value"]: t for t in found if t["resourceType"] == "Task"}
    assert {name: task["status"] for name, task in tasks.items()} == {
        "ESTE-00017": "completed", "ESTE-00018": "rejected", "ESTE-00019": "requested"}
    assert tasks["ESTE-00017"]["authoredOn"] == "2026-02-03T09:30:00+01:00"
    assert tasks["ESTE-00017"]["executionPeriod"] == {"start": "2026-02-04", "end": "2026-02-25"}
    assert tasks["ESTE-00018"]["statusReason"] == {"text": "sin plazas"}
    asked = {r["identifier"][0]["value"]: r for r in found if r["resourceType"] == "ServiceRequest"}
    assert asked["ESTE-00019"]["locationCode"][0]["coding"][0]["code"] == "shelter"


def test_a_header_that_the_file_lacks_is_told(mappings: Path) -> None:
    found, issues = converted(mappings, FEED.replace('"=ESTE"', "ESTE"))
    assert ("csv-header-missing", "row 1, ESTE") in issues
    assert "00017" in {r["identifier"][0]["value"] for r in found if r["resourceType"] == "Task"}
