//! Measures ChasquiMQ, which needs Redis 8.6.

use std::{
    ops::Range,
    process::ExitCode,
    sync::Arc,
    time::{Duration, SystemTime},
};

use bench_driver::{About, Job, Outcome};
use chasquimq::{Bytes, Consumer, ConsumerConfig, HandlerError, JobId, Producer, ProducerConfig};
use peer_metrics::{Args, Body, Peer, Results, Running, measure};
use redis::{RedisResult, aio::MultiplexedConnection};
use tokio_util::sync::{CancellationToken, DropGuard};

const ABOUT: About = About {
    system: "chasquimq",
    version: "1.3.0",
    engine: "redis",
    settings: "events and the cron scheduler off, batch 256, ack_batch 256, result_batch 256, promote_batch 1,024, \
               100 concurrent at most, no limit on the stream's length (its default of about 1,000,000 silently \
               drops tasks beyond it); results polled by get_result every 1 ms, since the Rust crate has nothing to \
               wait with",
    lacks: "needs Redis 8.6; a stale attempt's acknowledgement counts, since it does not name the consumer; a dead \
            worker's tasks run again after 30 s, and so does a task that is still running then; a queue longer than \
            its limit silently loses tasks; an empty result is not stored",
};

const QUEUE: &str = "bench";

/// What its guide and its own benchmark use.
const MOST_CONCURRENT: usize = 100;

/// Longer than any queue measured here.
const UNLIMITED: u64 = 1_000_000_000_000;

fn main() -> ExitCode {
    bench_driver::run(ABOUT, measure::<Chasqui>)
}

#[derive(Clone)]
struct Chasqui {
    url: String,
    producer: Arc<Producer<Args>>,
    redis: MultiplexedConnection,
}

impl Peer for Chasqui {
    type Id = JobId;

    /// Asks for the two commands it cannot do without, whatever version the server says it is.
    async fn lacks(job: &Job) -> Outcome<Option<&'static str>> {
        let mut redis = connection(&job.url).await?;
        let mut idempotent = redis::cmd("XADD");
        idempotent.arg(&["probe", "IDMP", "producer", "id", "*", "field", "value"]);
        let added: RedisResult<String> = idempotent.query_async(&mut redis).await;
        let mut claim = redis::cmd("XREADGROUP");
        claim.arg(&["GROUP", "group", "consumer", "CLAIM", "1000", "STREAMS", "probe", ">"]);
        let claimed: RedisResult<redis::Value> = claim.query_async(&mut redis).await;
        redis::cmd("DEL").arg("probe").query_async::<()>(&mut redis).await?;
        // The group does not exist, which a server finds out after it has understood the command.
        let understood = claimed.is_err_and(|error| error.code() == Some("NOGROUP"));
        Ok(if added.is_ok() && understood { None } else { Some("needs Redis 8.6 (TASKQ_REDIS_SERVER)") })
    }

    async fn connect(job: &Job) -> Outcome<Self> {
        let config =
            ProducerConfig { queue_name: QUEUE.to_owned(), max_stream_len: UNLIMITED, ..ProducerConfig::default() };
        let producer = Arc::new(Producer::connect(&job.url, config).await?);
        Ok(Self { url: job.url.clone(), producer, redis: connection(&job.url).await? })
    }

    async fn enqueue(&mut self, number: u64) -> Outcome<JobId> {
        Ok(self.producer.add(Args::new(number)).await?)
    }

    async fn enqueue_all(&mut self, numbers: Range<u64>) -> Outcome<()> {
        self.producer.add_bulk(numbers.map(Args::new).collect()).await?;
        Ok(())
    }

    async fn enqueue_due(&mut self, numbers: Range<u64>, due: SystemTime) -> Outcome<()> {
        let delay = due.duration_since(SystemTime::now()).unwrap_or_default() + Duration::from_millis(1);
        self.producer.add_in_bulk(delay, numbers.map(Args::new).collect()).await?;
        Ok(())
    }

    async fn work(&mut self, slots: usize, results: Results, body: Body) -> Outcome<Running> {
        let config = ConsumerConfig {
            queue_name: QUEUE.to_owned(),
            batch: 256,
            ack_batch: 256,
            result_batch: 256,
            concurrency: slots.min(MOST_CONCURRENT),
            delayed_promote_batch: 1_024,
            delayed_max_stream_len: UNLIMITED,
            events_enabled: false,
            run_scheduler: false,
            store_results: results == Results::Store,
            ..ConsumerConfig::default()
        };
        let handler = move |job: chasquimq::Job<Args>| {
            body.run(job.payload.n);
            let answer = match results {
                Results::Discard => Bytes::new(),
                Results::Store => Bytes::copy_from_slice(&job.payload.n.to_le_bytes()),
            };
            async move { Ok::<_, HandlerError>(answer) }
        };
        let (consumer, stop) = (Consumer::new(self.url.clone(), config), CancellationToken::new());
        let stopped = stop.clone();
        tokio::spawn(async move {
            if let Err(error) = consumer.run(handler, stopped).await {
                eprintln!("the consumer has stopped: {error}");
            }
        });
        Ok(Box::new(stop.drop_guard()) as Box<DropGuard>)
    }

    /// An acknowledged entry is deleted as well.
    async fn is_drained(&mut self) -> Outcome<bool> {
        let mut lengths = redis::pipe();
        lengths.cmd("XLEN").arg(self.producer.stream_key()).cmd("ZCARD").arg(self.producer.delayed_key());
        let (queued, delayed): (u64, u64) = lengths.query_async(&mut self.redis).await?;
        Ok(queued + delayed == 0)
    }

    async fn wait(&mut self, id: JobId) -> Outcome<u64> {
        loop {
            if let Some(number) = self.read(id.clone()).await? {
                return Ok(number);
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    async fn read(&mut self, id: JobId) -> Outcome<Option<u64>> {
        match self.producer.get_result(&id).await? {
            Some(answer) => Ok(Some(u64::from_le_bytes(answer.as_ref().try_into()?))),
            None => Ok(None),
        }
    }
}

async fn connection(url: &str) -> Outcome<MultiplexedConnection> {
    Ok(redis::Client::open(url)?.get_multiplexed_async_connection().await?)
}
