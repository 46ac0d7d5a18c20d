-- Version 4 of the file: schedules. What leads counts its term as leases do, in milliseconds since the machine started.

CREATE TABLE taskq_leaders (
    namespace TEXT PRIMARY KEY,
    candidate TEXT,              -- who leads; NULL: it resigned
    token     INTEGER NOT NULL,  -- of the last leadership; only grows
    boot      TEXT NOT NULL,     -- the run of the machine it was given in
    expires   INTEGER NOT NULL,
    term      INTEGER NOT NULL   -- how long it was given for
) WITHOUT ROWID;

CREATE TABLE taskq_entries (
    entry   INTEGER PRIMARY KEY,
    queue   INTEGER NOT NULL,
    name    TEXT NOT NULL,
    origin  INTEGER NOT NULL,            -- 0 code 1 file 2 run time
    paused  INTEGER NOT NULL DEFAULT 0,
    created INTEGER NOT NULL,
    cursor  INTEGER NOT NULL,            -- up to when its ticks have been fired or skipped
    fired   INTEGER,                     -- the last tick for which something was enqueued
    text    TEXT NOT NULL,               -- when and what, as the scheduler wrote it
    UNIQUE (queue, name)
);

ALTER TABLE taskq_queues ADD COLUMN fence INTEGER NOT NULL DEFAULT 0;  -- the greatest token that a leader has shown here
ALTER TABLE taskq_queues ADD COLUMN mark  INTEGER NOT NULL DEFAULT 0;  -- counts changes of entries; 0: there never was one
