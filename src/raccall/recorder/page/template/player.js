// Plays many voices as one: a clock of its own, which the voices follow, and which follows the sound card's.
//
// Only voices with something to hear now or in two seconds have their element playing: three hours of ten people cost
// what the two or three cost who talk. The clock stands until the first sound really moves.

const TICK_MS = 50;
const CLOCK_STEP_S = 0.01; // in a tick, towards where the voices are
const CLOCK_FAR_S = 0.1;
const START_WITHIN_MS = 1000;
const MOST_OPEN = 6; // elements kept open, unless more talk at once: each holds a decoder and what was read of its file
const SKIP_FROM_S = 1.2; // a shorter pause is left as it is
const SKIP_AFTER_S = 0.2;
const SKIP_TO_BEFORE_S = 0.3;

class Player extends EventTarget {
  #anchor = { at: 0, position: 0 };
  #state = "paused"; // or "starting": the clock stands until sound moves, or "playing"
  #turn = 0;
  #timer = 0;
  #rate = 1;
  #startedAt = 0;

  constructor(duration, tracks, mix) {
    super();
    this.duration = duration;
    this.tracks = tracks;
    this.mix = mix;
    this.useMix = false;
    this.loop = null;
    this.skipSilence = false;
  }

  get playing() {
    return this.#state !== "paused";
  }

  /** Seconds from the beginning of the tracks. */
  get position() {
    const { at, position } = this.#anchor;
    if (this.#state !== "playing") return position;
    return Math.min(position + ((performance.now() - at) / 1000) * this.#rate, this.duration);
  }

  get rate() {
    return this.#rate;
  }

  set rate(rate) {
    this.#moveTo(this.position);
    this.#rate = rate;
    this.#changed();
  }

  get voices() {
    return this.useMix ? [this.mix] : this.tracks;
  }

  async play() {
    if (this.position >= this.duration - 0.05) this.#moveTo(this.loop ? this.loop.begin : 0);
    await this.#start();
  }

  pause() {
    this.#moveTo(this.position);
    this.#halt();
    this.#changed();
  }

  toggle() {
    if (this.playing) this.pause();
    else this.play();
  }

  /** To go outside the loop ends it. */
  seek(time) {
    this.#moveTo(clamp(time, 0, this.duration));
    if (this.loop && (time < this.loop.begin || time > this.loop.end)) this.setLoop(null);
    if (this.playing) this.#start();
    this.dispatchEvent(new Event("seek"));
  }

  /** Tracks or mix. */
  choose(useMix) {
    this.useMix = useMix;
    this.#moveTo(this.position);
    if (this.playing) this.#start();
    this.#changed();
  }

  setLoop(loop) {
    this.loop = loop;
    this.#changed();
  }

  /** Volumes or mutes have changed. */
  apply() {
    for (const voice of this.voices) voice.apply();
  }

  /** Where each playing element says it is, all asked at the same moment: for tests and the curious. */
  places() {
    return this.voices.filter((voice) => voice.running && voice.currentTime !== null).map((voice) => voice.currentTime);
  }

  async #start() {
    this.#halt();
    const turn = ++this.#turn;
    this.#state = "starting";
    this.#changed();
    const position = this.position;
    const needed = this.#needed(position);
    await Promise.all(needed.map((voice) => voice.prepare(position)));
    if (turn !== this.#turn) return;
    try {
      await Promise.all(needed.filter((voice) => !voice.failed).map((voice) => voice.start(this.#rate)));
    } catch (refusal) {
      if (turn === this.#turn && refusal.name === "NotAllowedError") this.pause();
      if (refusal.name !== "AbortError" && refusal.name !== "NotAllowedError") throw refusal;
    }
    if (turn !== this.#turn) return;
    this.#closeOld();
    this.#startedAt = performance.now();
    this.#timer = setInterval(() => this.#tick(), TICK_MS);
    this.#tick();
  }

  #halt() {
    this.#turn += 1;
    this.#state = "paused";
    clearInterval(this.#timer);
    for (const voice of [...this.tracks, this.mix]) voice.rest();
  }

  #tick() {
    if (this.#state === "starting" && !this.#moving()) return;
    let now = this.position;
    if (this.loop && now >= this.loop.end) return this.seek(this.loop.begin);
    if (now >= this.duration) {
      this.pause();
      return;
    }
    if (this.skipSilence && this.#skip(now)) return;
    for (const voice of this.voices) {
      if (!voice.neededAt(now, this.#rate)) voice.rest();
      else if (!voice.running) this.#join(voice, now);
    }
    this.#keepStep(now);
  }

  /**
   * What all have in common is the clock's error; the rest is each voice's own. Those that are heard decide. Far from
   * them the clock goes where they are at once: a sound system may need a second before it begins.
   */
  #keepStep(now) {
    const measured = this.voices.map((voice) => [voice, voice.aheadOf(now)]).filter(([, ahead]) => ahead !== null);
    if (measured.length === 0) return;
    const heard = measured.filter(([voice]) => voice.heardAt(now));
    const common = median((heard.length ? heard : measured).map(([, ahead]) => ahead));
    const far = heard.length > 0 && Math.abs(common) > CLOCK_FAR_S;
    this.#moveTo(now + (far ? common : clamp(common, -CLOCK_STEP_S, CLOCK_STEP_S)));
    for (const [voice, ahead] of measured) voice.correct(ahead - common, now, this.#rate);
  }

  /** From "starting" to "playing" once an element has moved: what the browser needs to begin is nobody's error. */
  #moving() {
    const places = this.places();
    const moved = places.filter((place) => place > this.position + 0.001);
    const needed = this.#needed(this.position).length > 0;
    if (needed && moved.length === 0 && performance.now() - this.#startedAt < START_WITHIN_MS) return false;
    this.#state = "playing";
    this.#moveTo(moved.length ? median(moved) : this.position);
    this.#changed();
    return true;
  }

  #join(voice, now) {
    voice.join(now, this.#rate);
    this.#closeOld();
  }

  #closeOld() {
    const resting = this.tracks.filter((track) => track.open && !track.running);
    const running = this.tracks.filter((track) => track.running).length;
    resting.sort((one, other) => one.usedAt - other.usedAt);
    for (const track of resting.slice(0, Math.max(0, running + resting.length - MOST_OPEN))) track.close();
  }

  #skip(now) {
    const heard = this.tracks.filter((track) => !track.muted || this.useMix);
    if (heard.some(({ talk }) => inSpan(talk, now, SKIP_FROM_S, SKIP_AFTER_S))) return false;
    const begins = heard.map(({ talk }) => talk[spanAfter(talk, now)]?.[0] ?? this.duration);
    this.seek(Math.min(this.duration, ...begins) - SKIP_TO_BEFORE_S);
    return true;
  }

  #needed(position) {
    return this.voices.filter((voice) => voice.neededAt(position, this.#rate));
  }

  #moveTo(position) {
    this.#anchor = { at: performance.now(), position };
  }

  #changed() {
    this.dispatchEvent(new Event("change"));
  }
}

function median(numbers) {
  const sorted = numbers.toSorted((one, other) => one - other);
  return (sorted[(sorted.length - 1) >> 1] + sorted[sorted.length >> 1]) / 2;
}
