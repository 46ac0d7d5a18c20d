//! The program `taskq` as people and programs use it: what it prints, what it changes, what it refuses, how long it takes.

mod deeds;
mod full;
mod goldens;
mod shop;
mod wrong;
