//! The atomics and the lock of [`super::board`]: a place of their own, so that a test can put loom's there, which tries all orders.

pub(super) use parking_lot::Mutex;
pub(super) use std::sync::Arc;
pub(super) use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering, fence};
