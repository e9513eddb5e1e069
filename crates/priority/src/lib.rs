//! A head start for threads that handle voice, where the system grants one: sound that is late is lost, other work only waits.
//!
//! Asking is all: a refusal is fine, voice works without, with a few milliseconds more kept ahead. Linux refuses users whose
//! limits (`ulimit -r`, `ulimit -e`) are zero, and grants root all of it.

use std::cell::Cell;

/// For a thread that a sound card waits for and that uses a small part of a core: real time where it is granted, else
/// `ahead`. On Linux only real time comes before the work of other sessions and services; niceness counts among the threads
/// of one session (sched(7), "the autogroup feature"). With both cores busy a nice thread woke up to 0.5 s late, one in real time
/// 2 ms.
pub fn real_time() {
    system::real_time();
}

/// As `real_time`, for a thread that a sound system has started and in which it calls us: the first time asks, later ones cost
/// next to nothing. Outside Linux sound systems give their threads what they need themselves.
pub fn real_time_in_callback() {
    thread_local!(static ASKED: Cell<bool> = const { Cell::new(false) });
    if cfg!(target_os = "linux") && !ASKED.replace(true) {
        real_time();
    }
}

/// For a thread that may have more to do than there is time for, such as a relay under a flood: before the other threads of
/// its program and session, without keeping anything from them altogether.
pub fn ahead() {
    system::ahead();
}

#[cfg(target_os = "linux")]
mod system {
    /// As PulseAudio asks for its own threads, both.
    const REAL_TIME: libc::c_int = 5;
    const NICE: libc::c_int = -11;

    pub fn real_time() {
        // SAFETY: plain integers; all zeros is valid.
        let mut wanted: libc::sched_param = unsafe { std::mem::zeroed() };
        wanted.sched_priority = REAL_TIME;
        // What the thread starts later is ordinary again.
        let policy = libc::SCHED_RR | libc::SCHED_RESET_ON_FORK;
        // SAFETY: the pointer is to a value that outlives the call, which is about the calling thread alone.
        if unsafe { libc::sched_setscheduler(0, policy, &raw const wanted) } != 0 {
            ahead();
        }
    }

    pub fn ahead() {
        // SAFETY: no pointers. On Linux the call is about the calling thread alone.
        unsafe {
            libc::setpriority(libc::PRIO_PROCESS, 0, NICE);
        }
    }
}

#[cfg(target_os = "macos")]
mod system {
    /// The class of threads that serve a person who waits.
    pub fn real_time() {
        // SAFETY: no pointers; the class is a valid one.
        unsafe {
            libc::pthread_set_qos_class_self_np(libc::qos_class_t::QOS_CLASS_USER_INTERACTIVE, 0);
        }
    }

    pub fn ahead() {
        real_time();
    }
}

#[cfg(windows)]
mod system {
    /// The highest priority of ordinary processes' threads.
    pub fn real_time() {
        const THREAD_PRIORITY_HIGHEST: i32 = 2;
        #[link(name = "kernel32")]
        unsafe extern "system" {
            fn GetCurrentThread() -> *mut std::ffi::c_void;
            fn SetThreadPriority(thread: *mut std::ffi::c_void, priority: i32) -> i32;
        }
        // SAFETY: the handle is a constant that means the calling thread.
        unsafe {
            SetThreadPriority(GetCurrentThread(), THREAD_PRIORITY_HIGHEST);
        }
    }

    pub fn ahead() {
        real_time();
    }
}

#[cfg(not(any(target_os = "linux", target_os = "macos", windows)))]
mod system {
    /// No way is known here.
    pub fn real_time() {}

    pub fn ahead() {}
}

#[cfg(test)]
mod tests {
    #[test]
    fn asking_is_harmless_whether_granted_or_not() {
        for ask in [super::real_time, super::real_time_in_callback, super::ahead] {
            std::thread::spawn(ask).join().unwrap();
        }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn root_is_granted_both_and_only_for_the_thread_that_asks() {
        // SAFETY: no pointers.
        let standing = || unsafe {
            (libc::sched_getscheduler(0) & !libc::SCHED_RESET_ON_FORK, libc::getpriority(libc::PRIO_PROCESS, 0))
        };
        let asked = |ask: fn()| {
            let asking = std::thread::spawn(move || {
                ask();
                (standing(), std::thread::spawn(standing).join().unwrap())
            });
            asking.join().unwrap()
        };
        let before = standing();
        let (real_time, of_its_child) = asked(super::real_time);
        let (ahead, _) = asked(super::ahead);
        assert_eq!(asked(super::real_time_in_callback).0, real_time);
        assert_eq!(standing(), before);
        assert_eq!(of_its_child.0, libc::SCHED_OTHER);
        if ahead.1 == before.1 && real_time.0 == before.0 {
            return; // refused: not root, or root of a container without CAP_SYS_NICE
        }
        assert_eq!(ahead, (libc::SCHED_OTHER, -11));
        assert!(real_time.0 == libc::SCHED_RR || real_time == ahead);
    }
}
