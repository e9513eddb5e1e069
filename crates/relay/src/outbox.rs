//! Datagrams on their way out: packed one behind the other, so that a batch stays in the nearest cache.

use crate::Endpoint;

/// Reused buffers of (bytes, endpoint). It grows to the largest batch it ever held and allocates no more.
#[derive(Default)]
pub struct Outbox {
    bytes: Vec<u8>,
    used: usize,
    entries: Vec<Entry>,
}

struct Entry {
    start: usize,
    end: usize,
    to: Endpoint,
}

impl Outbox {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub fn clear(&mut self) {
        self.entries.clear();
        self.used = 0;
    }

    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&[u8], Endpoint)> {
        self.entries.iter().map(|entry| (&self.bytes[entry.start..entry.end], entry.to))
    }

    /// Adds one datagram of at most `room` bytes, written in place. Nothing is added when `write` fails.
    pub(crate) fn push<E>(
        &mut self,
        to: Endpoint,
        room: usize,
        write: impl FnOnce(&mut [u8]) -> Result<usize, E>,
    ) -> Result<usize, E> {
        let start = self.used;
        if self.bytes.len() < start + room {
            self.bytes.resize(start + room, 0);
        }
        let written = write(&mut self.bytes[start..start + room])?;
        self.used = start + written;
        self.entries.push(Entry { start, end: self.used, to });
        Ok(written)
    }
}
