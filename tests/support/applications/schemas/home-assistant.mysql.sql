-- Home Assistant 2026.2.3, recorder schema 53: db_schema.Base.metadata.create_all for MySQL and MariaDB.
CREATE TABLE event_data (
    data_id BIGINT NOT NULL AUTO_INCREMENT,
    hash INTEGER UNSIGNED,
    shared_data LONGTEXT,
    PRIMARY KEY (data_id)
)DEFAULT CHARSET=utf8mb4 ENGINE=InnoDB COLLATE utf8mb4_bin;

CREATE INDEX ix_event_data_hash ON event_data (hash);

CREATE TABLE event_types (
    event_type_id BIGINT NOT NULL AUTO_INCREMENT,
    event_type VARCHAR(64),
    PRIMARY KEY (event_type_id)
)DEFAULT CHARSET=utf8mb4 ENGINE=InnoDB COLLATE utf8mb4_bin;

CREATE UNIQUE INDEX ix_event_types_event_type ON event_types (event_type);

CREATE TABLE migration_changes (
    migration_id VARCHAR(255) NOT NULL,
    version SMALLINT NOT NULL,
    PRIMARY KEY (migration_id)
)DEFAULT CHARSET=utf8mb4 ENGINE=InnoDB COLLATE utf8mb4_bin;

CREATE TABLE recorder_runs (
    run_id BIGINT NOT NULL AUTO_INCREMENT,
    start DATETIME(6) NOT NULL,
    end DATETIME(6),
    closed_incorrect BOOL NOT NULL,
    created DATETIME(6) NOT NULL,
    PRIMARY KEY (run_id)
)DEFAULT CHARSET=utf8mb4 ENGINE=InnoDB COLLATE utf8mb4_bin;

CREATE INDEX ix_recorder_runs_start_end ON recorder_runs (start, end);

CREATE TABLE schema_changes (
    change_id BIGINT NOT NULL AUTO_INCREMENT,
    schema_version INTEGER,
    changed DATETIME(6) NOT NULL,
    PRIMARY KEY (change_id)
)DEFAULT CHARSET=utf8mb4 ENGINE=InnoDB COLLATE utf8mb4_bin;

CREATE TABLE state_attributes (
    attributes_id BIGINT NOT NULL AUTO_INCREMENT,
    hash INTEGER UNSIGNED,
    shared_attrs LONGTEXT,
    PRIMARY KEY (attributes_id)
)DEFAULT CHARSET=utf8mb4 ENGINE=InnoDB COLLATE utf8mb4_bin;

CREATE INDEX ix_state_attributes_hash ON state_attributes (hash);

CREATE TABLE states_meta (
    metadata_id BIGINT NOT NULL AUTO_INCREMENT,
    entity_id VARCHAR(255),
    PRIMARY KEY (metadata_id)
)DEFAULT CHARSET=utf8mb4 ENGINE=InnoDB COLLATE utf8mb4_bin;

CREATE UNIQUE INDEX ix_states_meta_entity_id ON states_meta (entity_id);

CREATE TABLE statistics_meta (
    id BIGINT NOT NULL AUTO_INCREMENT,
    statistic_id VARCHAR(255),
    source VARCHAR(32),
    unit_of_measurement VARCHAR(255),
    unit_class VARCHAR(255),
    has_mean BOOL,
    has_sum BOOL,
    name VARCHAR(255),
    mean_type SMALLINT NOT NULL,
    PRIMARY KEY (id)
)DEFAULT CHARSET=utf8mb4 ENGINE=InnoDB COLLATE utf8mb4_bin;

CREATE UNIQUE INDEX ix_statistics_meta_statistic_id ON statistics_meta (statistic_id);

CREATE TABLE statistics_runs (
    run_id BIGINT NOT NULL AUTO_INCREMENT,
    start DATETIME(6) NOT NULL,
    PRIMARY KEY (run_id)
)DEFAULT CHARSET=utf8mb4 ENGINE=InnoDB COLLATE utf8mb4_bin;

CREATE INDEX ix_statistics_runs_start ON statistics_runs (start);

