//! Everything that one scrape tells, and how it becomes text.

use std::{fmt, time::Duration};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet},
    metrics::MetricType,
    registry::Unit,
};
use taskq_core::{
    QueueView, Shelf,
    figures::{Figures, Histogram, QueueFigures, Scale, Sizes, TaskFigures, Times},
};

use super::{
    answers::Answers,
    family::{self, Family, Kind},
};

/// Everything that one scrape tells.
#[derive(Debug)]
pub(super) struct Scrape {
    pub(super) figures: Figures,
    /// Whether the workers can work, if there are any.
    pub(super) is_ready: Option<bool>,
    #[cfg(feature = "scheduler")]
    pub(super) scheduler: Option<taskq_scheduler::Pulse>,
    pub(super) answers: Answers,
}

/// Values of one label set.
type Labels<'a> = &'a [(&'static str, &'a str)];

impl Collector for Scrape {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut out = Out(encoder);
        out.begin(family::BUILD, |family| family.encode_info(&[("version", env!("CARGO_PKG_VERSION"))]))?;
        self.encode_client(&mut out)?;
        if self.is_ready.is_some() {
            self.encode_worker(&mut out)?;
        }
        #[cfg(feature = "scheduler")]
        if let Some(scheduler) = &self.scheduler {
            encode_scheduler(&mut out, scheduler)?;
        }
        self.encode_answers(&mut out)
    }
}

impl Scrape {
    fn encode_client(&self, out: &mut Out<'_>) -> fmt::Result {
        out.by_queue(family::ENQUEUED, &self.figures, |queue| queue.enqueued)?;
        out.by_queue(family::NOT_ENQUEUED, &self.figures, |queue| queue.not_enqueued)?;
        out.alone(family::BROKER_ERRORS, self.figures.broker_errors)?;
        out.alone(family::BROKER_RECONNECTS, self.figures.reconnects)
    }

    fn encode_worker(&self, out: &mut Out<'_>) -> fmt::Result {
        let figures = &self.figures;
        out.by_task(family::STARTED, figures, |task| task.started)?;
        out.begin(family::SETTLED, |encoder| {
            for (queue, task, figures) in tasks(figures) {
                for (outcome, count) in figures.outcomes() {
                    count_of(encoder, &[("queue", queue), ("task", task), ("outcome", outcome)], count)?;
                }
            }
            Ok(())
        })?;
        out.by_task(family::PANICKED, figures, |task| task.panicked)?;
        out.by_task(family::TIMED_OUT, figures, |task| task.timed_out)?;
        out.by_queue(family::REDELIVERED, figures, |queue| queue.redelivered)?;
        out.times_by_task(family::RUN, figures, |task| &task.run)?;
        out.times_by_task(family::WAIT, figures, |task| &task.wait)?;
        out.by_queue(family::FENCED, figures, |queue| queue.fenced)?;
        out.by_queue(family::UNCLEAR, figures, |queue| queue.unclear)?;
        out.by_queue(family::LEASES_LOST, figures, |queue| queue.leases_lost)?;
        let lanes = || figures.lanes.iter().map(|(lane, slots)| ([("lane", lane.as_str())], slots));
        let slots: Vec<_> = lanes().map(|(lane, slots)| (lane, slots.all)).collect();
        out.gauge(family::SLOTS, slots.iter().map(|(lane, slots)| (lane.as_slice(), *slots)))?;
        let busy: Vec<_> = lanes().map(|(lane, slots)| (lane, slots.busy)).collect();
        out.gauge(family::SLOTS_BUSY, busy.iter().map(|(lane, slots)| (lane.as_slice(), *slots)))?;
        out.alone(family::WORKER_READY, u64::from(self.is_ready == Some(true)))?;
        out.calls_by_queue(family::CLAIM_SECONDS, figures, |queue| in_seconds(&queue.claims.took))?;
        out.calls_by_queue(family::CLAIM_TASKS, figures, |queue| in_tasks(&queue.claims.tasks))?;
        out.calls_by_queue(family::SETTLE_SECONDS, figures, |queue| in_seconds(&queue.settles.took))?;
        out.calls_by_queue(family::SETTLE_TASKS, figures, |queue| in_tasks(&queue.settles.tasks))
    }

