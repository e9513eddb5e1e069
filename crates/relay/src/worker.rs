//! One relay thread: its sockets, its table, and the loop between them.

use std::io;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError};
use std::time::{Duration, Instant};

use mio::{Events, Interest, Poll, Token};
use raccall_wire::Nanos;

use crate::latency::SAMPLE_EVERY;
use crate::socket::{BATCH, Bound};
use crate::{
    Command, Counters, Endpoint, Outbox, Reason, SessionId, SessionStats, Table, alarm, forward, panics, portable,
};

/// Full batches taken in a row before the thread looks whether another socket has become readable.
const BATCHES_PER_LOOK: usize = 8;
/// So long after it was called the thread looks for commands once more, and need not be called until then. They lose
/// nothing by it: any datagram has it look at once. Where hundreds join, calling it for each costs as much as the rest.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

pub(crate) enum Message {
    Command(Command),
    Stats(SessionId, SyncSender<Option<SessionStats>>),
    Stop,
    /// From now on what this source sends makes the thread panic.
    #[cfg(test)]
    Fault(u32),
}

/// What was asked of the thread. Who finds `called` unset wakes it; else it looks within LOOK_AGAIN.
pub(crate) struct Inbox {
    pub(crate) messages: Receiver<Message>,
    pub(crate) called: Arc<AtomicBool>,
}

pub(crate) struct Worker {
    poll: Poll,
    sockets: Vec<Bound>,
    /// Sockets that may hold more: readiness is told once, when it begins.
    readable: Vec<bool>,
    inbox: Inbox,
    /// When to look for what came without a call. None: it was not called.
    looks_again: Option<Nanos>,
    table: Table,
    batch: Batch,
    /// The socket that the batch came from, and the first of its datagrams that was not handled.
    from: usize,
    next: usize,
    outbox: Outbox,
    /// Batches until the next sample.
    until_sample: u32,
    started: Instant,
}

impl Worker {
    pub(crate) fn new(
        poll: Poll,
        mut sockets: Vec<Bound>,
        inbox: Inbox,
        table: Table,
        portable: bool,
    ) -> io::Result<Self> {
        for (index, bound) in sockets.iter_mut().enumerate() {
            poll.registry().register(&mut bound.socket, Token(index), Interest::READABLE)?;
        }
        Ok(Self {
            poll,
            readable: vec![true; sockets.len()],
            batch: Batch::new(portable, sockets.len()),
            from: 0,
            next: BATCH, // nothing yet
            sockets,
            inbox,
            looks_again: None,
            table,
            outbox: Outbox::new(),
            until_sample: SAMPLE_EVERY,
            started: Instant::now(),
        })
    }

    /// Runs until it is told to stop. A panic costs the datagram or command that caused it: the loop goes on behind it, and
    /// the table stays.
    pub(crate) fn run(mut self) {
        raccall_priority::ahead();
        panics::print_the_first();
        while catch_unwind(AssertUnwindSafe(|| self.serve())).is_err() {
            self.table.counters().add(Reason::Panics, 1);
        }
    }

