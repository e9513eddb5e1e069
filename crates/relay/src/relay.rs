//! The handle of those who command the relay, and how its threads are started.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use mio::{Poll, Token, Waker};
use raccall_wire::transport::RELAY_SPACE;

use crate::socket::Bound;
use crate::worker::{Inbox, Message, Worker};
use crate::{Command, Counters, SPEAKERS_AT_ONCE, SessionId, SessionStats, Share, Table, socket};

/// Commands under way. A thread takes them between two batches, so a full queue means a wait of microseconds.
const COMMAND_QUEUE: usize = 1024;
/// Lanes are a byte, so more threads would have no room.
pub const MAX_THREADS: usize = 256;

/// How to open the sockets and who serves them.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    pub receive_buffer_bytes: usize,
    /// One system call per datagram even where batches exist: what other systems than Linux do.
    pub portable: bool,
    /// 1 to MAX_THREADS. Where the kernel cannot hand datagrams out by room (Linux can) there is one in any case.
    pub threads: usize,
    /// How many sources of a room are heard at once, at least 1.
    pub speakers_at_once: usize,
    /// Off only for a benchmark: then one address may send without end, and addresses are believed unseen.
    pub limited: bool,
    /// Nonces for each key, all that there are unless a test wants to see their end.
    pub nonce_space: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            receive_buffer_bytes: 8 << 20,
            portable: false,
            threads: 1,
            speakers_at_once: SPEAKERS_AT_ONCE,
            limited: true,
            nonce_space: RELAY_SPACE,
        }
    }
}

/// The relay was stopped, so nobody takes commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stopped;

impl std::fmt::Display for Stopped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the relay is stopped")
    }
}

impl std::error::Error for Stopped {}

/// A running relay. Every method may be called from any thread. Dropping it stops it.
pub struct Relay {
    threads: Vec<Thread>,
    /// The thread of each session: the one that its SSRC's lane names.
    homes: Mutex<HashMap<SessionId, usize>>,
    addresses: Vec<SocketAddr>,
    receive_buffer_bytes: usize,
}

struct Thread {
    messages: SyncSender<Message>,
    waker: Arc<Waker>,
    /// It was woken and looks at its messages within milliseconds: many commands at once cost one system call.
    called: Arc<AtomicBool>,
    counters: Arc<Counters>,
    handle: Mutex<Option<JoinHandle<()>>>,
}

impl Relay {
    /// Binds each address (port 0: any free one) and starts the threads.
    pub fn start(bind: &[SocketAddr], options: Options) -> io::Result<Self> {
        let wanted = options.threads.clamp(1, MAX_THREADS);
        let mut sockets: Vec<Vec<Bound>> = Vec::new();
        sockets.resize_with(wanted, Vec::new);
        for address in bind {
            let group = socket::open(*address, options.receive_buffer_bytes, wanted)?;
            if group.len() < wanted {
                drop((group, sockets));
                return Self::start(bind, Options { threads: 1, ..options });
            }
            sockets.iter_mut().zip(group).for_each(|(thread, bound)| thread.push(bound));
        }
        let addresses = sockets[0].iter().map(|bound| bound.address).collect();
        let receive_buffer_bytes = sockets[0].iter().map(|bound| bound.receive_buffer_bytes).min().unwrap_or(0);
        let count = wanted as u16;
        let threads = (0..).zip(sockets).map(|(thread, sockets)| {
            Thread::start(Share { thread, threads: count, nonces: options.nonce_space }, sockets, &options)
        });
        let threads = threads.collect::<io::Result<_>>()?;
        Ok(Self { threads, homes: Mutex::default(), addresses, receive_buffer_bytes })
    }

    pub fn local_addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// What the system granted, which may be less than what was asked for.
    pub fn receive_buffer_bytes(&self) -> usize {
        self.receive_buffer_bytes
    }

    /// How many there are, which may be less than what was asked for.
    pub fn threads(&self) -> usize {
        self.threads.len()
    }

