//! The tables `[health.NAME]` and `[alert.NAME]` of taskq.toml: what they become, and what is said of every mistake in one.

use std::time::Duration;

use taskq::{Registration, Result, config::Config, scheduler::health::Health};

/// Tells whether there is enough.
#[taskq::task]
fn count_stock(least: u32) -> u32 {
    least
}

/// Tells somebody.
#[taskq::task]
fn page(notice: serde_json::Value) {
    drop(notice);
}

fn config(file: &str) -> Result<Config> {
    let config = Config::from_parts(Some(("taskq.toml".into(), file.to_owned())), [])?;
    config.entries(&Registration::linked()).map(|_| config)
}

fn told(file: &str) -> String {
    config(file).expect_err(file).to_string()
}

const FILE: &str = r#"
[health.shop]
every = "30s"
timeout = "2s"
failures = 2
labels = { team = "web" }
http = { url = "https://shop.example/health?key=canary", headers = { Authorization = "Bearer canary" }, status = ["200-299", 304] }

[health.stock]
every = "5m"
task = { name = "count_stock", args = { least = 3 } }

[health.cache]
every = "10s"
redis = "redis://me:canary@cache:6379/0"

[alert.web]
checks = ["shop", "st*"]
labels = { team = "web" }
on = ["unhealthy", "degraded"]
repeat = "1h"
slack = "https://hooks.example/services/canary"

[alert.night]
task = { name = "page", queue = "ops" }

[security]
check_targets = ["*.example:443", "10.0.0.0/8"]
check_commands = true
"#;

#[test]
fn the_tables_become_checks_alerts_and_entries() {
    let config = config(FILE).expect("is in order");
    let watchlist = config.watchlist();
    assert_eq!(watchlist.checks.keys().collect::<Vec<_>>(), ["cache", "shop", "stock"]);
    let shop = &watchlist.checks["shop"];
    assert_eq!((shop.every, shop.timeout), (Duration::from_secs(30), Duration::from_secs(2)));
    assert_eq!((shop.failures, shop.successes, shop.labels["team"].as_str()), (2, 1, "web"));
    let web = &watchlist.alerts["web"];
    assert_eq!(web.rule.on, [Health::Unhealthy, Health::Degraded]);
    assert_eq!((web.rule.repeat, web.channel.kind()), (Some(Duration::from_secs(3_600)), "slack"));
    assert_eq!(watchlist.alerts["night"].channel.kind(), "task");
    assert!(watchlist.allow.to_string().contains("10.0.0.0/8"));
    assert!(config.check_commands);
    assert_eq!(config.entries(&Registration::linked()).expect("is in order").len(), 3);
    let shown = format!("{config:?} {:?} {watchlist:?}", config.explain());
    assert!(!shown.contains("canary"), "{shown}");
    let entries = format!("{:?}", config.entries(&Registration::linked()));
    assert!(!entries.contains("canary"), "{entries}");
}

#[test]
fn more_alerts_about_one_check_than_its_state_has_room_for_are_refused() {
    let mut file = "[health.shop]\nevery = \"30s\"\ntcp = \"a:1\"\n".to_owned();
    for number in 0..8 {
        file += &format!("[alert.a{number}]\nwebhook = \"http://a\"\n");
    }
    assert!(config(&file).is_ok());
    file += "[alert.other]\nchecks = [\"stock*\"]\nwebhook = \"http://a\"\n";
    assert!(config(&file).is_ok());
    file += "[alert.z]\nwebhook = \"http://a\"\n";
    let told = told(&file);
    assert!(told.contains("taskq.toml:23:8") && told.contains("8 at most") && told.contains("\"shop\""), "{told}");
}

