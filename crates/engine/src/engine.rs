//! The owner's handle of the engine thread. Every method may be called from any thread.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use raccall_media::{Encryption, MediaError, ReceiveChain, ReceiveConfig, SendChain, SendConfig, Share};
use raccall_wire::transport::Mode;
use rtrb::{Producer, RingBuffer};

use crate::call::{self, Call};
use crate::clock;
use crate::command::Command;
use crate::discovery;
use crate::link::Link;
use crate::path::Route;
use crate::share::SharedSound;
use crate::socket;
use crate::sound::LentEnd;
use crate::stats::Stats;
use crate::tap::{TapReader, TapWriter, tap};

/// Commands that can wait for the next tick. A caller beyond that waits for it too.
const COMMANDS: usize = 64;

/// Commands kept for an engine that is not started yet: keys, and the owners of a big room's Sources.
const EARLY_COMMANDS: usize = 2048;
const NEXT_TICK: Duration = Duration::from_millis(5);

/// What the jitter buffer may aim at: 20 ms is one packet; beyond 200 ms people talk over each other.
const MIN_TARGET_MS: u32 = 10;
const MAX_TARGET_MS: u32 = 500;

/// A voice that paused this long gets a new decoder.
const SOURCE_TIMEOUT_MS: u32 = 30_000;

/// Why an engine did not do what it was asked.
#[derive(Debug)]
pub enum EngineError {
    /// It is closed, or was closed while waiting.
    Closed,
    AlreadyStarted,
    NotStarted,
    NoTunnel,
    OnlyListens,
    Media(MediaError),
    Io(io::Error),
}

