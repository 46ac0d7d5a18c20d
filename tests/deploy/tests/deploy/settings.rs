//! Whether what is set somewhere in `deploy/` agrees with what is set elsewhere, and with the program.

use std::{collections::BTreeSet, time::Duration};

use serde_json::Value;
use taskq::{limits, metrics::Family};

use crate::{
    process::{DEPLOYMENTS, Process, UNITS, config_map, of_unit, pod},
    repository::{document, documents, path, read},
};

/// How long a program tries to export its last traces (docs/traces.md).
const LAST_TRACES: Duration = Duration::from_secs(5);

#[test]
fn the_configurations_are_read_by_the_real_reader() {
    for process in Process::all() {
        let config = process.config();
        assert!(process.configuration.is_none() || !config.watchlist().checks.is_empty(), "{}", process.told_in);
    }
}

#[test]
fn every_process_gets_more_time_to_end_than_it_takes() {
    for process in Process::all() {
        let needed = match process.command() {
            "worker" => process.config().drain + limits::CANCEL_GRACE + LAST_TRACES,
            _ => LAST_TRACES * 2,
        };
        assert!(process.grace > needed, "{} gets {:?}, it may need {needed:?}", process.told_in, process.grace);
    }
}

#[test]
fn a_drain_of_a_unit_is_not_disturbed_and_its_service_may_do_little() {
    let mut sandboxes = BTreeSet::new();
    for name in UNITS {
        let unit = read(&format!("deploy/systemd/{name}"));
        let is = |key: &str, value: &str| assert_eq!(of_unit(&unit, key), [value], "{name}: {key}");
        is("Type", "exec");
        is("User", "taskq");
        // With another mode programs of bodies get SIGTERM too, and their tasks fail instead of being finished.
        is("KillMode", "mixed");
        is("KillSignal", "SIGTERM");
        is("Restart", "on-failure");
        is("NoNewPrivileges", "yes");
        is("ProtectSystem", "strict");
        is("MemoryDenyWriteExecute", "yes");
        is("CapabilityBoundingSet", "");
        // It would hide the id of the machine's run, by which the SQLite broker knows whose leases are over.
        assert!(of_unit(&unit, "ProcSubset").is_empty(), "{name}");
        let sandbox = unit.split_once("\nStateDirectory=").expect("a folder of its own").1;
        let lines = sandbox.lines().filter(|line| !line.starts_with('#'));
        sandboxes.insert(lines.map(str::to_owned).collect::<Vec<_>>());
    }
    assert_eq!(sandboxes.len(), 1, "the units differ in what their services may do: {sandboxes:#?}");
}

#[test]
fn ports_agree_from_the_program_to_whoever_asks() {
    let processes = Process::all();
    let port_of = |place: &str, command: &str| {
        let is_it = |process: &&Process| process.told_in.contains(place) && process.command() == command;
        processes.iter().find(is_it).expect("there is one").port()
    };
    for name in DEPLOYMENTS {
        let file = format!("deploy/kubernetes/{name}");
        let command = name.strip_suffix(".yaml").expect("a file");
        let container = pod(&file)["containers"][0].clone();
        let [port] = &container["ports"].as_array().expect("ports")[..] else { panic!("{file}: one port") };
        assert_eq!(port["containerPort"], port_of(&file, command), "{file}");
        for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
            assert_eq!(container[probe]["httpGet"]["port"], port["name"], "{file}: {probe}");
        }
        for service in documents(&file).iter().filter(|document| document["kind"] == "Service") {
            let [served] = &service["spec"]["ports"].as_array().expect("ports")[..] else { panic!("{file}: one port") };
            assert_eq!((&served["targetPort"], &served["port"]), (&port["name"], &port["containerPort"]), "{file}");
        }
        let app = &documents(&file)[0]["metadata"]["labels"]["app.kubernetes.io/name"];
        let policies = documents("deploy/kubernetes/network-policy.yaml");
        let policy = policies.iter().find(|policy| policy["metadata"]["name"] == *app).expect("a policy for each");
        assert_eq!(policy["spec"]["podSelector"]["matchLabels"]["app.kubernetes.io/name"], *app);
        assert_eq!(policy["spec"]["ingress"][0]["ports"][0]["port"], port["name"], "{file}");
    }
    let (probes, pages) = (port_of("compose.yml", "worker"), port_of("compose.yml", "dashboard"));
    assert_eq!(port_of("compose.yml", "scheduler"), probes);
    let dockerfile = read("deploy/docker/Dockerfile");
    assert!(dockerfile.contains(&format!("\nEXPOSE {probes} {pages}\n")));
    let compose = document("deploy/docker/compose.yml");
    assert_eq!(compose["services"]["dashboard"]["ports"][0], format!("127.0.0.1:{pages}:{pages}"));
    let asked = &document("deploy/prometheus/prometheus.yml")["scrape_configs"][0]["dns_sd_configs"][0];
    assert_eq!(asked["port"], probes);
    for name in asked["names"].as_array().expect("names") {
        let command = name.as_str().expect("a name");
        assert_eq!(compose["services"][command]["command"][0], command, "Prometheus asks {command}");
    }
    let monitor = document("deploy/kubernetes/components/monitoring/pod-monitor.yaml");
    assert_eq!(monitor["spec"]["podMetricsEndpoints"][0]["port"], "probes");
}

