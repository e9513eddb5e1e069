//! What a timeline did with the packets.

use crate::SAMPLE_RATE_HZ;

/// So many are listed, the first; the rest is counted. Six hours at 200 ppm without a pause make 216.
pub const MAX_SHIFTS: usize = 4000;
/// What overlaps or is left out for one reason within a second is one entry.
const SAME_SAMPLES: i64 = SAMPLE_RATE_HZ;

/// Why something was moved or left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Made up for in a pause.
    DriftInSilence,
    /// One packet taken out, or as much put in, in speech.
    DriftInSpeech,
    /// The sender's timestamps did not count a pause, or began anew.
    ClockRestarted,
    /// Moved behind the packet before.
    Overlap,
    /// Left out: sent faster than time passes.
    Excess,
    /// Left out: came after its place was passed.
    Late,
    /// Left out: belongs before the tracks begin.
    BeforeBeginning,
    /// Left out: a newer source of the same person spoke.
    OverlappingSource,
}

impl Reason {
    pub fn name(self) -> &'static str {
        match self {
            Self::DriftInSilence => "drift_in_silence",
            Self::DriftInSpeech => "drift_in_speech",
            Self::ClockRestarted => "clock_restarted",
            Self::Overlap => "overlap",
            Self::Excess => "excess",
            Self::Late => "late",
            Self::BeforeBeginning => "before_beginning",
            Self::OverlappingSource => "overlapping_source",
        }
    }
}

/// From `position` on the track lies `samples` later than before (earlier if negative), or `left_out` samples of sound
/// were left out there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shift {
    pub position: i64,
    pub samples: i64,
    pub left_out: i64,
    pub reason: Reason,
}

impl Shift {
    fn is_same(&self, reason: Reason, position: i64) -> bool {
        self.reason == reason && (position - self.position).abs() < SAME_SAMPLES
    }
}

/// What became of the packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub placed: u64,
    /// By sequence number.
    pub lost: u64,
    pub duplicates: u64,
    /// Came after their place was passed, or belong before the beginning.
    pub late: u64,
    pub malformed: u64,
    /// Sent faster than time passes.
    pub excess: u64,
    /// Of an older source, while a newer one spoke.
    pub overlapping: u64,
    /// Taken out of the track; still in rendered sound.
    pub dropped_for_drift: u64,
    /// SSRCs.
    pub sources: u64,
    /// Corrections beyond the first [`MAX_SHIFTS`].
    pub shifts_unlisted: u64,
}

#[derive(Debug, Default)]
pub(super) struct Report {
    pub counts: Counts,
    pub shifts: Vec<Shift>,
}

impl Report {
    pub fn placed(&mut self, lost: i64, in_track: bool) {
        self.counts.placed += 1;
        self.counts.lost += lost.unsigned_abs();
        self.counts.dropped_for_drift += u64::from(!in_track);
    }

    pub fn shifted(&mut self, position: i64, samples: i64, reason: Reason) {
        match self.shifts.last_mut() {
            Some(last) if reason == Reason::Overlap && last.is_same(reason, position) => last.samples += samples,
            _ => self.list(Shift { position, samples, left_out: 0, reason }),
        }
    }

    pub fn left_out(&mut self, position: i64, samples: i64, reason: Reason) {
        match reason {
            Reason::Excess => self.counts.excess += 1,
            Reason::OverlappingSource => self.counts.overlapping += 1,
            _ => self.counts.late += 1,
        }
        match self.shifts.last_mut() {
            Some(last) if last.is_same(reason, position) => last.left_out += samples,
            _ => self.list(Shift { position, samples: 0, left_out: samples, reason }),
        }
    }

    fn list(&mut self, shift: Shift) {
        if self.shifts.len() < MAX_SHIFTS {
            self.shifts.push(shift);
        } else {
            self.counts.shifts_unlisted += 1;
        }
    }
}
