"""How a ledger of an earlier release is brought up to date: in place, in one transaction, by whoever opens it first.

Each step is frozen as it was released: it says in SQL what it changes, and never looks at the tables of today.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from dateutil.relativedelta import relativedelta
from sqlalchemy import Connection, DateTime, text
from sqlalchemy.exc import IntegrityError

from amun.core.subject_ids import normalise

# what version 3 allows; version 2 knew no 'unmatched'
STATES = "'pending', 'in_wave', 'held', 'completed', 'withdrawn', 'already_forgotten', 'nothing_held', 'unmatched'"
LIVE_STATES = "'pending', 'in_wave', 'held', 'unmatched'"
# what version 8 allows
STATES_WITH_DENIED = STATES.replace("'withdrawn', ", "'withdrawn', 'denied', ")


def add_unmatched(connection: Connection) -> None:
    """Version 2 to 3: requests that match nobody wait for a person, and ids are kept composed (NFC)."""
    if connection.dialect.name == "sqlite":
        _remake_outcomes(connection)
    else:
        _change_outcomes(connection, STATES)
    _compose_requests(connection)
    _compose_holdings(connection)


def add_erasures(connection: Connection) -> None:
    """Version 3 to 4: what is to be erased when. Who was forgotten before has no intent: nobody had promised it."""
    time = "DATETIME" if connection.dialect.name == "sqlite" else "TIMESTAMP WITH TIME ZONE"
    connection.exec_driver_sql(
        f"""CREATE TABLE erasures (
            request_number INTEGER NOT NULL,
            model VARCHAR NOT NULL,
            intended_at {time} NOT NULL,
            erase_after {time} NOT NULL,
            started_at {time},
            keys_destroyed_at {time},
            erased_at {time},
            PRIMARY KEY (request_number, model),
            FOREIGN KEY(request_number, model) REFERENCES request_outcomes (request_number, model)
        )"""
    )


def add_receipts(connection: Connection) -> None:
    """Version 4 to 5: receipts of erasure, and when a wave was run again. Who was erased before gets no receipt."""
    is_sqlite = connection.dialect.name == "sqlite"
    time = "DATETIME" if is_sqlite else "TIMESTAMP WITH TIME ZONE"
    for statement in (
        """CREATE TABLE receipt_drafts (
            request_number INTEGER NOT NULL,
            model VARCHAR NOT NULL,
            content VARCHAR NOT NULL,
            PRIMARY KEY (request_number, model),
            FOREIGN KEY(request_number, model) REFERENCES erasures (request_number, model)
        )""",
        f"""CREATE TABLE receipts (
            model VARCHAR NOT NULL,
            number INTEGER NOT NULL,
            request_number INTEGER NOT NULL,
            entry VARCHAR NOT NULL,
            sealed {"BLOB" if is_sqlite else "BYTEA"},
            destroyed_at {time},
            "commit" VARCHAR,
            PRIMARY KEY (model, number),
            FOREIGN KEY(request_number, model) REFERENCES erasures (request_number, model)
        )""",
        "CREATE UNIQUE INDEX one_receipt ON receipts (request_number, model)",
        """CREATE TABLE reproductions (
            model VARCHAR NOT NULL,
            wave_number INTEGER NOT NULL,
            content VARCHAR NOT NULL,
            PRIMARY KEY (model, wave_number),
            FOREIGN KEY(model, wave_number) REFERENCES waves (model, number)
        )""",
    ):
        connection.exec_driver_sql(statement)


def add_consumers(connection: Connection) -> None:
    """Version 4 to 5: who serves a model. Nobody has said so before."""
    time = "DATETIME" if connection.dialect.name == "sqlite" else "TIMESTAMP WITH TIME ZONE"
    connection.exec_driver_sql(
        f"""CREATE TABLE consumers (
            model VARCHAR NOT NULL,
            name VARCHAR NOT NULL,
            added_at {time} NOT NULL,
            version VARCHAR,
            serves_since {time},
            seen_at {time},
            PRIMARY KEY (model, name),
            FOREIGN KEY(model) REFERENCES models (name)
        )"""
    )


def add_source_deletions(connection: Connection) -> None:
    """Version 4 to 5: whose files in the source are deleted. Who was erased before has no intent of it."""
    time = "DATETIME" if connection.dialect.name == "sqlite" else "TIMESTAMP WITH TIME ZONE"
    for column in (f"source_begun_at {time}", f"source_deleted_at {time}", "source_left JSON"):
        connection.exec_driver_sql(f"ALTER TABLE erasures ADD COLUMN {column}")


def add_clear_waves(connection: Connection) -> None:
    """Version 4 to 5: which waves' files in clear are destroyed. None were before."""
    time = "DATETIME" if connection.dialect.name == "sqlite" else "TIMESTAMP WITH TIME ZONE"
    connection.exec_driver_sql(
        f"""CREATE TABLE clear_waves (
            model VARCHAR NOT NULL,
            wave_number INTEGER NOT NULL,
            begun_at {time} NOT NULL,
            destroyed_at {time},
            PRIMARY KEY (model, wave_number),
            FOREIGN KEY(model, wave_number) REFERENCES waves (model, number)
        )"""
    )


