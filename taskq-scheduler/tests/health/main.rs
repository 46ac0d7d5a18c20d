//! Looks of health checks at servers that each test makes: what is well, what is not, and where no look may lead. And how
//! people are told.
//!
//! Time is simulated: a server that is late lets it pass before it answers.

mod alerts;
mod certificates;
mod commands;
mod databases;
mod forms;
mod hostile;
mod places;
mod redirects;
mod requests;
mod secrets;
mod server;
mod tcp;
mod world;
