// The time axis above the lanes: ticks, what happened, and the whole recording in small with the stretch in sight.

const TICKS_S = [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400];
const TICK_APART_PX = 74;
const MARKS = { note: "✎", joined: "→", left: "←", agreed: "✓", withdrew: "✕", gap: "!", alarm: "!", forgotten: "✕", stopped: "■" };
const MARK_PX = 16;
const NEAR_PX = 10;

class Axis {
  constructor(canvas, view, happenings, colourOf) {
    this.canvas = canvas;
    this.marks = happenings.filter((happening) => MARKS[happening.kind]);
    this.#view = view;
    this.#colourOf = colourOf;
  }

  #view;
  #colourOf;

  draw() {
    const paper = paperOf(this.canvas);
    if (!paper) return;
    const { pen, width, height } = paper;
    const ink = pen.fillStyle;
    const colours = getComputedStyle(this.canvas);
    const [card, bad] = [colours.getPropertyValue("--card"), colours.getPropertyValue("--bad")];
    const perSecond = width / this.#view.span;
    const step = TICKS_S.find((seconds) => seconds * perSecond >= TICK_APART_PX) ?? TICKS_S.at(-1);
    pen.font = `11px ${colours.fontFamily}`;
    pen.textAlign = "left";
    for (let tick = Math.floor(this.#view.begin / step); tick * step <= this.#view.end; tick++) {
      const x = (tick * step - this.#view.begin) * perSecond;
      pen.globalAlpha = 0.5;
      pen.fillRect(Math.round(x), height - 7, 1, 7);
      for (let part = 1; part < 5; part++) pen.fillRect(Math.round(x + (part * step * perSecond) / 5), height - 4, 1, 4);
      pen.globalAlpha = 1;
      pen.fillText(timeText(tick * step, { tenths: step < 1 }), x + 4, height - 8);
    }
    pen.textAlign = "center";
    for (const { x, marks } of this.#groups(perSecond, width)) {
      const one = marks.length === 1 || marks.every(({ kind, user_id }) => kind === marks[0].kind && user_id === marks[0].user_id);
      const alarming = marks.some(({ kind }) => MARKS[kind] === "!");
      pen.fillStyle = alarming ? bad : ((one && this.#colourOf(marks[0])) ?? ink);
      pen.beginPath();
      pen.roundRect(x - 7, 2, 14, 14, marks[0].kind === "note" ? 3 : 7);
      pen.fill();
      pen.fillStyle = card;
      pen.fillText(marks.length === 1 ? MARKS[marks[0].kind] : Math.min(marks.length, 99), x, 13);
    }
  }

  /** Marks that would lie on each other, together. */
  #groups(perSecond, width) {
    const groups = [];
    for (const mark of this.marks) {
      const x = (mark.at - this.#view.begin) * perSecond;
      if (x < -10 || x > width + 10) continue;
      if (groups.length && x - groups.at(-1).x < MARK_PX) groups.at(-1).marks.push(mark);
      else groups.push({ x: clamp(x, 8, width - 8), marks: [mark] });
    }
    return groups;
  }

  /** What happened near a pixel of the axis, nearest first. */
  near(x) {
    const perPixel = this.#view.span / this.canvas.clientWidth;
    const distance = (mark) => Math.abs(mark.at - this.#view.begin - x * perPixel);
    return this.marks.filter((mark) => distance(mark) < NEAR_PX * perPixel).sort((a, b) => distance(a) - distance(b));
  }
}

class Overview {
  constructor(canvas, view, lanes) {
    this.canvas = canvas;
    this.#view = view;
    this.#lanes = lanes;
    let grabbed = null;
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      grabbed = { x: event.clientX, moved: false };
      const time = this.#timeAt(event);
      if (!view.holds(time)) view.show(time - view.span / 2);
    });
    canvas.addEventListener("pointermove", (event) => {
      if (!grabbed || view.whole) return;
      grabbed.moved ||= Math.abs(event.clientX - grabbed.x) > 3;
      view.pan(((event.clientX - grabbed.x) / canvas.clientWidth) * view.duration);
      grabbed.x = event.clientX;
    });
    canvas.addEventListener("pointerup", (event) => {
      if (grabbed && !grabbed.moved) this.onchoose?.(this.#timeAt(event));
      grabbed = null;
    });
  }

  #view;
  #lanes;
  #picture = null;
  #drawn = "";

  /** Forget the picture: the sound, the colours or the size have changed. */
  renew() {
    this.#picture = null;
    this.#drawn = "";
  }

  /** Called for every frame while it plays: draws when something has moved by a pixel. */
  draw(position) {
    const place = Math.round((position / this.#view.duration) * this.canvas.clientWidth * 2);
    const asked = `${place} ${this.#view.begin} ${this.#view.end}`;
    if (asked === this.#drawn) return;
    this.#drawn = asked;
    const paper = paperOf(this.canvas);
    if (!paper) return;
    const { pen, width, height } = paper;
    this.#picture ??= this.#paint(width, height);
    pen.drawImage(this.#picture, 0, 0, width, height);
    const x = (time) => (time / this.#view.duration) * width;
    if (!this.#view.whole) {
      const ink = pen.fillStyle;
      pen.fillStyle = getComputedStyle(this.canvas).getPropertyValue("--raised");
      pen.globalAlpha = 0.55;
      pen.fillRect(0, 0, x(this.#view.begin), height);
      pen.fillRect(x(this.#view.end), 0, width, height);
      pen.globalAlpha = 1;
      pen.fillStyle = ink;
      pen.lineWidth = 1.5;
      pen.beginPath();
      pen.roundRect(x(this.#view.begin) + 1, 1, Math.max(x(this.#view.span) - 2, 3), height - 2, 4);
      pen.stroke();
    }
    pen.fillRect(x(position) - 0.75, 0, 1.5, height);
  }

  /** A thin line per speaker, where they talk. */
  #paint(width, height) {
    const scale = Math.min(window.devicePixelRatio, 2);
    const picture = new OffscreenCanvas(Math.max(1, width * scale), Math.max(1, height * scale));
    const pen = picture.getContext("2d");
    pen.scale(scale, scale);
    const line = (height - 6) / Math.max(this.#lanes.length, 1);
    for (const [number, lane] of this.#lanes.entries()) {
      pen.fillStyle = getComputedStyle(lane.canvas).color;
      for (const [begin, end] of lane.talk) {
        const from = (begin / this.#view.duration) * width;
        pen.fillRect(from, 3 + number * line, Math.max(((end - begin) / this.#view.duration) * width, 0.6), Math.max(line - 1, 0.5));
      }
    }
    return picture;
  }

  #timeAt(event) {
    const box = this.canvas.getBoundingClientRect();
    return clamp((event.clientX - box.left) / box.width, 0, 1) * this.#view.duration;
  }
}
