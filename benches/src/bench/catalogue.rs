//! What is measured, and what stands beside what.

/// Measurements that are made in turn, since their figures are compared.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    pub(crate) place: Place,
    pub(crate) rows: Vec<Row>,
}

/// One measurement of one system, or of every peer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Row {
    pub(crate) who: Who,
    /// What the driver is asked for.
    pub(crate) asks: &'static str,
    /// The metrics that come of it, before the place gives them their full names.
    pub(crate) brings: &'static [&'static str],
    pub(crate) tasks: Tasks,
    pub(crate) way: Way,
    pub(crate) weight: Weight,
}

/// Who is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Who {
    Floor,
    Taskq,
    Peers,
}

/// How many tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tasks {
    /// As many as the command line says; fewer on slower engines.
    Bulk,
    /// Few, since each takes a round trip of its own.
    Lone(u64),
    /// This many whatever the command line says: the metric is defined so.
    Exactly(u64),
}

/// What the harness does meanwhile, besides looking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// Nothing.
    Alone,
    /// Gives the driver this many percent of the measured capacity as its rate.
    Load(u32),
    /// Tells the driver to keep a backlog of so many tasks.
    Backlog(u64),
    /// Starts so many worker processes when the driver says so.
    Workers(usize),
    /// Measures once alone and once beside so many idle worker processes.
    BesideIdle(usize),
}

/// Whether `--quick` leaves it out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Weight {
    Light,
    Heavy,
}

/// On what it is measured. It gives metrics their full names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// A server that keeps nothing on disk.
    Redis,
    /// The same, one millisecond away in each direction.
    RedisFar,
    /// With an append-only file, synced every second.
    RedisEverySecond,
    /// With an append-only file, synced before every answer.
    RedisAlways,
    /// A file, with `synchronous=full`.
    SqliteFull,
    /// A file, with `synchronous=normal`.
    SqliteNormal,
}

/// What stands behind a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Engine {
    Redis,
    Sqlite,
}

impl Place {
    pub(crate) fn engine(self) -> Engine {
        match self {
            Self::Redis | Self::RedisFar | Self::RedisEverySecond | Self::RedisAlways => Engine::Redis,
            Self::SqliteFull | Self::SqliteNormal => Engine::Sqlite,
        }
    }

    /// The full name of a metric.
    pub(crate) fn name(self, metric: &str) -> String {
        match self {
            Self::Redis => metric.to_owned(),
            Self::RedisFar => format!("{metric}_1ms"),
            Self::RedisEverySecond => format!("{metric}_aof_everysec"),
            Self::RedisAlways => format!("{metric}_aof_always"),
            Self::SqliteFull => format!("sqlite_full_{metric}"),
            Self::SqliteNormal => format!("sqlite_normal_{metric}"),
        }
    }
}

/// The floor that a metric of taskq is measured against, before the place gives it its full name.
pub(crate) fn floor_of(metric: &str, engine: Engine) -> Option<&'static str> {
    Some(match (engine, metric) {
        (Engine::Redis, "enqueue_one") => "enqueue_one",
        (Engine::Redis, "enqueue_one_p99_us") => "enqueue_one_p99_us",
        (Engine::Redis, "enqueue_all" | "enqueue_all_untracked") => "enqueue_all",
        (Engine::Redis, "drain") => "drain",
        (Engine::Redis, "drain_results") => "drain_results",
        (Engine::Redis, "redis_us_per_task") => "redis_us_per_task",
        (Engine::Redis, "worker_us_per_task") => "worker_us_per_task",
        (Engine::Redis, "drain_results_redis_us_per_task") => "drain_results_redis_us_per_task",
        (Engine::Redis, "drain_results_worker_us_per_task") => "drain_results_worker_us_per_task",
        (Engine::Redis, "start_p50_us") => "wake_p50_us",
        (Engine::Redis, "start_p99_us") => "wake_p99_us",
        (Engine::Redis, "start_p999_us") => "wake_p999_us",
        (Engine::Redis, "result_p50_us") => "two_hop_p50_us",
        (Engine::Redis, "result_p99_us") => "two_hop_p99_us",
        (Engine::Redis, "result_p999_us") => "two_hop_p999_us",
        (Engine::Sqlite, "enqueue_one") => "fsync_us",
        _ => return None,
    })
}

