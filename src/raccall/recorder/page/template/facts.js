// What is known about the recording besides its sound: badges at the top, what happened, how it was received.

/** [text, kind, explanation] of each badge: "", "fair" or "bad". */
function badgesOf({ summary, lanes, mix }) {
  const lost = summary.lost_in_network + summary.lost_in_kernel + summary.lost_in_tap;
  const packets = summary.people.reduce((sum, person) => sum + person.packets, 0);
  const loss = packets ? (100 * lost) / (packets + lost) : 0;
  const here = summary.lost_in_kernel + summary.lost_in_tap;
  const { damage } = summary;
  const damaged = damage.journal_places + damage.journal_packets + damage.event_lines;
  return [
    [timeText(summary.duration_s), "", "Length"],
    [lanes.length === 1 ? "1 person" : `${lanes.length} people`, "", "Who was heard"],
    [`${percentText(loss)} lost`, loss >= 5 ? "bad" : loss >= 1 ? "fair" : "", "Packets that never reached the recorder, of all"],
    ...(here ? [[`${plural(here, "packet")} lost here`, "bad", "The recording machine was too busy"]] : []),
    ...(damaged ? [["damaged", "bad", `${damage.journal_bytes} bytes of the journal could not be read`]] : []),
    ...(summary.complete ? [] : [["cut short", "bad", "The recorder was stopped before it could write its end"]]),
    ...(mix ? [] : [["no mix", "fair", "There is no file of everyone together"]]),
  ];
}

/** Corrections stand in their lanes: there may be thousands. */
function fillHappened(list, happenings, seek) {
  const told = happenings.filter(({ kind }) => kind !== "shift");
  const rows = told.map((happening) => {
    const button = make("button", {}, timeText(happening.at));
    button.addEventListener("click", () => seek(happening.at));
    const row = make("li", { class: happening.kind }, button, make("bdi", {}, happening.text));
    return [happening, row];
  });
  list.replaceChildren(...rows.map(([, row]) => row));
  if (rows.length === 0) list.append(make("li", { class: "quiet" }, "Nobody came, left or wrote."));
  return new Map(rows);
}

const COLUMNS = [
  ["Talked", (person, lane) => lengthText(lane.talk.reduce((sum, [begin, end]) => sum + end - begin, 0))],
  ["Packets", (person) => person.packets.toLocaleString()],
  ["Lost", (person) => `${person.lost.toLocaleString()} (${percentText(person.loss_pct)})`],
  ["Recovered", (person) => lengthText(person.recovered_s)],
  ["Concealed", (person) => lengthText(person.concealed_s)],
  ["Late", (person) => person.late.toLocaleString()],
  ["Drift", (person) => (person.drift_ppm === null ? "–" : `${Math.round(person.drift_ppm) || 0} ppm`)],
  ["Connections", (person) => person.sources.toLocaleString()],
];

function fillReceived(table, lanes) {
  const head = make("tr", {}, make("th", { scope: "col" }, "Who"), ...COLUMNS.map(([title]) => make("th", { scope: "col" }, title)));
  const rows = lanes.map((lane) => {
    const cells = COLUMNS.map(([, text]) => make("td", {}, text(lane.facts.person, lane)));
    return make("tr", {}, make("th", { scope: "row" }, make("bdi", {}, lane.name)), ...cells);
  });
  table.replaceChildren(make("thead", {}, head), make("tbody", {}, ...rows));
}
