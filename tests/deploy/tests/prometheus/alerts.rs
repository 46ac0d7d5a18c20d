//! Which alerts fire in which situation: two hours of a small service that is well, in which one thing is changed at a time.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;
use taskq_test_support::{ProgramRun, TempFolder};

use crate::{
    programs::promtool,
    repository::{document, path},
};

/// What Prometheus has of a service that is well, a value a minute: two workers, two schedulers, one queue.
const WELL: [(&str, &str); 27] = [
    ("taskq_broker_errors_total{job='shop', instance='a'}", "0+1x120"),
    ("taskq_broker_reconnects_total{job='shop', instance='a'}", "0+0x60 1+0x59"),
    ("taskq_broker_up{job='shop', instance='a'}", "1x120"),
    ("taskq_broker_up{job='shop', instance='b'}", "1x120"),
    ("taskq_health_checks{job='shop', instance='a', state='healthy'}", "3x120"),
    ("taskq_health_checks{job='shop', instance='a', state='unhealthy'}", "0x120"),
    ("taskq_leases_lost_total{job='shop', instance='a', queue='mail'}", "0x120"),
    ("taskq_queue_depth{job='shop', instance='a', queue='mail', state='dead'}", "7x60 3x60"),
    ("taskq_queue_depth{job='shop', instance='a', queue='mail', state='ready'}", "2000-10x120"),
    ("taskq_queue_oldest_ready_seconds{job='shop', instance='a', queue='mail'}", "2x120"),
    ("taskq_queue_paused{job='shop', instance='a', queue='mail'}", "0x120"),
    ("taskq_queue_workers{job='shop', instance='a', queue='mail'}", "2x120"),
    ("taskq_scheduler_broker_errors_total{job='shop', instance='a'}", "0x120"),
    ("taskq_scheduler_elections_total{job='shop', instance='a'}", "0x50 1x70"),
    ("taskq_scheduler_leader{job='shop', instance='a'}", "0x50 1x70"),
    ("taskq_scheduler_leader{job='shop', instance='b'}", "1x50 0x70"),
    ("taskq_scheduler_misfires_total{job='shop', instance='a'}", "0x120"),
    ("taskq_settlements_fenced_total{job='shop', instance='a', queue='mail'}", "0x120"),
    ("taskq_tasks_panicked_total{job='shop', instance='a', queue='mail', task='send'}", "0x120"),
    ("taskq_tasks_redelivered_total{job='shop', instance='a', queue='mail'}", "0x120"),
    ("taskq_tasks_settled_total{job='shop', instance='a', queue='mail', task='send', outcome='dead'}", "0x120"),
    ("taskq_tasks_settled_total{job='shop', instance='a', queue='mail', task='send', outcome='retried'}", "0+5x120"),
    ("taskq_tasks_settled_total{job='shop', instance='a', queue='mail', task='send', outcome='succeeded'}", "0+95x120"),
    ("taskq_tasks_timed_out_total{job='shop', instance='a', queue='mail', task='send'}", "0x120"),
    ("taskq_worker_ready{job='shop', instance='a'}", "1x120"),
    ("taskq_worker_ready{job='shop', instance='b'}", "1x120"),
    ("taskq_worker_slots{job='shop', instance='a', lane='mail'}", "10x120"),
];

