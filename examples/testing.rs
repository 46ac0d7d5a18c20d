//! How to test tasks: the real worker, a broker in memory, and a clock that stands still until told.
//!
//! `cargo run --example testing` runs here what would be two `#[tokio::test]` functions in your project.

use std::sync::{Arc, Mutex};

use taskq::{prelude::*, testing::TestQueue};

#[derive(Clone, Default)]
struct Outbox(Arc<Mutex<Vec<String>>>);

/// Welcomes a new user, and asks a week later how it goes.
#[task]
async fn welcome(ctx: &Context<Outbox>, user: String) -> TaskResult<()> {
    ctx.client().enqueue(follow_up::with(user.clone()).delay(WEEK)).await?;
    ctx.app().0.lock().expect("not poisoned").push(format!("welcome {user}"));
    Ok(())
}

#[task(timeout = Duration::from_secs(30), retry = Retry::fixed(Duration::from_secs(60)).attempts(2))]
async fn follow_up(ctx: &Context<Outbox>, user: String) -> TaskResult<()> {
    if ctx.attempt() == 1 {
        std::future::pending::<()>().await; // the mail server hangs
    }
    ctx.app().0.lock().expect("not poisoned").push(format!("how is it, {user}?"));
    Ok(())
}

const WEEK: Duration = Duration::from_secs(7 * 24 * 3600);

/// `#[tokio::test]`
async fn a_new_user_is_welcomed_and_asked_a_week_later() {
    let outbox = Outbox::default();
    let lent = outbox.clone();
    let queue = TestQueue::start_with(|worker| worker.app(lent)).await.expect("starts");

    queue.client().enqueue(welcome::with("ann".into())).await.expect("enqueues");
    queue.run_ready().await;
    assert_eq!(*outbox.0.lock().expect("not poisoned"), ["welcome ann"]);
    queue.assert_enqueued(&follow_up::with("ann".into())).await;

    // The first attempt hangs; its timeout and the delay before the second pass in no time.
    queue.advance(WEEK + Duration::from_secs(90)).await;
    assert_eq!(*outbox.0.lock().expect("not poisoned"), ["welcome ann", "how is it, ann?"]);
    queue.assert_not_enqueued(&follow_up::with("ann".into())).await;

    let tally = queue.drain().await;
    assert_eq!((tally.timed_out, tally.retried, tally.succeeded), (1, 1, 2));
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let begun = std::time::Instant::now();
    a_new_user_is_welcomed_and_asked_a_week_later().await;
    println!("a week and 90 seconds tested");
    println!("in less than ten seconds: {}", begun.elapsed() < Duration::from_secs(10));
}