def add_evidence_of_erasure(connection: Connection) -> None:
    """Version 4 to 5."""
    add_receipts(connection)
    add_consumers(connection)
    add_source_deletions(connection)
    add_clear_waves(connection)


def add_alerts(connection: Connection) -> None:
    """Version 5 to 6: whom to tell what, when nights ended, and how a wave was parked. Nobody was told before."""
    is_sqlite = connection.dialect.name == "sqlite"
    time = "DATETIME" if is_sqlite else "TIMESTAMP WITH TIME ZONE"
    for statement in (
        "ALTER TABLE waves ADD COLUMN parked_as VARCHAR",
        f"""CREATE TABLE nights (
            model VARCHAR NOT NULL,
            ended_at {time} NOT NULL,
            good_at {time},
            PRIMARY KEY (model),
            FOREIGN KEY(model) REFERENCES models (name)
        )""",
        f"""CREATE TABLE alerts (
            number {"INTEGER" if is_sqlite else "SERIAL"} NOT NULL,
            model VARCHAR NOT NULL,
            kind VARCHAR NOT NULL,
            object VARCHAR NOT NULL,
            day VARCHAR NOT NULL,
            raised_at {time} NOT NULL,
            line VARCHAR NOT NULL,
            PRIMARY KEY (number),
            FOREIGN KEY(model) REFERENCES models (name)
        )""",
        "CREATE UNIQUE INDEX one_alert ON alerts (model, kind, object, day)",
        f"""CREATE TABLE alert_deliveries (
            alert_number INTEGER NOT NULL,
            channel VARCHAR NOT NULL,
            claimed_at {time},
            delivered_at {time},
            failure VARCHAR,
            PRIMARY KEY (alert_number, channel),
            FOREIGN KEY(alert_number) REFERENCES alerts (number)
        )""",
    ):
        connection.exec_driver_sql(statement)


def add_api(connection: Connection) -> None:
    """Version 6 to 7: who may ask over HTTP, what was answered, and by which law requests are due: before, by one."""
    time = "DATETIME" if connection.dialect.name == "sqlite" else "TIMESTAMP WITH TIME ZONE"
    for statement in (
        "ALTER TABLE requests ADD COLUMN law VARCHAR DEFAULT 'gdpr' NOT NULL",
        f"""CREATE TABLE extensions (
            request_number INTEGER NOT NULL,
            reason VARCHAR NOT NULL,
            extended_at {time} NOT NULL,
            due_before {time} NOT NULL,
            PRIMARY KEY (request_number),
            FOREIGN KEY(request_number) REFERENCES requests (number)
        )""",
        f"""CREATE TABLE api_tokens (
            name VARCHAR NOT NULL,
            key_id VARCHAR NOT NULL,
            digest VARCHAR NOT NULL,
            scopes JSON NOT NULL,
            added_at {time} NOT NULL,
            revoked_at {time},
            PRIMARY KEY (name),
            UNIQUE (key_id)
        )""",
        f"""CREATE TABLE posted_demands (
            token VARCHAR NOT NULL,
            key_digest VARCHAR NOT NULL,
            demand_digest VARCHAR NOT NULL,
            request_number INTEGER NOT NULL,
            is_new BOOLEAN NOT NULL,
            due_at {time} NOT NULL,
            PRIMARY KEY (token, key_digest),
            FOREIGN KEY(token) REFERENCES api_tokens (name),
            FOREIGN KEY(request_number) REFERENCES requests (number)
        )""",
    ):
        connection.exec_driver_sql(statement)


def add_suites_and_states(connection: Connection) -> None:
    """Version 7 to 8."""
    add_opendsr(connection)
    add_states(connection)


