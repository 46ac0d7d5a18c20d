//! Tasks that a library brings to a worker, with what they need.

use std::sync::Arc;

use taskq::{WorkerBuilder, prelude::*};

/// What a library brings.
struct Greeter {
    greeting: &'static str,
}

/// A task that is not the program's own.
#[task(queue = "brought")]
fn greet_by(ctx: &Context<Greeter>, name: String) -> String {
    format!("{} {name}", ctx.app().greeting)
}

#[tokio::test]
async fn a_library_can_bring_a_task_with_what_it_needs() {
    let connection = taskq::connect("memory://").await.expect("opens");
    let [registration] = taskq::tasks![greet_by];
    let bring = |builder: WorkerBuilder| builder.bring(registration, Arc::new(Greeter { greeting: "hello" }));
    // The app of the program stays what it is.
    let builder = bring(Worker::builder(connection.clone()).app(7_u32).tasks([])).or_declared_queues();
    let worker = builder.start().await.expect("the brought one is enough");
    let handle = connection.client().enqueue(greet_by::with("ann".into())).await.expect("enqueues");
    assert_eq!(handle.wait(Duration::from_secs(10)).await.expect("runs"), "hello ann");
    worker.drain();
    worker.ended().await;
    let refused = Worker::builder(connection).app(7_u32).tasks([registration]).start().await.expect_err("lends none");
    assert!(refused.to_string().contains("Greeter"), "{refused}");
}
