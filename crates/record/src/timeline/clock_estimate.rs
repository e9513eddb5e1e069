//! Where a sender's clock stands against the recorder's: the lower envelope of relative delay.
//!
//! A packet's relative delay is its arrival minus its timestamp. The network only ever adds to it, so the least of many
//! is the sender's clock, free of jitter; it rises or falls in a straight line as the clock runs slow or fast. Both are
//! estimated:
//!
//! - The *slope* is that of the line which lies under all points of the last minutes and of the look-ahead and is
//!   nearest to them in sum: the edge of their lower convex hull that spans their mean time (Moon, Skelly and Towsley,
//!   "Estimation and removal of clock skew from network delay measurements", INFOCOM 1999). Points far off the line that
//!   holds now are the network's, not the clock's, and are left out. Who says a word now and then leaves few points: then
//!   older ones are kept, and three tell when they lie minutes apart.
//! - The *place* on it at one moment is the least of what every packet says, before and after that moment. What it says
//!   is carried along the slope and counts for less the further away it is, by the slope's *doubt* times the distance.
//!   So much data makes it sharp, little data still says something, a slope that is a little wrong does no harm, and the
//!   place moves smoothly. Congestion lifts it by the doubt alone: 2 ms a minute.

use std::collections::VecDeque;

use crate::SAMPLE_RATE_HZ;

/// One point is kept of each half second, the lowest.
const BUCKET_SAMPLES: i64 = SAMPLE_RATE_HZ / 2;
/// Three minutes: a clock's rate changes with temperature, over minutes.
const HISTORY_SAMPLES: i64 = 180 * SAMPLE_RATE_HZ;
/// Of one who says a word now and then, older points than that, too.
const KEPT_POINTS: usize = 24;
const FIT_EVERY_SAMPLES: i64 = SAMPLE_RATE_HZ;

/// Less than that says nothing of a slope: 1 ms of jitter left over 20 s is 50 ppm.
const MIN_SPAN_SAMPLES: i64 = 20 * SAMPLE_RATE_HZ;
const MIN_POINTS: i32 = 10;
/// So few do where they are spread over the whole history: what jitter leaves in them tilts a long line little.
const MIN_POINTS_FAR_APART: i32 = 3;
/// Sound cards stay within 500 ppm; what rises faster is no clock.
const MAX_SLOPE: f64 = 1000e-6;
/// Before anything is known: sound cards are mostly within 50 ppm, hardly ever beyond 200.
const USUAL_SLOPE: f64 = 150e-6;
/// 2 ms a minute.
const MIN_DOUBT: f64 = 30e-6;
/// 2 ms: how wrong the ends of a fitted line may be.
const DOUBTFUL_SAMPLES: f64 = 96.0;
/// 15 ms further off the line than the slope's doubt explains: another level of the network.
const OUTLIER_SAMPLES: f64 = 720.0;

/// A moment in the sender's time and a relative delay, both in samples.
#[derive(Clone, Copy, Debug)]
struct Point {
    at: i64,
    delay: f64,
}

impl Point {
    fn distance(self, at: i64) -> f64 {
        (self.at - at) as f64
    }
}

/// The clock of one uninterrupted numbering. Times are timestamps, in samples at 48 kHz.
#[derive(Debug)]
pub struct ClockEstimate {
    /// Sorted by time: history first, then the look-ahead.
    points: VecDeque<Point>,
    slope: f64,
    doubt: f64,
    /// The slope of the newest line that was fitted.
    seen: Option<f64>,
    /// What everything up to here says.
    known: Option<Point>,
    fitted: i64,
    hull: Vec<Point>,
}

impl Default for ClockEstimate {
    fn default() -> Self {
        Self {
            points: VecDeque::new(),
            slope: 0.0,
            doubt: USUAL_SLOPE + MIN_DOUBT,
            seen: None,
            known: None,
            fitted: i64::MIN,
            hull: Vec::new(),
        }
    }
}

