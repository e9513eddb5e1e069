// Everything joined: facts → lanes → player, view and what shows them.

const SPEEDS = [0.5, 0.75, 1, 1.25, 1.5, 1.75, 2, 2.5, 3];
const FILES = ["segments.json", "summary.json", "events.jsonl"]; // what is beside the page whatever else was kept
const ADDRESS_EVERY_MS = 1000;

const byId = (id) => document.getElementById(id);
const facts = JSON.parse(byId("facts").textContent);
const { summary, happenings } = facts;

const view = new View(summary.duration_s);
const shiftsOf = Map.groupBy(happenings.filter(({ kind }) => kind === "shift"), ({ user_id }) => user_id);
const lanes = facts.lanes.map((lane, number) => {
  const shifts = (shiftsOf.get(lane.person.user_id) ?? []).map(({ at }) => at);
  return new Lane(lane, number, view, shifts);
});
const player = new Player(summary.duration_s, lanes.map((lane) => lane.voice), new Voice(facts.mix));
const laneOf = new Map(lanes.filter((lane) => lane.facts.person.user_id).map((lane) => [lane.facts.person.user_id, lane]));
const inkOf = (lane) => (lane ? getComputedStyle(lane.canvas).color : null);
const axis = new Axis(byId("axis"), view, happenings, (mark) => inkOf(laneOf.get(mark.user_id)));
const overview = new Overview(byId("overview"), view, lanes);
const startedMs = Date.parse(summary.started) - summary.lead_in_ms;
const wallOf = (time) => (Number.isNaN(startedMs) ? "" : new Date(startedMs + time * 1000).toLocaleTimeString());
const stage = new Stage({ stage: byId("stage"), view, player, axis, wallOf });
const inSight = new Set();
let focused = null;

// --- sound ---

function hear() {
  const someSolo = lanes.some((lane) => lane.solo);
  for (const lane of lanes) {
    lane.audible = !lane.muted && (lane.solo || !someSolo);
    lane.voice.muted = !lane.audible;
    lane.voice.volume = lane.volume * Number(byId("volume").value);
  }
  player.mix.volume = Number(byId("volume").value);
  player.apply();
  show();
}

function soloOnly(number) {
  const chosen = lanes[number];
  if (!chosen) return;
  const already = chosen.solo && lanes.every((lane) => lane === chosen || !lane.solo);
  for (const lane of lanes) lane.set({ solo: lane === chosen && !already });
}

function nextTalk(direction) {
  const now = player.position;
  const asked = focused ? [focused] : lanes;
  const begins = asked.flatMap((lane) => lane.talk.map(([begin]) => begin)).sort((one, other) => one - other);
  const found = direction > 0 ? begins.find((begin) => begin > now + 0.05) : begins.findLast((begin) => begin < now - 1);
  if (found !== undefined) player.seek(found);
}

function changeSpeed(step) {
  const next = SPEEDS[SPEEDS.indexOf(player.rate) + step];
  if (next) player.rate = next;
}

// --- sight ---

let shownAt = -1;
let frame = 0;

/** Draw in the next frame, once however often asked. */
function show() {
  frame ||= requestAnimationFrame(paint);
}

function paint() {
  frame = 0;
  const position = player.position;
  if (player.playing) view.follow(shownAt, position);
  shownAt = position;
  stage.draw(position);
  overview.draw(position);
  const time = byId("time");
  const text = `${timeText(position, { tenths: true })} / ${timeText(summary.duration_s)}`;
  if (time.textContent !== text) time.textContent = text;
  const talking = [];
  for (const lane of lanes) {
    const talks = lane.talksAt(position);
    if (talks) talking.push(lane.name);
    lane.show({ talking: talks, audible: lane.audible || player.useMix });
  }
  const now = talking.join(", ") || "nobody is talking";
  if (byId("talking").textContent !== now) byId("talking").textContent = now;
  const slider = byId("axis");
  slider.setAttribute("aria-valuenow", position.toFixed(1));
  if (!player.playing) slider.setAttribute("aria-valuetext", `${spokenTime(position)} of ${spokenTime(summary.duration_s)}`);
  if (player.playing) show();
}

function drawLanes() {
  for (const lane of inSight) lane.draw();
  axis.draw();
  show();
}

let lanesFrame = 0;
function showLanes() {
  lanesFrame ||= requestAnimationFrame(() => {
    lanesFrame = 0;
    drawLanes();
  });
}

function renew() {
  overview.renew();
  showLanes();
}

function showState() {
  const play = byId("play");
  play.setAttribute("aria-label", player.playing ? "Pause" : "Play");
  play.querySelector("use").setAttribute("href", player.playing ? "#i-pause" : "#i-play");
  byId("speed").value = String(player.rate);
  byId("sound").value = player.useMix ? "mix" : "tracks";
  byId("loop").hidden = !player.loop;
  document.body.classList.toggle("mixed", player.useMix);
  show();
}

// --- the address: #t=12:34 ---

let addressedAt = 0;
function tellAddress() {
  const link = `#t=${timeText(player.position)}`;
  byId("time").href = link;
  const untouched = location.hash === "" && player.position === 0;
  if (untouched || location.hash === link || performance.now() - addressedAt < ADDRESS_EVERY_MS) return;
  addressedAt = performance.now(); // browsers refuse more than some hundred of these in half a minute
  history.replaceState(null, "", link);
}

function goToAddress() {
  const time = timeOfLink(location.hash);
  if (time === null || Math.abs(time - player.position) < 1) return;
  player.seek(time);
  view.reveal(player.position);
}

// --- once ---

