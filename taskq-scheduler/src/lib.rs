//! The contract of the taskq scheduler
