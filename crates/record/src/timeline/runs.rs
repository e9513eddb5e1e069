//! Which uninterrupted numbering a packet belongs to.
//!
//! A *run* is a stretch of packets of one source whose sequence numbers and timestamps go on from each other. A new
//! SSRC begins one; so does a source that starts its numbers anew. Of several sources of one person the newest speaks:
//! another is heard again only when the newest has been silent for two seconds.

use std::collections::VecDeque;

use crate::SAMPLE_RATE_HZ;

/// A packet whose number is so far from the newest, but not its time, is neither late nor behind a gap.
const RESTARTED_SEQUENCE: i64 = 500;
/// No Opus packet is shorter than 2.5 ms.
const SHORTEST_SAMPLES: i64 = 120;
const UNRELATED_SAMPLES: i64 = SAMPLE_RATE_HZ;
/// No network holds a packet for longer than a minute.
const MAX_LATENESS_SAMPLES: i64 = 60 * SAMPLE_RATE_HZ;
const SILENT_SAMPLES: i64 = 2 * SAMPLE_RATE_HZ;
/// Sources remembered for one person; the oldest is forgotten beyond that.
const MAX_SOURCES: usize = 16;

/// Numbered in the order they begin.
pub type Run = u32;

#[derive(Debug)]
struct Source {
    ssrc: u32,
    run: Run,
    /// Of the packet with the highest number.
    sequence: i64,
    delay: i64,
    /// Of the packet that came last.
    arrival: i64,
}

/// One person's sources.
#[derive(Debug, Default)]
pub struct Runs {
    /// The newest last.
    sources: VecDeque<Source>,
    begun: Run,
    /// Every source there ever was.
    pub count: u64,
}

impl Runs {
    /// Whatever packet comes next begins a run.
    pub fn begin_anew(&mut self) {
        self.begun += 1;
    }

    /// The run of a packet; nothing when it speaks while a newer source does. `arrival` and `delay` in samples.
    pub fn of(&mut self, ssrc: u32, sequence: i64, arrival: i64, delay: i64) -> Option<Run> {
        let Some(index) = self.sources.iter().position(|source| source.ssrc == ssrc) else {
            if self.sources.len() == MAX_SOURCES {
                self.sources.pop_front();
            }
            self.count += 1;
            self.begun += 1;
            self.sources.push_back(Source { ssrc, run: self.begun, sequence, delay, arrival });
            return Some(self.begun);
        };
        let newest = self.sources.back().expect("one was found");
        if newest.ssrc != ssrc && arrival - newest.arrival < SILENT_SAMPLES {
            return None;
        }
        let source = &mut self.sources[index];
        source.arrival = arrival;
        if source.run != self.begun || source.began_anew(sequence, delay) {
            self.begun += 1;
            *source = Source { ssrc, run: self.begun, sequence, delay, arrival };
        } else if sequence > source.sequence {
            (source.sequence, source.delay) = (sequence, delay);
        }
        Some(source.run)
    }
}

impl Source {
    fn began_anew(&self, sequence: i64, delay: i64) -> bool {
        let ahead = sequence - self.sequence;
        let later = delay - self.delay;
        if ahead > 0 {
            return ahead > RESTARTED_SEQUENCE && later.abs() > UNRELATED_SAMPLES;
        }
        let may_be_late = (-UNRELATED_SAMPLES..=MAX_LATENESS_SAMPLES).contains(&later);
        !may_be_late || ahead < -RESTARTED_SEQUENCE && later < -ahead * SHORTEST_SAMPLES
    }
}
