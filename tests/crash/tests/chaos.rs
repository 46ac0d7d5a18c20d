//! The short form of `cargo xtask chaos`: each nemesis for some seconds, one after the other. The figures of the long form
//! are in docs/guarantees.md.

use std::process::Command;

/// Plays a nemesis and gives what the conductor found, as JSON.
fn play(arguments: &[&str]) -> serde_json::Value {
    let mut command = Command::new(env!("CARGO_BIN_EXE_chaos"));
    let output = command.args(arguments).arg("--json").output().expect("the conductor runs");
    let (told, shown) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let last = told.lines().last().unwrap_or_else(|| panic!("it found nothing: {shown}"));
    let found: serde_json::Value = serde_json::from_str(last).expect("an object a line");
    assert!(output.status.success() && found["ok"] == true, "{last}\n{shown}");
    assert_eq!(found["lost"], 0);
    found
}

#[test]
fn killed_workers_lose_nothing_and_what_ran_runs_again_within_a_lease_and_a_sweep() {
    for broker in ["sqlite", "redis"] {
        let found = play(&["worker-kill", "--broker", broker, "--minutes", "0.15", "--tasks", "400"]);
        println!("{found}");
        assert!(found["kills"].as_u64() > Some(20), "{found}");
        assert!(found["recoveries"].as_u64() > Some(0), "some were running: {found}");
    }
}

#[test]
fn a_killed_server_and_a_disturbed_one_lose_nothing_and_cost_no_attempt() {
    for nemesis in ["server-kill", "server-faults", "memory-full"] {
        let found = play(&[nemesis, "--minutes", "0.15", "--tasks", "400"]);
        println!("{found}");
        assert!(found["kills"].as_u64() > Some(0), "{found}");
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