CREATE TABLE events (
    event_id BIGINT NOT NULL AUTO_INCREMENT,
    event_type CHAR(0),
    event_data CHAR(0),
    origin CHAR(0),
    origin_idx SMALLINT,
    time_fired CHAR(0),
    time_fired_ts DOUBLE,
    context_id CHAR(0),
    context_user_id CHAR(0),
    context_parent_id CHAR(0),
    data_id BIGINT,
    context_id_bin BLOB(16),
    context_user_id_bin BLOB(16),
    context_parent_id_bin BLOB(16),
    event_type_id BIGINT,
    PRIMARY KEY (event_id),
    FOREIGN KEY(data_id) REFERENCES event_data (data_id),
    FOREIGN KEY(event_type_id) REFERENCES event_types (event_type_id)
)DEFAULT CHARSET=utf8mb4 ENGINE=InnoDB COLLATE utf8mb4_bin;

CREATE INDEX ix_events_context_id_bin ON events (context_id_bin(16));

CREATE INDEX ix_events_data_id ON events (data_id);

CREATE INDEX ix_events_event_type_id_time_fired_ts ON events (event_type_id, time_fired_ts);

CREATE INDEX ix_events_time_fired_ts ON events (time_fired_ts);

CREATE TABLE states (
    state_id BIGINT NOT NULL AUTO_INCREMENT,
    entity_id CHAR(0),
    state VARCHAR(255),
    attributes CHAR(0),
    event_id SMALLINT,
    last_changed CHAR(0),
    last_changed_ts DOUBLE,
    last_reported_ts DOUBLE,
    last_updated CHAR(0),
    last_updated_ts DOUBLE,
    old_state_id BIGINT,
    attributes_id BIGINT,
    context_id CHAR(0),
    context_user_id CHAR(0),
    context_parent_id CHAR(0),
    origin_idx SMALLINT,
    context_id_bin BLOB(16),
    context_user_id_bin BLOB(16),
    context_parent_id_bin BLOB(16),
    metadata_id BIGINT,
    PRIMARY KEY (state_id),
    FOREIGN KEY(old_state_id) REFERENCES states (state_id),
    FOREIGN KEY(attributes_id) REFERENCES state_attributes (attributes_id),
    FOREIGN KEY(metadata_id) REFERENCES states_meta (metadata_id)
)DEFAULT CHARSET=utf8mb4 ENGINE=InnoDB COLLATE utf8mb4_bin;

CREATE INDEX ix_states_attributes_id ON states (attributes_id);

CREATE INDEX ix_states_context_id_bin ON states (context_id_bin(16));

CREATE INDEX ix_states_last_updated_ts ON states (last_updated_ts);

CREATE INDEX ix_states_metadata_id_last_updated_ts ON states (metadata_id, last_updated_ts);

CREATE INDEX ix_states_old_state_id ON states (old_state_id);

CREATE TABLE statistics (
    id BIGINT NOT NULL AUTO_INCREMENT,
    created CHAR(0),
    created_ts DOUBLE,
    metadata_id BIGINT,
    start CHAR(0),
    start_ts DOUBLE,
    mean DOUBLE,
    mean_weight DOUBLE,
    min DOUBLE,
    max DOUBLE,
    last_reset CHAR(0),
    last_reset_ts DOUBLE,
    state DOUBLE,
    sum DOUBLE,
    PRIMARY KEY (id),
    FOREIGN KEY(metadata_id) REFERENCES statistics_meta (id) ON DELETE CASCADE
)DEFAULT CHARSET=utf8mb4 ENGINE=InnoDB COLLATE utf8mb4_bin;

CREATE INDEX ix_statistics_start_ts ON statistics (start_ts);

CREATE UNIQUE INDEX ix_statistics_statistic_id_start_ts ON statistics (metadata_id, start_ts);

CREATE TABLE statistics_short_term (
    id BIGINT NOT NULL AUTO_INCREMENT,
    created CHAR(0),
    created_ts DOUBLE,
    metadata_id BIGINT,
    start CHAR(0),
    start_ts DOUBLE,
    mean DOUBLE,
    mean_weight DOUBLE,
    min DOUBLE,
    max DOUBLE,
    last_reset CHAR(0),
    last_reset_ts DOUBLE,
    state DOUBLE,
    sum DOUBLE,
    PRIMARY KEY (id),
    FOREIGN KEY(metadata_id) REFERENCES statistics_meta (id) ON DELETE CASCADE
)DEFAULT CHARSET=utf8mb4 ENGINE=InnoDB COLLATE utf8mb4_bin;

CREATE INDEX ix_statistics_short_term_start_ts ON statistics_short_term (start_ts);

CREATE UNIQUE INDEX ix_statistics_short_term_statistic_id_start_ts ON statistics_short_term (metadata_id, start_ts);

