-- Version 1 of the file. Times are milliseconds of the wall clock since 1970, except `taskq_leases.expires`.

-- What versions may work with this file: 'oldest' is the oldest one.
CREATE TABLE taskq_meta (
    name  TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE taskq_queues (
    queue     INTEGER PRIMARY KEY,
    namespace TEXT NOT NULL,
    name      TEXT NOT NULL,
    tail      INTEGER NOT NULL DEFAULT 0,  -- the position of whoever joined the line last
    token     INTEGER NOT NULL DEFAULT 0,  -- the last delivery token; only grows
    UNIQUE (namespace, name)
);

-- One row a task, from its acceptance until it is forgotten. A transition of state.rs is an UPDATE of `state`.
CREATE TABLE taskq_tasks (
    task           INTEGER PRIMARY KEY,
    queue          INTEGER NOT NULL,
    key            BLOB NOT NULL,
    state          INTEGER NOT NULL,             -- 0 scheduled 1 ready 2 running 3 retrying 4 succeeded 5 dead 6 cancelled 7 expired
    place          INTEGER NOT NULL,             -- (9 - priority) << 56 | position in line; kept while it runs, so that it returns to its place
    due            INTEGER,                      -- scheduled, retrying
    expires        INTEGER,                      -- not handed out at or after this
    lease          INTEGER,                      -- running: who holds it
    token          INTEGER,                      -- of the last hand-out, until that is taken back
    deliveries     INTEGER NOT NULL DEFAULT 0,   -- consecutive hand-outs that did not end
    max_deliveries INTEGER NOT NULL,
    cancel         INTEGER NOT NULL DEFAULT 0,   -- running: 1 if its end was asked for
    attempts       INTEGER NOT NULL DEFAULT 0,   -- failed ones
    keep           INTEGER NOT NULL,             -- how long the end is remembered
    ended          INTEGER,
    prune          INTEGER,                      -- ended: when the row is dropped
    reason         TEXT,                         -- dead: why
    unique_key     TEXT,                         -- the key in taskq_uniques that this task frees
    unique_start   INTEGER NOT NULL DEFAULT 0,   -- 1: freed at the first start, 0: at the end
    progress       TEXT,                         -- running: the latest report, as JSON
    body           BLOB                          -- the envelope; of a succeeded task its result, if kept
);

CREATE UNIQUE INDEX taskq_tasks_key ON taskq_tasks (queue, key);
CREATE INDEX taskq_tasks_ready ON taskq_tasks (queue, place) WHERE state = 1;
CREATE INDEX taskq_tasks_due   ON taskq_tasks (queue, due, state) WHERE due IS NOT NULL;
CREATE INDEX taskq_tasks_held  ON taskq_tasks (lease, cancel) WHERE lease IS NOT NULL;
CREATE INDEX taskq_tasks_prune ON taskq_tasks (queue, prune) WHERE prune IS NOT NULL;
CREATE INDEX taskq_tasks_dead  ON taskq_tasks (queue, ended) WHERE state = 5;

-- Unique keys that are taken.
CREATE TABLE taskq_uniques (
    queue INTEGER NOT NULL,
    name  TEXT NOT NULL,
    key   BLOB NOT NULL,     -- the task that holds it
    until INTEGER,           -- freed at this time; NULL: freed by its task
    PRIMARY KEY (queue, name)
) WITHOUT ROWID;
CREATE INDEX taskq_uniques_until ON taskq_uniques (queue, until) WHERE until IS NOT NULL;

-- A worker process's right to tasks of one queue.
CREATE TABLE taskq_leases (
    lease   INTEGER PRIMARY KEY,
    queue   INTEGER NOT NULL,
    owner   TEXT NOT NULL,
    boot    TEXT NOT NULL,     -- the run of the machine it was given in
    expires INTEGER NOT NULL,  -- milliseconds since the machine started
    UNIQUE (queue, owner)
);

-- Enqueue calls of the last half hour that would not be recognised by their tasks.
CREATE TABLE taskq_batches (
    number   INTEGER PRIMARY KEY,
    queue    INTEGER NOT NULL,
    batch    BLOB NOT NULL,
    accepted INTEGER NOT NULL,
    UNIQUE (queue, batch)
);
