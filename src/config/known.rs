//! Every key that may be set: its default, and what it means.

/// A key that may be set: its path, its default as shown, what it means. A `*` stands for any name.
pub(super) struct Known {
    pub(super) key: &'static str,
    pub(super) default: &'static str,
    pub(super) meaning: &'static str,
}

pub(super) const KNOWN: &[Known] = &[
    Known { key: "broker.url", default: "sqlite://taskq.db", meaning: "where tasks are kept" },
    Known { key: "events", default: "off", meaning: "whether it tells what happens: off or on; see docs/events.md" },
    Known { key: "client.deadline", default: "5s", meaning: "deadline of one client call" },
    Known { key: "client.replicas", default: "0", meaning: "replicas that confirm each enqueue; Redis only" },
    Known { key: "worker.drain", default: "25s", meaning: "time to finish after SIGTERM" },
    Known { key: "worker.lease", default: "4500ms", meaning: "how long a silent worker is trusted, 600ms to 10m" },
    Known { key: "worker.default_timeout", default: "30m", meaning: "limit of attempts that declare none" },
    Known { key: "worker.unregistered_bound", default: "24h", meaning: "how long unknown tasks are handed back" },
    Known {
        key: "worker.plain_threads",
        default: "",
        meaning: "most threads for plain bodies; as many as slots if unset",
    },
    Known { key: "worker.queues.*", default: "", meaning: "slots of one queue; all declared queues with 10 if none" },
    Known { key: "worker.shared", default: "", meaning: "queues that share slots: slots, order, queues" },
    Known { key: "security.sign_with", default: "", meaning: "id of the key that signs tasks" },
    Known { key: "security.encrypt_with", default: "", meaning: "id of the key that encrypts tasks and results" },
    Known {
        key: "security.require_signature",
        default: "false",
        meaning: "whether unsigned tasks become dead letters",
    },
    Known {
        key: "security.require_encryption",
        default: "false",
        meaning: "whether unencrypted tasks become dead letters",
    },
    Known {
        key: "security.keys.*",
        default: "",
        meaning: "a key: its algorithm, and its file or environment variable",
    },
    Known { key: "schedule.*.every", default: "", meaning: "run a task every so long: 30s, 15m, 1h 30m" },
    Known {
        key: "schedule.*.cron",
        default: "",
        meaning: "or by a cron text of 5, 6 or 7 fields, or @daily and the like",
    },
    Known { key: "schedule.*.at", default: "", meaning: "or once: 2026-12-24T18:00:00Z" },
    Known {
        key: "schedule.*.calendar",
        default: "",
        meaning: "or every n days, weeks, months or years: { every = \"2 weeks\", from = \"2026-01-05 07:30\" }",
    },
    Known {
        key: "schedule.*.timezone",
        default: "",
        meaning: "zone of cron and calendar, such as Europe/Paris; UTC if unset",
    },
    Known {
        key: "schedule.*.from_start",
        default: "",
        meaning: "whether an interval counts from the start, not from 1970",
    },
    Known { key: "schedule.*.start", default: "", meaning: "the earliest instant at which it fires" },
    Known { key: "schedule.*.end", default: "", meaning: "the latest instant at which it fires" },
    Known { key: "schedule.*.jitter", default: "", meaning: "delays each task by up to this long" },
    Known { key: "schedule.*.task", default: "", meaning: "name of the task that it enqueues" },
    Known { key: "schedule.*.args", default: "", meaning: "its arguments, a table keyed by parameter name" },
    Known {
        key: "schedule.*.elsewhere",
        default: "",
        meaning: "whether the task is part of another program; then nobody checks it",
    },
    Known { key: "schedule.*.queue", default: "", meaning: "its queue; that which the task declares if unset" },
    Known { key: "schedule.*.priority", default: "", meaning: "0 to 9; 9 runs first" },
    Known { key: "schedule.*.timeout", default: "", meaning: "limit of one attempt" },
    Known { key: "schedule.*.expires_in", default: "", meaning: "no attempt starts later than this after the tick" },
    Known { key: "schedule.*.attempts", default: "", meaning: "how often it is tried, with exponential backoff" },
    Known { key: "schedule.*.headers", default: "", meaning: "headers of the task, a table of texts" },
    Known {
        key: "schedule.*.misfire",
        default: "",
        meaning: "ticks that were missed: skip, once (the last one), or { all = 100 }; once if unset",
    },
    Known { key: "schedule.*.grace", default: "", meaning: "how late a tick may be and is not missed; 1m if unset" },
    Known {
        key: "schedule.*.overlap",
        default: "",
        meaning: "ticks while the last run goes on: allow, skip, queue_one, cancel_old; allow if unset",
    },
    Known { key: "health.*.every", default: "", meaning: "look every so long, 1s to 1d" },
    Known { key: "health.*.timeout", default: "", meaning: "how long one look may take; 5s if unset" },
    Known { key: "health.*.failures", default: "", meaning: "bad looks in a row until it is unhealthy; 3 if unset" },
    Known {
        key: "health.*.successes",
        default: "",
        meaning: "good looks in a row until it is healthy again; 1 if unset",
    },
    Known { key: "health.*.labels", default: "", meaning: "a table of texts, for alerts and metrics" },
    Known { key: "health.*.http", default: "", meaning: "a URL, or a table: see docs/health.md" },
    Known { key: "health.*.tcp", default: "", meaning: "or host:port" },
    Known { key: "health.*.redis", default: "", meaning: "or the URL of a Redis" },
    Known { key: "health.*.sqlite", default: "", meaning: "or the path of a SQLite file" },
    Known {
        key: "health.*.command",
        default: "",
        meaning: "or a program with its words; needs security.check_commands",
    },
    Known {
        key: "health.*.task",
        default: "",
        meaning: "or a task: { name = \"check_stock\", args = {}, queue = \"default\" }",
    },
    Known { key: "alert.*.checks", default: "", meaning: "names of checks, * stands for anything; all if unset" },
    Known { key: "alert.*.labels", default: "", meaning: "labels that a check has to have" },
    Known { key: "alert.*.on", default: "", meaning: "what is told: unhealthy, degraded; unhealthy if unset" },
    Known { key: "alert.*.recovery", default: "", meaning: "whether the end is told; true if unset" },
    Known { key: "alert.*.repeat", default: "", meaning: "tell again every so long while it lasts" },
    Known {
        key: "alert.*.flaps",
        default: "",
        meaning: "more changes than this within flap_window are flapping; 5 if unset",
    },
    Known { key: "alert.*.flap_window", default: "", meaning: "10m if unset" },
    Known { key: "alert.*.webhook", default: "", meaning: "a URL, or a table: see docs/health.md" },
    Known { key: "alert.*.slack", default: "", meaning: "or the URL of an incoming webhook of Slack or Mattermost" },
    Known { key: "alert.*.email", default: "", meaning: "or a table: server, from, to and more" },
    Known {
        key: "alert.*.task",
        default: "",
        meaning: "or a task with a parameter notice: { name = \"page\", queue = \"ops\" }",
    },
    Known {
        key: "security.check_targets",
        default: "",
        meaning: "where health checks may look that were added at run time: hosts, addresses, networks",
    },
    Known { key: "security.check_commands", default: "false", meaning: "whether health checks may run commands" },
    Known { key: "log.filter", default: "info", meaning: "what is logged, as in RUST_LOG" },
];