/// Everything, in the order in which it is measured.
pub(crate) fn groups() -> Vec<Group> {
    let mut groups = redis();
    groups.extend(far());
    groups.extend([Place::RedisEverySecond, Place::RedisAlways].into_iter().flat_map(append_only));
    groups.extend([Place::SqliteFull, Place::SqliteNormal].into_iter().flat_map(sqlite));
    groups
}

const ENQUEUE_ONE: &[&str] = &["enqueue_one", "enqueue_one_p99_us"];
const START: &[&str] = &["start_p50_us", "start_p99_us", "start_p999_us"];
const RESULT: &[&str] = &["result_p50_us", "result_p99_us", "result_p999_us"];
const WAKE: &[&str] = &["wake_p50_us", "wake_p99_us", "wake_p999_us"];
const TWO_HOP: &[&str] = &["two_hop_p50_us", "two_hop_p99_us", "two_hop_p999_us"];
const START_PROCESSES: &[&str] = &["start_processes_p50_us", "start_processes_p99_us", "start_processes_p999_us"];
const ENQUEUE_ALL: &[&str] = &["enqueue_all", "bytes_queued"];
const UNTRACKED: &[&str] = &["enqueue_all_untracked", "bytes_queued_untracked"];
const DRAIN: &[&str] = &["drain", "redis_us_per_task", "worker_us_per_task", "worker_rss"];
const DRAIN_RESULTS: &[&str] = &[
    "drain_results",
    "drain_results_redis_us_per_task",
    "drain_results_worker_us_per_task",
    "drain_results_worker_rss",
];
const FLOW: &[&str] = &["flow", "flow_redis_us_per_task"];
const FLOW_RESULTS: &[&str] = &["flow_results", "flow_results_redis_us_per_task"];
const IDLE: &[&str] = &["idle_commands", "idle_cpu_percent", "idle_rss"];
const DUE: &[&str] = &["due_100k_s", "due_100k_stall_ms", "due_100k_longest_command_ms", "due_early"];
const PURGE: &[&str] =
    &["purge_1m_s", "purge_1m_stall_ms", "purge_1m_longest_command_ms", "purge_1m_redis_us_per_task"];
const PURGE_DELAYED: &[&str] = &[
    "purge_delayed_s",
    "purge_delayed_stall_ms",
    "purge_delayed_longest_command_ms",
    "purge_delayed_redis_us_per_task",
];
const REDIS_BENCHMARK: &[&str] =
    &["redis_benchmark_ping", "redis_benchmark_lpush", "redis_benchmark_ping_p100", "redis_benchmark_lpush_p100"];

const LAYOUTS: &[&str] = &[
    "layout_inline_bodies_us",
    "layout_one_row_a_claim_us",
    "layout_ids_and_body_hash_us",
    "layout_stream_us",
    "layout_hash_a_task_us",
    "layout_lease_a_task_us",
    "layout_result_as_key_us",
    "layout_result_as_field_us",
];

/// Tasks whose memory is measured: tables grow in powers of two, so another number gives other bytes.
const WEIGHED: Tasks = Tasks::Exactly(100_000);

const MOST_LONE: u64 = 3_000;

