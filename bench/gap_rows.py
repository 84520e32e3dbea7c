"""Made-up view rows of a network, straight into a snapshot: about twenty rows a member, few members with very many.

Organizations are few and some have most members; contacts, visits and communications follow a power law. Everything is drawn
from DuckDB's hash of the member's number, so that a size gives the same rows again.
"""

from __future__ import annotations

from pathlib import Path

import duckdb
import orjson

from adapter.gaps.calendar import calendar_rows, local_day_rows
from adapter.gaps.catalog import Catalog, open_catalog
from adapter.gaps.snapshot import Snapshot, mark_of, number_members, parted, personal, quoted, sql_type

NOW = "2026-06-15T12:30:00+00:00"
_NOW_S, _TODAY = 1781526600, 20619
_MACROS = """
CREATE MACRO r(i, k, salt) AS (hash(i, k, salt) % 1000003) / 1000003.0;
CREATE MACRO make(kind, i, k) AS kind || left(md5(kind || '-' || i || '-' || k), 30);
CREATE MACRO few(i, most) AS CAST(floor(most * pow(r(i, 0, 'org'), 3)) AS BIGINT);
CREATE MACRO many_of(i, salt, most) AS least(most, CAST(floor(pow(greatest(r(i, 0, salt), 0.00001), -0.5)) AS BIGINT) - 1);
CREATE MACRO moment(i, k, salt, days) AS CAST(now_s() - r(i, k, salt) * days * 86400 AS BIGINT);
CREATE MACRO day_of(s) AS (s - 14400) // 86400;
CREATE MACRO pick(i, k, salt, choices) AS choices[1 + CAST(floor(r(i, k, salt) * len(choices)) AS BIGINT)];
CREATE MACRO enrolled(i) AS r(i, 0, 'enrolled') < 0.6;
CREATE MACRO org(i) AS make('o', i, 0);
CREATE MACRO person(i) AS make('p', i, 0);
"""
_SPAN = {"start_day": "day_of({0})", "end_day": "CAST(NULL AS BIGINT)"}


def _since(salt: str, days: int) -> dict[str, str]:
    return {"start_at": f"moment(i, k, '{salt}', {days})", "start_day": f"day_of(moment(i, k, '{salt}', {days}))"}


