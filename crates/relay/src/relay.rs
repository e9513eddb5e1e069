//! The thread that owns sockets and table, and the handle of those who command it.

use std::io;
use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use mio::{Events, Interest, Poll, Token, Waker};

use crate::socket::{BATCH, Bound};
use crate::{Command, Counters, Endpoint, Outbox, SessionId, SessionStats, Table, forward, portable};

/// Commands under way. The relay takes them between two batches, so a full queue means a wait of microseconds.
const COMMAND_QUEUE: usize = 1024;

/// How to open the sockets.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    pub receive_buffer_bytes: usize,
    /// One system call per datagram even where batches exist: what other systems than Linux do.
    pub portable: bool,
    /// Off only for a benchmark: then one address may send without end.
    pub limited: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { receive_buffer_bytes: 8 << 20, portable: false, limited: true }
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

enum Message {
    Command(Command),
    Stats(SessionId, SyncSender<Option<SessionStats>>),
    Stop,
}

/// A running relay. Every method may be called from any thread. Dropping it stops it.
pub struct Relay {
    messages: SyncSender<Message>,
    waker: Arc<Waker>,
    counters: Arc<Counters>,
    addresses: Vec<SocketAddr>,
    receive_buffer_bytes: usize,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Relay {
    /// Binds one socket per address (port 0: any free one) and starts the thread.
    pub fn start(bind: &[SocketAddr], options: Options) -> io::Result<Self> {
        let poll = Poll::new()?;
        let mut sockets = Vec::with_capacity(bind.len());
        for address in bind {
            let mut bound = Bound::open(*address, options.receive_buffer_bytes)?;
            poll.registry().register(&mut bound.socket, Token(sockets.len()), Interest::READABLE)?;
            sockets.push(bound);
        }
        let waker = Arc::new(Waker::new(poll.registry(), Token(sockets.len()))?);
        let (messages, inbox) = sync_channel(COMMAND_QUEUE);
        let counters = Arc::new(Counters::default());
        let addresses = sockets.iter().map(|bound| bound.address).collect();
        let receive_buffer_bytes = sockets.iter().map(|bound| bound.receive_buffer_bytes).min().unwrap_or(0);
        let table = Table::new(counters.clone());
        let worker = Worker {
            poll,
            table: if options.limited { table } else { table.without_limits() },
            batch: Batch::new(options.portable, sockets.len()),
            readable: vec![true; sockets.len()],
            sockets,
            inbox,
            outbox: Outbox::new(),
            started: Instant::now(),
        };
        let thread = std::thread::Builder::new().name("relay".into()).spawn(move || worker.run())?;
        let thread = Mutex::new(Some(thread));
        Ok(Self { messages, waker, counters, addresses, receive_buffer_bytes, thread })
    }

    pub fn local_addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// What the system granted, which may be less than what was asked for.
    pub fn receive_buffer_bytes(&self) -> usize {
        self.receive_buffer_bytes
    }

    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Takes effect before the next batch of datagrams; commands keep their order.
    pub fn command(&self, command: Command) -> Result<(), Stopped> {
        self.post(Message::Command(command))
    }

    /// `None` if there is no such session.
    pub fn session_stats(&self, id: SessionId) -> Result<Option<SessionStats>, Stopped> {
        let (reply, answer) = sync_channel(1);
        self.post(Message::Stats(id, reply))?;
        answer.recv().map_err(|_| Stopped)
    }

    /// Ends the thread and closes the sockets. Again: no effect.
    pub fn stop(&self) {
        let thread = self.thread.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        if let Some(thread) = thread {
            let _ = self.post(Message::Stop); // fails only if the thread has ended already
            if let Err(panic) = thread.join() {
                std::panic::resume_unwind(panic);
            }
        }
    }

    fn post(&self, message: Message) -> Result<(), Stopped> {
        self.messages.send(message).map_err(|_| Stopped)?;
        self.waker.wake().map_err(|_| Stopped)
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.stop();
        }
    }
}

