//! What Prometheus itself makes of `deploy/prometheus` and `deploy/grafana`: the files are right, each alert fires when it should and
//! at no other time, and what the dashboard asks is answered from processes that run.
//!
//! `cargo xtask test --prometheus` has the programs, and runs this.

#[path = "prometheus/alerts.rs"]
mod alerts;
#[path = "prometheus/programs.rs"]
mod programs;
#[path = "deploy/repository.rs"]
mod repository;
#[path = "prometheus/scraping.rs"]
mod scraping;