ONE, IF_ENROLLED = "1", "CASE WHEN enrolled(i) THEN 1 ELSE 0 END"
_ORG = "org(few(i, 400))"
_OTHER = "org(few(i * 7 + k + 1, 400))"
PERSONAL: dict[str, tuple[str, str, dict[str, str]]] = {
    # view: how many rows a member, kind of id (one resource a member unless its rows are numbered), columns
    "member": (ONE, "m", {"number": "'M' || i", "birth_ymd": "19400101 + CAST(r(i, 0, 'b') * 70 AS BIGINT) * 10000",
                          "gender": "pick(i, 0, 'g', ['female', 'male'])", "deceased": "0",
                          "language": "pick(i, 0, 'l', ['en', 'en', 'en', 'es'])", "interpreter_needed": "0"}),
    "member_identifier": ("2", "m", {"system": "'urn:x-careloop:member'", "value": "'M' || i || '-' || k"}),
    "enrollment": (IF_ENROLLED, "e", {"status": "'active'", "program": "'care-coordination'", "managing_org": _ORG,
                                      **_since("enrolled", 700)}),
    "team": (IF_ENROLLED, "t", {"status": "'active'", "program": "'care-coordination'"}),
    "team_participant": ("CASE WHEN enrolled(i) THEN 3 ELSE 0 END", "t", {
        "position": "k", "role": "CASE k WHEN 0 THEN 'lead-coordinator' WHEN 1 THEN 'primary-care' ELSE "
        "pick(i, k, 'role', ['mental-health', 'peer-specialist', 'specialist', 'natural-support']) END",
        "lead": "CASE WHEN k = 0 AND r(i, 0, 'lead') < 0.9 THEN 1 ELSE 0 END", "practitioner": "person(few(i * 3 + k, 8000))",
        "participant": "'Practitioner/' || person(few(i * 3 + k, 8000))",
        "organization": f"CASE k WHEN 0 THEN {_ORG} ELSE {_OTHER} END",
        **_since("seat", 700)}),
    "care_plan": ("CASE WHEN enrolled(i) AND r(i, 0, 'plan') < 0.8 THEN 1 ELSE 0 END", "c", {
        "status": "'active'", "program": "'care-coordination'", "created_at": "moment(i, k, 'plan', 600)",
        "created_day": "day_of(moment(i, k, 'plan', 600))",
        "cadence": "pick(i, 0, 'cad', ['month', '90-days', 'six-months', 'year'])",
        "reviewed_day": "day_of(moment(i, k, 'review', 300))", "reviewed_at": "moment(i, k, 'review', 300)",
        **_since("plan", 600)}),
    "care_plan_team": ("CASE WHEN enrolled(i) AND r(i, 0, 'plan') < 0.8 THEN 1 ELSE 0 END", "c", {"team": "make('t', i, 0)"}),
    "care_plan_goal": ("CASE WHEN enrolled(i) AND r(i, 0, 'plan') < 0.8 THEN 2 ELSE 0 END", "c", {"goal": "make('g', i, k)"}),
    "care_plan_contributor": ("CASE WHEN enrolled(i) AND r(i, 0, 'plan') < 0.8 THEN 2 ELSE 0 END", "c", {
        "organization": f"CASE k WHEN 0 THEN {_ORG} ELSE {_OTHER} END"}),
    "goal": ("CASE WHEN enrolled(i) AND r(i, 0, 'plan') < 0.8 THEN 2 ELSE 0 END", "g+", {
        "lifecycle": "'active'", "achievement": "'in-progress'", "described": "1", "expressed": "1",
        "measured": "CASE WHEN r(i, k, 'me') < 0.8 THEN 1 ELSE 0 END",
        "by_person": "CASE WHEN r(i, k, 'by') < 0.7 THEN 1 ELSE 0 END",
        "due_at": "now_s() + 8640000", "assessed_at": "moment(i, k, 'as', 200)",
        "assessed_day": "day_of(moment(i, k, 'as', 200))",
        **_since("goal", 600)}),
    "consent_grant": ("CASE WHEN enrolled(i) THEN 1 ELSE 0 END", "n", {
        "status": "'active'", "type": "'permit'", "given_at": "moment(i, k, 'consent', 400)", "discloser": _ORG,
        "recipient": _OTHER,
        "data_class": "pick(i, k, 'dc', ['all', 'general', 'substance-use'])", "limited": "0", "part2": "0",
        "end_at": "CASE WHEN r(i, k, 'ends') < 0.5 THEN now_s() + CAST((r(i, k, 'end') - 0.2) * 400 * 86400 AS BIGINT) END"}),
    "contact": ("CASE WHEN enrolled(i) THEN 1 + many_of(i, 'contact', 200) ELSE 0 END", "k+", {
        "status": "'finished'", "contact_type": "pick(i, k, 'ct', ['face-to-face', 'telephone', 'video'])",
        "warm_handoff": "CASE WHEN r(i, k, 'wh') < 0.1 THEN 1 ELSE 0 END", "class_code": "'AMB'", "purpose": "'follow-up'",
        "start_last": "moment(i, k, 'contact', 200)", "end_at": "moment(i, k, 'contact', 200) + 1800", "organization": _OTHER,
        **_since("contact", 200)}),
    "contact_presence": ("CASE WHEN enrolled(i) THEN 1 + many_of(i, 'contact', 200) ELSE 0 END", "k+", {
        "organization": _OTHER, "practitioner": "person(few(i * 3 + k % 3, 8000))"}),
    "stay": ("many_of(i, 'stay', 40)", "s+", {
        "status": "'finished'", "class_code": "pick(i, k, 'cl', ['AMB', 'AMB', 'EMER', 'IMP'])", "organization": _OTHER,
        "visit_type": "pick(i, k, 'vt', ['office', 'emergency', 'inpatient-acute', 'outpatient-psychiatric'])",
        "end_first": "moment(i, k, 'stay', 300) + 86400", "end_at": "moment(i, k, 'stay', 300) + 86400",
        "start_last": "moment(i, k, 'stay', 300)",
        **_since("stay", 300), "end_day": "day_of(moment(i, k, 'stay', 300) + 86400)"}),
    "stay_participant": ("many_of(i, 'stay', 40)", "s+", {"role": "'ATND'", "practitioner": "person(few(i * 5 + k, 8000))"}),
    "referral": ("CASE WHEN r(i, 0, 'ref') < 0.4 THEN 1 ELSE 0 END", "q+", {
        "status": "'active'", "service": "pick(i, k, 'sv', ['housing', 'food', 'transport', 'behavioral-health'])",
        "requested_last": "moment(i, k, 'ref', 120)", "requested_at": "moment(i, k, 'ref', 120)",
        "requested_day": "day_of(moment(i, k, 'ref', 120))",
        "from_org": _ORG, "to_org": _OTHER}),
    "referral_task": ("CASE WHEN r(i, 0, 'ref') < 0.4 THEN 1 ELSE 0 END", "a+", {
        "referral": "make('q', i, k)", "status": "pick(i, k, 'ts', ['accepted', 'completed', 'requested', 'rejected'])",
        "modified_at": "moment(i, k, 'ref', 120) + 86400", "accepted_at": "moment(i, k, 'ref', 120) + 3600"}),
    "task": ("CASE WHEN enrolled(i) THEN 1 ELSE 0 END", "b+", {
        "status": "'accepted'", "kind": "pick(i, k, 'be', ['ssi', 'ssdi', 'va', 'housing', 'public-benefits'])",
        "kind_system": "'urn:x-careloop:benefit'", "owner_org": _ORG, "start_at": "moment(i, k, 'be', 300)"}),
    "communication": ("CASE WHEN enrolled(i) THEN 1 + many_of(i, 'comm', 60) ELSE 0 END", "d+", {
        "status": "'completed'", "topic": "pick(i, k, 'tp', ['care-plan', 'referral', 'general', 'discharge-summary'])",
        "sent_at": "moment(i, k, 'comm', 150)", "sent_day": "day_of(moment(i, k, 'comm', 150))", "sender_org": _ORG,
        "to_member": "0"}),
    "communication_recipient": ("CASE WHEN enrolled(i) THEN 1 + many_of(i, 'comm', 60) ELSE 0 END", "d+", {
        "organization": _OTHER}),
    "coverage": (ONE, "v", {"status": "'active'", "payer": "org(few(i + 11, 20))", "type": "'medicaid'", **_since("cov", 900)}),
    "condition": ("1 + many_of(i, 'cond', 10)", "x+", {
        "clinical": "'active'", "verification": "'confirmed'", "system": "'http://hl7.org/fhir/sid/icd-10-cm'",
        "code": "pick(i, k, 'icd', ['E11.9', 'I50.9', 'F33.1', 'F10.20', 'J44.9'])",
        "block": "left(pick(i, k, 'icd', ['E11.9', 'I50.9', 'F33.1', 'F10.20', 'J44.9']), 3)",
        "recorded_at": "moment(i, k, 'cond', 900)"}),
    "observation": ("CASE WHEN enrolled(i) THEN 1 ELSE 0 END", "y+", {
        "status": "'final'", "tool": "'locus'", "code": "'locus'", "value_code": "'2'",
        "effective_at": "moment(i, k, 'obs', 400)",
        "effective_last": "moment(i, k, 'obs', 400)", "effective_day": "day_of(moment(i, k, 'obs', 400))"}),
    "medication_request": ("many_of(i, 'med', 10)", "z+", {"status": "'active'", "intent": "'order'",
        "authored_at": "moment(i, k, 'med', 400)",
                                                        "authored_day": "day_of(moment(i, k, 'med', 400))"}),
}
SHARED: dict[str, tuple[int, str, dict[str, str]]] = {
    "organization": (400, "o", {"name": "'Made Up ' || i", "number": "'ORG-' || i", "active": "1", "part2_program": "0",
                                "type": "pick(i, 0, 'ty', ['primary-care', 'mental-health', 'hospital', 'social-services'])"}),
    "practitioner": (8000, "p", {"npi": "'1' || lpad(CAST(i AS VARCHAR), 9, '0')", "active": "1"}),
    "practitioner_role": (8000, "w", {"practitioner": "person(i)", "organization": "org(few(i, 400))", "active": "1"}),
    "directory_entry": (2000, "h", {"organization": "org(few(i, 400))", "active": "1", "service": "'housing'",
                                    "verified_day": f"{_TODAY} - CAST(r(i, 0, 'vd') * 300 AS BIGINT)"}),
}


