// One sound file beside the page, played by one <audio> element, in step with a clock.
//
// The Web Audio API would mix to the sample, but browsers mute it for files opened from disk. So each file has an
// element of its own: small errors are corrected by playing a little faster or slower, large ones by a jump.

const AHEAD_S = 2; // of its sound an element begins to play: it is in step when it is heard
const BEHIND_S = 0.5;
const JUMP_BEYOND_S = 0.12;
const IN_STEP_S = 0.002;
const CATCH_UP_S = 0.5; // in which an error is to vanish
const MOST_HEARD = 0.02; // faster or slower while it is heard: 2 % is not noticed
const MOST_UNHEARD = 0.25;
const JUMPS_APART_MS = 500;
const READY_WITHIN_MS = 2000;

class Voice {
  #element = null;
  #jumpTook = 0.05;
  #jumpedAt = 0;

  /** spans: where there is sound; null while that is not known, so everywhere. */
  constructor(path, spans = null) {
    this.path = path;
    this.spans = spans;
    this.talk = []; // where there is speech
    this.volume = 1;
    this.muted = false;
    this.failed = false;
    this.usedAt = 0;
  }

  /** Whether there is anything to hear at `time`, or soon. */
  neededAt(time, rate) {
    return !this.failed && (this.spans === null || inSpan(this.spans, time, AHEAD_S * rate, BEHIND_S));
  }

  get open() {
    return this.#element !== null;
  }

  get running() {
    return this.open && !this.#element.paused;
  }

  /** The element's own place; null while it has none. */
  get currentTime() {
    return this.open && !this.#element.seeking ? this.#element.currentTime : null;
  }

  apply() {
    if (!this.open) return;
    this.#element.volume = this.volume;
    this.#element.muted = this.muted;
  }

  /** Stand at `time`, silent; resolves when it can play from there, or cannot within two seconds. */
  async prepare(time) {
    const element = this.#opened();
    element.pause();
    if (Math.abs(element.currentTime - time) > 0.001) element.currentTime = time;
    const signal = AbortSignal.timeout(READY_WITHIN_MS);
    while (!this.#ready() && !this.failed && !signal.aborted) {
      await new Promise((resolve) => {
        for (const kind of ["seeked", "canplay", "error"]) element.addEventListener(kind, resolve, { once: true, signal });
        signal.addEventListener("abort", resolve, { once: true });
      });
    }
  }

  /** Play from where it stands. Rejects when the browser does not allow sound. */
  async start(rate) {
    const element = this.#opened();
    this.#setRate(rate, 1);
    this.apply();
    await element.play();
  }

  /** Join a clock that is running: stand where it will be in a moment, and go. */
  join(time, rate) {
    const element = this.#opened();
    element.currentTime = time + this.#jumpTook * rate;
    this.#jumpedAt = performance.now();
    this.start(rate).catch(() => {});
  }

  heardAt(time) {
    return this.spans === null || inSpan(this.spans, time);
  }

  /** How far it is ahead of the clock, in seconds; null while that cannot be told. */
  aheadOf(time) {
    return this.#ready() && this.running ? this.#element.currentTime - time : null;
  }

  /** Make up for being `ahead` of the others at `time`. */
  correct(ahead, time, rate) {
    const sinceJump = performance.now() - this.#jumpedAt;
    if (Math.abs(ahead) > JUMP_BEYOND_S) {
      if (sinceJump < JUMPS_APART_MS) return;
      if (sinceJump < 2 * JUMPS_APART_MS) this.#jumpTook = clamp(this.#jumpTook - ahead / rate / 2, 0, 0.5);
      this.#element.currentTime = time + this.#jumpTook * rate;
      this.#jumpedAt = performance.now();
      return;
    }
    const most = this.heardAt(time) ? MOST_HEARD : MOST_UNHEARD;
    this.#setRate(rate, Math.abs(ahead) < IN_STEP_S ? 1 : 1 - clamp(ahead / CATCH_UP_S, -most, most));
  }

  rest() {
    if (this.running) this.#element.pause();
  }

  /** Give the browser's decoder and buffers back. */
  close() {
    if (!this.open) return;
    this.#element.pause();
    this.#element.removeAttribute("src");
    this.#element.load();
    this.#element = null;
  }

  #ready() {
    return this.open && !this.#element.seeking && this.#element.readyState >= HTMLMediaElement.HAVE_FUTURE_DATA;
  }

  #setRate(rate, factor) {
    const element = this.#element;
    // At normal speed a correction only resamples; keeping the pitch would cut and glue.
    element.preservesPitch = rate !== 1;
    if (Math.abs(element.playbackRate - rate * factor) > 0.0005) element.playbackRate = rate * factor;
  }

  #opened() {
    this.usedAt = performance.now();
    if (this.#element === null) {
      this.#element = new Audio();
      this.#element.preload = "auto";
      this.#element.addEventListener("error", () => {
        this.failed = this.open && this.#element.hasAttribute("src");
      });
      this.#element.src = addressOf(this.path);
    }
    return this.#element;
  }
}
