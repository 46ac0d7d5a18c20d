//! The example from outside: HTTP over a plain socket, a typed result, and SIGTERM with an order under way.

use std::{
    io::{Read, Write},
    net::TcpStream,
    process::Command,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use taskq_test_support::{ChildProcess, TempFolder};

const BOUND: Duration = Duration::from_secs(60);

/// The running example.
struct Server {
    process: ChildProcess,
    address: String,
}

impl Server {
    fn start(folder: &TempFolder) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_taskq-example-axum"));
        command.arg(format!("sqlite://{}", folder.file("orders.db").display())).arg("127.0.0.1:0");
        let process = ChildProcess::spawn(&mut command);
        let line = process.wait_for_line(|line| line.starts_with("listening on "), BOUND);
        let address = line["listening on ".len()..].to_owned();
        Self { process, address }
    }

    fn post(&self, path: &str, body: &Value) -> (u16, String) {
        let body = body.to_string();
        let headers = format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len());
        self.exchange(&format!("POST {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n{headers}\r\n{body}"))
    }

    fn get(&self, path: &str) -> (u16, String) {
        self.exchange(&format!("GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n"))
    }

    /// One request on a connection of its own; the status and the body of the answer.
    fn exchange(&self, request: &str) -> (u16, String) {
        let mut socket = TcpStream::connect(&self.address).expect("connects");
        socket.set_read_timeout(Some(BOUND)).expect("sets");
        socket.write_all(request.as_bytes()).expect("asks");
        let mut answer = String::new();
        socket.read_to_string(&mut answer).expect("is answered");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
        (head.split(' ').nth(1).expect("a status").parse().expect("a number"), body.to_owned())
    }

    fn place(&self, item: &str, count: u32) -> String {
        let (status, body) = self.post("/orders", &json!({ "item": item, "count": count }));
        assert_eq!(status, 200, "{body}");
        let answer: Value = serde_json::from_str(&body).expect("JSON");
        answer["id"].as_str().expect("an id").to_owned()
    }

    fn order(&self, id: &str) -> Value {
        let (status, body) = self.get(&format!("/orders/{id}"));
        assert_eq!(status, 200, "{body}");
        serde_json::from_str(&body).expect("JSON")
    }

    /// The order as soon as it has ended: asked for again and again, as a browser would.
    fn ended(&self, id: &str) -> Value {
        let begun = Instant::now();
        loop {
            let order = self.order(id);
            if order["state"] == "succeeded" || order["state"] == "dead" {
                return order;
            }
            assert!(begun.elapsed() < BOUND, "{order}");
        }
    }

    fn terminate(self) -> Vec<String> {
        self.process.terminate();
        assert!(self.process.wait_for_exit(BOUND).success(), "{}", self.process.last_lines());
        self.process.output_lines()
    }
}

#[test]
fn an_order_is_taken_worked_off_and_answered() {
    let folder = TempFolder::new();
    let server = Server::start(&folder);
    let (tea, gold) = (server.place("tea", 2), server.place("gold", 1));
    assert_eq!(server.ended(&tea), json!({ "state": "succeeded", "result": 6, "error": null }));
    let refused = server.ended(&gold);
    assert_eq!((&refused["state"], &refused["result"]), (&json!("dead"), &Value::Null));
    assert!(refused["error"].as_str().expect("a text").contains("no price for gold"), "{refused}");
    assert_eq!(server.get("/orders/nobody-placed-it").0, 404);
    assert_eq!(server.post("/orders", &json!({ "item": "tea" })).0, 422);
    assert_eq!(server.terminate().pop().expect("a line"), "drained: 2 claimed, 1 succeeded, 1 dead");
}

#[test]
fn what_runs_at_sigterm_is_finished_and_kept() {
    let folder = TempFolder::new();
    let server = Server::start(&folder);
    let cake = server.place("cake", 7);
    server.process.wait_for_line(|line| line == "order of 7 cake begins", BOUND);
    assert_eq!(server.terminate().pop().expect("a line"), "drained: 1 claimed, 1 succeeded, 0 dead");
    let next = Server::start(&folder);
    assert_eq!(next.order(&cake), json!({ "state": "succeeded", "result": 35, "error": null }));
    assert_eq!(next.terminate().pop().expect("a line"), "drained: 0 claimed, 0 succeeded, 0 dead");
}
