//! What a member of the fleet reports: as JSON, so that people and programs of other versions can read it.

use serde::{Deserialize, Serialize};

use crate::{clock::Timestamp, figures::Figures, limits};

/// What a process says of itself. Fields that a newer version adds are ignored by an older one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// What it is.
    pub kind: MemberKind,
    /// The name of its program.
    pub program: String,
    /// The version of taskq in it.
    pub version: String,
    /// The machine's name.
    pub host: String,
    /// Its process id there.
    pub pid: u32,
    /// When it started, by its own clock.
    pub started_at: Timestamp,
    /// When it sent this, by its own clock: beside the broker's time it tells how wrong that is.
    pub sent_at: Timestamp,
    /// Whether it takes no more tasks and ends when those that run have ended.
    #[serde(default)]
    pub draining: bool,
    /// Why it cannot work, if it cannot.
    #[serde(default)]
    pub not_ready: Option<String>,
    /// A worker's lanes.
    #[serde(default)]
    pub lanes: Vec<LaneReport>,
    /// Names of the tasks that a worker knows, at most [`REPORTED_TASKS`](crate::limits::REPORTED_TASKS).
    #[serde(default)]
    pub tasks: Vec<String>,
    /// How many tasks a worker knows in all.
    #[serde(default)]
    pub task_count: u64,
    /// What a worker runs, at most [`REPORTED_RUNNING`](crate::limits::REPORTED_RUNNING), longest first.
    #[serde(default)]
    pub running: Vec<ReportedTask>,
    /// How many tasks a worker runs in all.
    #[serde(default)]
    pub running_count: u64,
    /// The fencing token under which a scheduler leads, if it does.
    #[serde(default)]
    pub leads: Option<u64>,
    /// What a worker has counted since it began.
    #[serde(default)]
    pub figures: Figures,
}

impl Report {
    /// A report of this process, with nothing in it yet of what it does. Made once: it asks the system who this is.
    pub fn of_this_process(kind: MemberKind, started_at: Timestamp) -> Self {
        Self {
            kind,
            program: program(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            host: host(),
            pid: std::process::id(),
            started_at,
            sent_at: started_at,
            draining: false,
            not_ready: None,
            lanes: Vec::new(),
            tasks: Vec::new(),
            task_count: 0,
            running: Vec::new(),
            running_count: 0,
            leads: None,
            figures: Figures::default(),
        }
    }

    /// Its JSON, which fits into [`MAX_REPORT`](crate::limits::MAX_REPORT): what is long and least missed is left out.
    pub fn encode(mut self) -> String {
        let shorter: [fn(&mut Self); 4] = [
            |report| report.tasks.truncate(50),
            |report| report.figures.forget_task_names(),
            |report| report.running.truncate(5),
            |report| report.figures = Figures::default(),
        ];
        let encode = |report: &Self| serde_json::to_string(report).expect("texts and numbers are always JSON");
        let mut json = encode(&self);
        for shorten in shorter {
            if json.len() <= limits::MAX_REPORT {
                break;
            }
            shorten(&mut self);
            json = encode(&self);
        }
        json
    }

    /// Reads what a member has reported; none if that is nothing that this version understands.
    pub fn decode(json: &str) -> Option<Self> {
        serde_json::from_str(json).ok()
    }
}

/// The name of the program's file.
fn program() -> String {
    let path = std::env::current_exe().ok();
    let name = path.as_deref().and_then(|path| path.file_name()).map(|name| name.to_string_lossy().into_owned());
    name.unwrap_or_else(|| "unknown".to_owned())
}

/// The machine's name, as the system or its environment tells it.
fn host() -> String {
    let of_system = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let of_environment = || ["HOSTNAME", "COMPUTERNAME"].into_iter().find_map(|name| std::env::var(name).ok());
    let name = of_system.map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).or_else(of_environment);
    name.unwrap_or_else(|| "unknown".to_owned())
}

/// What a member is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MemberKind {
    /// It runs tasks.
    Worker,
    /// It stands for leader, and enqueues what is due.
    Scheduler,
    /// Something that this version does not know.
    #[serde(other)]
    Other,
}

/// Slots that queues share.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaneReport {
    /// The queues.
    pub queues: Vec<String>,
    /// Their slots.
    pub slots: u64,
}

/// A task that a worker runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportedTask {
    /// Its id.
    pub id: String,
    /// Its name.
    pub task: String,
    /// Which attempt, 1-based.
    pub attempt: u32,
    /// For how long, in milliseconds.
    pub for_ms: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let now = Timestamp::from_millis(1_800_000_000_000);
        Report {
            lanes: vec![LaneReport { queues: vec!["mail".to_owned()], slots: 20 }],
            ..Report::of_this_process(MemberKind::Worker, now)
        }
    }

    #[test]
    fn a_report_reads_back_and_one_of_another_version_is_read_as_far_as_it_goes() {
        let report = report();
        assert_eq!(Report::decode(&report.clone().encode()), Some(report));
        let newer = r#"{"kind":"gardener","program":"p","version":"9","host":"h","pid":1,"started_at":1,"sent_at":2,"mood":"good"}"#;
        let read = Report::decode(newer).expect("is understood");
        assert_eq!((read.kind, read.host.as_str(), read.running.len()), (MemberKind::Other, "h", 0));
        assert_eq!(Report::decode("what"), None);
    }

    #[test]
    fn a_report_fits_whatever_is_to_be_told() {
        let task = |number: u32| ReportedTask {
            id: format!("mail/{number:032}"),
            task: "x".repeat(128),
            attempt: 1,
            for_ms: 5,
        };
        let long = Report {
            tasks: (0..limits::REPORTED_TASKS).map(|number| format!("{number:0128}")).collect(),
            running: (0..1_000).map(task).collect(),
            ..report()
        };
        let json = long.encode();
        assert!(json.len() <= limits::MAX_REPORT, "{}", json.len());
        assert!(!Report::decode(&json).expect("reads").running.is_empty());
    }
}