def add_states(connection: Connection) -> None:
    """Version 7 to 8: requests that are denied, or whose person is not known yet. Holds before were legal ones."""
    is_sqlite = connection.dialect.name == "sqlite"
    time = "DATETIME" if is_sqlite else "TIMESTAMP WITH TIME ZONE"
    for statement in (
        "ALTER TABLE requests ADD COLUMN num_demands INTEGER DEFAULT '1' NOT NULL",
        "ALTER TABLE holds ADD COLUMN kind VARCHAR DEFAULT 'legal' NOT NULL",
        "ALTER TABLE holds ADD COLUMN num_approvals INTEGER DEFAULT '0' NOT NULL",
        f"""CREATE TABLE denials (
            request_number INTEGER NOT NULL,
            reason VARCHAR NOT NULL,
            denied_at {time} NOT NULL,
            PRIMARY KEY (request_number),
            FOREIGN KEY(request_number) REFERENCES requests (number)
        )""",
        f"""CREATE TABLE approvals (
            hold_number INTEGER NOT NULL,
            name_folded VARCHAR NOT NULL,
            name VARCHAR NOT NULL,
            approved_at {time} NOT NULL,
            PRIMARY KEY (hold_number, name_folded),
            FOREIGN KEY(hold_number) REFERENCES holds (number)
        )""",
    ):
        connection.exec_driver_sql(statement)
    if is_sqlite:
        # others refer to the table that is made anew: until the end of the transaction that may lead nowhere
        connection.exec_driver_sql("PRAGMA defer_foreign_keys = ON")
        connection.exec_driver_sql("CREATE TEMPORARY TABLE outcomes_kept AS SELECT * FROM request_outcomes")
        _make_outcomes(connection, STATES_WITH_DENIED)
        connection.exec_driver_sql("DROP TABLE outcomes_kept")
    else:
        _change_outcomes(connection, STATES_WITH_DENIED)


def add_opendsr(connection: Connection) -> None:
    """Version 7 to 8: requests as privacy suites send them, and whom to tell what became of them. There were none."""
    time = "DATETIME" if connection.dialect.name == "sqlite" else "TIMESTAMP WITH TIME ZONE"
    for statement in (
        f"""CREATE TABLE opendsr_requests (
            token VARCHAR NOT NULL,
            subject_request_id VARCHAR NOT NULL,
            digest VARCHAR NOT NULL,
            request_number INTEGER NOT NULL,
            stands_under JSON NOT NULL,
            received_at {time} NOT NULL,
            cancelled_at {time},
            PRIMARY KEY (token, subject_request_id),
            FOREIGN KEY(token) REFERENCES api_tokens (name),
            FOREIGN KEY(request_number) REFERENCES requests (number)
        )""",
        "CREATE INDEX ix_opendsr_requests_request_number ON opendsr_requests (request_number)",
        f"""CREATE TABLE opendsr_callbacks (
            token VARCHAR NOT NULL,
            subject_request_id VARCHAR NOT NULL,
            place INTEGER NOT NULL,
            url VARCHAR NOT NULL,
            told VARCHAR NOT NULL,
            num_tries INTEGER NOT NULL,
            claimed_at {time},
            PRIMARY KEY (token, subject_request_id, place),
            FOREIGN KEY(token, subject_request_id) REFERENCES opendsr_requests (token, subject_request_id)
        )""",
        "CREATE INDEX ix_opendsr_callbacks_told ON opendsr_callbacks (told)",
    ):
        connection.exec_driver_sql(statement)


def add_extended_terms(connection: Connection) -> None:
    """Version 8 to 9: how much later a request is due once it is extended, counted from its receipt.

    For how long a clock had stood still, and by which law, nobody had written down: such a request gets less.
    """
    connection.exec_driver_sql("ALTER TABLE requests ADD COLUMN extension_seconds FLOAT DEFAULT '0' NOT NULL")
    extended = {"gdpr": relativedelta(months=3), "ccpa": relativedelta(days=90)}
    time = DateTime(timezone=True)
    query = text("SELECT number, received_at, due_at, law FROM requests").columns(received_at=time, due_at=time)
    rows = [
        {
            "number": number,
            "seconds": max(_as_utc(received) + extended[law] - _as_utc(due), timedelta()).total_seconds(),
        }
        for number, received, due, law in connection.execute(query)
    ]
    if rows:
        connection.execute(text("UPDATE requests SET extension_seconds = :seconds WHERE number = :number"), rows)


# by the version that a step starts from
MIGRATIONS: dict[int, Callable[[Connection], None]] = {
    2: add_unmatched,
    3: add_erasures,
    4: add_evidence_of_erasure,
    5: add_alerts,
    6: add_api,
    7: add_suites_and_states,
    8: add_extended_terms,
}


def _as_utc(time: datetime) -> datetime:
    """Returns a time as both databases give it: SQLite keeps no zone, Postgres answers in the session's."""
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)