    /// The counts of all threads together, now.
    pub fn counters(&self) -> Counters {
        Counters::sum(self.threads.iter().map(|thread| &*thread.counters))
    }

    /// Takes effect before the next batch of datagrams; commands keep their order.
    pub fn command(&self, command: Command) -> Result<(), Stopped> {
        let thread = match &command {
            Command::AddSession { id, ssrc, .. } => *self.homes().entry(*id).or_insert(self.lane(*ssrc)),
            Command::RemoveSession { id } => self.homes().remove(id).unwrap_or(0),
            Command::SetRoom { id, .. }
            | Command::SetSilenced { id, .. }
            | Command::SetRoute { id, .. }
            | Command::SetAddress { id, .. } => self.home(*id),
        };
        self.threads[thread].post(Message::Command(command))
    }

    /// `None` if there is no such session.
    pub fn session_stats(&self, id: SessionId) -> Result<Option<SessionStats>, Stopped> {
        let (reply, answer) = sync_channel(1);
        self.threads[self.home(id)].ask(Message::Stats(id, reply))?;
        answer.recv().map_err(|_| Stopped)
    }

    /// Ends the threads and closes the sockets. Again: no effect.
    pub fn stop(&self) {
        self.threads.iter().for_each(Thread::stop);
    }

    fn lane(&self, ssrc: u32) -> usize {
        ssrc as usize % 256 % self.threads.len()
    }

    /// Of a session that does not exist, the first thread is as good as any to refuse the command.
    fn home(&self, id: SessionId) -> usize {
        self.homes().get(&id).copied().unwrap_or(0)
    }

    fn homes(&self) -> MutexGuard<'_, HashMap<SessionId, usize>> {
        self.homes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.stop();
        }
    }
}

impl Thread {
    fn start(share: Share, sockets: Vec<Bound>, options: &Options) -> io::Result<Self> {
        let poll = Poll::new()?;
        let waker = Arc::new(Waker::new(poll.registry(), Token(sockets.len()))?);
        let (messages, inbox) = sync_channel(COMMAND_QUEUE);
        let counters = Arc::new(Counters::default());
        let table = Table::new(counters.clone(), share);
        let table = table.with_speakers_at_once(options.speakers_at_once);
        let table = if options.limited { table } else { table.without_limits() };
        let called = Arc::new(AtomicBool::new(false));
        let worker =
            Worker::new(poll, sockets, Inbox { messages: inbox, called: called.clone() }, table, options.portable)?;
        let name = format!("relay {}", share.thread);
        let handle = std::thread::Builder::new().name(name).spawn(move || worker.run())?;
        Ok(Self { messages, waker, called, counters, handle: Mutex::new(Some(handle)) })
    }

    /// What may wait until the thread has something to forward, or for milliseconds.
    fn post(&self, message: Message) -> Result<(), Stopped> {
        match self.messages.try_send(message) {
            Ok(()) if self.called.swap(true, Ordering::AcqRel) => Ok(()),
            Ok(()) => self.wake(),
            Err(TrySendError::Full(message)) => {
                self.wake()?;
                self.messages.send(message).map_err(|_| Stopped)
            }
            Err(TrySendError::Disconnected(_)) => Err(Stopped),
        }
    }

    /// What somebody waits for.
    fn ask(&self, message: Message) -> Result<(), Stopped> {
        self.post(message)?;
        self.wake()
    }

    fn wake(&self) -> Result<(), Stopped> {
        self.waker.wake().map_err(|_| Stopped)
    }

