// Plots over time, drawn as SVG; the same as a table for those who do not see them.

import { el, svg, table } from "/dom.js";

/** Around the plot, for the axes. In pixels. */
const [LEFT, RIGHT, TOP, BOTTOM] = [74, 8, 10, 24];

/** A round number not below `value`, and the distance of grid lines for it. */
function roundUp(value, isPercent) {
  const size = 10 ** Math.floor(Math.log10(value || 1));
  const digit = [1, 2, 4, 5, 8, 10].find((one) => one * size >= value) ?? 10;
  const most = isPercent ? Math.min(digit * size, 100) : digit * size;
  return { most, step: most / ([5, 10].includes(digit) ? 5 : 4) };
}

/** Where on the axis times are written, and how. */
function timeMarks(from, to, most) {
  const span = to - from;
  const steps = [
    60, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 86_400, 172_800, 432_000, 864_000, 2_592_000, 5_184_000,
  ];
  const step = steps.find((one) => span / one <= most) ?? steps.at(-1);
  const shift = new Date(from * 1000).getTimezoneOffset() * 60;
  const marks = [];
  for (let at = Math.ceil((from - shift) / step) * step + shift; at <= to; at += step) marks.push(at);
  return marks.map((at) => [at, timeText(at, span)]);
}

function timeText(at, span) {
  const when = new Date(at * 1000);
  if (span > 2 * 86_400) return when.toLocaleDateString("en-GB", { day: "numeric", month: "short" });
  return when.toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit" });
}

/** The line through all points; a gap where nothing is known. */
function path(points, x, y) {
  let isDrawing = false;
  let text = "";
  for (const [time, value] of points) {
    if (value === null || value === undefined) {
      isDrawing = false;
      continue;
    }
    text += `${isDrawing ? "L" : "M"}${x(time).toFixed(1)} ${y(value).toFixed(1)}`;
    isDrawing = true;
  }
  return text;
}

const nearest = (points, time) => {
  let [low, high] = [0, points.length - 1];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (points[middle][0] < time) low = middle + 1;
    else high = middle;
  }
  return points[low];
};

/** The frame of a plot of this width: where things are. */
function frame(width, height, { from, to, most }) {
  const [right, bottom] = [width - RIGHT, height - BOTTOM];
  return {
    right,
    bottom,
    x: (time) => LEFT + ((right - LEFT) * (time - from)) / (to - from),
    y: (value) => bottom - ((bottom - TOP) * value) / most,
    timeAt: (x) => from + ((x - LEFT) * (to - from)) / (right - LEFT),
  };
}

function grid({ right, bottom, x, y }, { from, to, most, step }, format) {
  const parts = [];
  for (let value = 0; value <= most * 1.001; value += step) {
    parts.push(svg("line", { class: "grid", x1: LEFT, x2: right, y1: y(value), y2: y(value) }));
    parts.push(svg("text", { class: "axis", x: LEFT - 8, y: y(value) + 4, "text-anchor": "end" }, format(value)));
  }
  for (const [at, text] of timeMarks(from, to, Math.max(2, (right - LEFT) / 75))) {
    parts.push(svg("line", { class: "grid", x1: x(at), x2: x(at), y1: TOP, y2: bottom }));
    if (x(at) < right - 16)
      parts.push(svg("text", { class: "axis", x: x(at), y: bottom + 17, "text-anchor": "middle" }, text));
  }
  return parts;
}

/** Reads the plot under the pointer; `place` says where things are now. */
function reader(drawing, series, place, range, format) {
  const line = svg("line", { class: "cursor", y1: TOP, visibility: "hidden" });
  const readout = el("p", { class: "readout", "aria-hidden": "true" }, "\u00a0");
  drawing.addEventListener("pointermove", (move) => {
    const at = move.clientX - drawing.getBoundingClientRect().left;
    const time = place.timeAt(at);
    if (time < range.from || time > range.to) return;
    for (const [name, value] of [
      ["x1", at],
      ["x2", at],
      ["y2", place.bottom],
      ["visibility", "visible"],
    ])
      line.setAttribute(name, value);
    if (!line.isConnected) drawing.append(line);
    const values = series.map((one) => [one.name, nearest(one.points, time)?.[1]]);
    const said = values.map(
      ([name, value]) => `${name} ${value === null || value === undefined ? "–" : format(value)}`,
    );
    readout.textContent = `${new Date(time * 1000).toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "short" })}: ${said.join(", ")}`;
  });
  drawing.addEventListener("pointerleave", () => {
    line.setAttribute("visibility", "hidden");
    readout.textContent = "\u00a0";
  });
  return readout;
}

