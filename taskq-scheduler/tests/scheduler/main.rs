//! Schedulers in simulated time, on one thread: who leads, what is fired, and what becomes of it under faults.

mod line;
mod operators;
mod policies;
mod rivals;
mod world;
