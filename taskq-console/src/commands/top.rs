//! `top`: queues and workers, live.

use std::{
    collections::HashMap,
    io::IsTerminal,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use clap::Args;
use ratatui::{
    DefaultTerminal, Frame,
    crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers},
    layout::{Constraint, Layout},
    style::{Color, Modifier, Style},
    text::{Line, Span},
    widgets::{Cell, Row, Table},
};
use taskq_core::{
    BoxError, Connection, Figures, QueueName, Timestamp,
    figures::{Figure, TaskFigures},
    fleet::MemberKind,
    signals::Stops,
};
use tokio::sync::oneshot;

use super::{Done, queues, queues::QueueRow, workers};
use crate::{
    roll::{self, Listed},
    words::{counted, length, number, rate, relative},
};

#[derive(Args, Debug)]
pub struct TopArgs {
    /// Print one look and end, as is done where nobody watches
    #[arg(long)]
    once: bool,
}

/// Between two looks.
const PAUSE: Duration = Duration::from_secs(1);

/// How long the keyboard is waited for at once.
const KEYS: Duration = Duration::from_millis(100);

/// One look at everything.
struct Look {
    now: Timestamp,
    queues: Vec<QueueRow>,
    roll: Vec<Listed>,
    flows: HashMap<QueueName, TaskFigures>,
    over: Duration,
}

pub(super) async fn run(connection: &Connection, args: TopArgs) -> Result<Done, BoxError> {
    if args.once || !std::io::stdout().is_terminal() {
        let look = look(connection, &mut HashMap::new(), Duration::ZERO).await?;
        queues::print(&look.queues, look.now);
        workers::print(&look.roll, look.now);
        return Ok(Done::Well);
    }
    let mut terminal = ratatui::try_init()?;
    let watched = watch(connection, &mut terminal).await;
    ratatui::restore();
    watched.map(|()| Done::Well)
}

/// Looks and draws until a key, SIGTERM or ctrl-c ends it: also while a broker that does not answer is waited for.
async fn watch(connection: &Connection, terminal: &mut DefaultTerminal) -> Result<(), BoxError> {
    let mut keyboard = Keyboard::listen();
    let mut stops = Stops::listen();
    let clock = connection.clock();
    let mut before = HashMap::new();
    let mut looked_at = clock.monotonic();
    loop {
        let now = clock.monotonic();
        let look = tokio::select! {
            biased;
            over = &mut keyboard.over => return Ok(over??),
            () = stops.next() => return Ok(()),
            look = look(connection, &mut before, now - looked_at) => look?,
        };
        looked_at = now;
        terminal.draw(|frame| draw(frame, connection.address(), &look))?;
        tokio::select! {
            biased;
            over = &mut keyboard.over => return Ok(over??),
            () = stops.next() => return Ok(()),
            () = clock.sleep(PAUSE) => {}
        }
    }
}

/// Listens to the keyboard on a thread that may block, until somebody ends the view or nobody asks any more.
struct Keyboard {
    over: oneshot::Receiver<std::io::Result<()>>,
    is_left: Arc<AtomicBool>,
}

impl Keyboard {
    fn listen() -> Self {
        let (say, over) = oneshot::channel();
        let is_left = Arc::new(AtomicBool::new(false));
        let listens = Arc::clone(&is_left);
        tokio::task::spawn_blocking(move || {
            while !listens.load(Ordering::Relaxed) {
                match is_over() {
                    Ok(false) => {}
                    // Whoever no longer listens has ended already.
                    ended => return drop(say.send(ended.map(|_| ()))),
                }
            }
        });
        Self { over, is_left }
    }
}

impl Drop for Keyboard {
    fn drop(&mut self) {
        self.is_left.store(true, Ordering::Relaxed);
    }
}

/// Whether somebody has pressed a key that ends it.
fn is_over() -> std::io::Result<bool> {
    if !event::poll(KEYS)? {
        return Ok(false);
    }
    Ok(match event::read()? {
        Event::Key(key) if key.kind == KeyEventKind::Press => {
            let is_ctrl_c = key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL);
            is_ctrl_c || matches!(key.code, KeyCode::Char('q') | KeyCode::Esc)
        }
        _ => false,
    })
}