def _change_outcomes(connection: Connection, states: str) -> None:
    for statement in (
        "ALTER TABLE request_outcomes DROP CONSTRAINT outcome_state",
        f"ALTER TABLE request_outcomes ADD CONSTRAINT outcome_state CHECK (state IN ({states}))",
        "DROP INDEX one_live_request",
        f"CREATE UNIQUE INDEX one_live_request ON request_outcomes (subject_id, model) WHERE state IN ({LIVE_STATES})",
    ):
        connection.exec_driver_sql(statement)


def _remake_outcomes(connection: Connection) -> None:
    """Makes the table anew: SQLite changes no constraint of one that is there, nor drops one that others refer to."""
    for statement in (
        "CREATE TEMPORARY TABLE outcomes_kept AS SELECT * FROM request_outcomes",
        "CREATE TEMPORARY TABLE undone_kept AS SELECT * FROM undone_outcomes",
        "DELETE FROM undone_outcomes",
    ):
        connection.exec_driver_sql(statement)
    _make_outcomes(connection, STATES)
    for statement in (
        "INSERT INTO undone_outcomes SELECT * FROM undone_kept",
        "DROP TABLE undone_kept",
        "DROP TABLE outcomes_kept",
    ):
        connection.exec_driver_sql(statement)


def _make_outcomes(connection: Connection, states: str) -> None:
    """Makes the table anew from what is kept of it."""
    for statement in (
        "DROP TABLE request_outcomes",
        f"""CREATE TABLE request_outcomes (
            request_number INTEGER NOT NULL,
            model VARCHAR NOT NULL,
            subject_id VARCHAR NOT NULL,
            state VARCHAR NOT NULL,
            wave_number INTEGER,
            decided_at DATETIME,
            receipt JSON,
            PRIMARY KEY (request_number, model),
            FOREIGN KEY(model, wave_number) REFERENCES waves (model, number),
            CONSTRAINT outcome_state CHECK (state IN ({states})),
            CONSTRAINT in_wave_names_it CHECK (state <> 'in_wave' OR wave_number IS NOT NULL),
            FOREIGN KEY(request_number) REFERENCES requests (number),
            FOREIGN KEY(model) REFERENCES models (name)
        )""",
        "INSERT INTO request_outcomes "
        "SELECT request_number, model, subject_id, state, wave_number, decided_at, receipt FROM outcomes_kept",
        f"CREATE UNIQUE INDEX one_live_request ON request_outcomes (subject_id, model) WHERE state IN ({LIVE_STATES})",
        "CREATE INDEX outcomes_by_subject ON request_outcomes (subject_id)",
        "CREATE INDEX outcomes_by_state ON request_outcomes (model, state)",
        "CREATE INDEX outcomes_by_wave ON request_outcomes (model, wave_number)",
    ):
        connection.exec_driver_sql(statement)


def _compose_requests(connection: Connection) -> None:
    """Composes the ids of requests. A person who would then have two that wait keeps both spellings."""
    for number, subject_id in connection.execute(text("SELECT number, subject_id FROM requests")).all():
        if (composed := normalise(subject_id)) == subject_id:
            continue
        values = {"number": number, "subject_id": composed}
        try:
            with connection.begin_nested():
                connection.execute(
                    text("UPDATE request_outcomes SET subject_id = :subject_id WHERE request_number = :number"), values
                )
                connection.execute(text("UPDATE requests SET subject_id = :subject_id WHERE number = :number"), values)
        except IntegrityError:
            continue


def _compose_holdings(connection: Connection) -> None:
    """Composes the ids of the people held. Several spellings of one name become one person."""
    rows = connection.execute(text("SELECT model, subject_id, num_train, num_held_out FROM holdings")).all()
    for model, subject_id, num_train, num_held_out in rows:
        if (composed := normalise(subject_id)) == subject_id:
            continue
        values = {
            "model": model,
            "subject_id": subject_id,
            "composed": composed,
            "num_train": num_train,
            "num_held_out": num_held_out,
        }
        added = connection.execute(
            text(
                "UPDATE holdings SET num_train = num_train + :num_train, num_held_out = num_held_out + :num_held_out "
                "WHERE model = :model AND subject_id = :composed"
            ),
            values,
        )
        change = (
            "DELETE FROM holdings WHERE model = :model AND subject_id = :subject_id"
            if added.rowcount
            else "UPDATE holdings SET subject_id = :composed WHERE model = :model AND subject_id = :subject_id"
        )
        connection.execute(text(change), values)
