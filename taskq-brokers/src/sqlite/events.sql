-- Version 6 of the file: what happened of late.

CREATE TABLE taskq_events (
    namespace TEXT NOT NULL,
    begun     INTEGER NOT NULL,  -- when the stream that it is part of was begun
    number    INTEGER NOT NULL,  -- its number in that, from 1
    came      INTEGER NOT NULL,  -- when it came
    event     TEXT NOT NULL,     -- what happened, as JSON
    PRIMARY KEY (namespace, begun, number)
) WITHOUT ROWID;