#[test]
fn every_mistake_is_told_with_its_place_and_its_cure() {
    for (file, place, cure) in [
        ("[health.a]\nevery = \"30s\"\ntpc = \"a:1\"\n", "taskq.toml:3:1", "the nearest known one is \"health.a.tcp\""),
        ("[health.a]\nevery = \"30s\"\n", "taskq.toml:1:9", "it looks at nothing"),
        ("[health.a]\ntcp = \"a:1\"\n", "taskq.toml:1:9", "health.a.every"),
        ("[health.a]\nevery = \"0s\"\ntcp = \"a:1\"\n", "taskq.toml:2:1", "at least 1s"),
        ("[health.a]\nevery = \"30s\"\ntcp = \"a:1\"\nhttp = \"http://a\"\n", "taskq.toml:1:9", "both http and tcp"),
        ("[health.a]\nevery = \"30s\"\ntcp = \"nowhere\"\n", "taskq.toml:3:1", "health.a.tcp"),
        (
            "[health.a]\nevery = \"30s\"\nhttp = { url = \"http://a\", status = [999] }\n",
            "taskq.toml:3:1",
            "health.a.http.status",
        ),
        (
            "[health.a]\nevery = \"30s\"\nhttp = { url = \"http://a\", contians = \"x\" }\n",
            "taskq.toml:3:1",
            "did you mean \"contains\"",
        ),
        (
            "[health.a]\nevery = \"30s\"\nhttp = { url = \"http://a\", matches = \"(\" }\n",
            "taskq.toml:3:1",
            "health.a.http.matches",
        ),
        ("[health.a]\nevery = \"30s\"\ntimeout = \"31s\"\ntcp = \"a:1\"\n", "taskq.toml:3:1", "use at most 30s"),
        ("[health.a]\nevery = \"30s\"\nfailures = 0\ntcp = \"a:1\"\n", "taskq.toml:3:1", "1 to 1000"),
        ("[health.\"a b\"]\nevery = \"30s\"\ntcp = \"a:1\"\n", "taskq.toml:1:9", "is refused"),
        (
            "[health.a]\nevery = \"30s\"\ntask = { name = \"count_stok\" }\n",
            "taskq.toml:3:1",
            "the nearest one is \"count_stock\"",
        ),
        ("[health.a]\nevery = \"30s\"\ntask = { name = \"count_stock\" }\n", "taskq.toml:3:1", "missing field `least`"),
        ("[alert.a]\nchecks = [\"b\"]\n", "taskq.toml:1:8", "it tells nobody"),
        ("[alert.a]\nwebhok = \"http://a\"\n", "taskq.toml:2:1", "the nearest known one is \"alert.a.webhook\""),
        ("[alert.a]\nwebhook = \"ftp://a\"\n", "taskq.toml:2:1", "alert.a.webhook"),
        ("[alert.a]\nwebhook = \"http://a\"\non = [\"healthy\"]\n", "taskq.toml:3:1", "alert.a.on"),
        ("[alert.a]\nwebhook = \"http://a\"\nrepeat = \"1s\"\n", "taskq.toml:3:1", "at least 1m"),
        ("[alert.a]\nwebhook = \"http://a\"\nchecks = [\"shop\"]\n", "taskq.toml:3:1", "there is no [health.shop]"),
        ("[alert.a]\ntask = { name = \"pge\" }\n", "taskq.toml:2:1", "the nearest one is \"page\""),
        ("[alert.\"a b\"]\nwebhook = \"http://a\"\n", "taskq.toml:1:8", "has no name that an alert can have"),
        ("[security]\ncheck_targets = \"a\"\n", "taskq.toml:2:1", "is a list of hosts"),
        ("[security]\ncheck_targets = [\"10.0.0.1/8\"]\n", "taskq.toml:2:1", "10.0.0.0/8"),
        ("[security]\ncheck_commands = \"yes\"\n", "taskq.toml:2:1", "true or false"),
    ] {
        let told = told(file);
        assert!(told.contains(place) && told.contains(cure), "wanted {place} and {cure}:\n{file}\n{told}");
    }
}
