//! The clocks an adapter may read. The same monotonic clock as Python's `time.monotonic_ns()`, so times cross the
//! border unchanged.

use raccall_wire::Nanos;

pub const NANOS_PER_MS: Nanos = 1_000_000;
const NANOS_PER_SECOND: Nanos = 1_000_000_000;

#[cfg(unix)]
fn read(clock: libc::clockid_t) -> Nanos {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is valid for the call; the clocks asked for below exist on every supported system.
    let failed = unsafe { libc::clock_gettime(clock, &mut time) };
    assert_eq!(failed, 0, "clock {clock} cannot be read");
    time.tv_sec as u64 * NANOS_PER_SECOND + time.tv_nsec as u64
}

/// Monotonic nanoseconds.
#[cfg(all(unix, not(target_os = "macos")))]
pub fn monotonic_now() -> Nanos {
    read(libc::CLOCK_MONOTONIC)
}

/// Monotonic nanoseconds. CPython reads mach_absolute_time() here, which is this clock.
#[cfg(target_os = "macos")]
pub fn monotonic_now() -> Nanos {
    read(libc::CLOCK_UPTIME_RAW)
}

/// Monotonic nanoseconds. CPython 3.13 and later read the performance counter here.
#[cfg(windows)]
pub fn monotonic_now() -> Nanos {
    #[link(name = "kernel32")]
    unsafe extern "system" {
        fn QueryPerformanceCounter(count: *mut i64) -> i32;
        fn QueryPerformanceFrequency(frequency: *mut i64) -> i32;
    }
    let (mut count, mut frequency) = (0, 1);
    // SAFETY: both pointers are valid; the calls cannot fail since Windows XP.
    unsafe {
        QueryPerformanceCounter(&mut count);
        QueryPerformanceFrequency(&mut frequency);
    }
    (count as u128 * u128::from(NANOS_PER_SECOND) / frequency as u128) as Nanos
}

/// CPU time of the calling thread.
#[cfg(unix)]
pub fn thread_cpu() -> Nanos {
    read(libc::CLOCK_THREAD_CPUTIME_ID)
}

/// CPU time of the calling thread: not measured on this system.
#[cfg(not(unix))]
pub fn thread_cpu() -> Nanos {
    0
}

/// What to add to a wall-clock time of this moment to get the monotonic one. Read anew for each use: the wall clock
/// may be set at any time. A thread that was held up between the clocks reads them again.
#[cfg(target_os = "linux")]
pub fn monotonic_minus_wall() -> i64 {
    const PROMPT: Nanos = 20_000;
    const ATTEMPTS: usize = 4;
    let attempt = || {
        let before = monotonic_now();
        let wall = read(libc::CLOCK_REALTIME);
        let took = monotonic_now() - before;
        (took, (before + took / 2) as i64 - wall as i64)
    };
    let mut best = attempt();
    for _ in 1..ATTEMPTS {
        if best.0 <= PROMPT {
            break;
        }
        best = best.min(attempt());
    }
    best.1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn monotonic_time_never_goes_back() {
        let first = monotonic_now();
        assert!(monotonic_now() >= first);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn wall_time_converts_to_monotonic_within_a_millisecond() {
        let converted = read(libc::CLOCK_REALTIME) as i64 + monotonic_minus_wall();
        assert!((converted - monotonic_now() as i64).abs() < 1_000_000);
    }
}
