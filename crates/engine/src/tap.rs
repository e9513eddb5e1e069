//! The way of opened packets from the engine thread to one reader: a batch each 20 ms, bounded.
//!
//! Overflow policy: when `capacity_packets` wait unread, the newest packet is dropped and counted in `dropped`. What
//! is already in the queue stays whole, so the reader sees one hole after it, never several inside it. The lock is
//! held for one exchange of buffers, by either side.

use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

use raccall_wire::Nanos;

/// One packet of a Batch: its place in `bytes` and what the receive chain knows about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    pub arrival: Nanos,
    pub ssrc: u32,
    pub extended_sequence: u64,
    pub extended_timestamp: u64,
    end: usize,
}

/// Packets in the order of their arrival.
#[derive(Default)]
pub struct Batch {
    records: Vec<Record>,
    bytes: Vec<u8>,
}

impl Batch {
    pub fn len(&self) -> usize {
        self.records.len()
    }

    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Each Record with its whole opened RTP packet.
    pub fn packets(&self) -> impl ExactSizeIterator<Item = (&Record, &[u8])> {
        let mut start = 0;
        self.records
            .iter()
            .map(move |record| (record, &self.bytes[std::mem::replace(&mut start, record.end)..record.end]))
    }

    fn push(&mut self, mut record: Record, packet: &[u8]) {
        self.bytes.extend_from_slice(packet);
        record.end = self.bytes.len();
        self.records.push(record);
    }

    fn append(&mut self, other: &mut Batch) {
        let start = self.bytes.len();
        self.bytes.append(&mut other.bytes);
        self.records.extend(other.records.drain(..).map(|record| Record { end: record.end + start, ..record }));
    }
}

#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    changed: Condvar,
}

#[derive(Default)]
struct Queue {
    batch: Batch,
    dropped: u64,
    closed: bool,
}

/// The engine's end.
pub struct TapWriter {
    shared: Arc<Shared>,
    pending: Batch,
    dropped: u64,
    unread: usize,
    capacity: usize,
}

/// The reader's end. Dropping it ends the tap.
pub struct TapReader {
    shared: Arc<Shared>,
}

/// Opens a tap that holds at most `capacity_packets` unread packets.
pub fn tap(capacity_packets: usize) -> (TapWriter, TapReader) {
    let shared = Arc::new(Shared::default());
    let writer = TapWriter {
        shared: shared.clone(),
        pending: Batch::default(),
        dropped: 0,
        unread: 0,
        capacity: capacity_packets,
    };
    (writer, TapReader { shared })
}

impl TapWriter {
    /// Keeps one packet for the next `publish`.
    pub fn push(&mut self, arrival: Nanos, ssrc: u32, extended_sequence: u64, extended_timestamp: u64, packet: &[u8]) {
        if self.unread + self.pending.len() >= self.capacity {
            self.dropped += 1;
            return;
        }
        self.pending.push(Record { arrival, ssrc, extended_sequence, extended_timestamp, end: 0 }, packet);
    }

    /// Hands over what was pushed since the last call. Returns false when nobody will read it: the reader is gone.
    pub fn publish(&mut self) -> bool {
        if Arc::strong_count(&self.shared) == 1 {
            return false;
        }
        let mut queue = self.shared.queue.lock().expect("a tap's lock is never poisoned");
        queue.dropped = self.dropped;
        if !self.pending.is_empty() {
            queue.batch.append(&mut self.pending);
            self.shared.changed.notify_one();
        }
        self.unread = queue.batch.len();
        true
    }
}

impl Drop for TapWriter {
    fn drop(&mut self) {
        self.publish();
        if let Ok(mut queue) = self.shared.queue.lock() {
            queue.closed = true;
        }
        self.shared.changed.notify_all();
    }
}

impl TapReader {
    /// Waits for packets, at most `timeout`, and after the first of them `gather` longer for more: an empty batch when
    /// none came, None when the engine closed and all is read.
    pub fn read(&self, timeout: Duration, gather: Duration) -> Option<Batch> {
        let mut queue = self.wait(timeout, |queue| queue.batch.is_empty());
        if !gather.is_zero() && !queue.batch.is_empty() {
            drop(queue);
            queue = self.wait(gather, |_| true);
        }
        if queue.batch.is_empty() && queue.closed {
            return None;
        }
        Some(std::mem::take(&mut queue.batch))
    }

    /// Waits while `waiting` and the engine is open, at most `timeout`.
    fn wait(&self, timeout: Duration, waiting: impl Fn(&Queue) -> bool) -> MutexGuard<'_, Queue> {
        let queue = self.shared.queue.lock().expect("a tap's lock is never poisoned");
        let (queue, _) = self
            .shared
            .changed
            .wait_timeout_while(queue, timeout, |queue| waiting(queue) && !queue.closed)
            .expect("a tap's lock is never poisoned");
        queue
    }

    /// Packets dropped because `capacity_packets` were unread.
    pub fn dropped(&self) -> u64 {
        self.shared.queue.lock().expect("a tap's lock is never poisoned").dropped
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sequences(batch: &Batch) -> Vec<u64> {
        batch.packets().map(|(record, _)| record.extended_sequence).collect()
    }

    #[test]
    fn packets_come_out_whole_and_in_order() {
        let (mut writer, reader) = tap(10);
        for number in 0..3u8 {
            writer.push(
                u64::from(number),
                7,
                u64::from(number),
                960 * u64::from(number),
                &vec![number; 1 + usize::from(number)],
            );
            if number < 2 {
                writer.publish();
            }
        }
        let first = reader.read(Duration::ZERO, Duration::ZERO).unwrap();
        assert_eq!(first.packets().map(|(_, bytes)| bytes.to_vec()).collect::<Vec<_>>(), [vec![0], vec![1, 1]]);
        assert!(reader.read(Duration::ZERO, Duration::ZERO).unwrap().is_empty());
        drop(writer);
        assert_eq!(sequences(&reader.read(Duration::ZERO, Duration::ZERO).unwrap()), [2]);
        assert!(reader.read(Duration::ZERO, Duration::ZERO).is_none());
    }

    #[test]
    fn a_reader_that_gathers_gets_what_came_meanwhile_and_does_not_outwait_the_engine() {
        let (mut writer, reader) = tap(10);
        writer.push(0, 7, 0, 0, b"packet");
        writer.publish();
        let sender = std::thread::spawn(move || {
            writer.push(0, 7, 1, 0, b"packet");
            writer.publish();
        });
        let hour = Duration::from_secs(3600);
        assert_eq!(sequences(&reader.read(hour, hour).unwrap()), [0, 1]);
        assert!(reader.read(hour, hour).is_none());
        sender.join().unwrap();
    }

    #[test]
    fn overflow_drops_the_newest_and_is_counted() {
        let (mut writer, reader) = tap(4);
        for number in 0..7 {
            writer.push(0, 7, number, 0, b"packet");
            writer.publish();
        }
        assert_eq!(reader.dropped(), 3);
        assert_eq!(sequences(&reader.read(Duration::ZERO, Duration::ZERO).unwrap()), [0, 1, 2, 3]);
        writer.publish();
        writer.push(0, 7, 7, 0, b"packet");
        writer.publish();
        assert_eq!(sequences(&reader.read(Duration::ZERO, Duration::ZERO).unwrap()), [7]);
    }

    #[test]
    fn a_reader_that_is_gone_ends_the_tap() {
        let (mut writer, reader) = tap(4);
        assert!(writer.publish());
        drop(reader);
        assert!(!writer.publish());
    }
}
