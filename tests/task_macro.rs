//! What `#[task]` makes of functions, at run time: the body behind every registration is run as a worker runs it.
//!
//! There is no worker here, so that a failure can only be the macro's.

use std::{any::Any, error::Error, fmt, sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use taskq::{
    __private::{Registration, Task},
    Context, Retry, TaskError, TaskResult, Unique, task,
};
use taskq_core::{
    Client, Clock, Invocation, LogLine, Payload, Progress, TaskErrorKind, TaskId, Timestamp,
    broker::memory,
    context::{AttemptContext, ErasedContext, Host},
    id::DeliveryToken,
    task::Body,
};

struct App {
    greeting: String,
}

/// A crate's own shorthand.
type Fallible<T> = Result<T, String>;

/// An error like anyhow's: no `Error` itself, but it converts into one.
struct Report(Box<dyn Error + Send + Sync>);

impl<E: Error + Send + Sync + 'static> From<E> for Report {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl From<Report> for Box<dyn Error + Send + Sync> {
    fn from(report: Report) -> Self {
        report.0
    }
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Receipt {
    id: u32,
    notes: Vec<String>,
}

#[derive(Debug)]
struct Declined;

impl fmt::Display for Declined {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("declined")
    }
}

impl Error for Declined {}

#[task]
fn add(a: i64, b: i64) -> i64 {
    a + b
}

#[task]
fn nothing() {}

#[task]
async fn greet(ctx: &Context<App>, name: String) -> String {
    format!("{} {name}, attempt {}", ctx.app().greeting, ctx.attempt())
}

#[task]
fn head(_: &Context, mut words: Vec<String>) -> Option<String> {
    words.truncate(1);
    words.pop()
}

#[task]
fn aliased(number: i32) -> Fallible<i32> {
    if number < 0 { Err(format!("{number} is negative")) } else { Ok(number) }
}

#[task]
async fn boxed(text: String) -> Result<i32, Box<dyn Error + Send + Sync>> {
    Ok(text.parse()?)
}

#[task]
fn reported(text: String) -> Result<Receipt, Report> {
    Ok(serde_json::from_str(&text)?)
}

#[task]
async fn own_error() -> Result<(), Declined> {
    Err(Declined)
}

#[task]
async fn in_full(seconds: u64) -> TaskResult<()> {
    match seconds {
        0 => Err(TaskError::fatal(Declined)),
        seconds => Err(TaskError::retry_in(Duration::from_secs(seconds), Declined)),
    }
}

#[task]
fn result_in_option(ok: bool) -> Option<Result<u8, u8>> {
    Some(if ok { Ok(1) } else { Err(2) })
}

fn five() -> u8 {
    5
}

#[task]
fn grown(
    old: u8,
    new: Option<String>,
    #[serde(default)] newer: Vec<u8>,
    #[serde(default = "five", rename = "latest")] newest: u8,
) -> (u8, Option<String>, Vec<u8>, u8) {
    (old, new, newer, newest)
}

#[task]
fn raw(r#type: String, args: u8, context: u8, options: u8, returned: u8) -> String {
    format!("{type} {args} {context} {options} {returned}", type = r#type)
}

#[task(
    name = "declared.v2",
    queue = "mail",
    retry = Retry::fixed(Duration::from_secs(1)).attempts(2),
    timeout = Duration::from_secs(30),
    priority = 9,
    expires_in = Duration::from_secs(60),
    max_deliveries = 2,
    unique = Unique::by_args(),
    result_ttl = Duration::from_secs(3600)
)]
fn declared() {}

#[task(no_result)]
fn forgotten() {}

/// Runs the task of this name as a worker would.
async fn run(name: &str, args: Value) -> TaskResult<Value> {
    let registered = Registration::linked().into_iter().find(|task| task.name == name).expect("registered");
    let context = context(name, &args);
    let result = match registered.body {
        Body::Async(body) => body(context).await,
        Body::Plain(body) => body(context),
    };
    result.map(|payload| payload.decode().expect("json"))
}

