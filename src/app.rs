//! The one-line main: gives the user's own binary the subcommands `worker`, `scheduler`, `enqueue`, `schedule`, `dashboard` and
//! `check`.

mod check;
#[cfg(feature = "dashboard")]
mod dashboard;
mod enqueue;
#[cfg(feature = "health")]
mod health;
#[cfg(feature = "cli")]
mod manual;
#[cfg(feature = "health")]
mod monitor;
#[cfg(feature = "metrics")]
mod numbers;
mod output;
mod probes;
#[cfg(feature = "scheduler")]
mod schedule;
#[cfg(feature = "scheduler")]
mod scheduler;
mod telemetry;
#[cfg(feature = "scheduler")]
mod watch;

use std::{future::Future, path::PathBuf, process::ExitCode};

use clap::{Args, Parser, Subcommand};
use futures_util::future::BoxFuture;
use taskq_core::{BoxError, Connection, Registration, Result, signals::Stops, task::AppType};
#[cfg(feature = "scheduler")]
use taskq_scheduler::{SchedulerBuilder, SchedulerHandle};
use taskq_worker::{Worker, WorkerBuilder};

use crate::config::Config;
use probes::Pulses;
use telemetry::Telemetry;
#[cfg(feature = "scheduler")]
use watch::{Followers, Watch};

/// A program made of the tasks linked into it.
///
/// ```no_run
/// use std::process::ExitCode;
///
/// #[tokio::main]
/// async fn main() -> ExitCode {
///     taskq::app().main().await
/// }
/// ```
pub fn app() -> App<()> {
    App {
        build: Box::new(|| Box::pin(async { Ok(()) })),
        shape: Box::new(|worker| worker),
        #[cfg(feature = "scheduler")]
        shape_scheduler: None,
    }
}

#[cfg(feature = "scheduler")]
type ShapeScheduler = Box<dyn FnOnce(SchedulerBuilder) -> Result<SchedulerBuilder> + Send>;

/// See [`app`].
pub struct App<A> {
    build: Box<dyn FnOnce() -> BoxFuture<'static, Result<A, BoxError>> + Send>,
    shape: Box<dyn FnOnce(WorkerBuilder) -> WorkerBuilder + Send>,
    #[cfg(feature = "scheduler")]
    shape_scheduler: Option<ShapeScheduler>,
}

/// Runs the tasks of this program, and enqueues them.
#[derive(Debug, Parser)]
#[command(after_help = "Exit codes: 0 done, 1 failed (the message says what and why), 2 wrong usage.")]
struct Cli {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    command: Command,
}

#[derive(Args, Clone, Debug)]
struct Common {
    /// Configuration file; taskq.toml in the working directory if there is one
    #[arg(long, value_name = "FILE", global = true, env = "TASKQ_CONFIG")]
    config: Option<PathBuf>,
    /// Broker, instead of the configured one: sqlite://path, redis://host, rediss://host
    #[arg(long, value_name = "URL", global = true, hide_env_values = true)]
    url: Option<String>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs tasks until SIGTERM or ctrl-c, then finishes what runs; a second signal gives it back at once
    Worker(WorkerArgs),
    /// Enqueues tasks by the schedules of taskq.toml, of the program and of run time, until SIGTERM or ctrl-c.
    ///
    /// Run as many as you like: one leads, and when it ends or dies another one follows. A change of taskq.toml counts within
    /// seconds, at once on SIGHUP; a file with a mistake changes nothing, and the mistake is logged
    #[cfg(feature = "scheduler")]
    Scheduler(Listen),
    /// Enqueues a task by name with a JSON object of arguments, and prints its id
    Enqueue(enqueue::EnqueueArgs),
    /// Lists, adds, changes, pauses and triggers what is scheduled
    #[cfg(feature = "scheduler")]
    #[command(subcommand, alias = "schedules")]
    Schedule(schedule::ScheduleCommand),
    /// Shows how everything is that is watched; exit code 1 if anything is unhealthy
    #[cfg(feature = "health")]
    Health(health::HealthArgs),
    /// Shows everything to a browser: queues, tasks, dead letters, workers, schedules, health.
    ///
    /// Read-only, and only for browsers on this machine, unless it is told otherwise
    #[cfg(feature = "dashboard")]
    Dashboard(dashboard::DashboardArgs),
    /// Lists the tasks, tests the broker, and explains where each configured value came from
    Check,
    #[cfg(feature = "cli")]
    #[command(flatten)]
    Console(Box<taskq_console::commands::Command>),
    /// Explains the configuration in force
    #[cfg(feature = "cli")]
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Prints what makes a shell complete the commands
    #[cfg(feature = "cli")]
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Writes manual pages into a folder, or prints the first one
    #[cfg(feature = "cli")]
    Man {
        /// The folder, one page a command
        folder: Option<PathBuf>,
    },
}

