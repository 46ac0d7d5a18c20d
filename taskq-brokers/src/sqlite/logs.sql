-- Version 6 of the file: log lines of tasks.

CREATE TABLE taskq_logs (
    log   INTEGER PRIMARY KEY,
    queue INTEGER NOT NULL,
    key   BLOB NOT NULL,
    until INTEGER NOT NULL,  -- when its lines are forgotten, unless more come
    UNIQUE (queue, key)
);

CREATE INDEX taskq_logs_until ON taskq_logs (queue, until);

CREATE TABLE taskq_log_lines (
    line    INTEGER PRIMARY KEY,  -- in the order in which they came
    log     INTEGER NOT NULL,
    at      INTEGER NOT NULL,  -- by the worker's clock
    attempt INTEGER NOT NULL,
    level   INTEGER NOT NULL,  -- 0 debug, 1 info, 2 warn, 3 error
    text    TEXT NOT NULL
);

CREATE INDEX taskq_log_lines_log ON taskq_log_lines (log, line);