/// A worker that takes no reports.
struct Nobody(Client, App);

impl Host for Nobody {
    fn app(&self) -> &(dyn Any + Send + Sync) {
        &self.1
    }

    fn report(&self, _: &TaskId, _: DeliveryToken, _: Progress) {}

    fn log(&self, _: &TaskId, _: LogLine) {}

    fn client(&self) -> &Client {
        &self.0
    }

    fn clock(&self) -> &Clock {
        self.0.connection().clock()
    }
}

fn context(name: &str, args: &Value) -> ErasedContext {
    let mut envelope = Invocation::named(name, &json!({})).into_envelope().expect("valid");
    envelope.payload = Payload::from_json("test", &args.to_string(), 10_000).expect("json");
    envelope.attempts = 2;
    let app = App { greeting: "good morning".to_owned() };
    let host = Arc::new(Nobody(memory::connect(Clock::system()).client(), app));
    let attempt = AttemptContext::new(Arc::new(envelope), DeliveryToken(1), Timestamp::default(), host);
    ErasedContext::new(Arc::new(attempt))
}

async fn fails(name: &str, args: Value) -> TaskError {
    run(name, args).await.expect_err("fails")
}

#[tokio::test]
async fn calling_the_function_still_runs_it_here() {
    assert_eq!(add(2, 3), 5);
    assert_eq!(aliased(-1), Err("-1 is negative".to_owned()));
    assert_eq!(boxed("7".to_owned()).await.expect("a number"), 7);
}

#[tokio::test]
async fn plain_values_are_results() {
    assert_eq!(run("add", json!({"a": 2, "b": 3})).await.expect("runs"), json!(5));
    assert_eq!(run("nothing", json!({})).await.expect("runs"), Value::Null);
    assert_eq!(run("head", json!({"words": ["a", "b"]})).await.expect("runs"), json!("a"));
    // A `Result` that is not the outermost type is data.
    assert_eq!(run("result_in_option", json!({"ok": false})).await.expect("runs"), json!({"Err": 2}));
}

#[tokio::test]
async fn the_app_of_the_worker_is_lent_and_a_task_that_needs_none_runs_anywhere() {
    let greeting = run("greet", json!({"name": "Ada"})).await.expect("runs");
    assert_eq!(greeting, json!("good morning Ada, attempt 3"));
    assert_eq!(run("head", json!({"words": []})).await.expect("runs"), Value::Null);
}

#[tokio::test]
async fn a_result_is_told_by_its_type_so_aliases_and_any_error_work() {
    assert_eq!(run("aliased", json!({"number": 4})).await.expect("runs"), json!(4));
    assert_eq!(fails("aliased", json!({"number": -4})).await.to_string(), "-4 is negative");
    assert_eq!(run("boxed", json!({"text": "12"})).await.expect("runs"), json!(12));
    assert_eq!(fails("boxed", json!({"text": "x"})).await.to_string(), "invalid digit found in string");
    let receipt = json!({"id": 1, "notes": ["paid"]});
    assert_eq!(run("reported", json!({"text": receipt.to_string()})).await.expect("runs"), receipt);
    assert!(fails("reported", json!({"text": "{}"})).await.to_string().contains("missing field"));
    let declined = fails("own_error", json!({})).await;
    assert_eq!((declined.kind(), declined.to_string().as_str()), (TaskErrorKind::Failed, "declined"));
}

#[tokio::test]
async fn a_task_error_keeps_what_should_follow() {
    assert_eq!(fails("in_full", json!({"seconds": 0})).await.kind(), TaskErrorKind::Fatal);
    let kind = TaskErrorKind::RetryIn(Duration::from_secs(9));
    assert_eq!(fails("in_full", json!({"seconds": 9})).await.kind(), kind);
}

