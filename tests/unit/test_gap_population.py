"""The population engines: DuckDB and Spark give the rows that the member engine gives, of the store and of NDJSON."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import orjson
import pytest
import yaml
from sqlalchemy import Engine, insert

from adapter.errors import Rejected
from adapter.gaps import engine as member_engine
from adapter.gaps import population, snapshot, spark, tables
from adapter.gaps.catalog import open_catalog
from adapter.gaps.known import known_arrivals, known_resources
from adapter.gaps.rules import RULES, open_rules
from adapter.model import Composed
from adapter.store.resources import write_resources
from adapter.store.schema import CSV_FILE, RESOURCE_VERSION
from tests.servers import postgres_url
from tests.unit.gap_arrivals import arrive
from tests.unit.gap_arrivals import rows as arrival_rows
from tests.unit.gap_checks import answer, composed, store
from tests.unit.gap_network import NOWS, Resource
from tests.unit.gap_population import population as people_of
from tests.unit.gap_rules_known import SUBJECTS, expected

N = "urn:x-careloop:"
DATABASES = ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)]


@pytest.fixture(scope="module")
def people() -> list[Resource]:
    """Networks at the instant of NOWS that has nothing special, the same ones each run; so many that most verdicts come about."""
    return people_of(NOWS[-1], range(400), SUBJECTS)


@pytest.fixture(scope="module", params=DATABASES)
def stored(request: Any, tmp_path_factory: Any, people: list[Resource]) -> Engine:
    folder = tmp_path_factory.mktemp("store")
    engine = store(postgres_url() if request.param == "postgresql" else f"sqlite:///{folder / 'store.db'}")
    with engine.begin() as connection:
        tables.refresh(connection, [composed(resource) for resource in people])
        arrive(connection, people)
    return engine


@pytest.fixture(scope="module")
def flat(tmp_path_factory: Any, people: list[Resource]) -> snapshot.Snapshot:
    """The same networks flattened, in three buckets."""
    members = sum(resource["resourceType"] == "Patient" for resource in people)
    return snapshot.of_resources(people, tmp_path_factory.mktemp("flat"), arrivals=arrival_rows(people), a_bucket=members // 3)


@pytest.fixture(scope="module")
def session() -> Iterator[None]:
    """One Spark session for the module; it compiles no Java for these few rows, which takes longer than they do."""
    settings = {"spark.sql.codegen.wholeStage": "false", "spark.sql.codegen.factoryMode": "NO_CODEGEN",
                "spark.sql.adaptive.enabled": "false", "spark.sql.shuffle.partitions": "2", "spark.default.parallelism": "2"}
    with spark.session(spark.MASTER, settings):
        yield


@pytest.mark.parametrize("now", NOWS)
def test_duckdb_says_what_the_oracle_says(tmp_path: Path, now: datetime):
    resources = people_of(now, range(100_000, 100_025), SUBJECTS)
    flat = snapshot.of_resources(resources, tmp_path, arrivals=arrival_rows(resources), a_bucket=10)
    assert flat.buckets > 2
    assert [answer(gap) for gap in population.evaluate(flat, population.question(now=now))] == expected(resources, now)


def test_duckdb_says_of_the_store_what_the_member_engine_says(stored: Engine, tmp_path: Path):
    now = NOWS[-1]
    with stored.connect() as connection:
        flat = snapshot.of_store(connection, tmp_path, a_bucket=20)
        said = member_engine.evaluate(connection, now=now)
        verdicts = {(rule.id, verdict) for rule in open_rules().rules.values() for verdict in rule.verdicts}
        assert len(verdicts - {(gap.rule, gap.verdict) for gap in said}) < len(verdicts) / 5
        assert population.evaluate(flat, population.question(now=now)) == said
        organization = next(gap.responsible_org for gap in said if gap.state == "open")
        for asked in ({"states": ["open", "missed"]}, {"rule": "G07"}, {"organization": organization},
                      {"denied": ["general"]}, {"denied": ["general"], "states": ["open"]}):
            assert population.evaluate(flat, population.question(now=now, **asked)) == \
                member_engine.evaluate(connection, now=now, **asked)


@pytest.mark.usefixtures("session")
@pytest.mark.timeout(900)
def test_spark_says_what_duckdb_says(flat: snapshot.Snapshot, tmp_path: Path):
    asked = population.question(now=NOWS[-1])
    assert spark.evaluate(flat, asked) == population.evaluate(flat, asked)
    open_ones = population.question(now=NOWS[-1], rule="G07", states=["open", "missed"])
    assert spark.write(flat, open_ones, tmp_path / "spark") == population.write(flat, open_ones, tmp_path / "duckdb") > 0
    hidden = population.question(now=NOWS[-1], rule="O04", denied=["general"])
    assert spark.evaluate(flat, hidden) == population.evaluate(flat, hidden)
    assert written(tmp_path / "spark") == written(tmp_path / "duckdb")


def written(folder: Path) -> list[tuple[Any, ...]]:
    with duckdb.connect() as database:
        rows = database.execute(f"SELECT {', '.join(population.RESULT)} FROM read_parquet('{folder}/*.parquet')").fetchall()
    return sorted(rows, key=repr)


def test_rows_of_nobody_change_no_answer(tmp_path: Path):
    now, resources = NOWS[-1], people_of(NOWS[-1], range(5, 25), SUBJECTS)
    patients = [resource["id"] for resource in resources if resource["resourceType"] == "Patient"]
    left = [resource for resource in resources if resource["id"] not in patients[::3]]
    flat = snapshot.of_resources(left, tmp_path, arrivals=arrival_rows(left), a_bucket=10)
    engine = store(f"sqlite:///{tmp_path / 'x.db'}")
    with engine.begin() as connection:
        tables.refresh(connection, [composed(resource) for resource in left])
        arrive(connection, left)
        said = member_engine.evaluate(connection, now=now)
    assert population.evaluate(flat, population.question(now=now)) == said
    assert not {gap.member_id for gap in said} & set(patients[::3])


def test_what_is_written_is_what_is_told(flat: snapshot.Snapshot, tmp_path: Path):
    asked = population.question(now=NOWS[-1])
    gaps = population.evaluate(flat, asked)
    assert population.write(flat, asked, tmp_path) == len(gaps)
    rows = {(row[0], row[1] or row[2], row[5]): (row[3], row[4]) for row in written(tmp_path)}
    assert rows == {(gap.rule, gap.member_id or gap.organization_id, gap.item): (gap.state, gap.reason) for gap in gaps}


@pytest.mark.usefixtures("session")
def test_programs_have_clocks_of_their_own_on_every_engine(tmp_path: Path):
    folder = tmp_path / "rules"
    folder.mkdir()
    for path in RULES.glob("*.yaml"):
        (folder / path.name).write_bytes(path.read_bytes())
    (folder / "programs.yaml").write_text(yaml.safe_dump({"programs": [
        {"members": "program:care-coordination", "text": "all", "parameters": {"G07": {"hours": 1}}}]}))
    rules, now = open_rules(folder), NOWS[-1]
    resources = people_of(now, range(5, 25), SUBJECTS)
    flat = snapshot.of_resources(resources, tmp_path / "flat", a_bucket=10)
    asked = population.question(now=now, rule="G07", rules=rules)
    with store(f"sqlite:///{tmp_path / 'x.db'}").begin() as connection:
        tables.refresh(connection, [composed(resource) for resource in resources])
        said = member_engine.evaluate(connection, now=now, rule="G07", rules=rules)
    assert population.evaluate(flat, asked) == said
    assert said != population.evaluate(flat, population.question(now=now, rule="G07"))
    assert spark.evaluate(flat, asked) == said


def test_ndjson_files_are_read_packed_or_not(people: list[Resource], flat: snapshot.Snapshot, tmp_path: Path):
    half = len(people) // 2
    (tmp_path / "a.ndjson").write_bytes(b"\n".join(map(orjson.dumps, people[:half])) + b"\n\n")
    (tmp_path / "b.ndjson.gz").write_bytes(gzip.compress(b"\n".join(map(orjson.dumps, people[half:]))))
    again = snapshot.of_resources(snapshot.ndjson(tmp_path), tmp_path / "flat")
    asked = population.question(now=NOWS[-1], rule="G02")
    assert population.evaluate(again, asked) == population.evaluate(flat, asked)


@pytest.mark.parametrize(("content", "told"), [
    ('{"resourceType": "Patient", "id": "a"}\nnone\n', "a.ndjson, line 2"), ('{"id": "a"}', "a.ndjson, line 1"), ("[]", "line 1"),
    (None, "no NDJSON files")])
def test_what_is_no_resource_is_told_with_its_line(tmp_path: Path, content: str | None, told: str):
    if content is not None:
        (tmp_path / "a.ndjson").write_text(content)
    with pytest.raises(Rejected, match=told):
        list(snapshot.ndjson(tmp_path))


def test_a_snapshot_is_opened_again_and_none_of_other_definitions(flat: snapshot.Snapshot, tmp_path: Path):
    assert snapshot.open_snapshot(flat.folder) == flat
    with pytest.raises(Rejected, match="other definitions"):
        snapshot.open_snapshot(flat.folder, open_catalog("America/Chicago"))
    with pytest.raises(Rejected, match="no snapshot"):
        snapshot.open_snapshot(tmp_path)


def test_texts_with_commas_quotes_and_lines_stay_whole(tmp_path: Path):
    names = ['a, "b"\nc', "d'e", "f\r\ng", "ä"]
    flat = snapshot.of_resources([{"resourceType": "Organization", "id": f"o{n}", "name": name} for n, name in enumerate(names)],
                                 tmp_path / "it's here")
    assert [name for _, _, name in snapshot.organizations(flat)] == names


# --- known time
@pytest.fixture
def remembered(tmp_path: Path) -> Engine:
    """A person enrolled on 1 June and given a lead on 10 June, which was written down on 3 and 20 June."""
    engine = store(f"sqlite:///{tmp_path / 'known.db'}")
    patient = {"reference": "Patient/p"}
    program = [{"coding": [{"system": N + "program", "code": "care-coordination"}]}]
    lead = {"role": [{"coding": [{"system": N + "care-team-role", "code": "lead-coordinator"}]}],
            "member": {"reference": "Practitioner/x"}, "period": {"start": "2026-06-10"}}
    with engine.begin() as connection:
        write(connection, 3, "Patient", "p")
        write(connection, 3, "EpisodeOfCare", "e", status="active", patient=patient, type=program,
              period={"start": "2026-06-01"})
        write(connection, 3, "CareTeam", "t", status="active", subject=patient)
        write(connection, 20, "CareTeam", "t", status="active", subject=patient, participant=[lead])
        write(connection, 25, "EpisodeOfCare", "e", deleted=True)
        connection.execute(insert(CSV_FILE), [
            {"sha256": str(day), "feed": "goals", "arrival": stamp(day), "header": "[]", "accepted": day, "complete": 1}
            for day in (3, 20)])
    return engine


def stamp(day: int) -> int:
    return int(datetime(2026, 6, day, 12, tzinfo=UTC).timestamp() * 1_000_000)


def write(connection: Any, day: int, kind: str, resource_id: str, deleted: bool = False, **body: Any) -> None:
    resource = {"resourceType": kind, "id": resource_id, **body}
    one = Composed(resource_type=kind, id=resource_id, key=resource_id, person="p", body=resource, hash=f"{day}", sources={},
                   deleted=deleted)
    tables.refresh(connection, write_resources(connection, [one], stamp(day)))


@pytest.mark.parametrize(("known", "verdict"), [
    (2, None), (3, "no-lead"), (19, "no-lead"), (20, "one-lead"), (26, "not-enrolled")])
def test_what_was_known_then_decides(remembered: Engine, tmp_path: Path, known: int, verdict: str | None):
    known_at = datetime(2026, 6, known, 12, tzinfo=UTC)
    asked = population.question(now=datetime(2026, 6, 15, 12, tzinfo=UTC), rule="G01")
    with remembered.connect() as connection:
        for member in (None, "p"):
            flat = snapshot.of_resources(known_resources(connection, known_at, member), tmp_path / str(member),
                                         arrivals=known_arrivals(connection, known_at))
            assert [gap.verdict for gap in population.evaluate(flat, asked)] == ([verdict] if verdict else [])
        assert [row[4] for row in known_arrivals(connection, known_at)] == [day for day in (3, 20) if day <= known]
        assert connection.exec_driver_sql(f"SELECT COUNT(*) FROM {RESOURCE_VERSION.name}").scalar() == 5
        assert list(known_resources(connection, known_at - timedelta(days=30))) == []
