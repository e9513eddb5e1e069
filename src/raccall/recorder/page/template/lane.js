// One speaker: who, how well received, mute, solo, volume, and their sound as a picture.

// Hues that differ also for most who see colours differently; more speakers go round the wheel by the golden angle.
const HUES = [255, 45, 155, 320, 90, 200, 15, 125, 285, 65];
const MOST_MAGNIFIED = 6;
const PICTURE_EXPONENT = 1.4; // between the root that is stored (1), which shows breath, and the sample (2)

class Lane extends EventTarget {
  envelope = new Envelope(new Int8Array(0));
  volume = 1;
  muted = false;
  solo = false;

  /** shifts: when the speaker's place was corrected. */
  constructor(facts, number, view, shifts) {
    super();
    this.shifts = shifts;
    this.facts = facts;
    this.number = number;
    this.name = facts.person.name || "unnamed";
    this.talk = facts.talk;
    this.voice = new Voice(facts.person.track);
    this.voice.talk = this.talk;
    this.#view = view;
    this.#build();
  }

  #view;
  #talking = null;

  #build() {
    const { person } = this.facts;
    this.muteButton = make("button", { class: "mute", "aria-pressed": "false", title: "Mute (M)", "aria-label": `Mute ${this.name}` }, "M");
    this.soloButton = make("button", { class: "solo", "aria-pressed": "false", title: "Solo (S)", "aria-label": `Solo ${this.name}` }, "S");
    this.slider = make("input", { type: "range", min: "0", max: "1", step: "0.01", value: "1", title: "Volume", "aria-label": `Volume of ${this.name}` });
    const save = make("a", { href: addressOf(person.track), download: "", class: "save", title: "Download the track", "aria-label": `Download ${this.name}’s track` }, icon("save"));
    this.quality = make("span", { class: "quality" });
    this.canvas = make("canvas", { class: "wave", "aria-hidden": "true" });
    const who = make("div", { class: "who" }, make("span", { class: "dot" }), make("bdi", { class: "name", title: this.name }, this.name));
    const tools = make("div", { class: "tools" }, this.muteButton, this.soloButton, this.slider, save);
    this.element = make("div", { class: "row lane", role: "group", tabindex: "0" }, make("div", { class: "head" }, who, this.quality, tools), this.canvas);
    this.element.style.setProperty("--hue", HUES[this.number] ?? (this.number * 137.5) % 360);
    this.#describe();
    this.muteButton.addEventListener("click", () => this.set({ muted: !this.muted }));
    this.soloButton.addEventListener("click", () => this.set({ solo: !this.solo }));
    this.slider.addEventListener("input", () => this.set({ volume: Number(this.slider.value) }));
  }

  #describe() {
    const { person } = this.facts;
    const talked = this.talk.reduce((sum, [begin, end]) => sum + end - begin, 0) || person.sounding_s;
    const lost = `${percentText(person.loss_pct)} lost`;
    this.quality.replaceChildren(
      make("span", {}, lengthText(talked)),
      make("span", { class: person.loss_pct >= 5 ? "bad" : person.loss_pct >= 1 ? "fair" : "good" }, lost),
    );
    this.element.setAttribute("aria-label", `${this.name}: talked ${spokenTime(talked)}, ${lost}`);
  }

  set(changes) {
    Object.assign(this, changes);
    this.muteButton.setAttribute("aria-pressed", this.muted);
    this.soloButton.setAttribute("aria-pressed", this.solo);
    this.slider.value = this.volume;
    this.dispatchEvent(new Event("change"));
  }

  setEnvelope(envelope) {
    this.envelope = envelope;
    this.voice.spans = envelope.empty ? null : envelope.spans();
  }

  /** Whether this person talks at `time`. */
  talksAt(time) {
    return inSpan(this.talk, time);
  }

  show({ talking, audible }) {
    if (talking !== this.#talking) this.element.classList.toggle("talks", talking);
    this.#talking = talking;
    this.element.classList.toggle("silenced", !audible);
    if (this.voice.failed && !this.element.classList.contains("failed")) {
      this.element.classList.add("failed");
      this.quality.replaceChildren(make("span", { class: "bad", role: "status" }, "cannot be played"));
    }
  }

  draw() {
    const paper = paperOf(this.canvas);
    if (!paper) return;
    const { pen, width, height } = paper;
    const middle = height / 2;
    const perSecond = width / this.#view.span;
    const x = (time) => (time - this.#view.begin) * perSecond;
    pen.globalAlpha = 0.13;
    for (const [begin, end] of this.#visible(this.talk)) {
      pen.beginPath();
      pen.roundRect(x(begin), 3, Math.max((end - begin) * perSecond, 1), height - 6, Math.min(5, ((end - begin) * perSecond) / 2));
      pen.fill();
    }
    pen.globalAlpha = 0.45;
    for (const [begin, end] of this.#visible(this.facts.here)) pen.fillRect(x(begin), middle - 0.5, (end - begin) * perSecond, 1);
    for (const [begin, end] of this.#visible(this.facts.muted)) dashes(pen, x(begin), x(end), middle, width);
    pen.globalAlpha = 1;
    this.#drawSound(pen, x, perSecond, middle);
    pen.beginPath();
    for (const at of this.shifts.filter((time) => this.#view.holds(time))) triangle(pen, x(at), height);
    pen.fill();
  }

  #drawSound(pen, x, pixelsPerSecond, middle) {
    const { pairs, perSecond } = this.envelope.levelFor(pixelsPerSecond);
    const heights = this.#heights(middle - 3);
    const first = Math.max(0, Math.floor(this.#view.begin * perSecond) - 1);
    const last = Math.min(pairs.length / 2, Math.ceil(this.#view.end * perSecond) + 1);
    pen.beginPath();
    if (perSecond >= pixelsPerSecond) bars(pen, pairs, first, last, (i) => x(i / perSecond), middle, heights);
    else outline(pen, pairs, first, last, (i) => x(i / perSecond), middle, heights);
    pen.fill();
  }

  /** Pixels above the middle for each of the 256 values: a table, because it is asked for each pixel. */
  #heights(most) {
    const scale = FULL_SCALE / Math.max(this.envelope.highest, FULL_SCALE / MOST_MAGNIFIED ** 0.5);
    return Float32Array.from({ length: 256 }, (_, i) => {
      const value = ((i - 128) / FULL_SCALE) * scale;
      return Math.sign(value) * Math.abs(value) ** PICTURE_EXPONENT * most;
    });
  }

  *#visible(spans) {
    for (let i = spanAfter(spans, this.#view.begin); i < spans.length && spans[i][0] < this.#view.end; i++) yield spans[i];
  }
}

/** A pixel wide each, because thinner shapes would fade: for many peaks a pixel. */
function bars(pen, pairs, first, last, x, middle, heights) {
  let [column, low, high] = [-1, 0, 0];
  const close = () => (low || high) && pen.rect(column, middle - heights[high + 128] - 0.5, 1, heights[high + 128] - heights[low + 128] + 1);
  for (let i = first; i < last; i++) {
    const here = Math.floor(x(i));
    if (here !== column) {
      close();
      [column, low, high] = [here, 0, 0];
    }
    low = Math.min(low, pairs[2 * i]);
    high = Math.max(high, pairs[2 * i + 1]);
  }
  close();
}

/** From peak to peak, upper edge and back along the lower one, around each stretch that is not silent. */
function outline(pen, pairs, first, last, x, middle, heights) {
  const silent = (i) => pairs[2 * i] === 0 && pairs[2 * i + 1] === 0;
  for (let begin = first; begin < last; begin++) {
    if (silent(begin)) continue;
    let end = begin;
    while (end < last && !silent(end)) end += 1;
    pen.moveTo(x(begin), middle);
    for (let i = begin; i < end; i++) pen.lineTo(x(i + 0.5), middle - heights[pairs[2 * i + 1] + 128] - 0.5);
    pen.lineTo(x(end), middle);
    for (let i = end - 1; i >= begin; i--) pen.lineTo(x(i + 0.5), middle - heights[pairs[2 * i] + 128] + 0.5);
    begin = end;
  }
}

/** A canvas made ready to draw on, in CSS pixels, in its own colour; null while it has no size. */
function paperOf(canvas) {
  const { clientWidth: width, clientHeight: height } = canvas;
  if (!width || !height) return null;
  const scale = Math.min(window.devicePixelRatio, 2);
  if (canvas.width !== Math.round(width * scale) || canvas.height !== Math.round(height * scale)) {
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(height * scale);
  }
  const pen = canvas.getContext("2d");
  pen.setTransform(scale, 0, 0, scale, 0, 0);
  pen.clearRect(0, 0, width, height);
  pen.fillStyle = pen.strokeStyle = getComputedStyle(canvas).color;
  return { pen, width, height };
}

/** A correction: at the lower edge. */
function triangle(pen, x, bottom) {
  pen.moveTo(x - 4, bottom);
  pen.lineTo(x, bottom - 6);
  pen.lineTo(x + 4, bottom);
}

/** A muted person's line. */
function dashes(pen, from, to, y, width) {
  pen.save();
  pen.lineWidth = 3;
  pen.setLineDash([3, 4]);
  pen.beginPath();
  pen.moveTo(Math.max(from, 0), y);
  pen.lineTo(Math.min(to, width), y);
  pen.stroke();
  pen.restore();
}
