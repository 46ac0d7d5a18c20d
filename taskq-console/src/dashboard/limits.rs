//! Every bound of the dashboard, each with its reason.

use std::time::Duration;

/// Pause between two looks at the broker while somebody watches: with the reports of busy workers, which come each half
/// second, what happens is seen within a second.
pub(super) const LOOK_PAUSE: Duration = Duration::from_millis(400);

/// A look is followed by a pause at least so many times as long as it took, so that no broker serves mostly the dashboard.
pub(super) const LOOK_SHARE: u32 = 4;

/// The pause after a look that somebody waits for, whose page is to come soon; a shorter look has one as long as itself.
pub(super) const LOOK_BREATH: Duration = Duration::from_millis(50);

/// Longest pause between two looks, however slow the broker is.
pub(super) const LOOK_PAUSE_MOST: Duration = Duration::from_secs(5);

/// The dashboard looks on for so long after the last browser has gone: one that goes from page to page leaves no gap.
pub(super) const LINGER: Duration = Duration::from_secs(2);

/// How long one broker call of a page may take, and a look. A page waits for two: the one under way, and its own.
pub(super) const CALL: Duration = Duration::from_secs(3);

/// How long a whole request may take, streams excepted.
pub(super) const REQUEST: Duration = Duration::from_secs(20);

/// For so long the last look is good enough for the marks beside the sections of a page that needs none itself.
pub(super) const REMEMBERED: Duration = Duration::from_secs(60);

/// Queues that a look counts, by name. More are listed and not counted.
pub(super) const QUEUES: usize = 200;

/// Broker calls of a look that are under way at once.
pub(super) const CALLS_AT_ONCE: usize = 8;

/// Members of the fleet that a look reads.
pub(super) const MEMBERS: usize = 1_000;

/// How often a look includes health and schedules, which change slowly.
pub(super) const SLOW_LOOK: Duration = Duration::from_secs(2);

/// Rows of health that the dashboard shows.
pub(super) const HEALTH_ROWS: usize = 500;

/// Time between two points of a chart.
pub(super) const CHART_STEP: Duration = Duration::from_secs(2);

/// Points of a chart: five minutes.
pub(super) const CHART_POINTS: usize = 150;

/// Figures of a member that are kept to tell its rate: a few seconds of a busy one.
pub(super) const KEPT_FIGURES: usize = 12;

/// Over how long a rate is told.
pub(super) const RATE_WINDOW: Duration = Duration::from_secs(4);

/// Browsers that are kept up to date at once.
pub(super) const STREAMS: usize = 64;

/// A stream ends after so long and the browser opens another, which is asked again who it is.
pub(super) const STREAM_AGE: Duration = Duration::from_secs(10 * 60);

/// A silent stream says so often that it lives.
pub(super) const STREAM_KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Tasks, queues, lists, schedules and the stream of events that are kept up to date at once, for however many browsers: a
/// stream has one at most, and so has a page of events while it is made.
pub(super) const WATCHED: usize = STREAMS + 1;

/// Tasks that one look reads for all lists together, and what else is watched, before the rest waits for the next look: a
/// list whose filter lets nothing through, or forty without a filter.
pub(super) const WATCHED_LOOK: u64 = LOOK;

/// What anything but a list counts as among them: a few calls are about as dear as a page of a list.
pub(super) const WATCHED_CALLS: u64 = PAGE_ROWS as u64;

/// How long a look reads what is watched, so that figures follow within a second on a slow broker too.
pub(super) const WATCHED_TIME: Duration = Duration::from_millis(150);

/// Longest query string, in bytes.
pub(super) const MAX_QUERY: usize = 4 * 1024;

/// Largest form, in bytes: two hundred ids.
pub(super) const MAX_FORM: usize = 64 * 1024;

/// Rows of a page of tasks or schedules.
pub(super) const PAGE_ROWS: usize = 50;

/// Tasks that a page with a filter looks at before it is shown: more take longer than people wait for a page.
pub(super) const LOOK: u64 = 2_000;

/// Events that are kept here while somebody watches them, the newest, and that a page of older ones looks at: about a
/// megabyte, and read in ten calls.
pub(super) const EVENTS: usize = 2_000;

/// Rows of a page of events.
pub(super) const EVENT_ROWS: usize = 100;

/// Rows of the first list on a page that has several.
pub(super) const SHORT_ROWS: usize = 8;

/// Dead letters that one bulk request replays or drops: it ends in time, and says how many are left.
pub(super) const BULK: usize = 500;

/// Pages of dead letters that one bulk request looks at.
pub(super) const BULK_PAGES: usize = 20;

/// Steps of a purge that one request takes; each takes at most [`taskq_core::limits::PURGE_BATCH`] out.
pub(super) const PURGE_STEPS: usize = 250;

/// How long a request of many steps goes on before it says how far it came.
pub(super) const BULK_TIME: Duration = Duration::from_secs(8);

/// Longest text of arguments, results or a header that a page shows, in bytes.
pub(super) const SHOWN_TEXT: usize = 64 * 1024;

/// Longest preview of arguments in a row, in characters.
pub(super) const PREVIEW: usize = 120;

/// Fire times that a schedule shows.
pub(super) const FIRE_TIMES: usize = 10;

/// People who are signed in at once. One more ends the session that was idle for longest.
pub(super) const SESSIONS: usize = 1_000;

/// A session ends after so long without a request.
pub(super) const SESSION_IDLE: Duration = Duration::from_secs(2 * 3_600);

/// A session ends after so long.
pub(super) const SESSION_AGE: Duration = Duration::from_secs(12 * 3_600);

/// Wrong passwords from one address in [`LOGIN_WINDOW`] before it has to wait.
pub(super) const LOGIN_FAILURES: u32 = 5;

/// Wrong passwords from all addresses together in [`LOGIN_WINDOW`] before everybody has to wait.
pub(super) const LOGIN_FAILURES_IN_ALL: u32 = 100;

/// How long wrong passwords count.
pub(super) const LOGIN_WINDOW: Duration = Duration::from_secs(60);

/// Addresses whose wrong passwords are counted. Those beyond it count together.
pub(super) const LOGIN_ADDRESSES: usize = 4_096;

/// Passwords that are checked at once: each takes 19 MiB and tens of milliseconds.
pub(super) const LOGINS_AT_ONCE: usize = 2;

/// Longest password, in bytes.
pub(super) const MAX_PASSWORD: usize = 1_024;

/// Most accounts.
pub(super) const MAX_ACCOUNTS: usize = 1_000;

/// Longest name of a person, in bytes.
pub(super) const MAX_PERSON: usize = 128;

/// Notes that wait to be shown on the next page.
pub(super) const NOTES: usize = 256;
