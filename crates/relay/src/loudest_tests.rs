use std::collections::BTreeSet;

use proptest::prelude::*;
use raccall_wire::level::UNTOLD_DB;

use super::*;

const FRAME_NS: Nanos = 20 * MS;

/// Sources 1 to n, each of which sends a packet every 20 ms.
struct Room {
    stage: Stage,
    sources: Vec<Loudness>,
    frame: u64,
}

impl Room {
    fn new(places: usize, sources: usize) -> Self {
        Self { stage: Stage::new(places), sources: vec![Loudness::default(); sources], frame: 50 }
    }

    /// One packet of everyone who sends (level not NaN). Who was heard.
    fn tick(&mut self, level_db: impl Fn(usize) -> f32) -> BTreeSet<usize> {
        self.frame += 1;
        let mut heard = BTreeSet::new();
        for source in 0..self.sources.len() {
            let level_db = level_db(source);
            let loudness = &mut self.sources[source];
            if !level_db.is_nan() && self.stage.hear(self.frame * FRAME_NS, source as u32, loudness, level_db) {
                heard.insert(source);
            }
        }
        heard
    }

    /// The same for a while. Who was heard at last.
    fn ticks(&mut self, ms: u64, level_db: impl Fn(usize) -> f32) -> BTreeSet<usize> {
        let ticks = (0..ms / 20).map(|_| self.tick(&level_db));
        ticks.last().unwrap_or_default()
    }
}

fn set<const N: usize>(sources: [usize; N]) -> BTreeSet<usize> {
    sources.into()
}

/// Syllables at 4 Hz, 20 dB deep, each speaker at its own phase.
fn speech(source: usize, frame: u64, level_db: f32) -> f32 {
    if (frame + 5 * source as u64) % 12 < 8 { level_db } else { level_db - 20.0 }
}

#[test]
fn in_a_room_of_k_everyone_is_heard_however_quiet() {
    let mut room = Room::new(3, 3);
    for _ in 0..500 {
        assert_eq!(room.tick(|source| [-10.0, -60.0, SILENCE_DB][source]), set([0, 1, 2]));
    }
}

#[test]
fn the_loudest_are_heard() {
    let mut room = Room::new(3, 7);
    let levels = |source: usize| -64.0 + 7.0 * source as f32; // the first two are no voices
    room.ticks(5000, |source| if source < 5 { levels(source) } else { SILENCE_DB });
    assert_eq!(room.ticks(3000, levels), set([4, 5, 6]));
}

#[test]
fn one_who_begins_when_another_has_ended_is_heard_from_the_next_packet() {
    let mut room = Room::new(1, 2);
    room.ticks(1000, |source| [-30.0, SILENCE_DB][source]);
    room.ticks(400, |_| SILENCE_DB);
    assert_eq!(room.tick(|source| [SILENCE_DB, -45.0][source]), set([0])); // the last silence of the other
    assert_eq!(room.tick(|source| [SILENCE_DB, -45.0][source]), set([1]));
}

#[test]
fn a_pause_between_two_words_costs_no_seat() {
    let mut room = Room::new(1, 2);
    room.ticks(1000, |source| [-30.0, SILENCE_DB][source]);
    room.ticks(380, |source| [SILENCE_DB, -32.0][source]);
    assert_eq!(room.ticks(2000, |source| [-30.0, -28.0][source]), set([0]));
}

#[test]
fn the_outgoing_voice_is_heard_a_while_longer_and_the_incoming_one_stays() {
    let mut room = Room::new(1, 2);
    room.ticks(1500, |source| [-40.0, SILENCE_DB][source]);
    assert_eq!(room.ticks(200, |source| [-40.0, -22.0][source]), set([0]));
    assert_eq!(room.ticks(100, |source| [-40.0, -22.0][source]), set([1]));
    // now the other one shouts: its second has not passed
    assert_eq!(room.ticks(800, |source| [-20.0, -34.0][source]), set([1]));
    assert_eq!(room.ticks(1500, |source| [-20.0, -34.0][source]), set([0]));
}

#[test]
fn who_sends_nothing_any_more_gives_up_its_seat() {
    let mut room = Room::new(1, 2);
    room.ticks(200, |source| [-30.0, f32::NAN][source]);
    assert_eq!(room.ticks(460, |source| [f32::NAN, -30.0][source]), set([1]));
    room.stage.leave(1);
    assert_eq!(room.tick(|source| [-90.0, f32::NAN][source]), set([0]));
}

