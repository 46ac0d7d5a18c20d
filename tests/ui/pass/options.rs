//! Every option, as a literal and as an expression.

use std::time::Duration;

use taskq::{__private::Task, Retry, TaskError, Unique, task};

const NAME: &str = "reports.monthly";
const MINUTE: Duration = Duration::from_secs(60);

fn queue_of_this_machine() -> String {
    format!("machine-{}", 7)
}

fn never_on_sundays(attempt: u32, _error: &TaskError) -> Option<Duration> {
    (attempt < 3).then_some(MINUTE)
}

#[task(
    name = "send-mail.v2",
    queue = "mail",
    retry = Retry::exponential().attempts(5).cap(Duration::from_secs(600)),
    timeout = Duration::from_secs(30),
    priority = 9,
    expires_in = Duration::from_secs(3600),
    max_deliveries = 1,
    unique = Unique::by_args().until_start(),
    result_ttl = Duration::from_secs(86_400),
)]
fn all(to: String) -> String {
    to
}

#[task(
    name = NAME,
    queue = queue_of_this_machine(),
    retry = Retry::custom(never_on_sundays),
    timeout = MINUTE * 10,
    priority = if cfg!(debug_assertions) { 0 } else { 1 },
    max_deliveries = 2 + 1,
    no_result
)]
fn expressions() {}

#[task(unique = Unique::key("only-one"), crate = ::taskq)]
fn few() {}

#[task()]
fn none() {}

fn main() {
    let options = all::options();
    assert_eq!(all::NAME, "send-mail.v2");
    assert_eq!(options.queue.as_deref(), Some("mail"));
    assert_eq!(options.retry, Some(Retry::exponential().attempts(5).cap(Duration::from_secs(600))));
    assert_eq!(options.timeout, Some(Duration::from_secs(30)));
    assert_eq!(options.priority, Some(9));
    assert_eq!(options.expires_in, Some(Duration::from_secs(3600)));
    assert_eq!(options.max_deliveries, Some(1));
    assert_eq!(options.unique, Some(Unique::by_args().until_start()));
    assert_eq!(options.result_ttl, Some(Duration::from_secs(86_400)));
    assert!(!options.no_result);

    let options = expressions::options();
    assert_eq!(expressions::NAME, "reports.monthly");
    assert_eq!(options.queue.as_deref(), Some("machine-7"));
    assert_eq!(options.timeout, Some(Duration::from_secs(600)));
    assert_eq!(options.max_deliveries, Some(3));
    assert!(options.no_result);

    assert_eq!(few::options().unique, Some(Unique::key("only-one")));
    assert_eq!(none::NAME, "none");
    assert_eq!(none::options().queue, None);
}
