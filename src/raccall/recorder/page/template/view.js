// Which stretch of the recording is on the screen. Knows no element.

const NARROWEST_S = 2;

class View extends EventTarget {
  constructor(duration) {
    super();
    this.duration = duration;
    this.begin = 0;
    this.end = duration;
  }

  get span() {
    return this.end - this.begin;
  }

  get whole() {
    return this.span >= this.duration;
  }

  /** 0 at the left edge, 1 at the right. */
  fraction(time) {
    return (time - this.begin) / this.span;
  }

  timeAt(fraction) {
    return clamp(this.begin + fraction * this.span, 0, this.duration);
  }

  holds(time) {
    return time >= this.begin && time < this.end;
  }

  show(begin, span = this.span) {
    const wide = clamp(span, Math.min(NARROWEST_S, this.duration), this.duration);
    const from = clamp(begin, 0, this.duration - wide);
    if (from === this.begin && from + wide === this.end) return;
    this.begin = from;
    this.end = from + wide;
    this.dispatchEvent(new Event("change"));
  }

  /** factor above 1 shows less; `time` stays where it is on the screen. */
  zoom(factor, time) {
    const span = clamp(this.span / factor, Math.min(NARROWEST_S, this.duration), this.duration);
    this.show(time - this.fraction(time) * span, span);
  }

  pan(seconds) {
    this.show(this.begin + seconds);
  }

  fit() {
    this.show(0, this.duration);
  }

  /** Bring a place in sight that is not. */
  reveal(time) {
    if (!this.holds(time)) this.show(time - this.span / 3);
  }

  /** While playing: turn the page when the playhead leaves it on the right. */
  follow(before, now) {
    if (before < this.end && before >= this.begin && now >= this.end && this.end < this.duration) this.show(now);
  }
}