#[cfg(feature = "cli")]
#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Prints every setting with its value and where that came from
    Explain {
        /// Print JSON, one setting a line
        #[arg(long)]
        json: bool,
    },
}

#[derive(Args, Debug)]
struct WorkerArgs {
    /// Queue and its slots, instead of the configured ones; repeat it for more: --queue mail=20 --queue default=50
    #[arg(long, value_name = "NAME=SLOTS", value_parser = queue_and_slots)]
    queue: Vec<(String, usize)>,
    /// Run a scheduler in the same process
    #[cfg(feature = "scheduler")]
    #[arg(long)]
    scheduler: bool,
    #[command(flatten)]
    listen: Listen,
}

#[derive(Args, Debug)]
struct Listen {
    /// Answer GET /healthz and /readyz here: 127.0.0.1:9000. With the feature `metrics` also /metrics, for Prometheus, and
    /// /depth?queue=NAME, for autoscalers
    #[arg(long = "listen", value_name = "ADDRESS")]
    address: Option<std::net::SocketAddr>,
}

fn queue_and_slots(text: &str) -> Result<(String, usize), String> {
    let parsed = text.split_once('=').and_then(|(queue, slots)| Some((queue.to_owned(), slots.parse().ok()?)));
    parsed.filter(|(_, slots)| *slots > 0).ok_or_else(|| "write it as name=slots, for example mail=20".to_owned())
}