    fn encode_answers(&self, out: &mut Out<'_>) -> fmt::Result {
        let answers = &self.answers;
        out.alone(family::BROKER_UP, u64::from(answers.is_up))?;
        if !answers.is_up {
            return Ok(());
        }
        out.begin(family::DEPTH, |encoder| {
            for (queue, view) in &answers.queues {
                for shelf in Shelf::ALL {
                    let labels = [("queue", queue.as_str()), ("state", shelf.state().as_str())];
                    gauge_of(encoder, &labels, view.counts.on(shelf))?;
                }
            }
            Ok(())
        })?;
        out.begin(family::OLDEST, |encoder| {
            for (queue, view) in &answers.queues {
                // Nothing is told of tasks whose envelopes do not tell.
                let age = match (view.counts.ready, view.oldest_ready) {
                    (0, _) => Duration::ZERO,
                    (_, Some(since)) => answers.now.since(since),
                    (_, None) => continue,
                };
                encoder.encode_family(&[("queue", queue.as_str())])?.encode_gauge(&age.as_secs_f64())?;
            }
            Ok(())
        })?;
        out.by_view(family::QUEUE_WORKERS, answers, |view| view.workers)?;
        out.by_view(family::QUEUE_PAUSED, answers, |view| u64::from(view.paused_at.is_some()))?;
        out.alone(family::QUEUES_LEFT_OUT, answers.left_out as u64)?;
        #[cfg(feature = "health")]
        if !answers.health.is_empty() {
            out.begin(family::HEALTH, |encoder| {
                let mut states = answers.health.iter();
                states.try_for_each(|(state, count)| gauge_of(encoder, &[("state", state)], *count))
            })?;
        }
        Ok(())
    }
}

#[cfg(feature = "scheduler")]
fn encode_scheduler(out: &mut Out<'_>, scheduler: &taskq_scheduler::Pulse) -> fmt::Result {
    let tally = scheduler.tally();
    out.alone(family::SCHEDULER_READY, u64::from(scheduler.readiness().is_ok()))?;
    out.alone(family::SCHEDULER_LEADER, u64::from(scheduler.is_leader()))?;
    out.alone(family::ELECTIONS, tally.elected)?;
    let ticks = [("enqueued", tally.enqueued), ("not_enqueued", tally.not_enqueued), ("skipped", tally.skipped)];
    out.begin(family::TICKS, |encoder| {
        ticks.into_iter().try_for_each(|(result, count)| count_of(encoder, &[("result", result)], count))
    })?;
    out.alone(family::MISFIRES, tally.misfired)?;
    out.alone(family::SCHEDULER_FENCED, tally.fenced)?;
    out.alone(family::SCHEDULER_ERRORS, tally.broker_errors)
}

/// Every task of every queue.
fn tasks(figures: &Figures) -> impl Iterator<Item = (&str, &str, &TaskFigures)> {
    figures.queues.iter().flat_map(|(queue, figures)| {
        figures.tasks.iter().map(move |(task, figures)| (queue.as_str(), task.as_str(), figures))
    })
}

/// A histogram in the unit of its family.
struct InUnit {
    sum: f64,
    count: u64,
    buckets: Vec<(f64, u64)>,
}

fn in_unit<S: Scale>(histogram: &Histogram<S>, unit: f64) -> InUnit {
    let bound = |bound: Option<u64>| bound.map_or(f64::INFINITY, |bound| bound as f64 / unit);
    let buckets = histogram.buckets().map(|(up_to, count)| (bound(up_to), count)).collect();
    InUnit { sum: histogram.raw_sum() as f64 / unit, count: histogram.count(), buckets }
}

fn in_seconds(histogram: &Histogram<Times>) -> InUnit {
    in_unit(histogram, 1e9)
}

fn in_tasks(histogram: &Histogram<Sizes>) -> InUnit {
    in_unit(histogram, 1.0)
}

fn count_of(encoder: &mut MetricEncoder<'_>, labels: Labels<'_>, count: u64) -> fmt::Result {
    encoder.encode_family(&labels)?.encode_counter::<NoLabelSet, _, f64>(&count, None)
}

fn gauge_of(encoder: &mut MetricEncoder<'_>, labels: Labels<'_>, value: u64) -> fmt::Result {
    encoder.encode_family(&labels)?.encode_gauge(&value)
}

fn histogram_of(encoder: &mut MetricEncoder<'_>, labels: Labels<'_>, histogram: &InUnit) -> fmt::Result {
    // Nobody gains from thirty lines that say that nothing was measured.
    if histogram.count == 0 {
        return Ok(());
    }
    let InUnit { sum, count, buckets } = histogram;
    encoder.encode_family(&labels)?.encode_histogram::<NoLabelSet>(*sum, *count, buckets, None)
}

/// The text on its way.
struct Out<'a>(DescriptorEncoder<'a>);