/** Points for a width of so many pixels: of all that fall on one, their mean, or of a loss the worst. */
function settled(points, pixels, isPercent) {
  const each = Math.ceil(points.length / Math.max(1, pixels));
  if (each <= 1) return points;
  const all = [];
  for (let at = 0; at < points.length; at += each) {
    const some = points
      .slice(at, at + each)
      .map(([, value]) => value)
      .filter((value) => value !== null && value !== undefined);
    const mean = some.reduce((sum, value) => sum + value, 0) / some.length;
    all.push([points[at][0], some.length === 0 ? null : isPercent ? Math.max(...some) : mean]);
  }
  return all;
}

/** At most `most` rows, spread over all. */
const thinned = (points, most) => points.filter((_, at) => at % Math.max(1, Math.ceil(points.length / most)) === 0);

function asTable(title, series, format, span) {
  const times = thinned(series[0].points, 60).toReversed();
  const rows = times.map(([time]) => [
    timeText(time, span > 86_400 ? span : 0) + (span > 86_400 && span < 3_000_000 ? ` ${timeText(time, 0)}` : ""),
    ...series.map((one) => {
      const value = nearest(one.points, time)?.[1];
      return value === null || value === undefined ? "–" : format(value);
    }),
  ]);
  return table(title, ["Time", ...series.map((one) => one.name)], rows);
}

/** The span of both axes. */
function rangeOf(series, least, isPercent) {
  const from = Math.min(...series.map((one) => one.points[0][0]));
  const to = Math.max(from + 1, ...series.map((one) => one.points.at(-1)[0]));
  let peak = least;
  for (const one of series) for (const [, value] of one.points) if (value > peak) peak = value;
  return { from, to, ...roundUp(peak, isPercent) };
}

/** Which curve is whose; one alone needs none. */
function legend(series) {
  if (series.length < 2) return null;
  const sample = (at) =>
    svg(
      "svg",
      { viewBox: "0 0 24 8", "aria-hidden": "true" },
      svg("path", { class: `curve c${at % 8}`, d: "M1 4H23" }),
    );
  return el(
    "ul",
    { class: "legend" },
    series.map((one, at) => el("li", {}, sample(at), one.name)),
  );
}

/**
 * A plot of `series`, each `{ name, points: [[unix seconds, value | null], ...] }`, with a legend and a table.
 * `least` is the smallest height of its axis, so that a quiet line does not look busy.
 */
export function plot({ title, series, format, least = 0, height = 190, isPercent = false }) {
  const filled = series.filter((one) => one.points.length > 0);
  if (filled.length === 0)
    return el(
      "figure",
      { class: "plot" },
      el("figcaption", {}, title),
      el("p", { class: "quiet" }, "Nothing is known of this time yet."),
    );
  const range = rangeOf(filled, least, isPercent);
  const drawing = svg("svg", { height, role: "img", "aria-label": `${title}; the table below has the numbers` });
  const place = {};
  const draw = (width) => {
    Object.assign(place, frame(width, height, range));
    const curves = filled.map((one, at) =>
      svg("path", {
        class: `curve c${at % 8}`,
        d: path(settled(one.points, width - LEFT, isPercent), place.x, place.y),
      }),
    );
    drawing.replaceChildren(...grid(place, range, format), ...curves);
  };
  draw(460);
  new ResizeObserver(([{ contentRect }]) => contentRect.width > 0 && draw(contentRect.width)).observe(drawing);
  const details = el("details", {}, el("summary", {}, "As a table"));
  details.addEventListener("toggle", () => {
    if (details.open && !details.querySelector("table"))
      details.append(asTable(title, filled, format, range.to - range.from));
  });
  return el(
    "figure",
    { class: "plot" },
    el("figcaption", {}, title),
    legend(filled),
    drawing,
    reader(drawing, filled, place, range, format),
    details,
  );
}