/// Each a change of what is [`WELL`], by the first words of a series, and the alerts that fire at its end. Nothing is there of a
/// series whose values are empty.
const SITUATIONS: [(&str, &[(&str, &str)], &[&str]); 32] = [
    ("all is well", &[], &[]),
    (
        "one worker is not ready",
        &[("taskq_worker_ready{job='shop', instance='b'", "1x110 0x10")],
        &["TaskqWorkerNotReady"],
    ),
    ("no worker is ready", &[("taskq_worker_ready", "1x110 0x10")], &["TaskqNoWorker", "TaskqWorkerNotReady"]),
    ("no worker is scraped", &[("taskq_worker_ready", "")], &["TaskqNoWorker"]),
    ("a worker was not ready for a moment", &[("taskq_worker_ready", "1x100 0 1x20")], &[]),
    (
        "one process does not reach its broker",
        &[("taskq_broker_up{job='shop', instance='b'", "1x110 0x10")],
        &["TaskqBrokerAway"],
    ),
    ("calls fail", &[("taskq_broker_errors_total", "0x100 0+60x20")], &["TaskqBrokerErrors"]),
    (
        "calls fail, and there is no scheduler",
        &[("taskq_broker_errors_total", "0x100 0+60x20"), ("taskq_scheduler_", "")],
        &["TaskqBrokerErrors"],
    ),
    ("calls of a scheduler fail", &[("taskq_scheduler_broker_errors_total", "0x100 0+60x20")], &["TaskqBrokerErrors"]),
    (
        "connections break all the time",
        &[("taskq_broker_reconnects_total", "0x100 0+1x20")],
        &["TaskqBrokerReconnects"],
    ),
    (
        "more comes than goes",
        &[("taskq_queue_depth{job='shop', instance='a', queue='mail', state='ready'", "1500+20x120")],
        &["TaskqBacklogGrows"],
    ),
    (
        "a little more comes than goes",
        &[("taskq_queue_depth{job='shop', instance='a', queue='mail', state='ready'", "0+5x120")],
        &[],
    ),
    ("tasks wait long", &[("taskq_queue_oldest_ready_seconds", "0x100 0+60x20")], &["TaskqTasksWaitLong"]),
    (
        "a queue is paused",
        &[("taskq_queue_oldest_ready_seconds", "0+60x120"), ("taskq_queue_paused", "0x10 1x110")],
        &["TaskqQueuePaused"],
    ),
    (
        "an empty queue is paused",
        &[
            ("taskq_queue_depth{job='shop', instance='a', queue='mail', state='ready'", "0x120"),
            ("taskq_queue_paused", "1x120"),
        ],
        &[],
    ),
    ("nobody serves a queue", &[("taskq_queue_workers", "2x100 0x20")], &["TaskqQueueNotServed"]),
    (
        "the first task of a process dies",
        &[(
            "taskq_tasks_settled_total{job='shop', instance='a', queue='mail', task='send', outcome='dead'",
            "0x115 1x5",
        )],
        &["TaskqDeadLettersGrow"],
    ),
    (
        "tasks die that nobody settles",
        &[("taskq_queue_depth{job='shop', instance='a', queue='mail', state='dead'", "7x115 8x5")],
        &["TaskqDeadLettersGrow"],
    ),
    (
        "every second attempt fails",
        &[(
            "taskq_tasks_settled_total{job='shop', instance='a', queue='mail', task='send', outcome='retried'",
            "0+95x120",
        )],
        &["TaskqTasksFail"],
    ),
    ("an attempt takes too long", &[("taskq_tasks_timed_out_total", "0x115 1x5")], &["TaskqTasksTimeOut"]),
    ("a body panics", &[("taskq_tasks_panicked_total", "0x115 1x5")], &["TaskqTasksPanic"]),
    ("a worker was killed", &[("taskq_tasks_redelivered_total", "0x115 8x5")], &["TaskqTasksHandedOutAgain"]),
    ("a worker stood still", &[("taskq_settlements_fenced_total", "0x115 1x5")], &["TaskqFencedWrites"]),
    ("leases are lost", &[("taskq_leases_lost_total", "0x110 0+1x10")], &["TaskqLeasesLost"]),
    ("a lease is lost", &[("taskq_leases_lost_total", "0x110 1x10")], &[]),
    ("all slots are taken", &[("taskq_worker_slots_busy", "10x120")], &["TaskqSlotsFull"]),
    ("some slots are taken", &[("taskq_worker_slots_busy", "9x120")], &[]),
    ("nobody leads", &[("taskq_scheduler_leader", "1x110 0x10")], &["TaskqNoLeader"]),
    ("there is no scheduler", &[("taskq_scheduler_", "")], &[]),
    (
        "the leader changes all the time",
        &[("taskq_scheduler_elections_total", "0x100 0+1x20")],
        &["TaskqLeaderChanges"],
    ),
    ("ticks are late", &[("taskq_scheduler_misfires_total", "0x115 2x5")], &["TaskqMisfires"]),
    (
        "something else does not work",
        &[("taskq_health_checks{job='shop', instance='a', state='unhealthy'", "0x100 1x20")],
        &["TaskqHealthCheckFails"],
    ),
];

/// The series of a situation.
fn series(changes: &[(&str, &str)]) -> BTreeMap<String, String> {
    let mut series: BTreeMap<_, _> =
        WELL.iter().map(|(name, values)| ((*name).to_owned(), (*values).to_owned())).collect();
    for (begin, values) in changes {
        let known: Vec<_> = series.keys().filter(|name| name.starts_with(begin)).cloned().collect();
        match known.is_empty() {
            true => {
                drop(series.insert(format!("{begin}{{job='shop', instance='a', lane='mail'}}"), (*values).to_owned()))
            }
            false => known.into_iter().for_each(|name| drop(series.insert(name, (*values).to_owned()))),
        }
    }
    series.retain(|_, values| !values.is_empty());
    series
}

#[test]
fn each_alert_fires_when_it_should_and_at_no_other_time() {
    let situation = |(name, changes, fires): (&str, &[(&str, &str)], &[&str])| {
        let series = series(changes).into_iter().map(|(series, values)| json!({"series": series, "values": values}));
        let fires = fires.iter().map(|alert| json!({"labels": format!("{{alertname='{alert}'}}"), "value": 1}));
        json!({
            "name": name,
            "interval": "1m",
            "input_series": series.collect::<Vec<_>>(),
            "promql_expr_test": [{
                "expr": "group by (alertname) (ALERTS{alertstate='firing'})",
                "eval_time": "119m",
                "exp_samples": fires.collect::<Vec<_>>(),
            }],
        })
    };
    let tests: Vec<_> = SITUATIONS.into_iter().map(situation).collect();
    let all =
        json!({"rule_files": [path("deploy/prometheus/alerts.yml")], "evaluation_interval": "1m", "tests": tests});
    let folder = TempFolder::new();
    // Every JSON is YAML.
    std::fs::write(folder.file("situations.yml"), all.to_string()).expect("is written");
    drop(ProgramRun::of(promtool().args(["test", "rules"]).arg(folder.file("situations.yml"))).succeeded());
}

#[test]
fn there_is_a_situation_for_each_alert() {
    let file = document("deploy/prometheus/alerts.yml");
    let rules = file["groups"][0]["rules"].as_array().expect("rules");
    let known: BTreeSet<_> = rules.iter().map(|rule| rule["alert"].as_str().expect("a name")).collect();
    let tried: BTreeSet<_> = SITUATIONS.iter().flat_map(|(_, _, fires)| fires.iter().copied()).collect();
    assert_eq!(known, tried);
}
