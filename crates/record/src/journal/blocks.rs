//! The whole blocks of a pcapng file, whatever stands between them.
//!
//! Where no whole block stands, reading goes on at the next place that holds a right packet block. Memory is constant: one window on the
//! file.

use std::io::{self, Read};

use memchr::memmem;

use super::format::{self, BLOCK_BODY, BLOCK_FRAME_BYTES, PACKET};

/// A UDP datagram with all around it is half of this.
const MAX_BLOCK_BYTES: usize = 128 * 1024;
pub const WINDOW_BYTES: usize = 1 << 20;
const PACKET_MARK: [u8; 4] = PACKET.to_le_bytes();

/// Whole blocks of a pcapng file; skips to the next right packet block after damage.
pub struct Blocks<R> {
    /// None, and so closed, once it is read to its end.
    file: Option<R>,
    window: Vec<u8>,
    at: usize,
    begun: bool,
    /// It begins as a file of another kind.
    pub other_capture: bool,
    /// Where no whole block stood, and the bytes skipped there.
    pub places: u64,
    pub lost_bytes: u64,
}

impl<R: Read> Blocks<R> {
    pub fn new(file: R) -> Self {
        Self {
            file: Some(file),
            window: Vec::new(),
            at: 0,
            begun: false,
            other_capture: false,
            places: 0,
            lost_bytes: 0,
        }
    }

    /// Type and body; None at the end.
    pub fn next(&mut self) -> io::Result<Option<(u32, &[u8])>> {
        if !self.begun {
            self.begun = true;
            self.need(BLOCK_FRAME_BYTES)?;
            self.other_capture = format::is_other_capture(&self.window);
        }
        let length = loop {
            if !self.need(1)? {
                return Ok(None);
            }
            match self.whole_block()? {
                Some(length) => break length,
                None => self.skip_damage()?,
            }
        };
        let block = &self.window[self.at..self.at + length];
        self.at += length;
        let kind = u32::from_le_bytes([block[0], block[1], block[2], block[3]]);
        Ok(Some((kind, &block[BLOCK_BODY..length - 4])))
    }

    /// Have `size` bytes from the current place in the window, if the file holds as many.
    fn need(&mut self, size: usize) -> io::Result<bool> {
        if self.window.len() - self.at < size {
            self.window.drain(..self.at);
            self.at = 0;
            let more = WINDOW_BYTES.max(size) - self.window.len();
            if let Some(file) = &mut self.file
                && file.take(more as u64).read_to_end(&mut self.window)? < more
            {
                self.file = None;
            }
        }
        Ok(self.window.len() - self.at >= size)
    }

    /// Length of the block here, None when it is not whole.
    fn whole_block(&mut self) -> io::Result<Option<usize>> {
        if !self.need(BLOCK_FRAME_BYTES)? {
            return Ok(None);
        }
        let Some(length) = format::block_length(&self.window[self.at..], MAX_BLOCK_BYTES) else { return Ok(None) };
        if !self.need(length)? {
            return Ok(None);
        }
        let block = &self.window[self.at..self.at + length];
        Ok((block[length - 4..] == block[4..8]).then_some(length))
    }

    /// Go on to the next packet block that is whole and right; to the end when there is none.
    fn skip_damage(&mut self) -> io::Result<()> {
        self.places += 1;
        loop {
            self.skip(1);
            let rest = &self.window[self.at..];
            if let Some(distance) = memmem::find(rest, &PACKET_MARK) {
                self.skip(distance);
                // The checksum, too: sound may look like a block, and would hide the true one behind it.
                if let Some(length) = self.whole_block()?
                    && format::read_packet(&self.window[self.at + BLOCK_BODY..self.at + length - 4]).is_ok()
                {
                    return Ok(());
                }
            } else {
                // With the one that is skipped next, three bytes stay: the mark may lie across the border of two windows.
                self.skip(rest.len().saturating_sub(PACKET_MARK.len()));
                if !self.need(BLOCK_FRAME_BYTES)? {
                    self.skip(self.window.len() - self.at);
                    return Ok(());
                }
            }
        }
    }

    fn skip(&mut self, bytes: usize) {
        self.at += bytes;
        self.lost_bytes += bytes as u64;
    }
}
