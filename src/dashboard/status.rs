//! The board of health checks as the dashboard shows it.

use async_trait::async_trait;
use taskq_console::dashboard::{Health as Shown, StatusBoard, StatusChange, StatusRow};
use taskq_core::{Connection, Result};
use taskq_scheduler::health::{Board, BoardRow, Health};

/// See [`StatusBoard`].
#[derive(Debug)]
pub(super) struct StatusOfBoard(Board);

impl StatusOfBoard {
    pub(super) fn of(connection: &Connection) -> Self {
        Self(Board::of(connection))
    }
}

#[async_trait]
impl StatusBoard for StatusOfBoard {
    async fn rows(&self) -> Result<Vec<StatusRow>> {
        Ok(self.0.rows().await?.into_iter().map(row).collect())
    }
}

fn row(row: BoardRow) -> StatusRow {
    let record = row.record.as_ref();
    let change = |turn: &taskq_scheduler::health::Transition| StatusChange {
        at: turn.at,
        to: shown(turn.to),
        reason: turn.reason.clone(),
    };
    StatusRow {
        name: row.name.to_string(),
        health: shown(row.health),
        is_paused: row.is_paused,
        every: row.every.clone(),
        target: record.map(|record| format!("{} {}", record.kind, record.target)).unwrap_or_default(),
        since: record.map(|record| record.since),
        looked_at: record.map(|record| record.looked_at),
        reason: record.and_then(|record| record.reason.clone()),
        latencies_ms: record.map(|record| record.latencies_ms.iter().copied().collect()).unwrap_or_default(),
        changes: record.map(|record| record.transitions.iter().map(change).collect()).unwrap_or_default(),
    }
}

fn shown(health: Health) -> Shown {
    match health {
        Health::Unknown => Shown::Unknown,
        Health::Healthy => Shown::Healthy,
        Health::Degraded => Shown::Degraded,
        Health::Unhealthy => Shown::Unhealthy,
    }
}