/// Looks, and tells from what workers have counted since the last look what goes on.
async fn look(
    connection: &Connection,
    before: &mut HashMap<taskq_core::MemberId, Figures>,
    over: Duration,
) -> Result<Look, BoxError> {
    let (queues, roll) = (queues::all(connection).await?, roll::call(connection).await?);
    let mut flows: HashMap<QueueName, TaskFigures> = HashMap::new();
    let mut present = HashMap::new();
    for listed in &roll {
        let Some(report) = &listed.report else { continue };
        if let Some(earlier) = before.get(&listed.member.id) {
            for (queue, figures) in report.figures.since(earlier).queues {
                flows.entry(queue).or_default().add_up(&figures.total());
            }
        }
        present.insert(listed.member.id, report.figures.clone());
    }
    *before = present;
    Ok(Look { now: connection.broker().now().await?, queues, roll, flows, over })
}

fn draw(frame: &mut Frame<'_>, address: &str, look: &Look) {
    let heights = [Constraint::Length(2), Constraint::Min(4), Constraint::Min(4)];
    let [head, middle, bottom] = Layout::vertical(heights).areas(frame.area());
    let workers = look.roll.iter().filter(|listed| listed.is(MemberKind::Worker)).count() as u64;
    let done: f64 = look.flows.values().map(|flow| per_second(flow.succeeded, look.over)).sum();
    let bold = Style::new().add_modifier(Modifier::BOLD);
    let line = vec![
        Span::styled("taskq ", bold),
        Span::raw(format!("{address}   {}   ", counted(workers, "worker"))),
        Span::styled(format!("{} done a second", rate(done)), bold),
        Span::raw("   q ends"),
    ];
    frame.render_widget(Line::from(line), head);
    frame.render_widget(queue_table(look), middle);
    frame.render_widget(worker_table(look), bottom);
}

fn per_second(count: u64, over: Duration) -> f64 {
    if over.is_zero() { 0.0 } else { count as f64 / over.as_secs_f64() }
}

fn queue_table(look: &Look) -> Table<'static> {
    let header = Row::new(["QUEUE", "READY", "SCHED", "RETRY", "RUN", "DEAD", "DONE/S", "FAIL/S", "RUN P99", "OLDEST"]);
    let rows = look.queues.iter().map(|row| {
        let counts = row.view.counts;
        let flow = look.flows.get(&row.name).cloned().unwrap_or_default();
        let failed = flow.retried + flow.dead;
        let p99 = flow.run.quantile(0.99).map_or_else(String::new, length);
        let oldest = row.view.oldest_ready.map_or_else(String::new, |since| length(look.now.since(since)));
        let name = match row.view.paused_at {
            Some(_) => format!("{} (paused)", row.name),
            None => row.name.to_string(),
        };
        let dead = Style::new().fg(if counts.dead > 0 { Color::Red } else { Color::Reset });
        Row::new([
            Cell::from(name),
            Cell::from(number(counts.ready)),
            Cell::from(number(counts.scheduled)),
            Cell::from(number(counts.retrying)),
            Cell::from(number(counts.running)),
            Cell::from(number(counts.dead)).style(dead),
            Cell::from(rate(per_second(flow.succeeded, look.over))),
            Cell::from(rate(per_second(failed, look.over))),
            Cell::from(p99),
            Cell::from(oldest),
        ])
    });
    let widths = [Constraint::Min(16)].into_iter().chain([Constraint::Length(10); 9]);
    Table::new(rows, widths).header(header.style(Style::new().add_modifier(Modifier::DIM)))
}

fn worker_table(look: &Look) -> Table<'static> {
    let header = Row::new(["WORKER", "HOST", "PROCESS", "BUSY", "SLOTS", "SEEN", "RUNS"]);
    let rows = look.roll.iter().filter_map(|listed| {
        let report = listed.report.as_ref()?;
        let id = listed.member.id.to_string();
        let slots: u64 = report.lanes.iter().map(|lane| lane.slots).sum();
        let runs = match (report.kind, report.leads) {
            (MemberKind::Scheduler, Some(_)) => "scheduler, leads".to_owned(),
            (MemberKind::Scheduler, None) => "scheduler, stands by".to_owned(),
            _ => report.running.iter().map(|task| task.task.as_str()).collect::<Vec<_>>().join(", "),
        };
        Some(Row::new([
            id[id.len().saturating_sub(12)..].to_owned(),
            report.host.clone(),
            report.pid.to_string(),
            number(report.running_count),
            number(slots),
            relative(listed.member.seen_at, look.now),
            runs.chars().filter(|c| !c.is_control()).collect(),
        ]))
    });
    let widths = [14, 16, 9, 6, 6, 10].map(Constraint::Length).into_iter().chain([Constraint::Min(16)]);
    Table::new(rows, widths).header(header.style(Style::new().add_modifier(Modifier::DIM)))
}
