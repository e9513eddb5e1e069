// The keyboard. Letters act on the lane that has the focus, or was the last to have it.

const KEYS = [
  [["Space", "K"], "play or pause", [" ", "k"]],
  [["←", "→"], "5 seconds back or on; with Shift 1 second", ["ArrowLeft", "ArrowRight"]],
  [["J", "L"], "15 seconds back or on", ["j", "l"]],
  [["Home", "End"], "to the beginning or the end", ["Home", "End"]],
  [["N", "P"], "next or previous talk of the focused lane, or of anyone", ["n", "p"]],
  [["+", "−", "0"], "zoom in, zoom out, show everything", ["+", "=", "-", "0"]],
  [["↑", "↓"], "the lane above or below", ["ArrowUp", "ArrowDown"]],
  [["M", "S"], "mute or solo the focused lane", ["m", "s"]],
  [["1", "…", "9"], "solo this lane, again to end", []],
  [["<", ">"], "slower, faster", ["<", ">"]],
  [["Esc"], "end the loop, leave the lane", ["Escape"]],
  [["?"], "this help", ["?"]],
];

function fillKeys(list) {
  for (const [keys, does] of KEYS) {
    list.append(make("dt", {}, ...keys.map((key) => (key === "…" ? " … " : make("kbd", {}, key)))), make("dd", {}, does));
  }
}

/** actions: by key as the browser names it, called with the event. */
function listenToKeys(actions) {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    const { target } = event;
    const typing = target.matches("select, input[type=range]") && (event.key.startsWith("Arrow") || event.key === "Home" || event.key === "End");
    const pressing = target.matches("button, a, input[type=checkbox], select") && event.key === " ";
    const action = actions[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (typing || pressing || !action) return;
    event.preventDefault();
    action(event);
  });
}