impl std::fmt::Display for EngineError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Closed => f.write_str("the engine is closed"),
            Self::AlreadyStarted => f.write_str("the engine is running already; discover and start come once, before"),
            Self::NotStarted => f.write_str("too much is asked of an engine that is not started yet"),
            Self::OnlyListens => f.write_str("an engine without a sound sends none"),
            Self::NoTunnel => f.write_str("no tunnel was opened"),
            Self::Media(error) => error.fmt(f),
            Self::Io(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for EngineError {}

impl From<io::Error> for EngineError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<MediaError> for EngineError {
    fn from(error: MediaError) -> Self {
        Self::Media(error)
    }
}

/// One voice session as the voice gateway described it, and how its member likes to send and hear.
#[derive(Clone, Copy, Debug)]
pub struct Session {
    pub ssrc: u32,
    pub mode: Mode,
    pub key: [u8; 32],
    pub bitrate_bps: i32,
    pub complexity: u8,
    pub expected_loss_pct: u8,
    pub deep_plc: bool,
    /// How far back each packet tells of what was said before it (DRED); 0 is off.
    pub dred_ms: u16,
    /// Send next to nothing while nobody speaks.
    pub dtx: bool,
    pub music: bool,
    pub muted: bool,
    pub encryption: Encryption,
}

impl Session {
    /// Numbers start anywhere (RFC 3550 section 5.1), so that no packet is mistaken for one of an earlier session.
    fn send_config(&self, channels: usize) -> SendConfig {
        let start = RandomState::new().build_hasher().finish();
        SendConfig {
            ssrc: self.ssrc,
            mode: self.mode,
            key: self.key,
            bitrate_bps: self.bitrate_bps,
            complexity: self.complexity,
            expected_loss_pct: self.expected_loss_pct,
            lbrr: true,
            dred_ms: self.dred_ms,
            dtx: self.dtx,
            music: self.music,
            channels: channels as u8,
            first_sequence: start as u16,
            first_timestamp: (start >> 32) as u32,
        }
    }

    fn receive_config(&self) -> ReceiveConfig {
        ReceiveConfig {
            mode: self.mode,
            key: self.key,
            deep_plc: self.deep_plc,
            min_target_ms: MIN_TARGET_MS,
            max_target_ms: MAX_TARGET_MS,
            source_timeout_ms: SOURCE_TIMEOUT_MS,
        }
    }
}

enum State {
    Open { socket: UdpSocket, tunnel: Option<UdpSocket>, route: Route, taps: Vec<TapWriter>, early: Vec<Command> },
    Running { commands: Producer<Command>, thread: JoinHandle<()>, share: Sharing },
    Closed,
}

/// Whether the thread has what it takes to share sound.
enum Sharing {
    /// It only listens.
    Never,
    NotYet {
        channels: usize,
        complexity: u8,
        expected_loss_pct: u8,
    },
    Ready,
}

pub struct Engine {
    state: Mutex<State>,
    closing: AtomicBool,
    published: Arc<Mutex<Stats>>,
    local_address: SocketAddr,
    receive_buffer_bytes: usize,
}

impl Engine {
    /// Opens a UDP socket connected to the relay's media address.
    pub fn connect(address: SocketAddr, receive_buffer_bytes: usize) -> io::Result<Self> {
        let (socket, receive_buffer_bytes) = socket::connect(address, receive_buffer_bytes)?;
        Ok(Self {
            local_address: socket.local_addr()?,
            state: Mutex::new(State::Open {
                socket,
                tunnel: None,
                route: Route::Udp,
                taps: Vec::new(),
                early: Vec::new(),
            }),
            closing: AtomicBool::new(false),
            published: Arc::default(),
            receive_buffer_bytes,
        })
    }

    pub fn local_address(&self) -> SocketAddr {
        self.local_address
    }

    /// As granted by the system.
    pub fn receive_buffer_bytes(&self) -> usize {
        self.receive_buffer_bytes
    }

    /// Opens the engine's end of a tunnel, before `start`: a socket on this machine, connected to `carrier`, who takes
    /// datagrams to the relay and back by another way than UDP. Returns its address. Again: replaces it.
    pub fn open_tunnel(&self, carrier: SocketAddr) -> Result<SocketAddr, EngineError> {
        match &mut *self.state() {
            State::Open { tunnel, .. } => {
                let (socket, _) = socket::connect(carrier, self.receive_buffer_bytes)?;
                let address = socket.local_addr()?;
                *tunnel = Some(socket);
                Ok(address)
            }
            State::Running { .. } => Err(EngineError::AlreadyStarted),
            State::Closed => Err(EngineError::Closed),
        }
    }

    /// Asks the relay as which address it sees us by this route. Blocks; see `discovery::discover`. The call starts with
    /// the route that was answered last.
    pub fn discover(&self, ssrc: u32, timeout: Duration, by: Route) -> Result<SocketAddr, EngineError> {
        let socket = match (&*self.state(), by) {
            (State::Open { socket, .. }, Route::Udp) => socket.try_clone()?,
            (State::Open { tunnel: Some(socket), .. }, Route::Tunnel) => socket.try_clone()?,
            (State::Open { tunnel: None, .. }, Route::Tunnel) => return Err(EngineError::NoTunnel),
            (State::Running { .. }, _) => return Err(EngineError::AlreadyStarted),
            (State::Closed, _) => return Err(EngineError::Closed),
        };
        let found = discovery::discover(&socket, ssrc, timeout, &self.closing).map_err(|error| match error.kind() {
            io::ErrorKind::Interrupted => EngineError::Closed,
            _ => EngineError::Io(error),
        })?;
        if let State::Open { route, .. } = &mut *self.state() {
            *route = by;
        }
        Ok(found)
    }

    /// Starts the thread. Without a sound it only listens: packets go to the taps and nothing is decoded.
    pub fn start(&self, session: Session, sound: Option<LentEnd>) -> Result<(), EngineError> {
        let mut state = self.state();
        match &*state {
            State::Open { .. } => {}
            State::Running { .. } => return Err(EngineError::AlreadyStarted),
            State::Closed => return Err(EngineError::Closed),
        }
        let channels = sound.as_ref().map_or(1, |sound| sound.channels());
        let Session { complexity, expected_loss_pct, .. } = session;
        let share = match sound {
            None => Sharing::Never,
            Some(_) => Sharing::NotYet { channels, complexity, expected_loss_pct },
        };
        let mut send = SendChain::new(session.send_config(channels))?;
        send.set_encryption(session.encryption);
        let mut receive = ReceiveChain::new(session.receive_config());
        receive.set_decoding(sound.is_some());
        receive.set_encryption(session.encryption, clock::monotonic_now());
        let State::Open { socket, tunnel, route, taps, early } = std::mem::replace(&mut *state, State::Closed) else {
            unreachable!("checked above, under the same lock")
        };
        let (udp, receiver) = socket::split(socket)?;
        let (tunnel, tunnel_receiver) = tunnel.map(socket::split).transpose()?.unzip();
        let link = Link::new(udp, tunnel, route, clock::monotonic_now());
        let (mut commands, taken) = RingBuffer::new(early.len() + COMMANDS);
        early.into_iter().for_each(|command| push(&mut commands, command)); // the thread takes them before all else
        let published = self.published.clone();
        let call = Call {
            ssrc: session.ssrc,
            link,
            send,
            receive,
            sound,
            muted: session.muted,
            taps,
            commands: taken,
            published,
        };
        let thread = thread::Builder::new()
            .name("raccall-engine".into())
            .spawn(move || call::run(call, receiver, tunnel_receiver))?;
        *state = State::Running { commands, thread, share };
        Ok(())
    }

    /// Opens a tap of at most `capacity_packets` unread packets; before `start`, it gets the very first one too.
    pub fn open_tap(&self, capacity_packets: usize) -> Result<TapReader, EngineError> {
        let (writer, reader) = tap(capacity_packets);
        match &mut *self.state() {
            State::Open { taps, .. } => taps.push(writer),
            State::Running { commands, .. } => push(commands, Command::OpenTap(writer)),
            State::Closed => return Err(EngineError::Closed),
        }
        Ok(reader)
    }

    /// Hands a command to the thread; before `start`, it takes effect before the first packet.
    pub fn command(&self, command: Command) -> Result<(), EngineError> {
        match &mut *self.state() {
            State::Open { early, .. } if early.len() < EARLY_COMMANDS => {
                early.push(command);
                Ok(())
            }
            State::Open { .. } => Err(EngineError::NotStarted),
            State::Running { commands, .. } => {
                push(commands, command);
                Ok(())
            }
            State::Closed => Err(EngineError::Closed),
        }
    }

    /// Plays a sound into the call. The first one brings an encoder, made here, where nobody waits for it.
    pub fn play(&self, sound: SharedSound) -> Result<(), EngineError> {
        let share = match &mut *self.state() {
            State::Running { share, .. } => match share {
                Sharing::Never => return Err(EngineError::OnlyListens),
                Sharing::NotYet { channels, complexity, expected_loss_pct } => {
                    let made = Share::new(*channels, *complexity, *expected_loss_pct)?;
                    *share = Sharing::Ready;
                    Some(Box::new(made))
                }
                Sharing::Ready => None,
            },
            State::Open { .. } => return Err(EngineError::NotStarted),
            State::Closed => return Err(EngineError::Closed),
        };
        self.command(Command::Play { sound, share })
    }

    /// 100 ms old, 200 if somebody else was reading them at the moment; after `close`, final.
    pub fn stats(&self) -> Stats {
        self.published.lock().expect("never poisoned").clone()
    }

    /// Ends the thread, its taps and the socket; waits for at most a tick. Closing again does nothing.
    pub fn close(&self) {
        self.closing.store(true, Relaxed);
        let closed = std::mem::replace(&mut *self.state(), State::Closed);
        if let State::Running { mut commands, thread, .. } = closed {
            push(&mut commands, Command::Close);
            thread.join().expect("the engine thread does not panic");
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("never poisoned")
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.close();
    }
}

fn push(commands: &mut Producer<Command>, mut command: Command) {
    while let Err(rtrb::PushError::Full(returned)) = commands.push(command) {
        if commands.is_abandoned() {
            return;
        }
        command = returned;
        thread::sleep(NEXT_TICK);
    }
}