impl Out<'_> {
    /// Describes a family; `values` follow.
    fn begin(&mut self, family: Family, values: impl FnOnce(&mut MetricEncoder<'_>) -> fmt::Result) -> fmt::Result {
        let kind = match family.kind {
            Kind::Counter => MetricType::Counter,
            Kind::Gauge => MetricType::Gauge,
            Kind::Histogram => MetricType::Histogram,
            Kind::Info => MetricType::Info,
        };
        let unit = family.unit.map(|unit| Unit::Other(unit.to_owned()));
        // The encoder adds the unit to the name.
        let suffix = family.unit.map_or(String::new(), |unit| format!("_{unit}"));
        let name = family.name.strip_suffix(suffix.as_str()).unwrap_or(family.name);
        values(&mut self.0.encode_descriptor(name, family.help, unit.as_ref(), kind)?)
    }

    /// A family that has one value.
    fn alone(&mut self, family: Family, value: u64) -> fmt::Result {
        self.begin(family, |encoder| match family.kind {
            Kind::Counter => encoder.encode_counter::<NoLabelSet, _, f64>(&value, None),
            _ => encoder.encode_gauge(&value),
        })
    }

    fn gauge<'l>(&mut self, family: Family, values: impl IntoIterator<Item = (Labels<'l>, u64)>) -> fmt::Result {
        self.begin(family, |encoder| {
            values.into_iter().try_for_each(|(labels, value)| gauge_of(encoder, labels, value))
        })
    }

    fn by_view(&mut self, family: Family, answers: &Answers, value: fn(&QueueView) -> u64) -> fmt::Result {
        self.begin(family, |encoder| {
            let mut queues = answers.queues.iter();
            queues.try_for_each(|(queue, view)| gauge_of(encoder, &[("queue", queue.as_str())], value(view)))
        })
    }

    fn by_queue(&mut self, family: Family, figures: &Figures, count: fn(&QueueFigures) -> u64) -> fmt::Result {
        self.begin(family, |encoder| {
            let mut queues = figures.queues.iter();
            queues.try_for_each(|(queue, figures)| count_of(encoder, &[("queue", queue.as_str())], count(figures)))
        })
    }

    fn by_task(&mut self, family: Family, figures: &Figures, count: fn(&TaskFigures) -> u64) -> fmt::Result {
        self.begin(family, |encoder| {
            tasks(figures).try_for_each(|(queue, task, figures)| {
                count_of(encoder, &[("queue", queue), ("task", task)], count(figures))
            })
        })
    }

    fn times_by_task(
        &mut self,
        family: Family,
        figures: &Figures,
        times: fn(&TaskFigures) -> &Histogram<Times>,
    ) -> fmt::Result {
        self.begin(family, |encoder| {
            tasks(figures).try_for_each(|(queue, task, figures)| {
                histogram_of(encoder, &[("queue", queue), ("task", task)], &in_seconds(times(figures)))
            })
        })
    }

    fn calls_by_queue(&mut self, family: Family, figures: &Figures, calls: fn(&QueueFigures) -> InUnit) -> fmt::Result {
        self.begin(family, |encoder| {
            figures
                .queues
                .iter()
                .try_for_each(|(queue, figures)| histogram_of(encoder, &[("queue", queue.as_str())], &calls(figures)))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prometheus_client::{encoding::text::encode, registry::Registry};
    use taskq_core::figures::Slots;
    use taskq_test_support::OpenMetrics;

    /// Names of queues and tasks are checked wherever they come from; this is for the day on which one is not.
    #[test]
    fn hostile_values_of_labels_stay_values() {
        let hostile = [
            "\"} 1\ntaskq_worker_ready 1",
            "\\",
            "\\\"",
            "a\nb\r\n# EOF\n",
            "{x=\"y\"}",
            "\u{0}\u{1b}[31m",
            "é🦀\u{202e}",
            "",
            "a,b=\"c\",",
            "<script>alert(1)</script>",
        ];
        let mut figures = Figures::default();
        for value in hostile {
            figures.lanes.insert(value.to_owned(), Slots { all: 3, busy: 1 });
        }
        let scrape = Scrape {
            figures,
            is_ready: Some(true),
            #[cfg(feature = "scheduler")]
            scheduler: None,
            answers: Answers::default(),
        };
        let mut registry = Registry::default();
        registry.register_collector(Box::new(scrape));
        let mut text = String::new();
        encode(&mut text, &registry).expect("a text takes whatever is written");
        let read = OpenMetrics::parse(&text);
        for value in hostile {
            assert_eq!(read.value("taskq_worker_slots", &[("lane", value)]), Some(3.0), "{value:?}");
        }
        assert_eq!(read.families["taskq_worker_slots"].samples.len(), hostile.len());
        assert_eq!(read.families["taskq_worker_ready"].samples.len(), 1);
    }
}
