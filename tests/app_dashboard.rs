//! The subcommand `dashboard`: where it listens, what it refuses, who gets in, and that it ends.

use std::{
    io::{Read, Write},
    net::TcpStream,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use taskq_test_support::{ChildProcess, HttpAnswer, ProgramRun, TempFolder, example_program};

const LONG: Duration = Duration::from_secs(60);

fn program(folder: &TempFolder, arguments: &[&str]) -> Command {
    let mut command = Command::new(example_program("scheduled"));
    command.arg("dashboard").args(arguments).args(["--url", "sqlite://tasks.db"]).current_dir(folder.path());
    command
}

/// Starts it, and gives its address.
fn start(folder: &TempFolder, arguments: &[&str]) -> (ChildProcess, String) {
    let process = ChildProcess::spawn(program(folder, arguments).args(["--listen", "127.0.0.1:0"]));
    let line = process.wait_for_line(|line| line.starts_with("dashboard at http://"), LONG);
    let address = line.trim_start_matches("dashboard at http://").trim_end_matches('/').to_owned();
    (process, address)
}

/// The answer to a request with these lines in it.
fn ask(address: &str, first: &str, lines: &[&str], body: &str) -> HttpAnswer {
    let lines: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
    let form = format!("Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}", body.len());
    let request = format!("{first} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n{lines}{form}\r\n\r\n{body}");
    HttpAnswer::to(address, &request)
}

/// What it says before it gives up.
fn refusal(folder: &TempFolder, arguments: &[&str]) -> String {
    ProgramRun::of(&mut program(folder, arguments)).refused()
}

#[test]
fn whoever_runs_it_is_told_how_it_is_at_an_address_of_its_own() {
    let folder = TempFolder::new();
    let (process, address) = start(&folder, &["--probes", "127.0.0.1:0"]);
    // It says so on the other stream, which may be read before or after the first.
    let begun = Instant::now();
    let line = loop {
        let told = process.error_lines().into_iter().find(|line| line.contains("answers /healthz and /readyz"));
        if let Some(line) = told {
            break line;
        }
        assert!(begun.elapsed() < LONG, "{}", process.last_lines());
    };
    let at = line.rsplit_once("at=").expect("it says where").1.trim().to_owned();
    assert_eq!(ask(&at, "GET /healthz", &[], "").status, 200);
    assert_eq!(ask(&at, "GET /readyz", &[], "").status, 200);
    assert_eq!(ask(&address, "GET /metrics", &[], "").status, 404, "not where browsers are");
    process.terminate();
    assert!(process.wait_for_exit(LONG).success());
}

#[test]
fn it_shows_the_broker_to_this_machine_and_ends_on_sigterm_with_browsers_watching() {
    let folder = TempFolder::new();
    let (process, address) = start(&folder, &[]);
    let HttpAnswer { status, body: page, .. } = ask(&address, "GET /", &[], "");
    assert!(status == 200 && page.contains("sqlite:") && page.contains("read-only"), "{page}");
    assert!(page.contains("href=\"/schedules\"") && page.contains("href=\"/health\""), "the facade's own are there");
    assert_eq!(ask(&address, "GET /", &["Host: evil.example"], "").status, 421, "two hosts are none of ours");
    let mut watching = TcpStream::connect(&address).expect("it listens");
    write!(watching, "GET /live?page=overview HTTP/1.1\r\nHost: {address}\r\n\r\n").expect("is sent");
    watching.set_read_timeout(Some(LONG)).expect("a bound");
    let mut first = [0; 512];
    assert!(watching.read(&mut first).expect("is answered") > 0);
    process.terminate();
    assert!(process.wait_for_exit(LONG).success(), "it does not wait for a stream to end");
}

#[test]
fn it_listens_to_others_only_if_it_asks_who_they_are() {
    let folder = TempFolder::new();
    let told = refusal(&folder, &["--listen", "0.0.0.0:0"]);
    assert!(told.contains("127.0.0.1") && told.contains("accounts"), "{told}");
    std::fs::write(folder.path().join("accounts"), "ada:operator:secret-canary\n").expect("written");
    let told = refusal(&folder, &["--accounts", "accounts"]);
    assert!(told.contains("line 1") && !told.contains("canary"), "{told}");
    assert!(refusal(&folder, &["--accounts", "none"]).contains("read accounts none"));
    assert!(refusal(&folder, &["--proxy-header", "x-user"]).contains("--proxy-peer"));
}

#[test]
fn with_accounts_one_signs_in_by_a_hash_made_from_standard_input() {
    let folder = TempFolder::new();
    let mut hashing =
        program(&folder, &["hash-password"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("runs");
    hashing.stdin.take().expect("piped").write_all(b"correct horse\n").expect("written");
    let output = hashing.wait_with_output().expect("ends");
    let hash = String::from_utf8(output.stdout).expect("UTF-8");
    assert!(hash.starts_with("$argon2id$"), "{hash}");
    std::fs::write(folder.path().join("accounts"), format!("ada:operator:{hash}")).expect("written");
    let (process, address) = start(&folder, &["--accounts", "accounts", "--allow-actions"]);
    assert_eq!(ask(&address, "GET /", &[], "").header("location"), Some("/login"));
    let origin = format!("Origin: http://{address}");
    let answer = ask(&address, "POST /login", &[&origin], "name=ada&password=correct+horse");
    let cookie = answer.header("set-cookie").expect("a cookie");
    let cookie = format!("Cookie: {}", cookie.split(';').next().expect("a value"));
    let page = ask(&address, "GET /", &[&cookie], "").body;
    assert!(page.contains(">ada<") && page.contains("operator"), "{page}");
    drop(process);
}
