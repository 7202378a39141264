// How lines did: rates, loss, round trips over an hour, a day, a month, a year.

import { again, ask } from "/api.js";
import { el, field } from "/dom.js";
import { lineChoice } from "/lines.js";
import { plot } from "/plot.js";
import { rate } from "/words.js";

export const title = "History";

const SPANS = [
  ["hour", "Hour"],
  ["day", "Day"],
  ["month", "Month"],
  ["year", "Year"],
];
/** The newest points are asked for again after this. In milliseconds. */
const AGAIN = 15_000;

const column = (points, key) => points.map((point) => [point.time, point[key]]);

/** The three plots of one line. */
export function plotsOf(points, height) {
  return [
    plot({
      title: "Rates",
      series: [
        { name: "in", points: column(points, "in_bps") },
        { name: "out", points: column(points, "out_bps") },
      ],
      format: rate,
      least: 1e5,
      height,
    }),
    plot({
      title: "Loss",
      series: [{ name: "loss", points: column(points, "loss_percent") }],
      format: (value) => `${Math.round(value * 10) / 10} %`,
      least: 4,
      isPercent: true,
      height,
    }),
    plot({
      title: "Round trip",
      series: [{ name: "round trip", points: column(points, "rtt_ms") }],
      format: (value) => `${Math.round(value * 10) / 10} ms`,
      least: 10,
      height,
    }),
  ];
}

/** The plots of all lines side by side. */
function plotsOfAll(uplinks) {
  const series = (key) => Object.entries(uplinks).map(([name, points]) => ({ name, points: column(points, key) }));
  return [
    plot({ title: "In", series: series("in_bps"), format: rate, least: 1e5 }),
    plot({ title: "Out", series: series("out_bps"), format: rate, least: 1e5 }),
    plot({
      title: "Loss",
      series: series("loss_percent"),
      format: (value) => `${Math.round(value * 10) / 10} %`,
      least: 4,
      isPercent: true,
    }),
    plot({
      title: "Round trip",
      series: series("rtt_ms"),
      format: (value) => `${Math.round(value * 10) / 10} ms`,
      least: 10,
    }),
  ];
}

/** Buttons of which one is chosen. */
function spans(chosen, choose) {
  const made = SPANS.map(([value, text]) => {
    const input = el("input", {
      type: "radio",
      name: "span",
      value,
      checked: value === chosen,
      on: { change: () => choose(value) },
    });
    return el("label", {}, input, el("span", {}, text));
  });
  return el("fieldset", { class: "segments" }, el("legend", { class: "unseen" }, "How far back"), made);
}

/** What is asked for, as the answer's and as the page's address have it. */
const address = (path, { span, uplink }, key) =>
  `${path}?span=${span}${uplink ? `&${key}=${encodeURIComponent(uplink)}` : ""}`;

export function show(main, { query }) {
  const wanted = { span: query.get("span") ?? "hour", uplink: query.get("line") ?? "" };
  const plots = el("div", { class: "plots" });
  const problem = el("p", { class: "problem-box", role: "alert", hidden: true });
  const select = lineChoice(wanted.uplink);
  const look = async (signal) => {
    const said = await ask(address("/v1/history", wanted, "uplink"), { signal });
    // Who reads a table is not disturbed.
    if (!plots.querySelector("details[open]"))
      plots.replaceChildren(...(said.uplinks ? plotsOfAll(said.uplinks) : plotsOf(said.points)));
    problem.hidden = true;
  };
  const looking = again(
    look,
    () => AGAIN,
    (refusal) => {
      problem.textContent = refusal.message;
      problem.hidden = false;
    },
  );
  const choose = (change) => {
    Object.assign(wanted, change);
    globalThis.history.replaceState(null, "", address("#/history", wanted, "line"));
    plots.querySelectorAll("details").forEach((one) => (one.open = false));
    looking.now();
  };
  select.addEventListener("change", () => choose({ uplink: select.value }));
  const buttons = spans(wanted.span, (span) => choose({ span }));
  main.append(el("div", { class: "row tools" }, field("Line", select), buttons), problem, plots);
  return looking.stop;
}
