//! A broker with something of everything in it, and the program that looks into it.

use std::{collections::BTreeSet, process::Command, time::Duration};

use taskq::{EventsMode, Told, What, WorkerHandle, prelude::*};
use taskq_test_support::{ProgramRun, TempFolder};

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
        let connection = taskq::connect(&url).await.expect("opens").with_events(EventsMode::On);
        Self { connection, folder }
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
        let mut events = client.events().await.expect("subscribes");
        let worker = Worker::builder(shop.connection.clone()).queue("payments", 2).queue("reports", 1);
        let worker = worker.start().await.expect("starts");
        let mut awaited =
            BTreeSet::from(["payments/order-1", "payments/order-2", "payments/order-3", "reports/year-2025"]);
        while !awaited.is_empty() {
            let Told::Happened(_, event) = events.next().await.expect("goes on") else { continue };
            match event.what {
                What::Settled { id, .. } => awaited.remove(id.to_string().as_str()),
                What::Started { id, .. } if id.queue.as_str() == "reports" => awaited.remove(id.to_string().as_str()),
                _ => false,
            };
        }
        // The worker reports what it runs within half a second; nothing tells when, so it is looked for.
        while !shop.says(&["workers", "--json"]).contains("year-2025") {}
        client.enqueue(report::with(2026).id("year-2026")).await.expect("enqueues");
        client.enqueue(charge(4, "valid").delay(Duration::from_secs(7_200)).priority(9)).await.expect("enqueues");
        client.enqueue(charge(5, "valid").queue("nobodys").tag("tenant:7")).await.expect("enqueues");
        (shop, worker)
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> ProgramRun {
        let mut command = Command::new(env!("CARGO_BIN_EXE_taskq"));
        if !arguments.contains(&"--url") {
            command.arg("--url").arg("sqlite://shop.db");
        }
        command.args(arguments).current_dir(self.folder.path());
        for variable in ["TASKQ_CONFIG", "COLUMNS", "CLICOLOR_FORCE"] {
            command.env_remove(variable);
        }
        ProgramRun::of(&mut command)
    }

    /// What it prints, if it does well.
    pub(crate) fn says(&self, arguments: &[&str]) -> String {
        self.run(arguments).succeeded()
    }

    /// What it tells, if it does not.
    pub(crate) fn refuses(&self, arguments: &[&str], code: i32) -> String {
        let run = self.run(arguments);
        assert_eq!(run.status.code(), Some(code), "{arguments:?}: {}", run.text());
        run.refused()
    }
}
