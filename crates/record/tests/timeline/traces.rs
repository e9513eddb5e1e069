//! Delays as they were measured or modelled elsewhere: `RACCALL_TRACES=folder cargo test --release -p raccall-record
//! traces -- --ignored`. One file a network, one line a packet of 20 ms: its delay in ms, -1 for lost.

use std::{env, fs};

use raccall_record::Reason;

use crate::simulated::{Chance, MS, Person, SECOND, offsets, place};

#[test]
#[ignore = "needs RACCALL_TRACES, a folder of .csv files"]
fn delays_of_traces_move_rendered_sound_by_less_than_8_ms() {
    let folder = env::var("RACCALL_TRACES").expect("a folder");
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let name = entry.file_name().into_string().unwrap();
        if !name.ends_with(".csv") {
            continue;
        }
        let text = fs::read_to_string(entry.path()).unwrap();
        let Ok(delays) =
            text.lines().filter(|line| !line.starts_with('#')).map(str::parse).collect::<Result<Vec<f64>, _>>()
        else {
            continue; // another kind of table
        };
        let least = delays.iter().copied().filter(|ms| *ms >= 0.0).fold(f64::MAX, f64::min);
        for ppm in [-200.0, 0.0, 200.0] {
            for pauses in [true, false] {
                let mut person = Person::new(1, ppm);
                let mut chance = Chance(1);
                let mut network = |now: f64, _: &mut Chance| {
                    let delay = delays[(now / (20.0 * MS)) as usize % delays.len()];
                    (delay >= 0.0).then_some(delay * MS)
                };
                while person.now < 3600.0 * SECOND {
                    person.talk(2.0 + 13.0 * chance.share(), &mut network);
                    if pauses {
                        person.pause(0.1 + 8.0 * chance.share());
                    }
                }
                let (timeline, placed) = place(&person.arrived());
                let offsets = offsets(&person.sent, &placed, least);
                let worst = offsets.iter().map(|offset| offset.exact_ms.abs()).fold(0.0, f64::max);
                let track = offsets.iter().filter_map(|offset| offset.track_ms).map(f64::abs).fold(0.0, f64::max);
                println!("{name} {ppm:+} ppm, pauses {pauses}: track {track:.1} ms, rendered {worst:.2} ms");
                assert!(track < 20.0 && worst < 8.0);
                assert!(timeline.shifts().iter().all(|shift| shift.reason != Reason::ClockRestarted));
            }
        }
    }
}
