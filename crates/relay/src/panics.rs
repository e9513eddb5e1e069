//! Of the panics of relay threads only the first is printed: a datagram that causes one could be sent thousands of times.
//! The counter `panics` tells how many there were.

use std::cell::Cell;
use std::panic;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};

thread_local! {
    static IN_RELAY: Cell<bool> = const { Cell::new(false) };
}

/// To be called by each relay thread. Panics of other threads are reported as they were before.
pub(crate) fn print_the_first() {
    static HOOK: Once = Once::new();
    static PRINTED: AtomicBool = AtomicBool::new(false);
    HOOK.call_once(|| {
        let former = panic::take_hook();
        panic::set_hook(Box::new(move |told| {
            if !IN_RELAY.get() || !PRINTED.swap(true, Ordering::Relaxed) {
                former(told);
            }
        }));
    });
    IN_RELAY.set(true);
}