impl ClockEstimate {
    /// One packet arrived. Better before its own time is asked for; in any order.
    pub fn add(&mut self, at: i64, delay: i64) {
        let point = Point { at, delay: delay as f64 };
        let bucket = at.div_euclid(BUCKET_SAMPLES);
        let place = self.points.iter().rposition(|kept| kept.at.div_euclid(BUCKET_SAMPLES) <= bucket);
        match place {
            Some(index) if self.points[index].at.div_euclid(BUCKET_SAMPLES) == bucket => {
                if self.at_slope(point, at) < self.at_slope(self.points[index], at) {
                    self.points[index] = point;
                }
            }
            Some(index) => self.points.insert(index + 1, point),
            None => self.points.push_front(point),
        }
    }

    /// The relative delay at `at` without the network. Ask for ascending times.
    ///
    /// # Panics
    /// Before the first packet was added.
    pub fn delay_at(&mut self, at: i64) -> f64 {
        if self.fitted == i64::MIN || at - self.fitted >= FIT_EVERY_SAMPLES {
            self.fit(at);
        }
        let past = self.known.map(|known| self.at_slope(known, at) - self.doubt * known.distance(at));
        let coming = self.points.iter().rev().take_while(|point| point.at >= at);
        let delay = coming
            .map(|point| self.at_slope(*point, at) + self.doubt * point.distance(at))
            .chain(past)
            .min_by(f64::total_cmp)
            .expect("a packet was added");
        self.known = Some(Point { at, delay });
        delay
    }

    /// How much slower than ours the sender's clock runs, as a share; nothing before 20 s are known.
    pub fn slope(&self) -> Option<f64> {
        self.seen
    }

    /// What `point` says of another moment.
    fn at_slope(&self, point: Point, at: i64) -> f64 {
        point.delay - self.slope * point.distance(at)
    }

    fn fit(&mut self, at: i64) {
        self.fitted = at;
        while self.points.len() > KEPT_POINTS && self.points[0].at < at - HISTORY_SAMPLES {
            self.points.pop_front();
        }
        let mut hull = std::mem::take(&mut self.hull);
        hull.clear();
        let (mut count, mut sum) = (0, 0.0);
        for point in self.points.iter().filter(|point| self.is_of_the_clock(**point)) {
            count += 1;
            sum += point.distance(at);
            while let [.., a, b] = hull[..]
                && slope(a, b) >= slope(a, *point)
            {
                hull.pop();
            }
            hull.push(*point);
        }
        let mean = sum / f64::from(count);
        let span = hull.last().map_or(0, |last| last.at - hull[0].at);
        let enough = if span >= HISTORY_SAMPLES { MIN_POINTS_FAR_APART } else { MIN_POINTS };
        if count >= enough && span >= MIN_SPAN_SAMPLES {
            let edge = hull.windows(2).find(|edge| edge[1].distance(at) >= mean);
            let found = edge.map_or(self.slope, |edge| slope(edge[0], edge[1]));
            if found.abs() <= MAX_SLOPE {
                let (usual, doubtful) = (USUAL_SLOPE.powi(2), (DOUBTFUL_SAMPLES / span as f64).powi(2));
                self.seen = Some(found);
                self.slope = found * usual / (usual + doubtful);
                self.doubt = MIN_DOUBT + (usual * doubtful / (usual + doubtful)).sqrt();
            }
        }
        self.hull = hull;
    }

    fn is_of_the_clock(&self, point: Point) -> bool {
        self.known.is_none_or(|known| {
            let may_drift = self.doubt * point.distance(known.at).abs();
            (point.delay - self.at_slope(known, point.at)).abs() <= OUTLIER_SAMPLES + may_drift
        })
    }
}

fn slope(a: Point, b: Point) -> f64 {
    (b.delay - a.delay) / (b.at - a.at) as f64
}
