//! How many instructions taskq's hot parts take for one small task, counted by callgrind: the same on a busy machine as on
//! an idle one. Part of `cargo xtask test`.
//!
//! The promise: a part that takes over a tenth more instructions than when its count was written down fails the run. What
//! a part is given is made before the counting begins, and what it makes is dropped after the counting ends.

// The macros of gungraun write public items without documentation.
#![allow(missing_docs, unreachable_pub)]

use std::{any::Any, hint::black_box, sync::Arc};

use futures_util::{FutureExt, future::BoxFuture};
use gungraun::{Callgrind, EventKind, LibraryBenchmarkConfig, library_benchmark, library_benchmark_group};
use serde_json::json;
use taskq::task;
use taskq_brokers::redis::instructions::{decode_element, encode_element, settle_command, token};
use taskq_core::{
    Client, Clock, Envelope, Invocation, LogLine, Payload, Progress, QueueName, Registration, Result, TaskId, TaskKey,
    TaskResult, Timestamp, WorkerId,
    broker::{Ending, Settlement, memory},
    context::{AttemptContext, ErasedContext, Host},
    id::{DeliveryToken, Owner},
    limits,
    task::Body,
};

/// What each part took when it was measured last, in instructions. [`at_most`] lets it take a tenth more.
///
/// To renew the counts after a change that is worth its price, or for a new compiler: `cargo xtask test instructions` shows
/// them. Write them here, and the compiler into [`MEASURED_WITH`].
mod measured {
    pub(super) const ENVELOPE_ENCODE: u64 = 1_006;
    pub(super) const ENVELOPE_DECODE: u64 = 3_124;
    pub(super) const ELEMENT_ENCODE: u64 = 1_285;
    pub(super) const ELEMENT_DECODE: u64 = 3_449;
    pub(super) const DISPATCH: u64 = 2_294;
    /// 200 settlements of one claim.
    pub(super) const SETTLE_UNTRACKED: u64 = 42_005;
    pub(super) const SETTLE_TRACKED: u64 = 142_384;
}

/// Another compiler makes other instructions of the same code.
const MEASURED_WITH: &str = "rustc 1.95.0";

/// A tenth more than measured. On one machine a count never differs, so the tenth is for what is not the code's: the C
/// library, which copies and allocates, a compiler's patch release, and what is inlined where once other code has moved. A
/// part that does something needless, such as decoding twice, is well above it.
fn at_most(measured: u64) -> LibraryBenchmarkConfig {
    let limit = measured + measured / 10;
    // Caches are not simulated: they are this machine's and not the code's.
    let mut callgrind = Callgrind::with_args(["--cache-sim=no"]);
    callgrind.hard_limits([(EventKind::Ir, limit)]);
    LibraryBenchmarkConfig::default().tool(callgrind).clone()
}

#[library_benchmark(config = at_most(measured::ENVELOPE_ENCODE))]
#[bench::small_task(small_task(Kept::Result))]
fn envelope_encode(envelope: Envelope) -> (Envelope, Vec<u8>) {
    let bytes = black_box(&envelope).encode();
    (envelope, bytes)
}

#[library_benchmark(config = at_most(measured::ENVELOPE_DECODE))]
#[bench::small_task(encoded_envelope())]
fn envelope_decode((id, bytes): (TaskId, Vec<u8>)) -> (Vec<u8>, Result<Envelope>) {
    let envelope = Envelope::decode(id, black_box(&bytes));
    (bytes, envelope)
}

#[library_benchmark(config = at_most(measured::ELEMENT_ENCODE))]
#[bench::small_task(small_task(Kept::Result))]
fn element_encode(envelope: Envelope) -> (Envelope, Vec<u8>) {
    let element = encode_element(black_box(&envelope));
    (envelope, element)
}

#[library_benchmark(config = at_most(measured::ELEMENT_DECODE))]
#[bench::small_task(encoded_element())]
fn element_decode((queue, element): (QueueName, Vec<u8>)) -> (QueueName, Vec<u8>, Result<Envelope>) {
    let envelope = decode_element(black_box(&queue), black_box(&element));
    (queue, element, envelope)
}

// From the erased context to the encoded result, as the runner does it for every attempt.
#[library_benchmark(config = at_most(measured::DISPATCH))]
#[bench::small_task(small_attempt())]
fn dispatch(attempt: SmallAttempt) -> (SmallAttempt, Option<TaskResult<Payload>>) {
    let result = (attempt.body)(black_box(attempt.context.clone())).now_or_never();
    (attempt, result)
}

// From a claim's settlements to the bytes for the server.
#[library_benchmark(config = at_most(measured::SETTLE_UNTRACKED))]
#[bench::whole_claim(settlements(Kept::Nothing))]
fn settle_untracked((settlements, owner): (Vec<Settlement>, Owner)) -> (Vec<Settlement>, Vec<u8>) {
    let command = settle_command(black_box(&settlements), owner);
    (settlements, command)
}

