//! The promises of [`Broker`](crate::Broker) and the contracts beside it as tests: one file a promise, run by every broker.
//!
//! A broker's tests call [`broker_conformance!`](crate::broker_conformance) with a function that makes a [`Harness`].
//! Nothing here sleeps: time is the harness's.

pub mod cancel;
pub mod claim;
pub mod dead_letters;
pub mod documents;
pub mod due;
pub mod events;
pub mod expiry;
pub mod fencing;
pub mod fleet;
pub mod idempotence;
pub mod leader;
pub mod lease;
pub mod logs;
pub mod looking;
pub mod model;
pub mod pausing;
pub mod priority;
pub mod progress;
pub mod purge;
pub mod release;
pub mod results;
pub mod retry;
pub mod schedules;
pub mod seal;
pub mod sweep;
pub mod unique;
pub mod waiting;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use serde_json::json;
use tokio::task::JoinHandle;

use crate::{
    broker::{Accepted, Claimed, Ending, Settled, Settlement, Snapshot},
    clock::Timestamp,
    codec::Payload,
    connection::Connection,
    envelope::Envelope,
    id::{BatchId, ClaimNumber, Owner, QueueName, TaskId, WorkerId},
    invocation::{AnyTask, Invocation},
    limits,
    state::State,
};

/// An empty broker whose time the tests can move.
#[async_trait]
pub trait Harness: Send + Sync + 'static {
    /// A connection to it.
    fn connection(&self) -> Connection;

    /// Lets its time pass.
    async fn advance(&self, duration: Duration);
}

/// One test: a broker, a queue, and words to play with them.
#[derive(Clone)]
pub struct Stage {
    harness: Arc<dyn Harness>,
    claims: Arc<AtomicU64>,
    /// The connection under test.
    pub connection: Connection,
    /// The queue that it uses.
    pub queue: QueueName,
}

impl Stage {
    /// A stage on an empty broker.
    pub fn new(harness: impl Harness) -> Self {
        let connection = harness.connection();
        let claims = Arc::default();
        Self { harness: Arc::new(harness), claims, connection, queue: QueueName::new("stage").expect("a valid name") }
    }

    /// The same broker, another queue.
    pub fn with_queue(&self, queue: &str) -> Self {
        Self { queue: QueueName::new(queue).expect("a valid name"), ..self.clone() }
    }

    /// An invocation for this stage's queue.
    pub fn invocation(&self, number: u32) -> Invocation<AnyTask> {
        Invocation::named("noop", &json!({ "number": number })).queue(self.queue.as_str())
    }

    /// The same without a result, so untracked.
    pub fn untracked(&self, number: u32) -> Envelope {
        let mut envelope = self.envelope(self.invocation(number));
        envelope.id.key = crate::id::TaskKey::generate_untracked();
        envelope.stores_result = false;
        envelope
    }

    /// The envelope of an invocation.
    pub fn envelope(&self, invocation: Invocation<AnyTask>) -> Envelope {
        invocation.into_envelope().expect("a valid invocation")
    }

    /// Enqueues envelopes in one batch.
    pub async fn enqueue_all(&self, envelopes: &[Envelope]) -> Vec<Accepted> {
        let broker = self.connection.broker();
        broker.enqueue(&self.queue, BatchId::generate(), envelopes).await.expect("enqueues")
    }

    /// Enqueues an invocation; gives its id and the answer.
    pub async fn enqueue(&self, invocation: Invocation<AnyTask>) -> (TaskId, Accepted) {
        let envelope = self.envelope(invocation);
        let accepted = self.enqueue_all(std::slice::from_ref(&envelope)).await;
        (envelope.id, accepted[0].clone())
    }

    /// Enqueues a plain task.
    pub async fn enqueue_one(&self) -> TaskId {
        self.enqueue(self.invocation(0)).await.0
    }

    /// A new worker that has joined the queue.
    pub async fn worker(&self) -> Owner {
        let owner = Owner { worker: WorkerId::generate(), term: 0 };
        self.connection.broker().join(owner, &self.queue, limits::LEASE).await.expect("joins");
        owner
    }