function fill() {
  byId("room").textContent = summary.room || "Recording";
  const began = Number.isNaN(startedMs) ? "" : new Date(summary.started).toLocaleString(undefined, { dateStyle: "full", timeStyle: "short" });
  byId("when").textContent = began;
  byId("badges").append(...badgesOf(facts).map(([text, kind, title]) => make("li", { class: kind, title }, text)));
  byId("lanes").append(...lanes.map((lane) => lane.element));
  if (lanes.length === 0) byId("lanes").append(make("p", { class: "alone" }, "Nobody was heard in this recording."));
  for (const speed of SPEEDS) byId("speed").append(make("option", { value: speed }, `${speed}×`));
  byId("sound").querySelector("[value=mix]").disabled = !facts.mix;
  const slider = byId("axis");
  slider.setAttribute("aria-valuemin", "0");
  slider.setAttribute("aria-valuemax", summary.duration_s.toFixed(1));
  fillReceived(byId("received"), lanes);
  byId("losses").textContent =
    `${plural(summary.lost_in_network, "packet")} lost in the network, ${summary.lost_in_kernel.toLocaleString()} in the kernel, ` +
    `${summary.lost_in_tap.toLocaleString()} in the recorder; ${plural(summary.corrections.length, "correction")} of places ` +
    `(▲ in the lanes). Recorded by ${summary.versions.recorded_by || "?"}, ` +
    `rendered by ${summary.versions.rendered_by}.`;
  const files = [facts.mix, ...FILES].filter(Boolean);
  byId("files").append(...files.map((path) => make("a", { href: addressOf(path), download: "" }, path)));
  const rows = fillHappened(byId("happened"), happenings, (time) => player.seek(time));
  stage.onmark = (mark) => {
    for (const row of rows.values()) row.classList.toggle("chosen", row === rows.get(mark));
    rows.get(mark)?.scrollIntoView({ block: "nearest" });
  };
  fillKeys(byId("keys"));
}

function listen() {
  byId("play").addEventListener("click", () => player.toggle());
  byId("zoom-in").addEventListener("click", () => view.zoom(2, view.holds(player.position) ? player.position : view.begin + view.span / 2));
  byId("zoom-out").addEventListener("click", () => view.zoom(0.5, view.holds(player.position) ? player.position : view.begin + view.span / 2));
  byId("fit").addEventListener("click", () => view.fit());
  byId("speed").addEventListener("change", (event) => (player.rate = Number(event.target.value)));
  byId("sound").addEventListener("change", (event) => player.choose(event.target.value === "mix"));
  byId("skip").addEventListener("change", (event) => (player.skipSilence = event.target.checked));
  byId("volume").addEventListener("input", hear);
  byId("loop").addEventListener("click", () => player.setLoop(null));
  byId("help-button").addEventListener("click", () => byId("help").showModal());
  overview.onchoose = (time) => player.seek(time);

  const step = (seconds) => player.seek(player.position + seconds);
  const laneBeside = (by) => lanes[clamp(lanes.indexOf(focused) + by, 0, lanes.length - 1)]?.element.focus();
  const digits = Object.fromEntries(Array.from({ length: 9 }, (_, i) => [String(i + 1), () => soloOnly(i)]));
  listenToKeys({
    ...digits,
    " ": () => player.toggle(),
    k: () => player.toggle(),
    ArrowLeft: (event) => step(event.shiftKey ? -1 : -5),
    ArrowRight: (event) => step(event.shiftKey ? 1 : 5),
    j: () => step(-15),
    l: () => step(15),
    Home: () => player.seek(0),
    End: () => player.seek(summary.duration_s),
    n: () => nextTalk(1),
    p: () => nextTalk(-1),
    "+": () => byId("zoom-in").click(),
    "=": () => byId("zoom-in").click(),
    "-": () => byId("zoom-out").click(),
    0: () => view.fit(),
    ArrowUp: () => laneBeside(-1),
    ArrowDown: () => laneBeside(1),
    m: () => focused?.set({ muted: !focused.muted }),
    s: () => focused?.set({ solo: !focused.solo }),
    "<": () => changeSpeed(-1),
    ">": () => changeSpeed(1),
    Escape: () => {
      player.setLoop(null);
      document.activeElement.blur();
      focused = null;
    },
    "?": () => byId("help").showModal(),
  });

  view.addEventListener("change", showLanes);
  player.addEventListener("change", showState);
  player.addEventListener("seek", () => {
    view.reveal(player.position);
    tellAddress();
    show();
  });
  setInterval(tellAddress, ADDRESS_EVERY_MS);
  window.addEventListener("hashchange", goToAddress);
  for (const lane of lanes) {
    lane.addEventListener("change", hear);
    lane.element.addEventListener("focusin", () => (focused = lane));
  }
  const sight = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) {
      const lane = lanes.find(({ canvas }) => canvas === target);
      if (isIntersecting) inSight.add(lane);
      else inSight.delete(lane);
    }
    showLanes();
  }, { rootMargin: "200px" });
  for (const lane of lanes) sight.observe(lane.canvas);
  new ResizeObserver(renew).observe(byId("stage"));
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", renew);
}

async function readPeaks() {
  for (const lane of lanes) {
    lane.setEnvelope(await Envelope.decode(lane.facts.peaks));
    lane.facts.peaks = "";
    showLanes();
  }
  byId("facts").remove();
  renew();
}

fill();
listen();
hear();
showState();
goToAddress();
await readPeaks();
drawLanes();
// For the browser's console, and for tests: the objects above are this module's own.
globalThis.raccall = { player, view, lanes };
