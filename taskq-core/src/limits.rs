//! Every bound and every default of taskq, each with its unit and its reason.
//!
//! Nothing elsewhere in the project waits, batches, keeps or retries without a constant from this table.

use std::time::Duration;

// What people may send ------------------------------------------------------------------------------------

/// Largest encoded payload of one task, in bytes. Larger arguments belong into a store of their own; 256 KiB is what
/// brokers move without one task delaying the others.
pub const MAX_PAYLOAD: usize = 256 * 1024;

/// Largest payload as a broker keeps it, in bytes: encrypted, the largest one is a third longer and has a nonce and a tag.
pub const MAX_STORED_PAYLOAD: usize = (MAX_PAYLOAD + 24 + 16).div_ceil(3) * 4 + 2;

/// Largest encoded result of one task, in bytes; the same bound as for payloads.
pub const MAX_RESULT: usize = 256 * 1024;

/// Deepest nesting of a JSON payload, in levels. Real arguments stay under 20; recursion in decoders must stay bounded.
pub const MAX_NESTING: usize = 64;

/// Longest queue, task or namespace name, in bytes. Names become parts of broker keys and metric labels.
pub const MAX_NAME: usize = 128;

/// Longest own task id or unique key, in bytes.
pub const MAX_KEY: usize = 200;

/// Most headers on one task: tracing needs three, users a handful.
pub const MAX_HEADERS: usize = 32;

/// Largest sum of header names and values, in bytes.
pub const MAX_HEADERS_BYTES: usize = 8 * 1024;

/// Most tags on one task: they are read by people.
pub const MAX_TAGS: usize = 16;

/// Longest tag, in bytes.
pub const MAX_TAG: usize = 128;

/// Highest priority; 9 runs first, 0 last.
pub const MAX_PRIORITY: u8 = 9;

/// Furthest that a task can be delayed, expire, or be kept: ten years. Beyond it a value is a mistake in units.
pub const MAX_FUTURE: Duration = Duration::from_secs(10 * 365 * 86_400);

// What a task gets when it says nothing --------------------------------------------------------------------

/// The queue of a task that names none.
pub const DEFAULT_QUEUE: &str = "default";

/// The namespace of a connection that names none.
pub const DEFAULT_NAMESPACE: &str = "taskq";

/// Priority of a task that names none: the middle, so that there is room on both sides.
pub const DEFAULT_PRIORITY: u8 = 5;

/// Limit of one attempt. No task is without one: a hung body would keep its slot for ever.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30 * 60);

/// Attempts before a failing task becomes a dead letter.
pub const DEFAULT_ATTEMPTS: u32 = 10;

/// First delay of the default exponential backoff.
pub const DEFAULT_BACKOFF: Duration = Duration::from_secs(1);

/// Longest delay of the default exponential backoff.
pub const DEFAULT_BACKOFF_CAP: Duration = Duration::from_secs(15 * 60);

/// Most attempts a retry policy may ask for: each failed one is kept with the task.
pub const MAX_ATTEMPTS: u32 = 1_000;

/// Consecutive hand-outs that never ended (the worker died) before a task becomes a dead letter.
pub const DEFAULT_MAX_DELIVERIES: u8 = 3;

/// How long a result and the final state are kept.
pub const DEFAULT_RESULT_TTL: Duration = Duration::from_secs(86_400);

/// How long a dead letter is kept: a month gives people time to come back from holidays.
pub const DEAD_LETTER_TTL: Duration = Duration::from_secs(30 * 86_400);

// What is kept of failures ---------------------------------------------------------------------------------

/// Failed attempts kept with a task, the newest ones.
pub const MAX_HISTORY: usize = 50;

/// Longest error text kept, in bytes.
pub const MAX_ERROR_TEXT: usize = 2 * 1024;

// Calls ----------------------------------------------------------------------------------------------------

/// Deadline of one client call, repeats included: a broker that is down gives an error, never a hang.
pub const CALL_DEADLINE: Duration = Duration::from_secs(5);

/// Shortest pause before a client call is repeated after a transient error; doubles, with jitter.
pub const CALL_BACKOFF: Duration = Duration::from_millis(20);

/// Longest pause before a client call is repeated.
pub const CALL_BACKOFF_CAP: Duration = Duration::from_millis(500);

