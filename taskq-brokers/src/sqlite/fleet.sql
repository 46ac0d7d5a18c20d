-- Version 6 of the file: who works, and pauses. Times are of the wall clock.

CREATE TABLE taskq_members (
    namespace TEXT NOT NULL,
    member    TEXT NOT NULL,     -- 32 hexadecimal digits
    seen      INTEGER NOT NULL,  -- when its last report came
    until     INTEGER NOT NULL,  -- when it is forgotten if no other follows
    asked     TEXT,              -- what somebody asks of it
    report    TEXT NOT NULL,     -- what it said of itself, as JSON
    PRIMARY KEY (namespace, member)
) WITHOUT ROWID;

ALTER TABLE taskq_queues ADD COLUMN paused INTEGER;  -- since when nothing of it is handed out; NULL: it is not paused