impl<A: Send + Sync + 'static> App<A> {
    /// Builds what the worker lends to bodies as `&Context<B>`. It is built only for `worker`.
    pub fn app_with<B, E, F, Fut>(self, build: F) -> App<B>
    where
        B: Send + Sync + 'static,
        E: Into<BoxError>,
        F: FnOnce() -> Fut + Send + 'static,
        Fut: Future<Output = Result<B, E>> + Send + 'static,
    {
        App {
            build: Box::new(move || Box::pin(async move { build().await.map_err(Into::into) })),
            shape: self.shape,
            #[cfg(feature = "scheduler")]
            shape_scheduler: self.shape_scheduler,
        }
    }

    /// Changes the worker that `worker` starts: layers, a narrower set of tasks.
    #[must_use]
    pub fn worker_with(self, shape: impl FnOnce(WorkerBuilder) -> WorkerBuilder + Send + 'static) -> Self {
        Self { shape: Box::new(shape), ..self }
    }

    /// Changes the scheduler that `scheduler` starts: adds entries of the program.
    ///
    /// ```no_run
    /// # use std::{process::ExitCode, time::Duration};
    /// # use taskq::task;
    /// # #[task]
    /// # fn poll() {}
    /// # #[tokio::main]
    /// # async fn main() -> ExitCode {
    /// taskq::app()
    ///     .scheduler_with(|scheduler| Ok(scheduler.entry("poll", taskq::every(Duration::from_secs(30))?, poll::with())))
    ///     .main()
    ///     .await
    /// # }
    /// ```
    #[cfg(feature = "scheduler")]
    #[must_use]
    pub fn scheduler_with(
        self,
        shape: impl FnOnce(SchedulerBuilder) -> Result<SchedulerBuilder> + Send + 'static,
    ) -> Self {
        Self { shape_scheduler: Some(Box::new(shape)), ..self }
    }

    /// Does what the command line says.
    pub async fn main(self) -> ExitCode {
        let cli = Cli::parse();
        match self.run(cli).await {
            Ok(code) => code,
            Err(error) => {
                eprintln!("error: {error}");
                ExitCode::FAILURE
            }
        }
    }

    async fn run(self, cli: Cli) -> Result<ExitCode, BoxError> {
        #[cfg(feature = "cli")]
        if let Some(printed) = manual::print(&cli.command)? {
            return Ok(printed);
        }
        let config = load(&cli.common)?;
        #[cfg(feature = "cli")]
        let config = match &cli.command {
            // What people ask for is not to be looked for among what a program tells.
            Command::Console(_) | Command::Config(_) => config.quiet(),
            _ => config,
        };
        let telemetry = Telemetry::start(&config)?;
        let code = self.obey(cli, config).await;
        telemetry.end().await;
        code
    }

    async fn obey(self, cli: Cli, config: Config) -> Result<ExitCode, BoxError> {
        match cli.command {
            Command::Worker(args) => self.work(&cli.common, config, args).await.map(|()| ExitCode::SUCCESS),
            #[cfg(feature = "scheduler")]
            Command::Scheduler(listen) => self.schedule(&cli.common, config, listen).await.map(|()| ExitCode::SUCCESS),
            #[cfg(feature = "scheduler")]
            Command::Schedule(command) => schedule::run(&config, command).await,
            Command::Enqueue(args) => enqueue::run(&config, args).await,
            #[cfg(feature = "health")]
            Command::Health(args) => health::run(&config, args).await,
            #[cfg(feature = "dashboard")]
            Command::Dashboard(args) => dashboard::run(&config, args).await,
            Command::Check => Ok(check::run(&config, AppType::of::<A>()).await),
            #[cfg(feature = "cli")]
            Command::Config(ConfigCommand::Explain { json }) => Ok(check::explain(&config, json)),
            #[cfg(feature = "cli")]
            Command::Console(command) => {
                config.refuse_missing_file()?;
                let done = command.run(&connect(&config).await?).await?;
                Ok(match done {
                    taskq_console::commands::Done::Well => ExitCode::SUCCESS,
                    taskq_console::commands::Done::NotSo => ExitCode::FAILURE,
                })
            }
            // Printed before anything was configured.
            #[cfg(feature = "cli")]
            Command::Completions { .. } | Command::Man { .. } => Ok(ExitCode::SUCCESS),
        }
    }

    /// Runs a scheduler until it is to end.
    #[cfg(feature = "scheduler")]
    async fn schedule(self, common: &Common, config: Config, listen: Listen) -> Result<(), BoxError> {
        let stops = Stops::listen();
        let listener = probes::bind(listen.address).await?;
        let connection = connect(&config).await?;
        let clock = connection.clock().clone();
        let scheduler = scheduler::start(self.shape_scheduler, &config, connection.clone()).await?;
        let pulses = Pulses { scheduler: Some(scheduler.pulse()), ..Pulses::default() };
        probes::serve(listener, &connection, pulses);
        let followers = Followers {
            scheduler: Some(scheduler.reloader()),
            #[cfg(feature = "health")]
            monitor: None,
            #[cfg(feature = "health")]
            slots: None,
            #[cfg(feature = "health")]
            janitor: Some(watch::Janitor::new(&connection, scheduler.pulse())),
        };
        Watch::start(common, config, clock, followers);
        scheduler.run(stops).await;
        Ok(())
    }

    async fn work(self, common: &Common, config: Config, args: WorkerArgs) -> Result<(), BoxError> {
        // What can be wrong without any connection is told before one is opened.
        check_tasks(AppType::of::<A>(), &config)?;
        #[cfg(feature = "scheduler")]
        if args.scheduler {
            config.entries(&Registration::linked())?;
        }
        let (stops, for_scheduler) = (Stops::listen(), Stops::listen());
        let listener = probes::bind(args.listen.address).await?;
        let connection = connect(&config).await?;
        let app = (self.build)().await?;
        #[cfg(feature = "health")]
        let (monitor, is_told) = (monitor::monitor(&connection, &config), !args.queue.is_empty());
        let worker = configured(Worker::builder(connection.clone()).app(app), &config, args.queue);
        let worker = (self.shape)(worker).or_declared_queues();
        #[cfg(feature = "health")]
        let (worker, slots) = monitor::with_checks(worker, &monitor, &config, is_told);
        #[cfg(feature = "scheduler")]
        let scheduler = match args.scheduler {
            true => Some(scheduler::start(self.shape_scheduler, &config, connection.clone()).await?),
            false => None,
        };
        let worker = worker.start().await?;
        let pulses = Pulses {
            worker: Some(worker.pulse()),
            #[cfg(feature = "scheduler")]
            scheduler: scheduler.as_ref().map(SchedulerHandle::pulse),
        };
        probes::serve(listener, &connection, pulses);
        #[cfg(feature = "scheduler")]
        {
            let followers = Followers {
                scheduler: scheduler.as_ref().map(SchedulerHandle::reloader),
                #[cfg(feature = "health")]
                monitor: Some(monitor),
                #[cfg(feature = "health")]
                slots,
                #[cfg(feature = "health")]
                janitor: scheduler.as_ref().map(|scheduler| watch::Janitor::new(&connection, scheduler.pulse())),
            };
            Watch::start(common, config, connection.clock().clone(), followers);
            let schedule = async {
                if let Some(scheduler) = scheduler {
                    scheduler.run(for_scheduler).await;
                }
            };
            tokio::join!(worker.run(stops), schedule);
        }
        #[cfg(not(feature = "scheduler"))]
        {
            let (_nothing_to_watch, _no_scheduler) = (common, for_scheduler);
            worker.run(stops).await;
        }
        Ok(())
    }
}