/// Envelopes in one bulk chunk: about 200 items keep a broker script under a millisecond.
pub const ENQUEUE_CHUNK: usize = 200;

/// Chunks of one bulk call that are under way at once: enough to hide a round trip, few enough to bound memory.
pub const ENQUEUE_IN_FLIGHT: usize = 4;

/// Longest bound that a result can be waited for in one call.
pub const MAX_WAIT: Duration = Duration::from_secs(24 * 3600);

/// A result notification is a hint that may get lost; after this long a waiting caller looks for itself.
pub const WAIT_POLL: Duration = Duration::from_secs(1);

// Workers --------------------------------------------------------------------------------------------------

/// How long a worker process is trusted after its last heartbeat, unless it asks for another lease. With the sweep of the others right after the lapse,
/// a killed process's tasks are back in work within five seconds.
pub const LEASE: Duration = Duration::from_millis(4_500);

/// Shortest lease that a worker may ask for. Below it, a busy machine or a slow network costs leases of living workers.
pub const MIN_LEASE: Duration = Duration::from_millis(600);

/// Longest lease that a worker may ask for: so long may a dead worker's tasks lie.
pub const MAX_LEASE: Duration = Duration::from_secs(10 * 60);

/// Heartbeats of a busy worker: three a lease, so that one lost beat costs nothing.
pub const fn beat_busy(lease: Duration) -> Duration {
    Duration::from_nanos(lease.as_nanos() as u64 / 3)
}

/// Heartbeats of an idle worker, which holds nothing to lose: with the default lease each 2.5 s, so that two idle queues
/// stay under one command a second.
pub const fn beat_idle(lease: Duration) -> Duration {
    Duration::from_nanos(lease.as_nanos() as u64 / 9 * 5)
}

/// Most tasks taken by one claim.
pub const CLAIM_BATCH: usize = 200;

/// Most attempts ended by one settle.
pub const SETTLE_BATCH: usize = 200;

/// Ended attempts waiting to be settled, a process; beyond it slots stay taken, so a slow broker slows claiming.
pub const SETTLE_BACKLOG: usize = 4_096;

/// Claims may fail for so long before a worker says that it is not ready: longer than a failover or a restart.
pub const READY_FAILING: Duration = Duration::from_secs(5);

/// A worker with free slots that hears nothing for so long says that it is not ready: longer than any wait for work.
pub const READY_SILENT: Duration = Duration::from_secs(45);

/// Longest wait for work in one call; a lost doorbell costs at most this, heartbeats notice it sooner.
pub const CLAIM_WAIT: Duration = Duration::from_secs(30);

/// Slots of a queue that names none.
pub const DEFAULT_SLOTS: usize = 10;

/// Threads for plain (not async) bodies, at most; more slots than that wait for a thread.
pub const MAX_PLAIN_THREADS: usize = 512;

/// A thread for plain bodies that has had nothing to do for this long ends.
pub const PLAIN_THREAD_IDLE: Duration = Duration::from_secs(30);

/// How long running tasks get to finish after SIGTERM or ctrl-c; under the 30 s that Kubernetes grants.
pub const DRAIN: Duration = Duration::from_secs(25);

/// After a cancel an async body gets this long to end by itself, then it is dropped. A timeout, a shutdown that has run
/// out of time, or a lost lease drops it at once. A layer that hangs after a timeout, and a worker's last attempts, are
/// waited for as long.
pub const CANCEL_GRACE: Duration = Duration::from_secs(5);

/// First pause after a failed broker call of a worker loop; doubles, with jitter.
pub const LOOP_BACKOFF: Duration = Duration::from_millis(50);

/// Longest pause after a failed broker call of a worker loop: work resumes within two seconds of the broker.
pub const LOOP_BACKOFF_CAP: Duration = Duration::from_millis(1_000);

/// A task whose name no task of this worker has goes back with this delay: during a rolling deploy another has it.
pub const UNREGISTERED_DELAY: Duration = Duration::from_secs(5);

/// How long a task of an unknown name is handed back before it becomes a dead letter `unregistered`.
pub const UNREGISTERED_BOUND: Duration = Duration::from_secs(24 * 3600);

/// Progress reports of one attempt reach the broker at most this often; the latest wins.
pub const PROGRESS_INTERVAL: Duration = Duration::from_millis(200);

