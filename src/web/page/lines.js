// All lines, each a potato.

import { byId, choice, el, hidden, icon, setAttribute, setText, svg } from "/dom.js";
import { live, on } from "/live.js";
import { toggle } from "/orders.js";
import { count, look, milliseconds, percent, person, rate, TRENDS } from "/words.js";

export const title = "Lines";

/** Rates that a card draws, one a second. */
const SPARKS = 60;

const sparks = new Map();

/** A potato, as the line's state has it. */
export const potato = () => byId("potato").content.firstElementChild.cloneNode(true);

/** How a line is shown: state, frame, and whether it has a reservation. */
export function dress(place, line) {
  setAttribute(place, "data-look", look(line.state).kind);
  setAttribute(place, "data-tone", look(line.state).tone);
  setAttribute(place, "data-role", (line.role || "balanced").split(" ")[0]);
  setAttribute(place, "data-reserved", line.reserved?.length > 0);
}

/** A choice among all lines, and `chosen`, be there such a line or not. */
export function lineChoice(chosen) {
  const names = live.status?.uplinks.map((line) => line.name) ?? [];
  if (chosen && !names.includes(chosen)) names.push(chosen);
  return choice([["", "all lines"], ...names.map((name) => [name, name])], chosen);
}

/** Brings all that marches into step. */
export function inStep() {
  requestAnimationFrame(() => {
    for (const animation of document.getAnimations()) {
      if (animation.animationName?.startsWith("march")) animation.startTime = 0;
    }
  });
}

function keepRates(status) {
  for (const line of status.uplinks) {
    if (!sparks.has(line.name)) sparks.set(line.name, []);
    const kept = sparks.get(line.name);
    kept.push([line.in.bits_per_second, line.out.bits_per_second]);
    kept.splice(0, kept.length - SPARKS);
  }
}

let kept = 0;
on("status", (status) => {
  // At a change there is a status out of turn.
  if (performance.now() - kept < 800) return;
  kept = performance.now();
  keepRates(status);
});

function sparkPath(values, most) {
  const step = 100 / (SPARKS - 1);
  const from = SPARKS - values.length;
  return values
    .map(
      (value, at) =>
        `${at === 0 ? "M" : "L"}${((from + at) * step).toFixed(1)} ${(23 - (21 * value) / most).toFixed(1)}`,
    )
    .join("");
}

function drawSpark(parts, name) {
  const values = sparks.get(name) ?? [];
  const most = Math.max(1, ...values.flat());
  const back = sparkPath(
    values.map(([value]) => value),
    most,
  );
  setAttribute(parts.sparkIn, "d", back);
  setAttribute(
    parts.sparkFill,
    "d",
    values.length > 1 ? `${back}L100 24L${(100 * (SPARKS - values.length)) / (SPARKS - 1)} 24Z` : "",
  );
  setAttribute(
    parts.sparkOut,
    "d",
    sparkPath(
      values.map(([, value]) => value),
      most,
    ),
  );
}

const figure = (label, spoken) => {
  const value = el("dd", {});
  return { value, place: el("div", {}, el("dt", {}, label, spoken && hidden(` ${spoken}`)), value) };
};

/** The card of a line, made once. */
function card(name) {
  const parts = { potato: potato() };
  parts.toggle = el("button", { type: "button", class: "stage", on: { click: () => toggle(name) } }, parts.potato);
  parts.link = el("a", { href: `#/lines/${encodeURIComponent(name)}` }, name);
  parts.tag = el("span", { class: "tag", hidden: true });
  parts.state = el("p", { class: "state" });
  parts.sparkIn = svg("path", { class: "in" });
  parts.sparkFill = svg("path", { class: "fill" });
  parts.sparkOut = svg("path", { class: "out" });
  const spark = svg(
    "svg",
    { class: "spark", viewBox: "0 0 100 24", preserveAspectRatio: "none", "aria-hidden": "true" },
    parts.sparkFill,
    parts.sparkIn,
    parts.sparkOut,
  );
  parts.down = el("span", {});
  parts.up = el("span", {});
  const rates = el(
    "p",
    { class: "rates" },
    el("span", { class: "in" }, icon("down"), hidden("in "), parts.down),
    el("span", { class: "out" }, icon("up"), hidden("out "), parts.up),
  );
  parts.figures = [figure("15 s", "loss"), figure("1 min", "loss"), figure("5 min", "loss"), figure("RTT", "")];
  const quality = el(
    "dl",
    { class: "quality" },
    parts.figures.map((one) => one.place),
  );
  parts.flows = el("p", { class: "quiet" });
  parts.problem = el("p", { class: "problem" });
  const words = el(
    "div",
    { class: "words" },
    el("h2", {}, parts.link, " ", parts.tag),
    parts.state,
    rates,
    spark,
    el("p", { class: "label" }, "Loss and round trip"),
    quality,
    parts.flows,
    parts.problem,
  );
  parts.place = el("li", { class: "line" }, parts.toggle, words);
  return parts;
}

