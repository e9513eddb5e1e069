//! Asking the relay which address it sees us at (the voice gateway's IP discovery), before the engine thread runs.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use raccall_wire::discovery::{parse_response, request};

use crate::socket::MAX_DATAGRAM_BYTES;

/// UDP may lose a request or its answer; a quarter of a second is longer than most round trips and short for a person.
const RESEND: Duration = Duration::from_millis(250);

/// Sends a request, again every 250 ms, until an answer for `ssrc` comes. `TimedOut` when none does; `Interrupted`
/// once `cancelled`.
pub fn discover(socket: &UdpSocket, ssrc: u32, timeout: Duration, cancelled: &AtomicBool) -> io::Result<SocketAddr> {
    let deadline = Instant::now() + timeout;
    while !cancelled.load(Relaxed) {
        let resend = Instant::now() + RESEND;
        // A send is refused when an earlier one met a closed port. The relay may be about to start: go on until the
        // deadline.
        let _ = socket.send(&request(ssrc));
        if let Some(address) = wait_for_response(socket, ssrc, resend.min(deadline))? {
            return Ok(address);
        }
        if Instant::now() >= deadline {
            return Err(io::ErrorKind::TimedOut.into());
        }
    }
    Err(io::ErrorKind::Interrupted.into())
}

fn wait_for_response(socket: &UdpSocket, ssrc: u32, deadline: Instant) -> io::Result<Option<SocketAddr>> {
    let mut buffer = [0; MAX_DATAGRAM_BYTES];
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(None);
        }
        socket.set_read_timeout(Some(left))?;
        match socket.recv(&mut buffer) {
            Ok(bytes) => match parse_response(&buffer[..bytes]) {
                Some((answered, address)) if answered == ssrc => return Ok(Some(address)),
                _ => {}
            },
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {}
            // The port is closed, for now: without a pause this would spin.
            Err(_) => std::thread::sleep(left.min(Duration::from_millis(10))),
        }
    }
}

#[cfg(test)]
mod tests {
    use raccall_wire::discovery::{parse_request, response};

    use super::*;
    use crate::socket::connect;

    static NEVER: AtomicBool = AtomicBool::new(false);

    fn pair() -> (UdpSocket, UdpSocket) {
        let relay = UdpSocket::bind("127.0.0.1:0").unwrap();
        let (socket, _) = connect(relay.local_addr().unwrap(), 1 << 16).unwrap();
        (socket, relay)
    }

    #[test]
    fn a_lost_request_is_sent_again_and_strange_answers_are_ignored() {
        let (socket, relay) = pair();
        let answering = std::thread::spawn(move || {
            let mut buffer = [0; 100];
            relay.recv_from(&mut buffer).unwrap();
            let (bytes, from) = relay.recv_from(&mut buffer).unwrap();
            assert_eq!(parse_request(&buffer[..bytes]), Some(5));
            relay.send_to(b"noise", from).unwrap();
            relay.send_to(&response(6, "192.0.2.1:1".parse().unwrap()), from).unwrap();
            relay.send_to(&response(5, from), from).unwrap();
        });
        let address = discover(&socket, 5, Duration::from_secs(5), &NEVER).unwrap();
        answering.join().unwrap();
        assert_eq!(address, socket.local_addr().unwrap());
    }

    #[test]
    fn silence_and_a_closed_port_time_out() {
        let (socket, relay) = pair();
        let timeout = Duration::from_millis(30);
        assert_eq!(discover(&socket, 5, timeout, &NEVER).unwrap_err().kind(), io::ErrorKind::TimedOut);
        drop(relay);
        assert_eq!(discover(&socket, 5, timeout, &NEVER).unwrap_err().kind(), io::ErrorKind::TimedOut);
    }
}