/// Longest progress text, in bytes.
pub const MAX_PROGRESS_TEXT: usize = 256;

// Figures --------------------------------------------------------------------------------------------------

/// Tasks of a worker that are counted by their names, of each queue; the rest is counted together. Each name is a label of
/// metrics, and makes some seventy lines of them.
pub const MAX_COUNTED_TASKS: usize = 100;

/// Queues that the clients of one connection count by their names; the rest is counted together.
pub const MAX_COUNTED_QUEUES: usize = 200;

/// Longest figures of a process that are read, in bytes: those of 200 queues and some thousand tasks.
pub const MAX_FIGURES: usize = 1024 * 1024;

/// How long a scrape of metrics may wait for the broker: less than any scraper waits, so that the rest is told without it.
pub const METRICS_BOUND: Duration = Duration::from_secs(2);

/// How long what the broker told a scrape is told again without asking: several may scrape, and scrapers repeat.
pub const METRICS_KEPT: Duration = Duration::from_secs(1);

// Sweeping -------------------------------------------------------------------------------------------------

/// Items that one sweep moves a queue, so that no sweep stalls the broker.
pub const SWEEP_BATCH: usize = 200;

/// Tasks or dead letters that one step of a purge takes out of a queue, so that no purge stalls the broker.
pub const PURGE_BATCH: usize = 200;

/// Most rows of one page of an inspection.
pub const MAX_PAGE: usize = 200;

/// Bytes of tasks or reports with which a page of an inspection ends, however few they are: what a broker reads in a few
/// milliseconds. A page has one task more than that at most, or one row of small ones.
pub const PAGE_BYTES: usize = 512 * 1024;

/// Most entries that one search for a single task looks at: about as many as a broker reads in a few milliseconds.
pub const MAX_LOOK: usize = 4_000;

/// Longest report of a member of the fleet, in bytes: what a hundred queues and thirty running tasks need.
pub const MAX_REPORT: usize = 64 * 1024;

/// How long a member of the fleet is listed after its last report: three reports of one that has nothing to do.
pub const REPORT_KEPT: Duration = Duration::from_secs(65);

/// How often a member of the fleet reports while it works: people watch, and see what happens within a second.
pub const REPORT_BUSY: Duration = Duration::from_millis(500);

/// How often a member of the fleet reports while nothing changes; so long it may take until it hears what is asked of it.
pub const REPORT_IDLE: Duration = Duration::from_secs(20);

/// How long a member that ends waits for the broker to forget it; it would be forgotten without that.
pub const CHECK_OUT: Duration = Duration::from_secs(1);

/// Running tasks that a worker names in its report, those first that have run longest. The broker's own list has all.
pub const REPORTED_RUNNING: usize = 32;

/// Task names that a worker lists in its report.
pub const REPORTED_TASKS: usize = 500;

// Schedules ------------------------------------------------------------------------------------------------

/// Shortest interval of a schedule. What has to happen more often is a loop in a program, and not a task each time.
pub const SHORTEST_INTERVAL: Duration = Duration::from_secs(1);

/// Last year in which a schedule fires, by UTC. A later one is a mistake in units, and every search has to end somewhere.
pub const LAST_SCHEDULED_YEAR: i16 = 2100;

/// Longest cron text, in bytes: every minute of an hour, listed, is 170.
pub const MAX_CRON_TEXT: usize = 256;

/// Longest jitter of a schedule: what may be a day late needs another schedule.
pub const MAX_JITTER: Duration = Duration::from_secs(86_400);

/// Most fire times that are listed at once, for people or for catching up: a week of minutes.
pub const MAX_FIRE_TIMES: usize = 7 * 24 * 60;

/// Longest text of an entry, in bytes: the largest payload as it is kept, and room for schedule, policies and headers.
pub const MAX_ENTRY_TEXT: usize = MAX_STORED_PAYLOAD + 32 * 1024;

/// Ticks and envelopes that one step fires. Their ids are looked up one by one, so half a chunk keeps a script short.
pub const FIRE_BATCH: usize = 100;

// Documents ------------------------------------------------------------------------------------------------

/// Longest text of a document, in bytes: enough for what a program remembers from one attempt to the next. More belongs
/// into a store of its own.
pub const MAX_DOCUMENT_TEXT: usize = 64 * 1024;