const grade = (loss) => (loss >= 20 ? "bad" : loss >= 3 ? "warn" : "");

function drawQuality(parts, health) {
  const losses = [health?.loss_15s_percent, health?.loss_1m_percent, health?.loss_5m_percent];
  const [arrow, word] = TRENDS[health?.trend] ?? ["", ""];
  losses.forEach((loss, at) => {
    const { value } = parts.figures[at];
    setText(value, percent(loss) + (at === 0 && arrow ? ` ${arrow}` : ""));
    setAttribute(value, "class", grade(loss ?? 0) || null);
    if (at === 0) setAttribute(value, "title", word && `loss is ${word}`);
  });
  setText(parts.figures[3].value, milliseconds(health?.round_trip_ms?.median));
}

/** What a line is for, in a word; nothing of the usual. */
export const tagOf = (line) =>
  line.reserved?.length > 0 ? "reserved" : line.role && line.role !== "balanced" ? line.role : "";

/** A line's state in words. */
export function stateOf(line) {
  const by = line.state === "down" && line.taken_down_by ? ` (${person(line.taken_down_by)})` : "";
  return look(line.state).called + by;
}

function drawLine(parts, line) {
  const before = parts.place.dataset.look;
  dress(parts.place, line);
  if (before !== parts.place.dataset.look) inStep();
  const order = line.state === "down" ? "put it back up" : "take it down";
  setAttribute(parts.toggle, "aria-label", `${line.name} is ${stateOf(line)}: ${order}`);
  setAttribute(parts.toggle, "title", line.state === "down" ? `Put ${line.name} back up` : `Take ${line.name} down`);
  const tag = tagOf(line);
  parts.tag.hidden = tag === "";
  setText(parts.tag, tag);
  setText(parts.state, stateOf(line));
  setText(parts.down, rate(line.in.bits_per_second));
  setText(parts.up, rate(line.out.bits_per_second));
  drawSpark(parts, line.name);
  drawQuality(parts, line.health);
  setText(parts.flows, count(line.flows, "connection"));
  setText(parts.problem, line.problem ?? "");
}

function summary(status) {
  const working = status.uplinks.filter((line) => line.state === "up").length;
  const total = (way) => status.uplinks.reduce((sum, line) => sum + line[way].bits_per_second, 0);
  const parts = [
    [`${working} of ${status.uplinks.length}`, "lines up"],
    [status.engine.flows.toLocaleString("en"), "connections"],
    [rate(total("in")), "in"],
    [rate(total("out")), "out"],
  ];
  return parts;
}

/** Shows the page; gives what ends it. */
export function show(main) {
  const cards = new Map();
  const list = el("ul", { class: "lines" });
  const facts = el("ul", { class: "summary", "aria-label": "All lines together" });
  const waiting = el("p", { class: "quiet" }, "Asking the router …");
  main.append(facts, waiting, list);
  const draw = (status) => {
    waiting.hidden = true;
    summary(status).forEach(([value, what], at) => {
      if (!facts.children[at]) facts.append(el("li", {}, el("strong", {}), " ", el("span", {})));
      setText(facts.children[at].firstChild, value);
      setText(facts.children[at].lastChild, what);
    });
    const names = new Set(status.uplinks.map((line) => line.name));
    for (const [name, parts] of cards) {
      if (names.has(name)) continue;
      parts.place.remove();
      cards.delete(name);
    }
    status.uplinks.forEach((line, at) => {
      if (!cards.has(line.name)) cards.set(line.name, card(line.name));
      const parts = cards.get(line.name);
      drawLine(parts, line);
      if (list.children[at] !== parts.place) list.insertBefore(parts.place, list.children[at] ?? null);
    });
  };
  if (live.status) draw(live.status);
  return on("status", draw);
}
