//! [`Process`]: each process of our program that something in `deploy/` starts, with what it is given.

use std::{collections::BTreeMap, time::Duration};

use serde_json::Value;
use taskq::config::Config;

use crate::repository::{document, documents, read};

/// A process of our program, as a file in `deploy/` describes it.
#[derive(Debug)]
pub(crate) struct Process {
    /// The file, and the name that it has there.
    pub(crate) told_in: String,
    /// Its command and options.
    pub(crate) words: Vec<String>,
    /// How long it gets from SIGTERM until it is killed, without what is slept before SIGTERM.
    pub(crate) grace: Duration,
    /// Its `taskq.toml`, if the repository has it.
    pub(crate) configuration: Option<String>,
}

impl Process {
    /// All of them.
    pub(crate) fn all() -> Vec<Self> {
        let mut all = of_systemd();
        all.extend(of_compose());
        all.extend(of_kubernetes());
        all
    }

    /// `worker`, `scheduler` or `dashboard`.
    pub(crate) fn command(&self) -> &str {
        &self.words[0]
    }

    /// What follows an option.
    pub(crate) fn option(&self, name: &str) -> Option<&str> {
        let place = self.words.iter().position(|word| word == name)?;
        self.words.get(place + 1).map(String::as_str)
    }

    /// The port of `--listen`.
    pub(crate) fn port(&self) -> u64 {
        let address = self.option("--listen").unwrap_or_else(|| panic!("{} does not listen", self.told_in));
        let port = address.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
        port.unwrap_or_else(|| panic!("{} listens at {address}", self.told_in))
    }

    /// The configuration that the real reader makes of its file.
    pub(crate) fn config(&self) -> Config {
        let file = self.configuration.clone().map(|text| ("taskq.toml".into(), text));
        Config::from_parts(file, []).unwrap_or_else(|error| panic!("{}: {error}", self.told_in))
    }
}

/// The values of a key of a unit, in order.
pub(crate) fn of_unit<'a>(unit: &'a str, key: &str) -> Vec<&'a str> {
    unit.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix('=')).collect()
}

/// The units in `deploy/systemd`.
pub(crate) const UNITS: [&str; 3] = ["taskq-worker@.service", "taskq-scheduler.service", "taskq-dashboard.service"];

fn of_systemd() -> Vec<Process> {
    let process = |name: &str| {
        let told_in = format!("deploy/systemd/{name}");
        let unit = read(&told_in);
        let [command] = of_unit(&unit, "ExecStart")[..] else { panic!("{told_in} starts not one program") };
        let command = command.replace("%i", "9001").replace("%d", "/run/credentials");
        let command = command.strip_prefix("/usr/local/bin/my-program ").expect("our program, by its whole path");
        let [grace] = of_unit(&unit, "TimeoutStopSec")[..] else { panic!("{told_in} has not one TimeoutStopSec") };
        let words = command.split(' ').map(str::to_owned).collect();
        Process { words, grace: seconds(grace), configuration: None, told_in }
    };
    UNITS.into_iter().map(process).collect()
}

fn of_compose() -> Vec<Process> {
    let file = document("deploy/docker/compose.yml");
    let services = file["services"].as_object().expect("services");
    let ours = services.iter().filter(|(_, service)| service["image"] == "my-program");
    let process = |(name, service): (&String, &Value)| Process {
        told_in: format!("deploy/docker/compose.yml, {name}"),
        words: words(&service["command"]),
        grace: seconds(service["stop_grace_period"].as_str().expect("a grace")),
        configuration: Some(read("deploy/docker/config/taskq.toml")),
    };
    ours.map(process).collect()
}

/// The files of `deploy/kubernetes` that have a pod.
pub(crate) const DEPLOYMENTS: [&str; 3] = ["worker.yaml", "scheduler.yaml", "dashboard.yaml"];

fn of_kubernetes() -> Vec<Process> {
    let process = |name: &str| {
        let told_in = format!("deploy/kubernetes/{name}");
        let pod = pod(&told_in);
        let [container] = &pod["containers"].as_array().expect("containers")[..] else { panic!("{told_in}: one") };
        assert_eq!(container["image"], "my-program", "{told_in}");
        let slept = container["lifecycle"]["preStop"]["sleep"]["seconds"].as_u64().unwrap_or(0);
        let grace = pod["terminationGracePeriodSeconds"].as_u64().expect("a grace") - slept;
        let configuration = Some(config_map()["taskq.toml"].clone());
        Process { words: words(&container["args"]), grace: Duration::from_secs(grace), configuration, told_in }
    };
    DEPLOYMENTS.into_iter().map(process).collect()
}

/// The pod that a Deployment of this file makes.
pub(crate) fn pod(file: &str) -> Value {
    let all = documents(file);
    let deployment = all.into_iter().find(|document| document["kind"] == "Deployment").expect("a Deployment");
    deployment["spec"]["template"]["spec"].clone()
}

/// The files of the ConfigMap.
pub(crate) fn config_map() -> BTreeMap<String, String> {
    let map = document("deploy/kubernetes/config.yaml");
    serde_json::from_value(map["data"].clone()).expect("texts by name")
}

fn seconds(text: &str) -> Duration {
    let number = text.strip_suffix('s').and_then(|number| number.parse().ok());
    Duration::from_secs(number.unwrap_or_else(|| panic!("no seconds: {text}")))
}

/// The words of a list.
pub(crate) fn words(list: &Value) -> Vec<String> {
    let list = list.as_array().unwrap_or_else(|| panic!("no list: {list}"));
    list.iter().map(|word| word.as_str().unwrap_or_else(|| panic!("no text: {word}")).to_owned()).collect()
}