/// Whether a worker would have work. One without tasks of its own can look at others.
fn check_tasks(lent: AppType, config: &Config) -> Result<()> {
    let tasks = Registration::linked();
    #[cfg(feature = "health")]
    if tasks.is_empty() && config.watches_health() {
        return Ok(());
    }
    #[cfg(not(feature = "health"))]
    let _nothing_is_watched = config;
    taskq_worker::check_tasks(tasks, lent)
}

fn load(common: &Common) -> Result<Config> {
    Ok(with_url(Config::load(common.config.as_deref())?, common))
}

fn with_url(config: Config, common: &Common) -> Config {
    match &common.url {
        Some(url) => config.with_broker_url(url.clone()),
        None => config,
    }
}

async fn connect(config: &Config) -> Result<Connection> {
    config.connect().await
}

fn configured(worker: WorkerBuilder, config: &Config, queues: Vec<(String, usize)>) -> WorkerBuilder {
    let mut worker = worker
        .drain(config.drain)
        .lease(config.lease)
        .default_timeout(config.default_timeout)
        .unregistered_bound(config.unregistered_bound);
    if let Some(threads) = config.plain_threads {
        worker = worker.plain_threads(threads);
    }
    if !queues.is_empty() {
        return queues.into_iter().fold(worker, |worker, (queue, slots)| worker.queue(queue, slots));
    }
    for (queue, slots) in &config.queues {
        worker = worker.queue(queue, *slots);
    }
    for shared in &config.shared {
        worker = match shared.strict {
            true => worker.strict(shared.slots, shared.queues.iter().map(|(queue, _)| queue.clone())),
            false => worker.weighted(shared.slots, shared.queues.clone()),
        };
    }
    worker
}

impl<A> std::fmt::Debug for App<A> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("App")
    }
}
