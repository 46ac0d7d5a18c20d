//! The short form of `cargo xtask chaos`: nemeses for some seconds, one after the other. The figures of the long form are
//! in docs/guarantees.md.

use std::process::Command;

use serde_json::Value;

/// Some seconds of faults, and a few tasks.
const SHORT: [&str; 4] = ["--minutes", "0.15", "--tasks", "400"];

/// Plays a nemesis and gives what the conductor found, as JSON.
fn play(arguments: &[&str]) -> Value {
    let mut command = Command::new(env!("CARGO_BIN_EXE_chaos"));
    let output = command.args(arguments).args(SHORT).arg("--json").output().expect("the conductor runs");
    let (told, shown) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let last = told.lines().last().unwrap_or_else(|| panic!("it found nothing: {shown}"));
    let found: Value = serde_json::from_str(last).expect("an object a line");
    assert!(output.status.success() && found["ok"] == true, "{last}\n{shown}");
    println!("{found}");
    found
}

fn figure(found: &Value, name: &str) -> u64 {
    found[name].as_u64().unwrap_or_else(|| panic!("{name}: {found}"))
}

#[test]
fn killed_workers_lose_nothing_and_what_ran_runs_again_within_a_lease_and_a_sweep() {
    for broker in ["sqlite", "redis"] {
        let found = play(&["worker-kill", "--broker", broker, "--lease-ms", "2000"]);
        assert!(figure(&found, "kills") > 20, "{found}");
        assert!(figure(&found, "recoveries") > 0, "some were running: {found}");
    }
}

#[test]
fn stopped_workers_that_go_on_are_refused() {
    for broker in ["sqlite", "redis"] {
        let found = play(&["zombie", "--broker", broker, "--lease-ms", "1500", "--kills", "4"]);
        assert!(figure(&found, "kills") > 1, "{found}");
        assert_eq!(figure(&found, "stale_accepted"), 0);
    }
}

#[test]
fn a_killed_server_and_a_disturbed_one_lose_nothing_and_cost_no_attempt() {
    for nemesis in ["server-kill", "server-faults", "memory-full"] {
        let found = play(&[nemesis]);
        assert!(figure(&found, "kills") > 0, "{found}");
    }
}

#[test]
fn a_server_without_its_last_moments_is_reported_and_nobody_is_stuck() {
    let found = play(&["power-loss"]);
    assert!(figure(&found, "kills") > 0, "{found}");
    // Each result is waited for, two minutes at most: until it is told that there is none, or has come.
    assert!(figure(&found, "seconds") < 100, "somebody waits for what is held and not run: {found}");
}

#[test]
fn a_killed_or_stopped_leader_of_schedulers_costs_no_tick_and_doubles_none() {
    for broker in ["sqlite", "redis"] {
        let found = play(&["scheduler-kill", "--broker", broker, "--kills", "3"]);
        assert!(figure(&found, "kills") > 0 && figure(&found, "ticks") > 100, "{found}");
        assert_eq!((figure(&found, "ticks"), figure(&found, "doubled")), (figure(&found, "ticks_expected"), 0));
    }
}

#[test]
fn bodies_that_block_panic_hang_and_crash_cost_no_living_worker_its_lease() {
    let found = play(&["starvation", "--broker", "redis", "--lease-ms", "2000", "--workers", "2", "--kills", "1"]);
    assert_eq!((figure(&found, "leases_lost"), figure(&found, "misbehaved")), (0, 0));
}

#[test]
fn whoever_waits_for_results_has_them_though_nobody_can_tell_for_long() {
    let found = play(&["lost-notices"]);
    assert_eq!((figure(&found, "waits"), figure(&found, "waits_hung")), (400, 0));
    assert!(figure(&found, "kills") > 20, "{found}");
}

#[test]
fn a_failover_loses_nothing_and_a_partition_nothing_that_a_replica_had_to_confirm() {
    for nemesis in ["failover", "partition"] {
        let found = play(&[nemesis, "--kills", "1"]);
        assert_eq!((figure(&found, "kills"), figure(&found, "lost")), (1, 0), "{found}");
    }
}

#[test]
fn a_nemesis_that_needs_a_server_says_so() {
    let output = Command::new(env!("CARGO_BIN_EXE_chaos"))
        .args(["server-kill", "--broker", "sqlite"])
        .output()
        .expect("the conductor runs");
    assert!(!output.status.success());
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("use --broker redis"), "{text}");
}