/// Most documents of a queue, so that what programs forget to forget stays under 160 MiB; as many as entries are tested with.
pub const MAX_DOCUMENTS: usize = 10_000;

// Log lines of tasks ----------------------------------------------------------------------------------------

/// Longest line of a task's log, in bytes; the rest is cut off. What is longer belongs into a store of its own.
pub const MAX_LOG_LINE: usize = 1024;

/// Log lines kept of one task, the newest ones: more than a screen or two nobody reads on a page.
pub const MAX_LOG_LINES: usize = 200;

/// Bytes of log lines kept of one task, so that a million chatty tasks a day stay under 32 GiB.
pub const MAX_LOG_BYTES: usize = 32 * 1024;

/// How long the lines of a task are kept after its last one: as long as its result.
pub const LOG_TTL: Duration = DEFAULT_RESULT_TTL;

/// Lines of all tasks that wait in a worker to be sent, under 5 MiB; of more the oldest are dropped.
pub const LOG_BACKLOG: usize = 4_096;

/// A worker sends lines at most this often, so that those of a busy task go together.
pub const LOG_INTERVAL: Duration = Duration::from_millis(200);

/// Tasks whose lines a worker sends at once: enough to hide a round trip, few enough to delay nothing else.
pub const LOGS_IN_FLIGHT: usize = 8;

/// How long a worker tries to send the lines that have gathered, also when it ends.
pub const LOG_PATIENCE: Duration = Duration::from_secs(2);

// Events ---------------------------------------------------------------------------------------------------

/// Events that a broker keeps of a namespace, the newest ones: some megabytes, and more than people scroll through.
pub const MAX_EVENTS: usize = 10_000;

/// How long a broker keeps events: they are news. What counts is kept with tasks, results and figures.
pub const EVENT_TTL: Duration = Duration::from_secs(3_600);

/// Longest JSON of an event, in bytes: what its texts can grow to when everything in them has to be escaped.
pub const MAX_EVENT: usize = 4 * 1024;

/// Longest error or reason in an event, in bytes; the task has all of it.
pub const MAX_EVENT_TEXT: usize = 256;

/// Queues that the event of a worker's start names.
pub const EVENT_QUEUES: usize = 16;

/// Events that one call publishes, so that a broker's script stays under a millisecond.
pub const EVENT_BATCH: usize = 200;

/// A process publishes events at most this often, so that many go together.
pub const EVENT_INTERVAL: Duration = Duration::from_millis(250);

/// Events of tasks that wait in a process to be published, and so the most that it tells in one interval: two thousand a
/// second cost next to nothing, and are more than people read. What is beyond is counted.
pub const EVENT_BACKLOG: usize = 500;

/// Room beside that for what is rare and matters: of workers, leaders and health.
pub const EVENT_RESERVE: usize = 100;

/// How long a process tries to publish what has gathered, also when it ends.
pub const EVENT_PATIENCE: Duration = Duration::from_secs(1);

/// After a failure events are published no sooner than after this; what comes meanwhile waits, and what has no room is counted.
pub const EVENT_BACKOFF: Duration = Duration::from_secs(1);

/// How often a subscriber that has read everything looks for more: one small command each, and news within a second.
pub const EVENT_LOOK: Duration = Duration::from_millis(250);

// Traces ---------------------------------------------------------------------------------------------------

/// How long a program that ends still tries to export spans.
pub const TRACE_PATIENCE: Duration = Duration::from_secs(5);

/// How long one export of spans may take that says nothing.
pub const TRACE_TIMEOUT: Duration = Duration::from_secs(10);

/// Longest answer of a collector of traces, in bytes; more of it is not read.
pub const TRACE_ANSWER: usize = 64 * 1024;

/// Longest header that is read as the context of a trace, in bytes: `traceparent` has 55, and `tracestate` 512 at most.
pub const MAX_TRACE_HEADER: usize = 512;

// Leaders --------------------------------------------------------------------------------------------------

/// How long a scheduler leads after its last renewal. When it dies, another one leads that much later at most, and has
/// half a second left of three to read the entries.
pub const TERM: Duration = Duration::from_millis(2_400);

/// So much before the end of its term a leader stops believing in it: for clocks that run at different speeds, and for the
/// time between its last look at the clock and the arrival of a write.
pub const TERM_MARGIN: Duration = Duration::from_millis(400);

