//! Log lines: the newest of each task, until a day after the last, whatever becomes of the task.

use std::{sync::Arc, time::Duration};

use crate::{
    broker::{Ending, memory},
    clock::{Clock, Timestamp},
    conformance::Stage,
    control::Purge,
    id::{TaskId, TaskKey},
    limits,
    logs::{LogLevel, LogLine},
    retry::scramble,
    state::{DeadReason, State},
};

const MINUTE: Duration = Duration::from_secs(60);

fn line(text: &str) -> LogLine {
    LogLine::new(Timestamp::from_millis(1_764_000_000_123), 1, LogLevel::Info, text)
}

fn numbered(numbers: std::ops::Range<usize>) -> Vec<LogLine> {
    numbers.map(|number| line(&number.to_string())).collect()
}

fn task(stage: &Stage, key: &str) -> TaskId {
    TaskId::new(stage.queue.clone(), TaskKey::own(key).expect("valid"))
}

async fn append(stage: &Stage, id: &TaskId, lines: &[LogLine]) {
    stage.connection.logs().append(id, lines).await.expect("appends");
}

async fn lines(stage: &Stage, id: &TaskId) -> Vec<LogLine> {
    stage.connection.logs().lines(id).await.expect("reads")
}

/// In their order, with time, attempt, level and any text.
pub async fn lines_are_kept_as_they_were_written(stage: Stage) {
    let id = stage.enqueue_one().await;
    assert_eq!(lines(&stage, &id).await, []);
    append(&stage, &id, &[]).await;
    assert_eq!(lines(&stage, &id).await, []);
    let first = [
        LogLine::new(Timestamp::from_millis(1_764_000_000_123), 1, LogLevel::Debug, "é\n\u{1F319}\0 %s ' \\ |"),
        LogLine::new(Timestamp::default(), u32::MAX, LogLevel::Warn, ""),
    ];
    append(&stage, &id, &first).await;
    let second = [
        LogLine::new(Timestamp::from_millis(1), 2, LogLevel::Error, "12345678901234567890"),
        LogLine::new(Timestamp::from_millis(1), 2, LogLevel::Info, "\u{2028}".repeat(1_000)),
    ];
    append(&stage, &id, &second).await;
    assert_eq!(lines(&stage, &id).await, [first, second].concat());
}

/// Whatever happens to the task, who asks for its lines gets them.
pub async fn lines_stay_through_retries_and_every_end(stage: Stage) {
    let owner = stage.worker().await;
    let endings = [
        (Ending::Succeeded(crate::conformance::payload(1)), State::Succeeded),
        (Ending::Dead(DeadReason::Fatal), State::Dead),
        (Ending::Cancelled, State::Cancelled),
    ];
    for (ending, state) in endings {
        let id = stage.enqueue_one().await;
        let claimed = stage.claim_one(owner).await;
        append(&stage, &id, &numbered(0..1)).await;
        stage.settle(owner, &claimed, Ending::Retry(Duration::ZERO)).await;
        assert_eq!(lines(&stage, &id).await, numbered(0..1), "while it waits for its retry");
        let claimed = stage.claim_one(owner).await;
        append(&stage, &id, &numbered(1..2)).await;
        stage.settle(owner, &claimed, ending).await;
        // The last lines of an attempt come after its settlement.
        append(&stage, &id, &numbered(2..3)).await;
        assert_eq!(stage.state(&id).await, Some(state));
        assert_eq!(lines(&stage, &id).await, numbered(0..3), "{state:?}");
    }
}

/// At most so many, in one call or in several.
pub async fn of_too_many_lines_the_newest_are_kept(stage: Stage) {
    let (one, other) = (task(&stage, "one"), task(&stage, "other"));
    let most = limits::MAX_LOG_LINES;
    for from in (0..most + 50).step_by(25) {
        append(&stage, &one, &numbered(from..from + 25)).await;
    }
    assert_eq!(lines(&stage, &one).await, numbered(50..most + 50));
    append(&stage, &other, &numbered(0..2 * most + 1)).await;
    assert_eq!(lines(&stage, &other).await, numbered(most + 1..2 * most + 1));
}

/// At most so many bytes of texts, exactly.
pub async fn of_too_many_bytes_the_newest_lines_are_kept(stage: Stage) {
    let id = task(&stage, "one");
    let long = |number: usize| line(&format!("{number:04}{}", "x".repeat(limits::MAX_LOG_LINE - 4)));
    let fit = limits::MAX_LOG_BYTES / limits::MAX_LOG_LINE;
    for number in 0..fit {
        append(&stage, &id, &[long(number)]).await;
    }
    assert_eq!(lines(&stage, &id).await.len(), fit, "exactly as many bytes as there may be");
    append(&stage, &id, &[line("")]).await;
    assert_eq!(lines(&stage, &id).await.len(), fit + 1, "an empty line takes none");
    append(&stage, &id, &[line("x")]).await;
    let kept = lines(&stage, &id).await;
    assert_eq!((kept.len(), &kept[0]), (fit + 1, &long(1)), "one byte too many, one line less");
    let many: Vec<_> = (0..limits::MAX_LOG_LINES).map(long).collect();
    append(&stage, &id, &many).await;
    assert_eq!(lines(&stage, &id).await, many[limits::MAX_LOG_LINES - fit..]);
}