    fn serve(&mut self) {
        let mut events = Events::with_capacity(16);
        self.forward_batch(); // what a panic left of it
        if !self.obey() {
            return; // and of the messages
        }
        loop {
            match self.poll.poll(&mut events, self.timeout()) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => {
                    eprintln!("raccall: the relay ends, for waiting for datagrams failed: {error}");
                    return;
                }
            }
            for event in &events {
                if let Some(readable) = self.readable.get_mut(event.token().0) {
                    *readable = true;
                }
            }
            self.alarm();
            for _ in 0..BATCHES_PER_LOOK {
                if !self.obey() {
                    return;
                }
                self.relay_one_batch();
                if !self.readable.contains(&true) {
                    break;
                }
            }
        }
    }

    /// How long nothing is to be done unless something comes. None: for ever.
    fn timeout(&self) -> Option<Duration> {
        if self.readable.contains(&true) {
            return Some(Duration::ZERO);
        }
        let due = self.table.next_alarm().into_iter().chain(self.looks_again).min();
        due.map(|at| Duration::from_nanos(at.saturating_sub(self.now())))
    }

    fn now(&self) -> Nanos {
        self.started.elapsed().as_nanos() as u64
    }

    /// Tells those whose packets are overdue. What has come by now and was not looked at is first taken into account.
    fn alarm(&mut self) {
        if !self.readable.contains(&true) && self.table.next_alarm().is_some_and(|at| at <= self.now()) {
            alarm(self.now(), &mut self.table, &mut self.outbox);
            self.send();
        }
    }

    /// Carries out what was commanded. Whether to go on.
    fn obey(&mut self) -> bool {
        if self.looks_again.is_some_and(|at| at <= self.now()) {
            self.looks_again = None;
            self.inbox.called.swap(false, Ordering::AcqRel); // before the queue is looked at: what comes later wakes anew
        }
        loop {
            match self.inbox.messages.try_recv() {
                Ok(Message::Command(command)) => self.table.apply(command),
                Ok(Message::Stats(id, reply)) => drop(reply.send(self.table.session_stats(id))),
                #[cfg(test)]
                Ok(Message::Fault(ssrc)) => self.table.fault = Some(ssrc),
                Ok(Message::Stop) | Err(TryRecvError::Disconnected) => return false,
                Err(TryRecvError::Empty) => break,
            }
        }
        if self.looks_again.is_none() && self.inbox.called.load(Ordering::Acquire) {
            self.looks_again = Some(self.now() + LOOK_AGAIN.as_nanos() as Nanos);
        }
        true
    }

    /// One batch of each socket that has something: none of them starves another, nor the commands.
    fn relay_one_batch(&mut self) {
        for index in 0..self.sockets.len() {
            if self.readable[index] {
                self.readable[index] = self.batch.receive(index, &self.sockets[index], self.table.counters());
                (self.from, self.next) = (index, 0);
                self.forward_batch();
                self.sample(index);
            }
        }
    }

    /// Now and then, how long the last datagram of a batch took.
    fn sample(&mut self, index: usize) {
        self.until_sample = self.until_sample.wrapping_sub(u32::from(self.batch.len() > 0));
        if self.until_sample == 0 {
            self.until_sample = SAMPLE_EVERY;
            #[cfg(target_os = "linux")]
            if let Some(nanos) = crate::mmsg::nanos_since_received(&self.sockets[index].socket) {
                self.table.counters().latency().add(nanos);
            }
            #[cfg(not(target_os = "linux"))]
            let _ = index;
        }
    }

    fn forward_batch(&mut self) {
        let now = self.now();
        while self.next < self.batch.len() {
            let (datagram, address, via) = self.batch.get(self.next);
            self.next += 1;
            let from = Endpoint { address, socket: self.from as u8, via };
            forward(now, datagram, from, &mut self.table, &mut self.outbox);
            if self.outbox.len() >= BATCH {
                self.send();
            }
        }
        self.send();
    }

    fn send(&mut self) {
        // It is away meanwhile, so that a panic cannot send the same again.
        let mut outbox = std::mem::take(&mut self.outbox);
        self.batch.send(&self.sockets, &mut outbox, self.table.counters());
        self.outbox = outbox;
    }
}

/// How datagrams pass the border to the kernel.
enum Batch {
    #[cfg(target_os = "linux")]
    Mmsg {
        inbound: crate::mmsg::Inbound,
        outbound: crate::mmsg::Outbound,
        locals: crate::local::Locals,
    },
    Portable(portable::Inbound),
}

impl Batch {
    #[cfg(target_os = "linux")]
    fn new(portable: bool, sockets: usize) -> Self {
        if portable || !crate::mmsg::is_known() {
            return Self::Portable(portable::Inbound::new());
        }
        Self::Mmsg {
            inbound: crate::mmsg::Inbound::new(sockets),
            outbound: crate::mmsg::Outbound::new(),
            locals: crate::local::Locals::default(),
        }
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
            Self::Mmsg { inbound, locals, .. } => inbound.receive(index, bound, locals, counters),
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

    /// One datagram, where it came from and which local address it was sent to (`Endpoint::via`).
    fn get(&self, index: usize) -> (&[u8], SocketAddr, u8) {
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
            Self::Mmsg { outbound, locals, .. } => outbound.send(sockets, locals, out, counters),
            Self::Portable(_) => portable::send(sockets, out, counters),
        }
        out.clear();
    }
}