/// A scheduler that was not answered for so long is not ready. Who leads asks four times a term, who does not at least once.
pub const SCHEDULER_SILENCE: Duration = Duration::from_secs(8);

/// How often a leader renews its term, and how long a call of its may take: two may fail and a third one is in time.
pub const RENEW: Duration = Duration::from_millis(600);

/// Candidates that a free leadership wakes stand up to this much later, at random, so that not all ask at once.
pub const STAND_JITTER: Duration = Duration::from_millis(20);

/// How often a leader asks whether entries have changed: so late a new one may be noticed.
pub const ENTRY_LOOK: Duration = Duration::from_secs(1);

/// A tick that waits for the last run of its entry looks so often whether that has ended.
pub const OVERLAP_LOOK: Duration = Duration::from_secs(1);

/// Entries that a leader deals with in one round: it looks around before the next.
pub const ROUND: usize = 2_000;

/// Steps of a round that are under way at once: enough to hide a round trip, few enough to bound memory.
pub const FIRE_IN_FLIGHT: usize = 4;

/// Bytes of payloads that one step fires, unless one payload alone is larger.
pub const FIRE_BYTES: usize = 1024 * 1024;

/// How long a step may take before it is given up and asked for again: longer than a term it is not trusted anyway.
pub const FIRE_BOUND: Duration = TERM;

/// A tick that is late by no more than this was not missed: a takeover and a short outage are no misfire.
pub const DEFAULT_GRACE: Duration = Duration::from_secs(60);

/// Longest grace: more than a day late is another day's task.
pub const MAX_GRACE: Duration = Duration::from_secs(86_400);

/// Most missed ticks of one entry that are caught up with.
pub const MAX_CATCH_UP: u32 = 1_000;

// Health checks --------------------------------------------------------------------------------------------

/// Shortest time between two looks of a health check; what has to be watched closer is no check.
pub const MIN_HEALTH_EVERY: Duration = Duration::from_secs(1);

/// Longest time between two looks of a health check: a service that is looked at less than daily is not watched.
pub const MAX_HEALTH_EVERY: Duration = Duration::from_secs(86_400);

/// How long one look may take that says nothing, unless looks come closer than that.
pub const DEFAULT_HEALTH_TIMEOUT: Duration = Duration::from_secs(5);

/// Longest time that one look may take: what answers later is down for whoever waits.
pub const MAX_HEALTH_TIMEOUT: Duration = Duration::from_secs(5 * 60);

/// Bad looks in a row after which a target is unhealthy: one lost packet is no outage.
pub const DEFAULT_HEALTH_FAILURES: u32 = 3;

/// Good looks in a row after which a target is healthy again.
pub const DEFAULT_HEALTH_SUCCESSES: u32 = 1;

/// Most looks in a row that a health check may ask for before it changes its mind.
pub const MAX_HEALTH_ROW: u32 = 1_000;

/// Most labels of a health check; they become labels of metrics, where each costs.
pub const MAX_HEALTH_LABELS: usize = 16;

/// Longest text of a health check, such as its URL, a header or a pattern, in bytes. A body may be as long as
/// [`HEALTH_BODY`].
pub const MAX_HEALTH_TEXT: usize = 8 * 1024;

/// Most members of a list of a health check: words of a command, statuses, names of an allow list.
pub const MAX_HEALTH_LIST: usize = 256;

/// So much of an answer's body is read, in bytes; one that says how a service is fits in far less.
pub const HEALTH_BODY: usize = 64 * 1024;

/// Largest pattern of a health check when compiled, in bytes: to look for the worst one in the longest body takes about a
/// second, on a thread of its own.
pub const HEALTH_PATTERN: usize = 256 * 1024;

/// Most redirects that one look follows; browsers give up at twenty.
pub const MAX_HEALTH_REDIRECTS: u32 = 10;

/// Longest warning before a certificate expires, in days. Certificates are valid for a year at most.
pub const MAX_HEALTH_CERTIFICATE_DAYS: u32 = 365;

/// Addresses of one name that a look tries; all of them are checked.
pub const HEALTH_ADDRESSES: usize = 16;

/// How long the system's authorities for TLS are kept before they are read again.
pub const HEALTH_AUTHORITIES: Duration = Duration::from_secs(3_600);

