//! Wakes the engine thread the moment a sound card's callback has something for it, so that sound does not wait for the thread's
//! own timer.
//!
//! A callback may not wait. Ringing is one atomic exchange, and a wake-up of the system when the thread sleeps; the lock is
//! only tried, and held by others just while an engine comes or goes.

use std::sync::Mutex;
use std::thread::{self, Thread};

/// Whether `socket::Receiver` waits where a bell is heard: elsewhere it waits for datagrams, and the thread looks by its own timer.
pub const IS_HEARD: bool = cfg!(target_os = "linux");

/// One for each device Sound.
#[derive(Default)]
pub struct Bell(Mutex<Option<Thread>>);

impl Bell {
    /// The calling thread is the one to wake.
    pub fn answer(&self) {
        *self.0.lock().expect("never poisoned") = Some(thread::current());
    }

    /// Nobody is.
    pub fn leave(&self) {
        *self.0.lock().expect("never poisoned") = None;
    }

    /// Wakes who answers, now or as soon as it wants to sleep.
    pub fn ring(&self) {
        if let Ok(thread) = self.0.try_lock()
            && let Some(thread) = &*thread
        {
            thread.unpark();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn a_bell_wakes_who_answers_and_nobody_else() {
        let bell = Bell::default();
        bell.ring();
        bell.answer();
        bell.ring();
        let start = Instant::now();
        thread::park_timeout(Duration::from_secs(20));
        assert!(start.elapsed() < Duration::from_secs(10));
        bell.leave();
        bell.ring();
    }
}