#[library_benchmark(config = at_most(measured::SETTLE_TRACKED))]
#[bench::whole_claim(settlements(Kept::Result))]
fn settle_tracked((settlements, owner): (Vec<Settlement>, Owner)) -> (Vec<Settlement>, Vec<u8>) {
    let command = settle_command(black_box(&settlements), owner);
    (settlements, command)
}

library_benchmark_group!(
    name = parts,
    benchmarks =
        [envelope_encode, envelope_decode, element_encode, element_decode, dispatch, settle_untracked, settle_tracked]
);

fn main() {
    // Not to standard output, which is read by programs if it is asked for a list.
    if std::env::args().all(|argument| argument != "--gungraun-run") {
        eprintln!("the limits were measured with {MEASURED_WITH}");
    }
    harness::run();
}

/// The generated `main`, so that ours can say something before.
mod harness {
    use super::parts;

    gungraun::main!(library_benchmark_groups = parts);

    pub(super) fn run() {
        main();
    }
}

#[task]
async fn measure(n: u64, text: String) -> u64 {
    n + text.len() as u64
}

/// What is kept of a task after it succeeded.
#[derive(Clone, Copy)]
enum Kept {
    Result,
    Nothing,
}

/// The task of most benchmarks: a number and a text of twenty characters.
fn small_task(kept: Kept) -> Envelope {
    sibling(kept, 0)
}

/// One of the tasks that were enqueued together.
fn sibling(kept: Kept, which: u8) -> Envelope {
    let arguments = json!({"n": 1_234_567, "text": "twenty letters or so"});
    let envelope = Invocation::named("measure", &arguments).into_envelope().expect("a valid invocation");
    // A key that is always the same, since the present time in a fresh one could change the count.
    let id = TaskId::new(envelope.id.queue, fixed_key(kept, which));
    Envelope { id, stores_result: matches!(kept, Kept::Result), ..envelope }
}

/// A UUID of version 7 or, if nothing is kept, 8; see [`TaskKey::generate_untracked`].
fn fixed_key(kept: Kept, which: u8) -> TaskKey {
    let version = match kept {
        Kept::Result => 0x71,
        Kept::Nothing => 0x81,
    };
    let bytes = [1, 0x99, 0x2a, 0x3c, 0x4d, 0x5e, version, 0x23, 0x9f, 8, 7, 6, 5, 4, 3, which];
    TaskKey::from_bytes(&bytes).expect("16 bytes that are not ASCII")
}

fn encoded_envelope() -> (TaskId, Vec<u8>) {
    let envelope = small_task(Kept::Result);
    (envelope.id.clone(), envelope.encode())
}

fn encoded_element() -> (QueueName, Vec<u8>) {
    let envelope = small_task(Kept::Result);
    (envelope.id.queue.clone(), encode_element(&envelope))
}

/// An attempt of [`measure`] that is about to begin.
struct SmallAttempt {
    body: fn(ErasedContext) -> BoxFuture<'static, TaskResult<Payload>>,
    context: ErasedContext,
}

fn small_attempt() -> SmallAttempt {
    let [Registration { body: Body::Async(body), .. }] = taskq::tasks![measure] else { panic!("measure is async") };
    let host = Arc::new(Nobody(memory::connect(Clock::system()).client()));
    let envelope = Arc::new(small_task(Kept::Result));
    let attempt = AttemptContext::new(envelope, DeliveryToken(1), Timestamp::default(), host);
    SmallAttempt { body, context: ErasedContext::new(Arc::new(attempt)) }
}

/// A worker that lends nothing and takes no reports.
struct Nobody(Client);

impl Host for Nobody {
    fn app(&self) -> &(dyn Any + Send + Sync) {
        &()
    }

    fn report(&self, _: &TaskId, _: DeliveryToken, _: Progress) {}

    fn log(&self, _: &TaskId, _: LogLine) {}

    fn client(&self) -> &Client {
        &self.0
    }

    fn clock(&self) -> &Clock {
        self.0.connection().clock()
    }
}

/// The successes of a whole claim of tasks that were enqueued together, and who claimed them.
fn settlements(kept: Kept) -> (Vec<Settlement>, Owner) {
    let result = Payload::encode("measure", &1_234_587, limits::MAX_RESULT).expect("a number");
    let settlement = |which| Settlement {
        token: token(1_234, which),
        envelope: Arc::new(sibling(kept, which)),
        ending: Ending::Succeeded(result.clone()),
    };
    ((0..200).map(settlement).collect(), Owner { worker: WorkerId::generate(), term: 0 })
}
