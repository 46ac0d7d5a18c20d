//! Whether the Redis of `deploy/` is one that tasks can be kept in, and its users have the rights that docs/brokers.md gives them.

use std::{collections::BTreeSet, process::Command};

use taskq_test_support::{RedisServer, Reply, TempFolder};

use crate::repository::{document, path, read};

/// What a user has in a list of users: `user NAME on PASSWORD ..`.
fn listed(users: &str, name: &str) -> Vec<String> {
    let begin = format!("user {name} on ");
    let line = users.lines().find_map(|line| line.strip_prefix(&begin)).unwrap_or_else(|| panic!("no user {name}"));
    line.split(' ').skip(1).map(str::to_owned).collect()
}

/// What docs/brokers.md gives to a user: `ACL SETUSER NAME on >password ..`.
fn documented(name: &str) -> Vec<String> {
    let document = read("docs/brokers.md");
    let begin = format!("ACL SETUSER {name} on >password ");
    let rights = document.split_once(&begin).unwrap_or_else(|| panic!("no {begin}")).1;
    let rights = rights.split_once("```").expect("a block").0;
    rights.split_whitespace().map(str::to_owned).collect()
}

#[test]
fn users_have_the_rights_that_are_documented() {
    let users = read("deploy/redis/users.acl");
    for name in ["shop-producer", "shop-worker", "shop-viewer"] {
        assert_eq!(listed(&users, name), documented(name), "{name}");
    }
    // It answers /depth and /metrics too.
    let looks = documented("shop-viewer").into_iter().filter(|right| right.starts_with('+'));
    let both: BTreeSet<_> = documented("shop-scheduler").into_iter().chain(looks).collect();
    assert_eq!(listed(&users, "shop-scheduler").into_iter().collect::<BTreeSet<_>>(), both);
    assert!(users.starts_with("user default off\n"), "nobody gets in without a password");
    assert!(users.lines().all(|line| line.starts_with("user ")), "a server takes no remarks there, and does not start");
}

/// A copy of `deploy/docker` with its passwords.
fn with_secrets(folder: &TempFolder) {
    std::fs::create_dir_all(folder.file("docker")).expect("a folder");
    std::fs::create_dir_all(folder.file("redis")).expect("a folder");
    for file in ["docker/new-secrets.sh", "redis/users.acl"] {
        std::fs::copy(path(&format!("deploy/{file}")), folder.file(file)).expect("a copy");
    }
}

fn new_secrets(folder: &TempFolder) -> std::process::Output {
    Command::new("sh").arg(folder.file("docker/new-secrets.sh")).output().expect("there is a shell")
}

#[test]
fn the_programs_get_in_with_the_passwords_that_were_made_and_doctor_finds_nothing_bad() {
    let folder = TempFolder::new();
    with_secrets(&folder);
    let made = new_secrets(&folder);
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let secret = |name: &str| {
        let file = folder.file("docker/secrets").join(name);
        std::fs::read_to_string(file).unwrap_or_else(|error| panic!("{name}: {error}"))
    };

    let server = RedisServer::start();
    let done = Reply::Text("OK".to_owned());
    for line in read("deploy/redis/redis.conf").lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        let (key, value) = line.split_once(' ').expect("a key and a value");
        // That one is known at the start alone.
        if key != "aclfile" {
            assert_eq!(server.command(&["CONFIG", "SET", key, value.trim_matches('"')]), done, "{line}");
        }
    }
    for line in secret("users.acl").lines().filter(|line| *line != "user default off") {
        let words: Vec<_> = ["ACL", "SETUSER"].into_iter().chain(line.split(' ').skip(1)).collect();
        assert_eq!(server.command(&words), done, "{line}");
    }
    let url = |role: &str| {
        let url = secret(&format!("{role}.env"));
        let url = url.trim_end().strip_prefix("TASKQ__BROKER__URL=").expect("the variable").to_owned();
        url.replace("@redis:6379", &format!("@127.0.0.1:{}", server.port()))
    };
    let run = |role: &str, words: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_my-program"));
        let command = command.args(words).env("TASKQ__BROKER__URL", url(role)).current_dir(folder.path());
        let output = command.output().expect("starts");
        let told = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{role} {words:?}: {told}");
        told
    };
    run("producer", &["enqueue", "greet", r#"{"name": "ann"}"#]);
    assert!(run("viewer", &["status"]).contains("default"));
    let told = run("viewer", &["doctor"]);
    assert!(told.contains("append-only file"), "{told}");
    for role in ["worker", "scheduler"] {
        run(role, &["check"]);
    }
}

#[test]
fn passwords_that_there_are_stay() {
    let folder = TempFolder::new();
    with_secrets(&folder);
    assert!(new_secrets(&folder).status.success());
    let before = std::fs::read_to_string(folder.file("docker/secrets/users.acl")).expect("made");
    let again = new_secrets(&folder);
    assert_eq!(again.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&again.stderr).contains("nothing was changed"));
    assert_eq!(std::fs::read_to_string(folder.file("docker/secrets/users.acl")).expect("there"), before);
    assert!(!before.contains("PASSWORD"), "every user has one: {before}");
    let compose = document("deploy/docker/compose.yml");
    for (name, secret) in compose["secrets"].as_object().expect("secrets") {
        let file = secret["file"].as_str().expect("a file");
        assert!(folder.file("docker").join(file).exists(), "{name}: {file} is not made");
    }
    for (name, service) in compose["services"].as_object().expect("services") {
        for file in service["env_file"].as_array().into_iter().flatten() {
            let file = file.as_str().expect("a file");
            assert!(folder.file("docker").join(file).exists(), "{name}: {file} is not made");
        }
    }
}