fn redis() -> Vec<Group> {
    use Who::{Floor, Peers, Taskq};
    let lone = Tasks::Lone(MOST_LONE);
    let latency = Tasks::Lone(1_000);
    [
        vec![
            row(Floor, "ping", &["ping"]).of(lone),
            row(Floor, "enqueue_one", ENQUEUE_ONE).of(lone),
            row(Taskq, "enqueue_one", ENQUEUE_ONE).of(lone),
            row(Taskq, "enqueue_over_ping", &["enqueue_over_ping"]).of(lone),
            row(Peers, "enqueue_one", ENQUEUE_ONE).of(lone),
        ],
        vec![
            row(Taskq, "enqueue_64", &["enqueue_64"]).of(Tasks::Lone(60_000)),
            row(Peers, "enqueue_64", &["enqueue_64"]).of(Tasks::Lone(20_000)),
        ],
        vec![
            row(Floor, "enqueue_all", &["enqueue_all"]),
            row(Taskq, "enqueue_all", ENQUEUE_ALL),
            row(Taskq, "enqueue_all_untracked", UNTRACKED),
            row(Peers, "enqueue_all", ENQUEUE_ALL),
        ],
        vec![
            row(Taskq, "fill_delayed", &["bytes_delayed", "enqueue_all_delayed"]).of(WEIGHED),
            row(Taskq, "fill_finished", &["bytes_finished"]).of(WEIGHED),
        ],
        vec![row(Floor, "drain", DRAIN), row(Taskq, "drain", DRAIN), row(Peers, "drain", DRAIN)],
        vec![
            row(Floor, "drain_results", DRAIN_RESULTS),
            row(Taskq, "drain_results", DRAIN_RESULTS),
            row(Peers, "drain_results", DRAIN_RESULTS),
        ],
        vec![row(Taskq, "flow", FLOW), row(Peers, "flow", FLOW)],
        vec![row(Taskq, "flow_results", FLOW_RESULTS), row(Peers, "flow_results", FLOW_RESULTS)],
        vec![
            row(Floor, "wake", WAKE).of(latency),
            row(Taskq, "start", START).of(latency),
            row(Taskq, "start_processes", START_PROCESSES).of(latency).by(Way::Workers(1)),
            row(Peers, "start", START).of(latency),
        ],
        vec![
            row(Floor, "two_hop", TWO_HOP).of(latency),
            row(Taskq, "result", RESULT).of(latency),
            row(Peers, "result", RESULT).of(latency),
        ],
        vec![
            row(Taskq, "load_capacity", &["load_capacity"]),
            row(Taskq, "load", LOAD_10).by(Way::Load(10)),
            row(Taskq, "load", LOAD_50).by(Way::Load(50)),
            row(Taskq, "load", LOAD_80).by(Way::Load(80)),
        ],
        vec![row(Taskq, "idle", IDLE), row(Peers, "idle", IDLE)],
        vec![
            row(Taskq, "due_100k", DUE).of(Tasks::Exactly(100_000)),
            row(Peers, "due_100k", DUE).of(Tasks::Exactly(100_000)),
        ],
        vec![
            row(Taskq, "purge_1m", PURGE).of(Tasks::Exactly(1_000_000)),
            row(Taskq, "purge_delayed", PURGE_DELAYED).of(Tasks::Exactly(400_000)).heavy(),
        ],
        vec![
            row(Taskq, "backlog", &["redis_us_backlog_1k", "rate_backlog_1k"]).by(Way::Backlog(1_000)),
            row(Taskq, "backlog", &["redis_us_backlog_100k", "rate_backlog_100k"]).by(Way::Backlog(100_000)),
            row(Taskq, "backlog", &["redis_us_backlog_2m", "rate_backlog_2m"]).by(Way::Backlog(2_000_000)).heavy(),
        ],
        vec![
            row(Taskq, "processes", &["redis_us_processes_1", "rate_processes_1"]).by(Way::Workers(1)),
            row(Taskq, "processes", &["redis_us_processes_8", "rate_processes_8"]).by(Way::Workers(8)),
            row(Taskq, "processes", &["redis_us_processes_64", "rate_processes_64"]).by(Way::Workers(64)).heavy(),
        ],
        vec![row(Taskq, "drain", &["busy_beside_64_idle"]).by(Way::BesideIdle(64)).heavy()],
        vec![row(Floor, "redis_benchmark", REDIS_BENCHMARK).heavy()],
        vec![row(Floor, "layouts", LAYOUTS).of(Tasks::Exactly(40_000)).heavy()],
    ]
    .into_iter()
    .map(|rows| Group { place: Place::Redis, rows })
    .collect()
}

const LOAD_10: &[&str] = &[
    "load_10_start_p50_us",
    "load_10_start_p99_us",
    "load_10_start_p999_us",
    "load_10_result_p50_us",
    "load_10_result_p99_us",
    "load_10_result_p999_us",
];
const LOAD_50: &[&str] = &[
    "load_50_start_p50_us",
    "load_50_start_p99_us",
    "load_50_start_p999_us",
    "load_50_result_p50_us",
    "load_50_result_p99_us",
    "load_50_result_p999_us",
];
const LOAD_80: &[&str] = &[
    "load_80_start_p50_us",
    "load_80_start_p99_us",
    "load_80_start_p999_us",
    "load_80_result_p50_us",
    "load_80_result_p99_us",
    "load_80_result_p999_us",
];