    /// Claims up to `count` tasks.
    pub async fn claim(&self, owner: Owner, count: usize) -> Vec<Claimed> {
        let number = self.next_claim();
        self.connection.broker().claim(owner, &self.queue, count, number).await.expect("claims").claimed
    }

    /// The number of the next claim.
    pub fn next_claim(&self) -> ClaimNumber {
        ClaimNumber(self.claims.fetch_add(1, Ordering::SeqCst) + 1)
    }

    /// Claims exactly one task.
    pub async fn claim_one(&self, owner: Owner) -> Claimed {
        let mut claimed = self.claim(owner, 1).await;
        assert_eq!(claimed.len(), 1, "one task is ready");
        claimed.remove(0)
    }

    /// Settles one attempt.
    pub async fn settle(&self, owner: Owner, claimed: &Claimed, ending: Ending) -> Settled {
        let settlement = Settlement { token: claimed.token, envelope: claimed.envelope.clone(), ending };
        let settled = self.connection.broker().settle(owner, &self.queue, &[settlement]).await.expect("settles");
        assert_eq!(settled.len(), 1);
        settled[0]
    }

    /// Settles one attempt as succeeded with a number.
    pub async fn succeed(&self, owner: Owner, claimed: &Claimed, number: u32) -> Settled {
        self.settle(owner, claimed, Ending::Succeeded(payload(number))).await
    }

    /// Renews the owner's lease; whether it lives.
    pub async fn beat(&self, owner: Owner) -> bool {
        let beats = [(owner, self.queue.clone())];
        self.connection.broker().beat(&beats).await.expect("beats")[0].alive
    }

    /// Sweeps until nothing is left to do.
    pub async fn sweep(&self) {
        while self.connection.broker().sweep(&self.queue, limits::SWEEP_BATCH).await.expect("sweeps").more {}
    }

    /// Lets the lease of everybody who does not beat lapse, and sweeps.
    pub async fn lapse(&self) {
        self.advance(limits::LEASE + Duration::from_millis(1)).await;
        self.sweep().await;
    }

    /// What is known of a task.
    pub async fn find(&self, id: &TaskId) -> Option<Snapshot> {
        self.connection.broker().find(id).await.expect("finds")
    }

    /// Where a task is.
    pub async fn state(&self, id: &TaskId) -> Option<State> {
        self.find(id).await.map(|snapshot| snapshot.state)
    }

    /// The broker's time.
    pub async fn now(&self) -> Timestamp {
        self.connection.broker().now().await.expect("tells the time")
    }

    /// Lets the broker's time pass.
    pub async fn advance(&self, duration: Duration) {
        self.harness.advance(duration).await;
    }

    /// Lets time pass in small steps until the future that was spawned has ended.
    pub async fn finish<V>(&self, handle: JoinHandle<V>) -> V {
        while !handle.is_finished() {
            self.advance(Duration::from_millis(10)).await;
            tokio::task::yield_now().await;
        }
        handle.await.expect("does not panic")
    }
}

/// A result that is a number.
pub fn payload(number: u32) -> Payload {
    Payload::encode("encode", &number, limits::MAX_RESULT).expect("a small number")
}

