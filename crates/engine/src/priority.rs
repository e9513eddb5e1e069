//! A head start for the engine thread where the system grants one: sound that is late is lost, other work only waits.

/// Asks for more than an ordinary thread gets. Refusal is fine (Linux grants it to users only with a nice limit): voice
/// works without, with a few milliseconds more kept ahead.
#[cfg(target_os = "linux")]
pub fn raise() {
    /// As PulseAudio and PipeWire ask for their own.
    const NICE: libc::c_int = -11;
    // SAFETY: no pointers. On Linux the call is about the calling thread alone.
    unsafe {
        libc::setpriority(libc::PRIO_PROCESS, 0, NICE);
    }
}

/// Asks for the class of threads that serve a person who waits.
#[cfg(target_os = "macos")]
pub fn raise() {
    // SAFETY: no pointers; the class is a valid one.
    unsafe {
        libc::pthread_set_qos_class_self_np(libc::qos_class_t::QOS_CLASS_USER_INTERACTIVE, 0);
    }
}

/// Asks for the highest priority of ordinary processes' threads.
#[cfg(windows)]
pub fn raise() {
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

/// No way is known here.
#[cfg(not(any(target_os = "linux", target_os = "macos", windows)))]
pub fn raise() {}

#[cfg(test)]
mod tests {
    #[test]
    fn raising_is_harmless_whether_granted_or_not() {
        std::thread::spawn(super::raise).join().unwrap();
    }
}