/// Whether this is a key that may be set.
pub(super) fn is_known(path: &[String]) -> bool {
    KNOWN.iter().any(|known| {
        let pattern: Vec<_> = known.key.split('.').collect();
        pattern.len() == path.len() && is_begun_by(&pattern, path)
    })
}

/// Whether keys that may be set are below this one.
pub(super) fn leads_somewhere(path: &[String]) -> bool {
    KNOWN.iter().any(|known| {
        let pattern: Vec<_> = known.key.split('.').collect();
        pattern.len() > path.len() && is_begun_by(&pattern, path)
    })
}

/// Whether this is a named table of keys, such as `schedule.weekly-report`.
pub(super) fn is_section(path: &[String]) -> bool {
    let is_named = |pattern: &[&str]| pattern.get(1) == Some(&"*") && pattern.len() == 3;
    path.len() == 2
        && KNOWN.iter().any(|known| {
            let pattern: Vec<_> = known.key.split('.').collect();
            is_named(&pattern) && is_begun_by(&pattern, path)
        })
}

fn is_begun_by(pattern: &[&str], path: &[String]) -> bool {
    pattern.iter().zip(path).all(|(wanted, name)| (*wanted == "*" && !name.is_empty()) || wanted == name)
}

/// The known key that looks most like this one, with its names.
pub(super) fn nearest(path: &[String]) -> String {
    let key = path.join(".");
    let with_names = |known: &Known| -> String {
        let names = known.key.split('.').enumerate();
        let name = |(index, part): (usize, &str)| match (part, path.get(index)) {
            ("*", Some(name)) => name.clone(),
            (part, _) => part.to_owned(),
        };
        names.map(name).collect::<Vec<_>>().join(".")
    };
    KNOWN.iter().map(with_names).min_by_key(|known| strsim::levenshtein(known, &key)).unwrap_or_default()
}