/// Makes one `#[tokio::test]` of every promise. The argument is a path to an `async fn() -> impl Harness`.
///
/// The calling crate needs `tokio` with its macros as a dev-dependency.
#[macro_export]
macro_rules! broker_conformance {
    ($harness:path) => {
        $crate::broker_conformance! { @tests $harness;
            claim: tasks_come_out_as_they_went_in first_in_is_first_out no_task_is_handed_out_twice
                queues_do_not_mix a_claim_takes_no_more_than_asked claiming_without_a_lease_is_fenced
                a_worker_finds_what_it_holds a_claim_that_comes_late_hands_out_nothing;
            priority: all_ten_levels_are_strict_with_nine_first equal_priorities_keep_their_order;
            due: a_delayed_task_is_never_early a_task_in_the_past_is_ready_at_once due_tasks_follow_their_due_time
                a_claim_tells_when_the_next_task_is_due;
            expiry: an_expired_task_is_not_handed_out an_expired_task_is_expired_before_anybody_looks
                a_delayed_task_can_expire;
            fencing: a_stale_settlement_changes_nothing another_worker_cannot_settle
                a_lapsed_lease_settles_nothing_even_before_a_sweep the_same_worker_cannot_settle_an_older_delivery
                a_mixed_batch_is_judged_one_by_one a_repeated_settlement_of_a_success_is_applied
                a_reused_worker_id_ends_nothing_of_its_former_self;
            lease: a_dead_workers_tasks_go_to_another_worker a_beating_worker_keeps_its_tasks
                a_lapsed_lease_is_not_renewed a_worker_comes_back_with_its_next_term
                a_lapsed_term_cannot_begin_again
                a_task_that_kills_its_workers_becomes_a_dead_letter ending_an_attempt_forgets_earlier_deliveries
                a_beat_tells_when_to_sweep a_lease_is_kept_per_queue
                a_lease_is_as_long_as_its_worker_asked_for;
            retry: a_failed_task_waits_for_its_delay_and_keeps_its_errors;
            release: a_released_task_is_first_again_and_spends_nothing leaving_gives_everything_back
                leaving_twice_is_harmless;
            dead_letters: a_dead_letter_keeps_reason_and_errors a_dead_letter_can_be_replayed
                a_dead_letter_can_be_dropped dead_letters_come_in_pages dead_letters_age_out
                every_reason_is_kept;
            seal: a_seal_stays_whole_through_all_attempts a_result_is_kept_as_it_was_given;
            cancel: a_waiting_task_is_cancelled_at_once a_running_task_is_told a_cancel_survives_the_worker
                what_has_ended_cannot_be_cancelled a_cancelled_attempt_ends_as_cancelled
                an_untracked_task_can_be_cancelled a_cancelled_task_is_not_retried;
            unique: a_held_key_skips_the_second replacing_takes_the_place_of_a_waiting_holder
                a_running_holder_is_not_replaced a_key_until_start_is_free_when_the_task_starts
                a_key_for_a_time_outlives_its_task a_key_is_freed_however_its_task_ends
                a_crashed_holder_still_holds keys_are_per_queue two_in_one_batch_conflict;
            idempotence: a_repeated_batch_changes_nothing an_own_id_is_accepted_once
                an_own_id_is_known_in_every_state;
            results: a_result_is_kept_for_its_time_to_live untracked_states_are_never_wrong
                an_unknown_id_is_not_found counts_agree_with_what_happened every_queue_is_listed
                an_untracked_task_with_its_own_id_is_known_after_its_end;
            progress: progress_is_seen_while_running_and_fenced;
            waiting: a_wait_ends_with_the_task a_wait_ends_with_its_bound a_wait_ends_on_cancel_expiry_and_death
                waiting_for_an_unknown_task_ends_at_once many_wait_for_one_task an_enqueue_wakes_an_idle_worker
                a_wait_for_work_ends_with_its_bound a_release_wakes_an_idle_worker;
            sweep: a_sweep_is_bounded_and_says_when_more_is_left a_sweep_promotes_due_tasks
                a_sweep_spares_the_living;
            purge: purged_waiting_tasks_are_cancelled_and_their_waiters_hear_it
                purged_tasks_free_their_unique_keys running_tasks_and_other_queues_are_not_purged
                scheduled_and_retrying_tasks_are_purged purged_dead_letters_are_forgotten
                a_purge_is_bounded_and_says_when_more_is_left a_repeated_purge_is_harmless
                untracked_tasks_are_purged what_has_expired_is_purged_as_expired
                what_was_cancelled_before_is_not_counted_again a_purged_queue_goes_on_as_a_new_one
                large_tasks_are_purged;
            leader: only_one_leads a_leader_that_stands_again_keeps_its_token a_renewed_term_goes_on
                a_term_that_is_over_is_not_prolonged a_dead_leader_is_followed_when_its_term_ends
                resigning_hands_over_at_once tokens_only_grow a_resignation_wakes_who_waits
                waiting_for_a_vacancy_ends the_incumbent_is_told;
            looking: ready_tasks_are_listed_in_the_order_in_which_they_start a_cancelled_task_is_not_listed
                waiting_tasks_are_listed_by_their_due_time running_tasks_are_listed_with_their_workers
                dead_letters_are_listed_with_their_reason a_task_is_shown_in_every_state
                a_ready_task_is_found_far_behind a_queue_tells_how_it_is the_holder_of_a_unique_key_is_told
                a_page_is_bounded a_page_of_large_tasks_is_short;
            pausing: a_paused_queue_hands_out_nothing a_waiting_worker_hears_of_the_end_of_a_pause
                a_dead_workers_tasks_come_back_to_a_paused_queue a_waiting_task_can_be_run_now
                a_task_that_is_run_now_wakes_an_idle_worker;
            fleet: a_member_is_listed_with_its_latest_report a_silent_member_is_forgotten
                what_is_asked_of_a_member_is_heard members_come_in_pages a_report_that_is_too_long_is_refused;
            schedules: an_entry_is_kept_as_it_was_put a_fired_tick_moves_the_cursor_and_enqueues
                a_tick_that_is_not_due_is_refused
                repeating_a_fire_doubles_nothing a_known_task_is_a_duplicate_and_the_cursor_moves
                an_old_token_changes_nothing a_greater_token_is_remembered a_cursor_elsewhere_is_told_and_stays
                a_skipped_tick_moves_the_cursor_alone several_ticks_of_an_entry_are_one_step
                ticks_of_one_call_are_judged_one_by_one a_replaced_entry_keeps_its_cursor
                a_removed_entry_fires_nothing a_paused_entry_fires_nothing an_entry_belongs_to_where_it_comes_from
                a_mark_tells_of_every_change entries_come_in_pages entries_of_queues_do_not_mix
                what_a_tick_enqueues_is_an_ordinary_task a_tick_wakes_an_idle_worker too_much_at_once_is_refused;
            documents: a_document_is_kept_as_it_was_saved a_document_is_made_only_where_there_is_none
                what_has_changed_is_not_overwritten a_repeated_save_tells_what_it_made
                versions_grow_and_never_come_back a_forgotten_document_is_gone of_writers_at_once_one_wins
                no_increment_is_lost documents_come_in_pages a_text_that_is_too_long_is_refused
                one_document_too_many_is_refused documents_of_queues_do_not_mix a_purge_leaves_documents_alone
                a_random_history_of_documents_agrees_with_the_reference;
            logs: lines_are_kept_as_they_were_written lines_stay_through_retries_and_every_end
                of_too_many_lines_the_newest_are_kept of_too_many_bytes_the_newest_lines_are_kept
                lines_are_forgotten_a_day_after_the_last lines_of_tasks_and_queues_do_not_mix
                a_purge_leaves_lines_alone lines_of_many_writers_stay_whole
                a_random_history_of_lines_agrees_with_the_reference;
            events: events_are_kept_as_they_were_published events_come_in_pages
                of_too_many_events_the_newest_are_kept_and_readers_hear_what_they_missed
                too_many_events_at_once_are_refused events_are_forgotten_after_an_hour
                a_place_that_the_stream_has_not_reached_is_before_its_oldest events_of_many_publishers_stay_whole
                a_random_history_of_events_agrees_with_the_reference;
            model: a_random_history_agrees_with_the_reference;
        }
    };
    (@tests $harness:path; $($file:ident: $($promise:ident)+;)+) => {
        $(mod $file {
            $(#[tokio::test]
            async fn $promise() {
                let stage = $crate::conformance::Stage::new($harness().await);
                $crate::conformance::$file::$promise(stage).await;
            })+
        })+
    };
}
