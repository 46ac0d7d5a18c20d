//! Schedules as their users see them: what fires when, what is refused in which words, and how it is written.

mod calendars;
mod changed_clocks;
mod cron_texts;
mod forms;
mod hostile;
mod instants;
mod intervals;
mod oracles;
mod promises;

mod refusals;