    fn stop(&self) {
        let handle = self.handle.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(handle) = handle {
            let _ = self.ask(Message::Stop); // fails only if the thread has ended already
            let _ = handle.join(); // its panics were caught and counted
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;
    use std::time::{Duration, Instant};

    use raccall_wire::discovery;
    use raccall_wire::transport::{Cipher, ClientNonces, Mode};

    use super::*;
    use crate::Reason;

    const MODE: Mode = Mode::Aes256GcmRtpSize;
    const ANNA: u32 = 1;
    const BEN: u32 = 2;
    const CARL: u32 = 3;

    fn seal(ssrc: u32, sequence: u16, nonces: &mut ClientNonces) -> Vec<u8> {
        let mut packet = vec![0x80, 120];
        packet.extend(sequence.to_be_bytes());
        packet.extend([0; 4]);
        packet.extend(ssrc.to_be_bytes());
        packet.push(sequence as u8);
        let mut datagram = Vec::new();
        Cipher::new(MODE, &[ssrc as u8; 32]).seal(&packet, nonces.next().unwrap(), &mut datagram).unwrap();
        datagram
    }

    #[test]
    fn a_panic_costs_the_packet_that_caused_it() {
        let relay = Relay::start(&["127.0.0.1:0".parse().unwrap()], Options::default()).unwrap();
        let sockets = [ANNA, BEN, CARL].map(|ssrc| {
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            socket.connect(relay.local_addresses()[0]).unwrap();
            socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
            let id = ssrc.into();
            relay.command(Command::AddSession { id, ssrc, mode: MODE, key: [ssrc as u8; 32] }).unwrap();
            socket.send(&discovery::request(ssrc)).unwrap();
            socket.recv(&mut [0; 100]).unwrap();
            relay.command(Command::SetAddress { id, address: socket.local_addr().unwrap(), proven: true }).unwrap();
            socket
        });
        for ssrc in [ANNA, BEN] {
            relay.command(Command::SetRoute { id: ssrc.into(), destinations: vec![CARL.into()] }).unwrap();
        }
        let [anna, ben, carl] = &sockets;
        relay.threads[0].post(Message::Fault(ANNA)).unwrap();
        assert!(relay.session_stats(1).is_ok());
        let mut nonces = [ClientNonces::new(), ClientNonces::new()];
        for sequence in 0..100 {
            anna.send(&seal(ANNA, sequence, &mut nonces[0])).unwrap();
            ben.send(&seal(BEN, sequence, &mut nonces[1])).unwrap();
        }
        let hear = || {
            let (mut datagram, mut packet) = ([0; 100], Vec::new());
            let length = carl.recv(&mut datagram).unwrap();
            Cipher::new(MODE, &[CARL as u8; 32]).open(&datagram[..length], &mut packet).unwrap();
            (u32::from(packet[11]), packet[12])
        };
        let mut from_ben = Vec::new();
        while from_ben.len() < 100 {
            let (ssrc, sequence) = hear();
            if ssrc == BEN {
                from_ben.push(sequence);
            }
        }
        assert_eq!(from_ben, (0..100).collect::<Vec<u8>>()); // nobody else lost anything
        assert_eq!(relay.counters().get(Reason::Panics), 100);
        relay.threads[0].post(Message::Fault(0)).unwrap();
        assert!(relay.session_stats(1).is_ok());
        anna.send(&seal(ANNA, 100, &mut nonces[0])).unwrap();
        while hear() != (ANNA, 100) {} // her route and her key are there still
        assert_eq!(relay.counters().get(Reason::Received), 204);
    }

    #[test]
    fn commands_are_obeyed_though_no_datagram_comes() {
        let relay = Relay::start(&["127.0.0.1:0".parse().unwrap()], Options::default()).unwrap();
        let began = Instant::now();
        let mut given = 0;
        for burst in [1, 1, 3 * COMMAND_QUEUE as u64, 1] {
            for _ in 0..burst {
                relay.command(Command::RemoveSession { id: 7 }).unwrap(); // there is none: refused, and counted
            }
            given += burst;
            while relay.counters().get(Reason::CommandRefused) < given {
                assert!(began.elapsed() < Duration::from_secs(30), "a command was forgotten");
                std::thread::sleep(Duration::from_millis(1));
            }
        }
    }
}
