// How lines did: rates, loss, round trips over an hour, a day, a month, a year.

import { ask } from "/api.js";
import { choice, el, field } from "/dom.js";
import { live } from "/live.js";
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

export function show(main, { query }) {
  const wanted = { span: query.get("span") ?? "hour", uplink: query.get("line") ?? "" };
  const plots = el("div", { class: "plots" });
  const problem = el("p", { class: "problem-box", role: "alert", hidden: true });
  const names = live.status?.uplinks.map((line) => line.name) ?? [];
  if (wanted.uplink && !names.includes(wanted.uplink)) names.push(wanted.uplink);
  const select = choice([["", "all lines"], ...names.map((name) => [name, name])], wanted.uplink);
  let request = new AbortController();
  let timer = null;
  const draw = async () => {
    clearTimeout(timer);
    request.abort();
    request = new AbortController();
    const asked = request;
    try {
      const line = wanted.uplink ? `&uplink=${encodeURIComponent(wanted.uplink)}` : "";
      const said = await ask(`/v1/history?span=${wanted.span}${line}`, { signal: asked.signal });
      // Who reads a table is not disturbed.
      if (!plots.querySelector("details[open]"))
        plots.replaceChildren(...(said.uplinks ? plotsOfAll(said.uplinks) : plotsOf(said.points)));
      problem.hidden = true;
    } catch (refusal) {
      if (refusal.name === "AbortError") return;
      problem.textContent = refusal.message;
      problem.hidden = false;
    }
    if (!asked.signal.aborted) timer = setTimeout(draw, AGAIN);
  };
  const choose = () => {
    const line = wanted.uplink ? `&line=${encodeURIComponent(wanted.uplink)}` : "";
    globalThis.history.replaceState(null, "", `#/history?span=${wanted.span}${line}`);
    plots.querySelectorAll("details").forEach((one) => (one.open = false));
    draw();
  };
  select.addEventListener("change", () => {
    wanted.uplink = select.value;
    choose();
  });
  const controls = el(
    "div",
    { class: "row tools" },
    field("Line", select),
    spans(wanted.span, (span) => {
      wanted.span = span;
      choose();
    }),
  );
  main.append(controls, problem, plots);
  draw();
  return () => {
    request.abort();
    clearTimeout(timer);
  };
}