def make(folder: Path, members: int, a_bucket: int = 100_000, catalog: Catalog | None = None) -> tuple[Snapshot, int]:
    """A snapshot of so many members in the folder, and its rows."""
    catalog = catalog or open_catalog()
    folder.mkdir(parents=True, exist_ok=True)
    buckets, rows = max(1, -(-members // a_bucket)), 0
    with duckdb.connect() as database:
        database.execute(f"SET temp_directory = {quoted(folder / 'space')}; SET memory_limit = '3GB'; "
                         "SET preserve_insertion_order = false")
        database.execute(f"CREATE MACRO now_s() AS {_NOW_S};" + _MACROS)
        number_members(database, f"(SELECT make('m', i, 0) AS member_id FROM range({members}) AS people(i))", buckets)
        for name in catalog.tables:
            if personal(catalog, name):
                rows += _personal(database, catalog, name, folder, members, buckets) if name in PERSONAL else 0
            else:
                rows += _shared(database, catalog, name, folder)
    told = {"buckets": buckets, "members": members, "mark": mark_of(catalog), "journal": True}
    (folder / "snapshot.json").write_bytes(orjson.dumps(told))
    return Snapshot(folder=folder, buckets=buckets, members=members, mark=mark_of(catalog), journal=True), rows


def _columns(catalog: Catalog, name: str, given: dict[str, str]) -> str:
    unknown = set(given) - {column.name for column in catalog.tables[name]}
    assert not unknown, (name, unknown)
    return ", ".join(f"CAST({given.get(column.name, 'NULL')} AS {sql_type(column)}) AS {column.name}"
                     for column in catalog.tables[name])


def _personal(database: duckdb.DuckDBPyConnection, catalog: Catalog, name: str, folder: Path, members: int,
              buckets: int) -> int:
    many, kind, given = PERSONAL[name]
    number = "k" if kind.endswith("+") else "0"
    columns = _columns(catalog, name, {"resource_id": f"make('{kind[0]}', i, {number})", "member_id": "make('m', i, 0)", **given})
    rows = f"SELECT i, UNNEST(range(CAST({many} AS BIGINT))) AS k FROM range({members}) AS people(i)"
    found = database.execute(f"COPY ({parted(f'(SELECT {columns} FROM ({rows}))', buckets)}) TO {quoted(folder / name)} "
                             "(FORMAT parquet, PARTITION_BY (bucket), OVERWRITE true)")
    return (found.fetchone() or (0,))[0]


def _shared(database: duckdb.DuckDBPyConnection, catalog: Catalog, name: str, folder: Path) -> int:
    to = quoted(folder / f"{name}.parquet")
    if name in ("calendar", "local_day"):
        made = calendar_rows if name == "calendar" else local_day_rows
        path = folder / f"{name}.csv"
        path.write_text("\n".join(",".join(map(str, row)) for row in made(catalog.calendar, catalog.zone)))
        types = ", ".join(f"'{column.name}': '{sql_type(column)}'" for column in catalog.tables[name])
        database.execute(f"COPY (SELECT * FROM read_csv({quoted(path)}, columns = {{{types}}}, header = false)) TO {to}")
        path.unlink()
        return 0
    count, kind, given = SHARED.get(name, (0, "u", {}))
    columns = _columns(catalog, name, {"resource_id": f"make('{kind}', i, 0)", **given} if name != "arrival" else given)
    select = f"SELECT {columns} FROM (SELECT i, 0 AS k FROM range({count}) AS t(i))"
    found = database.execute(f"COPY ({select}) TO {to} (FORMAT parquet)")
    return (found.fetchone() or (0,))[0]