struct Worker {
    poll: Poll,
    sockets: Vec<Bound>,
    /// Sockets that may hold more: readiness is told once, when it begins.
    readable: Vec<bool>,
    inbox: Receiver<Message>,
    table: Table,
    batch: Batch,
    outbox: Outbox,
    started: Instant,
}

impl Worker {
    fn run(mut self) {
        let mut events = Events::with_capacity(16);
        loop {
            let timeout = self.readable.contains(&true).then_some(Duration::ZERO);
            match self.poll.poll(&mut events, timeout) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => panic!("waiting for datagrams failed: {error}"),
            }
            for event in &events {
                if let Some(readable) = self.readable.get_mut(event.token().0) {
                    *readable = true;
                }
            }
            if !self.obey() {
                return;
            }
            self.relay_one_batch();
        }
    }

    /// Carries out what was commanded. Whether to go on.
    fn obey(&mut self) -> bool {
        loop {
            match self.inbox.try_recv() {
                Ok(Message::Command(command)) => self.table.apply(command),
                Ok(Message::Stats(id, reply)) => drop(reply.send(self.table.session_stats(id))),
                Ok(Message::Stop) | Err(TryRecvError::Disconnected) => return false,
                Err(TryRecvError::Empty) => return true,
            }
        }
    }

    /// One batch of each socket that has something: none of them starves another, nor the commands.
    fn relay_one_batch(&mut self) {
        for index in 0..self.sockets.len() {
            if !self.readable[index] {
                continue;
            }
            self.readable[index] = self.batch.receive(index, &self.sockets[index], self.table.counters());
            let now = self.started.elapsed().as_nanos() as u64;
            for message in 0..self.batch.len() {
                let (datagram, address) = self.batch.get(message);
                forward(now, datagram, Endpoint { address, socket: index as u16 }, &mut self.table, &mut self.outbox);
                if self.outbox.len() >= BATCH {
                    self.batch.send(&self.sockets, &mut self.outbox, self.table.counters());
                }
            }
            self.batch.send(&self.sockets, &mut self.outbox, self.table.counters());
        }
    }
}

/// How datagrams pass the border to the kernel.
enum Batch {
    #[cfg(target_os = "linux")]
    Mmsg {
        inbound: crate::mmsg::Inbound,
        outbound: crate::mmsg::Outbound,
    },
    Portable(portable::Inbound),
}

impl Batch {
    #[cfg(target_os = "linux")]
    fn new(portable: bool, sockets: usize) -> Self {
        if portable {
            return Self::Portable(portable::Inbound::new());
        }
        Self::Mmsg { inbound: crate::mmsg::Inbound::new(sockets), outbound: crate::mmsg::Outbound::new() }
    }

    #[cfg(not(target_os = "linux"))]
    fn new(_portable: bool, _sockets: usize) -> Self {
        Self::Portable(portable::Inbound::new())
    }

    /// Fetches one batch. Whether there may be more.
    #[cfg_attr(not(target_os = "linux"), expect(unused_variables))]
    fn receive(&mut self, index: usize, bound: &Bound, counters: &Counters) -> bool {
        match self {
            #[cfg(target_os = "linux")]
            Self::Mmsg { inbound, .. } => inbound.receive(index, bound, counters),
            Self::Portable(inbound) => inbound.receive(bound),
        }
    }

    fn len(&self) -> usize {
        match self {
            #[cfg(target_os = "linux")]
            Self::Mmsg { inbound, .. } => inbound.len(),
            Self::Portable(inbound) => inbound.len(),
        }
    }

    fn get(&self, index: usize) -> (&[u8], SocketAddr) {
        match self {
            #[cfg(target_os = "linux")]
            Self::Mmsg { inbound, .. } => inbound.get(index),
            Self::Portable(inbound) => inbound.get(index),
        }
    }

    /// Sends and empties the outbox.
    fn send(&mut self, sockets: &[Bound], out: &mut Outbox, counters: &Counters) {
        match self {
            #[cfg(target_os = "linux")]
            Self::Mmsg { outbound, .. } => outbound.send(sockets, out, counters),
            Self::Portable(_) => portable::send(sockets, out, counters),
        }
        out.clear();
    }
}