/// Longest reason that a look gives, in bytes. Part of it may come from the target.
pub const MAX_HEALTH_REASON: usize = 400;

/// Latencies that are kept of a health check: enough for a small chart.
pub const MAX_HEALTH_LATENCIES: usize = 60;

/// Changes that are kept of a health check.
pub const MAX_HEALTH_TRANSITIONS: usize = 10;

/// More changes of a check's health than this within the window are flapping.
pub const DEFAULT_ALERT_FLAPS: u32 = 5;

/// How far back changes count for flapping.
pub const DEFAULT_ALERT_FLAP_WINDOW: Duration = Duration::from_secs(10 * 60);

/// Most changes of a check's health that an alert can be told to bear: each is remembered.
pub const MAX_ALERT_FLAPS: u32 = 100;

/// Longest name of a check or alert: the id of a notice has both, and a time.
pub const MAX_ALERT_NAME: usize = 64;

/// Most alerts about one check: a look may give rise to a notice for each.
pub const MAX_CHECK_ALERTS: usize = 8;

/// Notices that wait in a check's record until they are certain to be sent; of more than these, older ones than those of the
/// present look give way.
pub const MAX_HEALTH_OUTBOX: usize = 2 * MAX_CHECK_ALERTS;

/// How long is remembered what an alert has told of a check that this worker's configuration does not have: others may.
pub const ALERT_MEMORY: Duration = Duration::from_secs(86_400);

/// How often a program reads a document again that others write at the same time, before it gives up.
pub const DOCUMENT_TRIES: usize = 20;

/// What the task of a look may take besides the look: asking the broker for the time and noting what was seen.
pub const LOOK_MARGIN: Duration = Duration::from_secs(15);

/// How long the result of a look is kept; the record has what matters.
pub const LOOK_RESULT_TTL: Duration = Duration::from_secs(60);

/// Limit of one attempt to deliver a notice.
pub const NOTIFY_TIMEOUT: Duration = Duration::from_secs(90);

/// Least slots that a worker has for looks unless it is told: checks may be added while it runs.
pub const MIN_HEALTH_SLOTS: usize = 32;

/// Most slots that a worker has for looks unless it is told: each may hold a connection.
pub const MAX_HEALTH_SLOTS: usize = 256;

/// Shortest time between two notices of the same trouble: who is told more often stops reading.
pub const MIN_ALERT_REPEAT: Duration = Duration::from_secs(60);

/// Longest time between two notices of the same trouble.
pub const MAX_ALERT_REPEAT: Duration = Duration::from_secs(30 * 86_400);

/// Shortest time in which changes count for flapping: checks look no more often than each second.
pub const MIN_ALERT_FLAP_WINDOW: Duration = Duration::from_secs(60);

/// Longest time in which changes count for flapping.
pub const MAX_ALERT_FLAP_WINDOW: Duration = Duration::from_secs(86_400);

/// How long one attempt to deliver a notice by HTTP may take that says nothing.
pub const DEFAULT_ALERT_TIMEOUT: Duration = Duration::from_secs(10);

/// Longest time that one attempt to deliver a notice by HTTP may take.
pub const MAX_ALERT_TIMEOUT: Duration = Duration::from_secs(60);

/// How long one attempt to deliver a notice by mail may take: servers think about strangers for a while.
pub const ALERT_EMAIL_TIMEOUT: Duration = Duration::from_secs(60);

/// Longest pause that a receiver of notices is granted when it asks for one: longer, and the news is old.
pub const MAX_ALERT_RETRY_AFTER: Duration = Duration::from_secs(3_600);

/// Most recipients of one mail; more are a list at the server.
pub const MAX_ALERT_RECIPIENTS: usize = 50;

/// Longest address of a mail, in bytes, as the standard has it.
pub const MAX_ALERT_ADDRESS: usize = 254;

/// Longest subject of a mail, in characters.
pub const MAX_ALERT_SUBJECT: usize = 200;

/// Largest secret that an alert reads from a file, in bytes.
pub const MAX_ALERT_SECRET: usize = 64 * 1024;

/// Longest line of an answer of a mail server, in bytes; the standard allows 512 bytes.
pub const ALERT_SMTP_LINE: usize = 2_048;

/// Most lines of one answer of a mail server.
pub const ALERT_SMTP_LINES: usize = 100;