/// One millisecond away: what needs many round trips shows it.
fn far() -> Vec<Group> {
    use Who::{Floor, Taskq};
    let lone = Tasks::Lone(300);
    let rows = vec![
        row(Floor, "enqueue_one", ENQUEUE_ONE).of(lone).heavy(),
        row(Taskq, "enqueue_one", ENQUEUE_ONE).of(lone).heavy(),
        row(Floor, "wake", WAKE).of(lone).heavy(),
        row(Taskq, "start", START).of(lone).heavy(),
        row(Taskq, "flow", FLOW).heavy(),
    ];
    vec![Group { place: Place::RedisFar, rows }]
}

/// What a server that writes everything down makes of the rows for which it matters.
fn append_only(place: Place) -> Vec<Group> {
    use Who::{Floor, Taskq};
    let lone = Tasks::Lone(1_000);
    [
        vec![row(Floor, "enqueue_one", ENQUEUE_ONE).of(lone), row(Taskq, "enqueue_one", ENQUEUE_ONE).of(lone)],
        vec![
            row(Floor, "enqueue_all", &["enqueue_all"]),
            row(Taskq, "enqueue_all", ENQUEUE_ALL),
            row(Taskq, "enqueue_all_untracked", UNTRACKED),
        ],
        vec![row(Floor, "drain", DRAIN), row(Taskq, "drain", DRAIN)],
        vec![row(Floor, "drain_results", DRAIN_RESULTS), row(Taskq, "drain_results", DRAIN_RESULTS)],
        vec![row(Taskq, "flow", FLOW)],
        vec![row(Taskq, "flow_results", FLOW_RESULTS)],
    ]
    .into_iter()
    .map(|rows| Group { place, rows })
    .collect()
}

fn sqlite(place: Place) -> Vec<Group> {
    use Who::{Floor, Peers, Taskq};
    let lone = Tasks::Lone(400);
    let worker = &["drain", "worker_us_per_task", "worker_rss"];
    let with_results = &["drain_results", "drain_results_worker_us_per_task", "drain_results_worker_rss"];
    let due = &["due_100k_s", "due_early"];
    let mut groups = vec![
        vec![
            row(Floor, "fsync", &["fsync", "fsync_us"]).of(lone),
            row(Taskq, "enqueue_one", ENQUEUE_ONE).of(lone),
            row(Peers, "enqueue_one", ENQUEUE_ONE).of(lone),
        ],
        vec![
            row(Taskq, "enqueue_64", &["enqueue_64"]).of(Tasks::Lone(10_000)),
            row(Peers, "enqueue_64", &["enqueue_64"]).of(Tasks::Lone(5_000)),
        ],
        vec![row(Taskq, "enqueue_all", ENQUEUE_ALL), row(Peers, "enqueue_all", ENQUEUE_ALL)],
        vec![row(Taskq, "drain", worker), row(Peers, "drain", worker)],
        vec![row(Taskq, "drain_results", with_results), row(Peers, "drain_results", with_results)],
        vec![row(Taskq, "flow", &["flow"]), row(Peers, "flow", &["flow"])],
        vec![
            row(Taskq, "start", START).of(lone),
            row(Taskq, "start_processes", START_PROCESSES).of(lone).by(Way::Workers(1)),
            row(Peers, "start", START).of(lone),
        ],
        vec![row(Taskq, "result", RESULT).of(lone), row(Peers, "result", RESULT).of(lone)],
        vec![
            row(Taskq, "due_100k", due).of(Tasks::Exactly(100_000)).heavy(),
            row(Peers, "due_100k", due).of(Tasks::Exactly(100_000)).heavy(),
        ],
    ];
    // A worker with nothing to do syncs nothing, so the mode makes no difference.
    if place == Place::SqliteFull {
        let idle = &["idle_cpu_percent", "idle_rss"];
        groups.push(vec![row(Taskq, "idle", idle).heavy(), row(Peers, "idle", idle).heavy()]);
    }
    groups.into_iter().map(|rows| Group { place, rows }).collect()
}

fn row(who: Who, asks: &'static str, brings: &'static [&'static str]) -> Row {
    Row { who, asks, brings, tasks: Tasks::Bulk, way: Way::Alone, weight: Weight::Light }
}

impl Row {
    fn of(self, tasks: Tasks) -> Self {
        Self { tasks, ..self }
    }

    fn by(self, way: Way) -> Self {
        Self { way, ..self }
    }

    fn heavy(self) -> Self {
        Self { weight: Weight::Heavy, ..self }
    }
}
