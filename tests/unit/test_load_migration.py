"""A store of the first revision, with data in it, brought to the newest."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import text

from adapter.store import engine as store
from adapter.store.engine import migrate, open_engine, reading, writing

MIGRATIONS = Path(store.__file__).with_name("migrations")


def test_statements_of_before_were_made_last_when_they_arrived(tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path / 'careloop.db'}")
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("path_separator", "os")
    with writing(engine) as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        connection.execute(text(
            "INSERT INTO contribution (identity, source, resource_type, key, scope, patient, visit, kind, event, occurred,"
            " occurred_given, stated, sequence, rank, arrival, order_by, body, cancels, other, message, mapping, times)"
            " VALUES ('i', 's', 'Patient', 'k', 'own', 'k', '', 'snapshot', '', 1, 1, 1, 0, 0, 7,"
            " 'event', '{}', '', '', 'm', 'v', 1)"))
        connection.execute(text(
            "INSERT INTO csv_file (sha256, feed, name, arrival, header, accepted, refused, complete)"
            " VALUES ('a', 'contacts', 'c.csv', 7, '[]', 1, 0, 1)"))
    migrate(engine)
    with reading(engine) as connection:
        assert connection.scalar(text("SELECT seen FROM contribution")) == 7
        assert connection.execute(text("SELECT position, complete FROM csv_file")).one() == (0, 1)
        assert connection.execute(text("SELECT * FROM snapshot")).all() == []
    engine.dispose()