#[tokio::test]
async fn an_added_parameter_with_a_default_accepts_what_was_enqueued_before() {
    assert_eq!(run("grown", json!({"old": 1})).await.expect("runs"), json!([1, null, [], 5]));
    let all = json!({"old": 1, "new": "x", "newer": [2], "latest": 3, "unknown": true});
    assert_eq!(run("grown", all).await.expect("runs"), json!([1, "x", [2], 3]));
}

#[tokio::test]
async fn arguments_that_do_not_fit_are_told_with_their_place() {
    let error = fails("add", json!({"a": 2})).await;
    assert_eq!(error.kind(), TaskErrorKind::Undecodable);
    assert!(error.to_string().contains("missing field `b`"), "{error}");
    let error = fails("head", json!({"words": ["a", 5]})).await;
    assert!(error.to_string().contains("words[1]"), "{error}");
    let error = fails("nothing", json!(null)).await;
    assert!(error.to_string().contains("an object with the arguments of `nothing`"), "{error}");
}

#[test]
fn arguments_travel_under_the_names_of_the_parameters() {
    let encoded = |payload: Option<&Payload>| payload.expect("encodes").as_str().to_owned();
    assert_eq!(encoded(add::with(2, 3).payload()), r#"{"a":2,"b":3}"#);
    assert_eq!(encoded(nothing::with().payload()), "{}");
    assert_eq!(encoded(greet::with("Ada".to_owned()).payload()), r#"{"name":"Ada"}"#);
    assert_eq!(encoded(grown::with(1, None, vec![], 2).payload()), r#"{"old":1,"new":null,"newer":[],"latest":2}"#);
    assert_eq!(
        encoded(raw::with("t".to_owned(), 1, 2, 3, 4).payload()),
        r#"{"type":"t","args":1,"context":2,"options":3,"returned":4}"#
    );
}

#[tokio::test]
async fn no_parameter_name_is_taken() {
    let args = json!({"type": "t", "args": 1, "context": 2, "options": 3, "returned": 4});
    assert_eq!(run("raw", args).await.expect("runs"), json!("t 1 2 3 4"));
}

#[test]
fn declared_options_arrive() {
    let options = declared::options();
    assert_eq!(declared::NAME, "declared.v2");
    assert_eq!(options.queue.as_deref(), Some("mail"));
    assert_eq!(options.retry, Some(Retry::fixed(Duration::from_secs(1)).attempts(2)));
    assert_eq!(options.timeout, Some(Duration::from_secs(30)));
    assert_eq!(options.priority, Some(9));
    assert_eq!(options.expires_in, Some(Duration::from_secs(60)));
    assert_eq!(options.max_deliveries, Some(2));
    assert_eq!(options.unique, Some(Unique::by_args()));
    assert_eq!(options.result_ttl, Some(Duration::from_secs(3600)));
    assert!(!options.no_result);
    assert!(forgotten::options().no_result);
    assert!(add::options().queue.is_none());
}

#[test]
fn a_registration_says_where_its_function_is() {
    let add = Registration::linked().into_iter().find(|task| task.name == "add").expect("registered");
    assert!(add.location.starts_with("task_macro (tests/task_macro.rs:"), "{}", add.location);
}

#[test]
fn tasks_can_be_named_one_by_one() {
    mod inner {
        #[taskq::task]
        pub(crate) fn hidden() {}
    }
    let named = taskq::tasks![add, greet, inner::hidden].map(|task: Registration| task.name);
    assert_eq!(named, ["add", "greet", "hidden"]);
}

#[test]
fn types_and_functions_of_one_name_are_imported_together() {
    mod tasks {
        mod mail {
            /// Counts letters.
            #[taskq::task]
            pub(crate) fn count(text: String) -> usize {
                text.len()
            }
        }
        pub(crate) use mail::count;
    }
    use tasks::count;
    assert_eq!(count("four".to_owned()), 4);
    assert_eq!(count::with(String::new()).payload().expect("encodes").as_str(), r#"{"text":""}"#);
}
