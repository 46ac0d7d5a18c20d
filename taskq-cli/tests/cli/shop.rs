//! A broker with something of everything in it, and the program that looks into it.

use std::{
    process::{Command, Output},
    time::Duration,
};

use taskq::{WorkerHandle, prelude::*};
use taskq_test_support::TempFolder;

/// Charges a card, or not.
#[task(queue = "payments", retry = Retry::fixed(Duration::from_secs(3_600)).attempts(2))]
pub(crate) async fn charge(order: u32, card: String) -> TaskResult<u32> {
    match card.as_str() {
        "expired" => Err(TaskError::fatal("the card has expired\n\u{1b}[31mask the customer\u{7}")),
        "offline" => Err("the bank does not answer".into()),
        _ => Ok(order),
    }
}

/// Takes as long as the test.
#[task(queue = "reports")]
pub(crate) async fn report(ctx: &Context<()>, year: u32) {
    ctx.log(format!("the report of {year} begins"));
    ctx.cancelled().await;
}

/// A folder with a file of a broker in it.
pub(crate) struct Shop {
    folder: TempFolder,
    pub(crate) connection: Connection,
}

impl Shop {
    pub(crate) async fn open() -> Self {
        let folder = TempFolder::new();
        let url = format!("sqlite://{}", folder.file("shop.db").display());
        Self { connection: taskq::connect(&url).await.expect("opens"), folder }
    }

    /// Tasks in every state, and a worker that runs one of them.
    pub(crate) async fn busy() -> (Self, WorkerHandle) {
        let shop = Self::open().await;
        let client = shop.connection.client();
        let charge = |order: u32, card: &str| charge::with(order, card.to_owned()).id(format!("order-{order}"));
        client.enqueue(charge(1, "valid").tag("tenant:7")).await.expect("enqueues");
        client.enqueue(charge(2, "expired").tag("tenant:7").tag("region:eu")).await.expect("enqueues");
        client.enqueue(charge(3, "offline").tag("tenant:8")).await.expect("enqueues");
        client.enqueue(report::with(2025).id("year-2025")).await.expect("enqueues");
        let worker = Worker::builder(shop.connection.clone()).queue("payments", 2).queue("reports", 1);
        let worker = worker.start().await.expect("starts");
        let settled = async || {
            let inspect = shop.connection.inspect();
            let payments = inspect.counts(&"payments".parse().expect("valid")).await.expect("counts");
            let reports = inspect.counts(&"reports".parse().expect("valid")).await.expect("counts");
            payments.dead == 1 && payments.retrying == 1 && payments.running == 0 && reports.running == 1
        };
        while !settled().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        while !shop.says(&["workers", "--json"]).contains("year-2025") {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        client.enqueue(report::with(2026).id("year-2026")).await.expect("enqueues");
        client.enqueue(charge(4, "valid").delay(Duration::from_secs(7_200)).priority(9)).await.expect("enqueues");
        client.enqueue(charge(5, "valid").queue("nobodys").tag("tenant:7")).await.expect("enqueues");
        (shop, worker)
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_taskq"));
        if !arguments.contains(&"--url") {
            command.arg("--url").arg("sqlite://shop.db");
        }
        command.args(arguments).current_dir(self.folder.path());
        for variable in ["RUST_LOG", "TASKQ_CONFIG", "COLUMNS", "CLICOLOR_FORCE"] {
            command.env_remove(variable);
        }
        command.output().expect("starts")
    }

    /// What it prints, if it does well.
    pub(crate) fn says(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let (said, told) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{arguments:?}: {} {said} {told}", output.status);
        said.into_owned()
    }

    /// What it tells, if it does not.
    pub(crate) fn refuses(&self, arguments: &[&str], code: i32) -> String {
        let output = self.run(arguments);
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(
            output.status.code(),
            Some(code),
            "{arguments:?}: {} {told}",
            String::from_utf8_lossy(&output.stdout)
        );
        assert!(!told.contains("panicked"), "{told}");
        told
    }
}