#[test]
fn nothing_is_published_beyond_the_machine_by_compose() {
    let compose = document("deploy/docker/compose.yml");
    for (name, service) in compose["services"].as_object().expect("services") {
        for port in service["ports"].as_array().into_iter().flatten() {
            assert!(port.as_str().is_some_and(|port| port.starts_with("127.0.0.1:")), "{name}: {port}");
        }
    }
    assert_eq!(compose["networks"]["data"]["internal"], true);
    assert_eq!(compose["services"]["redis"]["networks"], serde_json::json!(["data"]));
}

#[test]
fn containers_run_without_rights() {
    for name in DEPLOYMENTS {
        let pod = pod(&format!("deploy/kubernetes/{name}"));
        assert_eq!(pod["securityContext"]["runAsNonRoot"], true, "{name}");
        assert_eq!(pod["automountServiceAccountToken"], false, "{name}");
        // Variables of services begin with TASKQ_ too.
        assert_eq!(pod["enableServiceLinks"], false, "{name}");
        let own = &pod["containers"][0]["securityContext"];
        assert_eq!((&own["allowPrivilegeEscalation"], &own["readOnlyRootFilesystem"]), (&false.into(), &true.into()));
        assert_eq!(own["capabilities"]["drop"][0], "ALL", "{name}");
        assert!(pod["containers"][0]["resources"]["limits"]["cpu"].is_null(), "{name}: throttled workers lose leases");
        let user = pod["securityContext"]["runAsUser"].as_u64().expect("by number");
        let dockerfile = read("deploy/docker/Dockerfile");
        let last = dockerfile.rsplit_once("\nFROM ").expect("a stage").1;
        assert!(last.contains(&format!("\nUSER {user}:{user}\n")), "the image's user");
    }
}

#[test]
fn autoscalers_ask_for_queues_and_slots_that_there_are() {
    let config = Process::all().into_iter().find(|process| process.told_in.ends_with("worker.yaml")).unwrap().config();
    let known: BTreeSet<String> = taskq::metrics::families().iter().flat_map(Family::series).collect();
    for (component, asks) in [("keda", "url"), ("keda-prometheus", "query")] {
        let file = format!("deploy/kubernetes/components/{component}/scaled-object.yaml");
        let scaled = document(&file);
        assert_eq!(scaled["spec"]["scaleTargetRef"]["name"], "taskq-worker");
        let triggers = scaled["spec"]["triggers"].as_array().expect("triggers");
        assert_eq!(triggers.len(), config.queues.len(), "{file}: one for each queue");
        for trigger in triggers.iter().map(|trigger| &trigger["metadata"]) {
            let asked = trigger[asks].as_str().expect("a text");
            let queue = asked.split_once("queue=").expect("of a queue").1.trim_start_matches('"');
            let queue = queue.split(['"', '&']).next().expect("a name");
            let slots = config.queues.get(queue).unwrap_or_else(|| panic!("{file}: no queue {queue}")).to_string();
            let target = if asks == "url" { &trigger["targetValue"] } else { &trigger["threshold"] };
            assert_eq!(*target, slots, "{file}: as many as a worker has slots for {queue}");
            match asks {
                "url" => assert!(asked.starts_with("http://taskq-scheduler.default.svc.cluster.local:9000/depth?")),
                _ => {
                    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
                    let names = asked.split(|c| !is_part(c)).filter(|word| word.starts_with("taskq_"));
                    names.for_each(|name| assert!(known.contains(name), "{file} asks for {name}"));
                }
            }
        }
    }
}

