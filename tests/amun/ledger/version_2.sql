CREATE TABLE intake_files (
    number INTEGER NOT NULL,
    digest VARCHAR NOT NULL,
    source VARCHAR NOT NULL,
    name VARCHAR NOT NULL,
    version VARCHAR NOT NULL,
    etag VARCHAR NOT NULL,
    modified_at DATETIME NOT NULL,
    taken_at DATETIME NOT NULL,
    reason VARCHAR,
    PRIMARY KEY (number),
    UNIQUE (digest)
);
CREATE TABLE ledger_info (
    id INTEGER NOT NULL,
    schema_version INTEGER NOT NULL,
    next_request INTEGER NOT NULL,
    PRIMARY KEY (id),
    CONSTRAINT one_row CHECK (id = 1)
);
CREATE TABLE models (
    name VARCHAR NOT NULL,
    holdings_wave INTEGER,
    PRIMARY KEY (name)
);
CREATE TABLE holdings (
    subject_id VARCHAR NOT NULL,
    model VARCHAR NOT NULL,
    num_train INTEGER NOT NULL,
    num_held_out INTEGER NOT NULL,
    PRIMARY KEY (subject_id, model),
    FOREIGN KEY(model) REFERENCES models (name)
);
CREATE TABLE requests (
    number INTEGER NOT NULL,
    subject_id VARCHAR NOT NULL,
    received_at DATETIME NOT NULL,
    due_at DATETIME NOT NULL,
    reference VARCHAR,
    file_number INTEGER,
    PRIMARY KEY (number),
    FOREIGN KEY(file_number) REFERENCES intake_files (number)
);
CREATE TABLE waves (
    model VARCHAR NOT NULL,
    number INTEGER NOT NULL,
    kind VARCHAR NOT NULL,
    state VARCHAR NOT NULL,
    holder VARCHAR NOT NULL,
    lease_token VARCHAR NOT NULL,
    heartbeat_at DATETIME NOT NULL,
    lease_expires_at DATETIME NOT NULL,
    opened_at DATETIME NOT NULL,
    closed_at DATETIME,
    attempt INTEGER,
    note VARCHAR,
    parent_version VARCHAR,
    version VARCHAR,
    "commit" VARCHAR,
    summary JSON,
    comparison JSON,
    PRIMARY KEY (model, number),
    CONSTRAINT wave_kind CHECK (kind IN ('base', 'deletion')),
    CONSTRAINT wave_state CHECK (state IN ('open', 'complete', 'parked')),
    FOREIGN KEY(model) REFERENCES models (name)
);
CREATE UNIQUE INDEX one_open_wave ON waves (model) WHERE state = 'open';
CREATE TABLE holds (
    number INTEGER NOT NULL,
    request_number INTEGER NOT NULL,
    reason VARCHAR NOT NULL,
    held_at DATETIME NOT NULL,
    released_at DATETIME,
    PRIMARY KEY (number),
    FOREIGN KEY(request_number) REFERENCES requests (number)
);
CREATE INDEX ix_holds_request_number ON holds (request_number);
CREATE UNIQUE INDEX one_hold ON holds (request_number) WHERE released_at IS NULL;
CREATE TABLE request_outcomes (
    request_number INTEGER NOT NULL,
    model VARCHAR NOT NULL,
    subject_id VARCHAR NOT NULL,
    state VARCHAR NOT NULL,
    wave_number INTEGER,
    decided_at DATETIME,
    receipt JSON,
    PRIMARY KEY (request_number, model),
    FOREIGN KEY(model, wave_number) REFERENCES waves (model, number),
    CONSTRAINT outcome_state CHECK (state IN ('pending', 'in_wave', 'held', 'completed', 'withdrawn', 'already_forgotten', 'nothing_held')),
    CONSTRAINT in_wave_names_it CHECK (state <> 'in_wave' OR wave_number IS NOT NULL),
    FOREIGN KEY(request_number) REFERENCES requests (number),
    FOREIGN KEY(model) REFERENCES models (name)
);
CREATE UNIQUE INDEX one_live_request ON request_outcomes (subject_id, model) WHERE state IN ('pending', 'in_wave', 'held');
CREATE INDEX outcomes_by_state ON request_outcomes (model, state);
CREATE INDEX outcomes_by_subject ON request_outcomes (subject_id);
CREATE INDEX outcomes_by_wave ON request_outcomes (model, wave_number);
CREATE TABLE rollbacks (
    model VARCHAR NOT NULL,
    number INTEGER NOT NULL,
    wave_number INTEGER NOT NULL,
    from_version VARCHAR NOT NULL,
    to_version VARCHAR NOT NULL,
    reason VARCHAR NOT NULL,
    started_at DATETIME NOT NULL,
    finished_at DATETIME,
    PRIMARY KEY (model, number),
    FOREIGN KEY(model, wave_number) REFERENCES waves (model, number),
    FOREIGN KEY(model) REFERENCES models (name)
);
CREATE UNIQUE INDEX one_unfinished_rollback ON rollbacks (model) WHERE finished_at IS NULL;
CREATE TABLE undone_outcomes (
    request_number INTEGER NOT NULL,
    model VARCHAR NOT NULL,
    rollback_number INTEGER NOT NULL,
    state VARCHAR NOT NULL,
    wave_number INTEGER,
    decided_at DATETIME,
    receipt JSON,
    PRIMARY KEY (request_number, model, rollback_number),
    FOREIGN KEY(request_number, model) REFERENCES request_outcomes (request_number, model),
    FOREIGN KEY(model, rollback_number) REFERENCES rollbacks (model, number)
);
CREATE TABLE undone_waves (
    model VARCHAR NOT NULL,
    wave_number INTEGER NOT NULL,
    rollback_number INTEGER NOT NULL,
    PRIMARY KEY (model, wave_number),
    FOREIGN KEY(model, wave_number) REFERENCES waves (model, number),
    FOREIGN KEY(model, rollback_number) REFERENCES rollbacks (model, number)
);
