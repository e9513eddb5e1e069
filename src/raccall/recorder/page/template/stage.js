// The pointer over the lanes: click to jump, drag to loop, wheel and fingers to zoom and move. And what moves above
// them: playhead, pointer, selection.

const DRAG_FROM_PX = 5;
const WHEEL_ZOOM = 1.0018; // per pixel of wheel

class Stage {
  constructor({ stage, view, player, axis, wallOf }) {
    this.#stage = stage;
    this.#view = view;
    this.#player = player;
    this.#axis = axis;
    this.#wallOf = wallOf;
    this.#overlay = stage.querySelector(".overlay");
    this.#playhead = stage.querySelector("#playhead");
    this.#pointer = stage.querySelector("#pointer");
    this.#selection = stage.querySelector("#selection");
    stage.addEventListener("pointerdown", (event) => this.#press(event));
    stage.addEventListener("pointermove", (event) => this.#move(event));
    stage.addEventListener("pointerup", (event) => this.#release(event));
    stage.addEventListener("pointercancel", (event) => this.#fingers.delete(event.pointerId));
    stage.addEventListener("pointerleave", () => (this.#pointer.hidden = true));
    stage.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
  }

  #stage;
  #view;
  #player;
  #axis;
  #wallOf;
  #overlay;
  #playhead;
  #pointer;
  #selection;
  #drag = null;
  #fingers = new Map();

  draw(position) {
    const place = this.#view.fraction(position);
    this.#playhead.hidden = place < 0 || place > 1;
    this.#playhead.style.transform = `translateX(${place * this.#overlay.clientWidth}px)`;
    const loop = this.#drag?.loop ?? this.#player.loop;
    this.#selection.hidden = !loop;
    if (loop) {
      const [from, to] = [clamp(this.#view.fraction(loop.begin), 0, 1), clamp(this.#view.fraction(loop.end), 0, 1)];
      this.#selection.style.left = `${from * 100}%`;
      this.#selection.style.width = `${(to - from) * 100}%`;
    }
  }

  #timeAt(event) {
    const box = this.#overlay.getBoundingClientRect();
    return this.#view.timeAt((event.clientX - box.left) / box.width);
  }

  #onTime(event) {
    return event.target instanceof Element && event.target.matches(".wave, .axis");
  }

  #press(event) {
    if (!this.#onTime(event) || event.button !== 0) return;
    event.target.setPointerCapture(event.pointerId);
    if (event.pointerType === "touch") this.#fingers.set(event.pointerId, event.clientX);
    this.#drag = { x: event.clientX, time: this.#timeAt(event), loop: null, moved: false };
  }

  #move(event) {
    if (this.#fingers.has(event.pointerId)) return this.#touch(event);
    this.#point(event);
    const drag = this.#drag;
    if (!drag || Math.abs(event.clientX - drag.x) < DRAG_FROM_PX && !drag.loop) return;
    const time = this.#timeAt(event);
    drag.loop = { begin: Math.min(time, drag.time), end: Math.max(time, drag.time) };
    this.draw(this.#player.position);
  }

  #release(event) {
    const drag = this.#drag;
    const fingers = this.#fingers.size;
    this.#fingers.delete(event.pointerId);
    if (!drag) return;
    if (this.#fingers.size === 0) this.#drag = null;
    if (drag.loop) {
      this.#player.setLoop(drag.loop);
      this.#player.seek(drag.loop.begin);
    } else if (!drag.moved && fingers <= 1) {
      const mark = event.target === this.#axis.canvas ? this.#axis.near(event.offsetX)[0] : null;
      this.#player.seek(mark ? mark.at : this.#timeAt(event));
      if (mark) this.onmark?.(mark);
    }
  }

  /** One finger moves the view, two also zoom it. */
  #touch(event) {
    const before = [...this.#fingers.values()];
    const was = this.#fingers.get(event.pointerId);
    if (before.length === 1 && !this.#drag?.moved && Math.abs(event.clientX - was) < DRAG_FROM_PX) return;
    this.#fingers.set(event.pointerId, event.clientX);
    if (this.#drag) this.#drag.moved = true;
    const after = [...this.#fingers.values()];
    const perPixel = this.#view.span / this.#overlay.clientWidth;
    this.#view.pan(((was - event.clientX) / before.length) * perPixel);
    if (after.length === 2) {
      const apart = (xs) => Math.max(Math.abs(xs[0] - xs[1]), 20);
      const box = this.#overlay.getBoundingClientRect();
      this.#view.zoom(apart(after) / apart(before), this.#view.timeAt(((after[0] + after[1]) / 2 - box.left) / box.width));
    }
  }

  #wheel(event) {
    const overTime = this.#onTime(event) || event.target.matches?.(".overview");
    if (!overTime) return;
    if (event.ctrlKey || event.metaKey || event.target.matches(".axis, .overview")) {
      event.preventDefault();
      const time = event.target.matches(".overview") ? this.#player.position : this.#timeAt(event);
      this.#view.zoom(WHEEL_ZOOM ** -(event.deltaY * (event.deltaMode ? 16 : 1) * (event.ctrlKey ? 3 : 1)), time);
    } else if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
      event.preventDefault();
      this.#view.pan(((event.deltaX || event.deltaY) / this.#overlay.clientWidth) * this.#view.span);
    }
  }

  /** A thin line under the mouse that says the time, and what is marked there. */
  #point(event) {
    this.#pointer.hidden = !this.#onTime(event);
    if (this.#pointer.hidden) return;
    const time = this.#timeAt(event);
    const fraction = this.#view.fraction(time);
    const marks = event.target === this.#axis.canvas ? this.#axis.near(event.offsetX) : [];
    const said = marks.map((mark) => ` · ${mark.text}`).slice(0, 3).join("");
    this.#pointer.firstElementChild.textContent = `${timeText(time, { tenths: true })} · ${this.#wallOf(time)}${said}`;
    this.#pointer.classList.toggle("flipped", fraction > 0.6);
    this.#pointer.style.left = `${fraction * 100}%`;
  }
}
