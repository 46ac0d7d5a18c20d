//! Threads for plain bodies: named, bounded, and replaced when a body ignores its timeout.
//!
//! They are our own because dropping a tokio runtime waits for its blocking threads for ever, and a stuck body must not
//! hold up the end of the process.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::JoinHandle,
};

use taskq_core::limits;

type Job = Box<dyn FnOnce() + Send>;

/// A pool of named threads.
#[derive(Clone)]
pub(crate) struct PlainThreads(Arc<Pool>);

struct Pool {
    state: Mutex<State>,
    wake: Condvar,
    limit: usize,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<(JobNumber, Job)>,
    /// Threads that count against the limit, each with the job that it runs.
    threads: HashMap<u64, Option<JobNumber>>,
    handles: HashMap<u64, JoinHandle<()>>,
    idle: usize,
    /// Abandoned threads whose body still runs.
    stuck: u64,
    next_thread: u64,
    next_job: JobNumber,
    closing: bool,
}

/// Which job; see [`PlainThreads::abandon`].
pub(crate) type JobNumber = u64;

impl PlainThreads {
    pub(crate) fn new(limit: usize) -> Self {
        Self(Arc::new(Pool { state: Mutex::default(), wake: Condvar::new(), limit }))
    }

    /// Runs `job` on a thread, starting one if none is idle and the limit allows it. The job must not panic.
    pub(crate) fn run(&self, job: impl FnOnce() + Send + 'static) -> JobNumber {
        let mut state = self.0.state();
        let number = state.next_job;
        state.next_job += 1;
        state.jobs.push_back((number, Box::new(job)));
        if state.jobs.len() > state.idle && state.threads.len() < self.0.limit {
            self.start_thread(&mut state);
        }
        drop(state);
        self.0.wake.notify_one();
        number
    }

    fn start_thread(&self, state: &mut State) {
        let thread = state.next_thread;
        state.next_thread += 1;
        let pool = Arc::clone(&self.0);
        let started =
            std::thread::Builder::new().name(format!("taskq-plain-{thread}")).spawn(move || pool.serve(thread));
        match started {
            Ok(handle) => {
                state.threads.insert(thread, None);
                state.handles.insert(thread, handle);
            }
            // The job waits for another thread; the next job tries again.
            Err(error) => tracing::error!(%error, "cannot start a thread for plain tasks"),
        }
    }

    /// Gives up on a job whose body does not end: its thread no longer counts, and ends when the body does.
    /// True if a thread was running it; a job that had not begun is dropped.
    pub(crate) fn abandon(&self, job: JobNumber) -> bool {
        let mut state = self.0.state();
        state.jobs.retain(|(number, _)| *number != job);
        let stuck = state.threads.iter().find(|(_, running)| **running == Some(job)).map(|(thread, _)| *thread);
        let Some(thread) = stuck else { return false };
        state.threads.remove(&thread);
        state.stuck += 1;
        // Nobody joins it: it may never end.
        state.handles.remove(&thread);
        if !state.jobs.is_empty() && !state.closing {
            self.start_thread(&mut state);
        }
        true
    }

    /// How many abandoned threads run on, because their body does not end.
    pub(crate) fn stuck(&self) -> u64 {
        self.0.state().stuck
    }

    /// Ends the idle threads and joins them. Those with a job have been abandoned or end by themselves.
    pub(crate) fn close(&self) {
        let handles: Vec<_> = {
            let mut state = self.0.state();
            state.closing = true;
            state.jobs.clear();
            let idle: Vec<u64> =
                state.threads.iter().filter(|(_, job)| job.is_none()).map(|(thread, _)| *thread).collect();
            idle.iter().filter_map(|thread| state.handles.remove(thread)).collect()
        };
        self.0.wake.notify_all();
        for handle in handles {
            if handle.join().is_err() {
                tracing::error!("a thread for plain tasks panicked");
            }
        }
    }
}

impl Pool {
    fn state(&self) -> MutexGuard<'_, State> {
        // Jobs run outside the lock, so nothing panics while holding it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The life of one thread.
    fn serve(&self, thread: u64) {
        while let Some(job) = self.next_job(thread) {
            job();
            let mut state = self.state();
            match state.threads.get_mut(&thread) {
                Some(running) => *running = None,
                // It was abandoned meanwhile, and has been replaced.
                None => {
                    state.stuck -= 1;
                    return;
                }
            }
        }
    }

    /// Waits for a job; `None` when the thread should end.
    fn next_job(&self, thread: u64) -> Option<Job> {
        let mut state = self.state();
        loop {
            if let Some((number, job)) = state.jobs.pop_front() {
                state.threads.insert(thread, Some(number));
                return Some(job);
            }
            if state.closing {
                state.threads.remove(&thread);
                return None;
            }
            state.idle += 1;
            let (woken, waited) =
                self.wake.wait_timeout(state, limits::PLAIN_THREAD_IDLE).unwrap_or_else(PoisonError::into_inner);
            state = woken;
            state.idle -= 1;
            if waited.timed_out() && state.jobs.is_empty() {
                state.threads.remove(&thread);
                state.handles.remove(&thread);
                return None;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn a_stuck_body_is_replaced_and_does_not_block_the_others() {
        let threads = PlainThreads::new(1);
        let (release, wait) = mpsc::channel::<()>();
        let (say, heard) = mpsc::channel();
        let begun = say.clone();
        let stuck = threads.run(move || {
            begun.send("begun").expect("test listens");
            // Ends when the test drops its sender.
            let _ended = wait.recv();
        });
        assert_eq!(heard.recv().expect("begins"), "begun");
        threads.run(move || say.send("second").expect("test listens"));
        assert!(threads.abandon(stuck));
        assert_eq!(heard.recv().expect("runs on another thread"), "second");
        assert!(!threads.abandon(stuck));
        threads.close();
        drop(release);
    }

    #[test]
    fn jobs_share_the_threads_that_the_limit_allows() {
        let threads = PlainThreads::new(2);
        let (say, heard) = mpsc::channel();
        for number in 0..50 {
            let say = say.clone();
            threads.run(move || say.send((number, std::thread::current().name().map(str::to_owned))).expect("listens"));
        }
        drop(say);
        let got: Vec<_> = heard.iter().collect();
        assert_eq!(got.len(), 50);
        let names: std::collections::HashSet<_> = got.into_iter().filter_map(|(_, name)| name).collect();
        assert!(names.len() <= 2 && names.iter().all(|name| name.starts_with("taskq-plain-")), "{names:?}");
        threads.close();
    }
}