#[test]
fn every_manifest_belongs_to_a_kustomization_and_no_secret_is_among_them() {
    let files = yaml_files("deploy/kubernetes");
    for folder in ["", "/components/keda", "/components/keda-prometheus", "/components/monitoring"] {
        let folder = format!("deploy/kubernetes{folder}");
        let kustomization = document(&format!("{folder}/kustomization.yaml"));
        let resources = kustomization["resources"].as_array().expect("resources");
        let named: BTreeSet<_> = resources.iter().map(|name| format!("{folder}/{}", name.as_str().unwrap())).collect();
        let is_beside = |file: &&String| file.rsplit_once('/').is_some_and(|(place, _)| place == folder);
        let beside = files.iter().filter(is_beside).filter(|file| !file.ends_with("kustomization.yaml"));
        assert_eq!(named, beside.cloned().collect());
    }
    for file in files {
        for document in documents(&file) {
            assert_ne!(document["kind"], "Secret", "{file}");
            assert_eq!(document["metadata"]["namespace"], Value::Null, "{file}: overlays choose the namespace");
        }
    }
    assert!(!config_map().values().any(|text| text.contains("redis://")), "URLs have passwords");
}

/// Every YAML file below a folder.
fn yaml_files(folder: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(path(folder)).expect("the folder exists") {
        let entry = entry.expect("readable");
        let name = format!("{folder}/{}", entry.file_name().to_string_lossy());
        match entry.path().is_dir() {
            true => found.extend(yaml_files(&name)),
            false if name.ends_with(".yaml") || name.ends_with(".yml") => found.push(name),
            false => {}
        }
    }
    found.sort();
    found
}

#[test]
fn the_image_is_built_from_a_package_of_this_workspace_by_a_new_enough_compiler() {
    let dockerfile = read("deploy/docker/Dockerfile");
    let argument = |name: &str| {
        let value =
            dockerfile.lines().find_map(|line| line.strip_prefix("ARG ")?.strip_prefix(name)?.strip_prefix('='));
        value.unwrap_or_else(|| panic!("no {name}")).to_owned()
    };
    let manifest = read(&format!("{}/Cargo.toml", argument("PACKAGE")));
    assert!(manifest.contains(&format!("[[bin]]\nname = \"{}\"", argument("PROGRAM"))));
    let version = |text: &str| -> Vec<u32> { text.split('.').map(|part| part.parse().expect("a number")).collect() };
    let oldest = read("Cargo.toml").lines().find_map(|line| line.strip_prefix("rust-version = ").map(str::to_owned));
    let oldest = oldest.expect("a version").trim_matches('"').to_owned();
    assert!(version(&argument("RUST_VERSION")) >= version(&oldest), "it needs {oldest}");
    let compose = read("deploy/docker/compose.yml");
    for name in ["PACKAGE", "PROGRAM"] {
        assert!(compose.contains(&format!("{name}: ${{{name}:-{}}}", argument(name))), "the same default of {name}");
    }
}

#[test]
fn compose_mounts_files_that_there_are() {
    let compose = document("deploy/docker/compose.yml");
    for (name, service) in compose["services"].as_object().expect("services") {
        for volume in service["volumes"].as_array().into_iter().flatten() {
            let (from, _) = volume.as_str().and_then(|volume| volume.split_once(':')).expect("from:to");
            let is_there = match from.starts_with('.') {
                true => path(&format!("deploy/docker/{from}")).exists(),
                false => compose["volumes"].get(from).is_some(),
            };
            assert!(is_there, "{name}: {from}");
        }
    }
}

#[test]
fn the_document_names_alerts_and_places_that_there_are() {
    let document = read("docs/operating.md");
    let alerts = read("deploy/prometheus/alerts.yml");
    for name in document.split('`').filter(|word| word.starts_with("Taskq")) {
        assert!(alerts.contains(&format!("- alert: {name}\n")), "no alert {name}");
    }
    for link in document.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
        let file = link.split('#').next().unwrap_or_default();
        assert!(path(&format!("docs/{file}")).exists(), "it leads to {link}");
        let (target, anchor) = match link.split_once('#') {
            None => continue,
            Some(("", anchor)) => (document.clone(), anchor),
            Some((file, anchor)) => (read(&format!("docs/{file}")), anchor),
        };
        assert!(anchors(&target).contains(anchor), "{file} has no place for {link}");
    }
}

/// The names under which the headings of a document can be led to. A second one of the same words gets `-1`.
fn anchors(document: &str) -> BTreeSet<String> {
    let mut anchors = BTreeSet::new();
    for heading in document.lines().filter(|line| line.starts_with('#')) {
        let heading = heading.trim_start_matches('#').trim().to_lowercase();
        let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        let anchor: String = kept.map(|c| if c == ' ' { '-' } else { c }).collect();
        let again = anchors.contains(&anchor);
        anchors.insert(if again { format!("{anchor}-1") } else { anchor });
    }
    anchors
}