/// Each line keeps those before it alive.
pub async fn lines_are_forgotten_a_day_after_the_last(stage: Stage) {
    let (id, other) = (task(&stage, "one"), task(&stage, "other"));
    append(&stage, &id, &numbered(0..1)).await;
    append(&stage, &other, &numbered(0..1)).await;
    stage.advance(limits::LOG_TTL - MINUTE).await;
    append(&stage, &id, &numbered(1..2)).await;
    stage.advance(limits::LOG_TTL - MINUTE).await;
    stage.sweep().await;
    assert_eq!(lines(&stage, &id).await, numbered(0..2));
    assert_eq!(lines(&stage, &other).await, []);
    stage.advance(2 * MINUTE).await;
    assert_eq!(lines(&stage, &id).await, [], "before anybody sweeps");
    append(&stage, &id, &numbered(2..3)).await;
    assert_eq!(lines(&stage, &id).await, numbered(2..3), "what was forgotten does not come back");
    stage.sweep().await;
    assert_eq!(lines(&stage, &id).await, numbered(2..3));
}

/// Each task has its own, known to the broker or not.
pub async fn lines_of_tasks_and_queues_do_not_mix(stage: Stage) {
    let elsewhere = stage.with_queue("elsewhere");
    let ids = [task(&stage, "one"), task(&stage, "other"), task(&elsewhere, "one")];
    for (number, id) in ids.iter().enumerate() {
        append(&stage, id, &numbered(number..number + 1)).await;
    }
    for (number, id) in ids.iter().enumerate() {
        assert_eq!(lines(&stage, id).await, numbered(number..number + 1), "{id}");
    }
    assert_eq!(lines(&stage, &task(&stage, "third")).await, []);
    assert_eq!(lines(&stage, &task(&stage.with_queue("unknown"), "one")).await, []);
}

/// Lines are no tasks.
pub async fn a_purge_leaves_lines_alone(stage: Stage) {
    let id = stage.enqueue_one().await;
    append(&stage, &id, &numbered(0..2)).await;
    for what in [Purge::Waiting, Purge::DeadLetters] {
        stage.connection.control().purge(&stage.queue, what, limits::PURGE_BATCH).await.expect("purges");
    }
    assert_eq!(stage.state(&id).await, Some(State::Cancelled));
    assert_eq!(lines(&stage, &id).await, numbered(0..2));
}

/// Two attempts of one task, of which one has lost its lease, may write at once.
pub async fn lines_of_many_writers_stay_whole(stage: Stage) {
    let id = Arc::new(task(&stage, "one"));
    let writer = |writer: u32| {
        let (stage, id) = (stage.clone(), Arc::clone(&id));
        async move {
            for number in 0..20 {
                let said = LogLine::new(Timestamp::default(), writer, LogLevel::Info, number.to_string());
                append(&stage, &id, &[said.clone(), said]).await;
            }
        }
    };
    futures_util::join!(writer(1), writer(2), writer(3));
    let kept = lines(&stage, &id).await;
    assert_eq!(kept.len(), 120);
    for attempt in 1..=3 {
        let of_one: Vec<_> = kept.iter().filter(|line| line.attempt == attempt).map(LogLine::text).collect();
        let expected: Vec<_> = (0..20).flat_map(|number| [number.to_string(), number.to_string()]).collect();
        assert_eq!(of_one, expected);
    }
}

/// Appends of all sizes, a few tasks, and time that passes.
pub async fn a_random_history_of_lines_agrees_with_the_reference(stage: Stage) {
    let (clock, simulation) = Clock::simulated(stage.now().await);
    let reference = Stage { connection: memory::connect(clock), ..stage.clone() };
    let ids = [task(&stage, "one"), task(&stage, "other")];
    let mut seed = 0x10_65;
    let mut below = |bound: u64| {
        seed = scramble(seed);
        seed % bound
    };
    for _ in 0..60 {
        let id = &ids[below(2) as usize];
        let count = [1, 2, 9, 250][below(4) as usize];
        let mut random = |_| {
            let length = [3, 40, 900, 2_000][below(4) as usize];
            let text: String = "xé".chars().cycle().take(below(length) as usize).collect();
            line(&format!("{}{text}", below(9)))
        };
        let said: Vec<LogLine> = (0..count).map(&mut random).collect();
        append(&stage, id, &said).await;
        append(&reference, id, &said).await;
        assert_eq!(lines(&stage, id).await, lines(&reference, id).await);
        let pause = Duration::from_secs(below(4) * 5 * 3_600);
        stage.advance(pause).await;
        simulation.advance(pause).await;
    }
}
