//! What lies in `deploy/` stays true: the program takes what is written there, ports, graces and rights agree, and what can be started
//! is started.

#[path = "deploy/commands.rs"]
mod commands;
#[path = "deploy/probes.rs"]
mod probes;
#[path = "deploy/process.rs"]
mod process;
#[path = "deploy/redis.rs"]
mod redis;
#[path = "deploy/repository.rs"]
mod repository;
#[path = "deploy/settings.rs"]
mod settings;
