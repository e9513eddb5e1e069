//! The packets that wait for their turn: 256 places, and each packet has its own, by its sequence number. Nothing is allocated once payloads
//! have found their size.

use std::ops::Index;

use super::packet::Packet;

pub const PLACES: u64 = 256;

#[derive(Debug, Default)]
pub struct Place {
    full: bool,
    pub packet: Packet,
    pub payload: Vec<u8>,
}

#[derive(Debug)]
pub struct Places {
    places: Vec<Place>,
    held: usize,
    /// The first sequence number that may still be played.
    next_sequence: u64,
}

impl Places {
    pub fn new() -> Self {
        Self { places: (0..PLACES).map(|_| Place::default()).collect(), held: 0, next_sequence: 0 }
    }

    pub fn held(&self) -> usize {
        self.held
    }

    pub fn next_sequence(&self) -> u64 {
        self.next_sequence
    }

    /// The turn of all before `sequence` is over. None of them may be held.
    pub fn go_on_to(&mut self, sequence: u64) {
        self.next_sequence = sequence;
    }

    /// Keeps a packet whose turn may still come, and for which there is a place. False: it is there already.
    pub fn keep(&mut self, packet: &Packet, payload: &[u8]) -> bool {
        let place = &mut self.places[(packet.sequence % PLACES) as usize];
        if place.full {
            return false;
        }
        place.full = true;
        place.packet = packet.clone();
        place.payload.clear();
        place.payload.extend_from_slice(payload);
        self.held += 1;
        true
    }

    /// The place of the held packet with the lowest sequence.
    pub fn first(&self) -> Option<usize> {
        if self.held == 0 {
            return None;
        }
        (self.next_sequence..self.next_sequence + PLACES)
            .map(|sequence| (sequence % PLACES) as usize)
            .find(|&index| self.places[index].full)
    }

    /// Frees a place that `first` gave; what lies in it can be read until another packet takes it.
    pub fn take(&mut self, index: usize) -> &Place {
        let place = &mut self.places[index];
        place.full = false;
        self.held -= 1;
        self.next_sequence = place.packet.sequence + 1;
        place
    }
}

impl Index<usize> for Places {
    type Output = Place;

    fn index(&self, index: usize) -> &Place {
        &self.places[index]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(sequence: u64) -> Packet {
        Packet { sequence, samples: 960, ..Packet::default() }
    }

    #[test]
    fn packets_come_out_in_order_across_the_end_of_the_places_and_once() {
        let mut places = Places::new();
        places.go_on_to(250);
        for sequence in [258, 251, 255, 256] {
            assert!(places.keep(&packet(sequence), &[sequence as u8]));
        }
        assert!(!places.keep(&packet(255), b"again"));
        let order: Vec<_> = std::iter::from_fn(|| {
            let index = places.first()?;
            let place = places.take(index);
            assert_eq!(place.payload, [place.packet.sequence as u8]);
            Some(place.packet.sequence)
        })
        .collect();
        assert_eq!((order, places.held(), places.next_sequence()), (vec![251, 255, 256, 258], 0, 259));
    }
}