#[test]
fn sources_without_levels_take_turns_by_who_began_last() {
    let mut room = Room::new(1, 2);
    let endless = |source: usize| [UNTOLD_DB, SILENCE_DB][source];
    assert_eq!(room.ticks(60_000, endless), set([0])); // nobody else wants to speak
    assert_eq!(room.ticks(400, |_| UNTOLD_DB), set([1]));
}

#[test]
fn a_claim_is_worth_no_more_than_ordinary_speech() {
    let mut room = Room::new(1, 2);
    let mut heard = BTreeSet::new();
    for _ in 0..500 {
        let frame = room.frame;
        heard = room.tick(|source| {
            if source == 0 {
                speech(0, frame, -24.0)
            } else if frame > 150 {
                0.0
            } else {
                SILENCE_DB
            }
        });
    }
    assert_eq!(heard, set([0]));
}

#[test]
fn who_claims_full_level_all_the_time_loses_its_rank() {
    let mut room = Room::new(1, 2);
    room.ticks(20_000, |source| [0.0, SILENCE_DB][source]);
    let mut frames = 0;
    loop {
        let frame = room.frame;
        if room.tick(|source| if source == 0 { 0.0 } else { speech(1, frame, -30.0) }).contains(&1) {
            break;
        }
        frames += 1;
        assert!(frames < 50 * 45, "a claim of 0 dB still holds the seat");
    }
    // and it does not come back while the other one speaks
    for _ in 0..50 * 60 {
        let frame = room.frame;
        assert!(!room.tick(|source| if source == 0 { 0.0 } else { speech(1, frame, -30.0) }).contains(&0));
    }
}

#[test]
fn who_really_speaks_never_tires() {
    let mut room = Room::new(1, 1);
    for _ in 0..50 * 600 {
        let frame = room.frame;
        room.tick(|_| speech(0, frame, -25.0));
    }
    assert!(room.sources[0].effort < STAMINA_NS, "{} s", room.sources[0].effort / SECOND_NS);
}

/// Per source and second of the test: a level, or nothing sent.
fn script() -> impl Strategy<Value = (usize, Vec<Vec<f32>>)> {
    let level = prop_oneof![Just(f32::NAN), Just(SILENCE_DB), -60.0..0.0_f32];
    (1..5_usize, prop::collection::vec(prop::collection::vec(level, 8), 1..12))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn never_more_than_k_and_nobody_who_speaks_is_cut_short((places, levels) in script()) {
        let mut room = Room::new(places, levels.len());
        let mut began = vec![None; levels.len()];
        let mut voiced = vec![0; levels.len()];
        let mut before = BTreeSet::new();
        for frame in 0..8 * 50 {
            let level_db = |source: usize| levels[source][frame / 50];
            let heard = room.tick(level_db);
            let now = room.frame * FRAME_NS;
            prop_assert!(heard.len() <= places);
            let sends = |source: &usize| !level_db(*source).is_nan();
            prop_assert!(levels.len() > places || (0..levels.len()).filter(sends).all(|source| heard.contains(&source)));
            for source in before.difference(&heard).filter(|source| sends(source)) {
                let tenure = now - began[*source].unwrap();
                let silent = now - voiced[*source];
                // Let go after its tenure, or because it had been silent: a packet's time either way.
                prop_assert!(tenure + FRAME_NS >= TENURE_NS || silent + FRAME_NS >= HANGOVER_NS, "{tenure} {silent}");
            }
            for source in 0..levels.len() {
                if heard.contains(&source) && !before.contains(&source) {
                    began[source] = Some(now);
                }
                if level_db(source) > VOICE_DB {
                    voiced[source] = now;
                }
            }
            before = heard;
        }
    }

    #[test]
    fn two_equal_voices_do_not_alternate(level in -48.0..-2.0_f32, wobble in prop::collection::vec(-2.5..2.5_f32, 40)) {
        let mut room = Room::new(1, 2);
        room.ticks(100, |source| [level, SILENCE_DB][source]);
        for frame in 0..50 * 15 {
            let heard = room.tick(|source| level + wobble[(frame * (source + 1)) % 40]);
            prop_assert_eq!(heard, set([0]));
        }
    }
}
