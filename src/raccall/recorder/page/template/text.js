// Numbers as people read them, and elements made without any markup in strings.

/** 3723.4 → "1:02:03", with tenths "1:02:03.4". */
function timeText(seconds, { tenths = false } = {}) {
  const units = Math.max(0, Math.floor(seconds * 10 + 1e-6));
  const whole = Math.floor(units / 10);
  const [h, m, s] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const pad = (number) => String(number).padStart(2, "0");
  const text = h ? `${h}:${pad(m)}:${pad(s)}` : `${m}:${pad(s)}`;
  return tenths ? `${text}.${units % 10}` : text;
}

/** For people who listen to the page: "1 hour 2 minutes 3 seconds". */
function spokenTime(seconds) {
  const whole = Math.floor(seconds);
  const parts = [[Math.floor(whole / 3600), "hour"], [Math.floor(whole / 60) % 60, "minute"], [whole % 60, "second"]];
  const said = parts.filter(([count]) => count).map(([count, unit]) => `${count} ${unit}${count === 1 ? "" : "s"}`);
  return said.join(" ") || "0 seconds";
}

/** "#t=1:02:03.5", "#t=62", "#t=1m2s" → seconds; null for anything else. */
function timeOfLink(hash) {
  const text = /^#t=(.+)$/.exec(hash)?.[1] ?? "";
  if (/^(\d+:){0,2}\d+(\.\d+)?$/.test(text)) {
    return text.split(":").reduce((sum, part) => sum * 60 + Number(part), 0);
  }
  const units = /^(?:(\d+)h)?(?:(\d+)m)?(?:(\d+(?:\.\d+)?)s)?$/.exec(text);
  return text && units ? Number(units[1] ?? 0) * 3600 + Number(units[2] ?? 0) * 60 + Number(units[3] ?? 0) : null;
}

/** "talk 12:05": short lengths keep a decimal. */
function lengthText(seconds) {
  return seconds < 60 ? `${seconds.toFixed(seconds < 10 ? 1 : 0)} s` : timeText(seconds);
}

function percentText(value) {
  return `${value >= 10 || value === 0 ? value.toFixed(0) : value.toFixed(1)} %`;
}

function plural(count, unit) {
  return `${count.toLocaleString()} ${unit}${count === 1 ? "" : "s"}`;
}

/** A path in the recording's folder as an address: names may hold "#", "%" or letters of any script. */
function addressOf(path) {
  return path.split("/").map(encodeURIComponent).join("/");
}

/** make("button", { class: "mute", title: "…" }, "M"): strings become text, never markup. */
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  use.setAttribute("href", `#i-${name}`);
  svg.append(use);
  return svg;
}

function clamp(value, low, high) {
  return Math.min(Math.max(value, low), high);
}

/** Index of the first span that ends after `time`; spans are sorted and do not overlap. */
function spanAfter(spans, time) {
  let [low, high] = [0, spans.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (spans[middle][1] > time) high = middle;
    else low = middle + 1;
  }
  return low;
}

/** Whether a span holds `time`, or begins within `ahead` seconds, or ended within `behind`. */
function inSpan(spans, time, ahead = 0, behind = 0) {
  const next = spans[spanAfter(spans, time - behind)];
  return next !== undefined && next[0] <= time + ahead;
}
