//! The dashboard over the reference broker: what its pages show, who gets in, and that nothing gets out of its place.

mod stage;
mod way;

mod access;
mod actions;
mod events;
mod hostile;
mod live;
mod pages;
