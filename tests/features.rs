//! What the features of the facade bring along: who does not ask for a feature does not compile what it needs.

use std::{collections::BTreeSet, process::Command};

/// Features that are not on by themselves, and the packages that only they may bring.
///
/// Add a line for a new feature. What is listed here is looked for in the tree of users who did not ask for it.
const ASKED_FOR: &[(&str, &[&str])] = &[
    ("otel", &["opentelemetry", "opentelemetry-otlp", "opentelemetry_sdk", "prost", "tonic", "tracing-opentelemetry"]),
    ("dashboard", &["taskq-console", "askama", "argon2"]),
    ("metrics", &["prometheus-client"]),
    ("seal", &["chacha20poly1305", "ed25519-dalek"]),
];

/// The packages that a user with these features compiles, on this machine.
fn packages(arguments: &[&str]) -> BTreeSet<String> {
    let mut command = Command::new(env!("CARGO"));
    command.args(["tree", "--offline", "--locked", "--package", "taskq-rs", "--edges", "normal", "--prefix", "none"]);
    command.args(["--format", "{p}"]).args(arguments).current_dir(env!("CARGO_MANIFEST_DIR"));
    let output = command.output().expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("names are text");
    text.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect()
}

#[test]
fn a_feature_that_is_not_asked_for_costs_no_dependency() {
    let (by_default, with_none) = (packages(&[]), packages(&["--no-default-features"]));
    assert!(by_default.contains("redis") && !with_none.contains("redis"), "the trees are read");
    for (feature, brought) in ASKED_FOR {
        let asked = packages(&["--no-default-features", "--features", feature]);
        for package in *brought {
            assert!(asked.contains(*package), "{feature} needs {package}, or the list is wrong");
            assert!(!by_default.contains(*package), "{package} of {feature} is in everybody's tree");
        }
        assert!(with_none.is_subset(&asked));
    }
}

#[cfg(target_os = "linux")]
#[test]
fn the_default_tree_has_its_size() {
    let by_default = packages(&[]);
    // A package more is a decision: say in the commit why std, tokio or our own code would not do.
    assert!(by_default.len() <= DEFAULT_PACKAGES, "{} packages: {by_default:?}", by_default.len());
}

#[cfg(target_os = "linux")]
/// How many packages a user with the default features compiles on Linux.
const DEFAULT_PACKAGES: usize = 203;
