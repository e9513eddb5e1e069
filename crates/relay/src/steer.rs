//! The kernel hands each datagram to the thread of its room.
//!
//! Threads share an address by SO_REUSEPORT. By itself the kernel then picks a thread by the sender's address, so that a
//! member that roams would land at a thread that does not know it. A filter picks by the SSRC instead, which lies in clear
//! at a fixed place of RTP, RTCP and IP discovery alike: its lowest byte, the *lane*, names the thread. The control plane
//! gives all sources of a room one lane. So a room has one thread, which receives, seals and sends: nothing is handed
//! from thread to thread, and no packet waits for two of them to wake up.

use std::io;
use std::os::fd::AsRawFd;

use libc::{sock_filter, sock_fprog};

const LOAD_BYTE: u16 = (libc::BPF_LD | libc::BPF_B | libc::BPF_ABS) as u16;
const AND: u16 = (libc::BPF_ALU | libc::BPF_AND | libc::BPF_K) as u16;
const MODULO: u16 = (libc::BPF_ALU | libc::BPF_MOD | libc::BPF_K) as u16;
const JUMP: u16 = (libc::BPF_JMP | libc::BPF_JA) as u16;
const JUMP_EQUAL: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
const JUMP_AT_LEAST: u16 = (libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K) as u16;
const JUMP_ABOVE: u16 = (libc::BPF_JMP | libc::BPF_JGT | libc::BPF_K) as u16;
const RETURN_A: u16 = (libc::BPF_RET | BPF_A) as u16;
/// linux/filter.h; libc lacks it.
const BPF_A: u32 = 0x10;

/// Attaches the filter to the whole group of sockets that share this one's address. They are numbered as they were bound.
pub(crate) fn by_lane(socket: &socket2::Socket, threads: usize) -> io::Result<()> {
    let mut program = program(threads as u32);
    let told = sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
    // SAFETY: the kernel copies the program, which lives through the call, as long as `len` says.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ATTACH_REUSEPORT_CBPF,
            (&raw const told).cast(),
            size_of::<sock_fprog>() as libc::socklen_t,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// A datagram that ends before its SSRC does goes to the first thread: a load behind the end returns 0.
fn program(threads: u32) -> [sock_filter; 11] {
    let step = |code, k, jt, jf| sock_filter { code, jt, jf, k };
    [
        step(LOAD_BYTE, 0, 0, 0),
        step(AND, 0xC0, 0, 0),
        step(JUMP_EQUAL, 0x80, 0, 3), // not RTP or RTCP: IP discovery
        step(LOAD_BYTE, 1, 0, 0),
        step(JUMP_AT_LEAST, 200, 0, 3), // RTP
        step(JUMP_ABOVE, 206, 2, 0),    // RTP
        step(LOAD_BYTE, 7, 0, 0),       // the SSRC of RTCP and of IP discovery ends here
        step(JUMP, 1, 0, 0),
        step(LOAD_BYTE, 11, 0, 0), // that of RTP
        step(MODULO, threads, 0, 0),
        step(RETURN_A, 0, 0, 0),
    ]
}
