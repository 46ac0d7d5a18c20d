-- Version 5 of the file: documents of programs.

CREATE TABLE taskq_documents (
    document INTEGER PRIMARY KEY,
    queue    INTEGER NOT NULL,
    name     TEXT NOT NULL,
    version  INTEGER NOT NULL,  -- from taskq_queues.token, so it never comes back
    written  INTEGER NOT NULL,
    text     TEXT NOT NULL,
    UNIQUE (queue, name)
);
