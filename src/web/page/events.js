// What has happened: the newest events as they come, older ones when asked for.

import { ask } from "/api.js";
import { trying } from "/dialog.js";
import { choice, el, field, icon } from "/dom.js";
import { live, on } from "/live.js";
import { clock, sentence, told } from "/words.js";

export const title = "Events";

/** Older events that come at once. */
const PAGE = 300;
/** Rows that are drawn at most. */
const DRAWN = 1500;

function row(event) {
  const { tone, icon: name, who, what, line } = told(event);
  return el(
    "li",
    { "data-id": event.id },
    el("time", { datetime: event.time, title: event.time }, clock(event.time)),
    el(
      "span",
      { class: `kill ${tone}` },
      el("strong", {}, who),
      " ",
      el("span", { class: "sign" }, icon(name), el("span", {}, `[${what}]`)),
      " ",
      line && el("strong", {}, line),
    ),
    event.by && el("small", {}, event.by),
  );
}

/** A list of events, the newest first; `draw` brings it up to date. */
export function eventList(wanted) {
  const place = el("ol", { class: "events" });
  const draw = () => {
    const events = wanted().toReversed();
    const have = new Map([...place.children].map((one) => [Number(one.dataset.id), one]));
    place.replaceChildren(
      ...(events.length === 0
        ? [el("li", { class: "quiet" }, "Nothing.")]
        : events.map((event) => have.get(event.id) ?? row(event))),
    );
  };
  draw();
  return { place, draw };
}

const KINDS = [
  ["", "everything"],
  ["uplink-changed", "lines that change"],
  ["orders", "what people did"],
  ["trouble", "trouble"],
];

const isTrouble = (event) => ["bad", "warn"].includes(told(event).tone);

/** Whether an event is of the kind, the line and the words that are asked for. */
function fits(event, { kind, line, words }) {
  if (line && event.uplink !== line) return false;
  if (kind === "orders" && !event.by) return false;
  if (kind === "trouble" && !isTrouble(event)) return false;
  if (kind === "uplink-changed" && event.event !== kind) return false;
  return !words || `${sentence(event)} ${event.event} ${event.by ?? ""}`.toLowerCase().includes(words.toLowerCase());
}

export function show(main, { query }) {
  const wanted = { kind: "", line: query.get("line") ?? "", words: "" };
  let older = [];
  const all = () => [...older, ...live.events.filter((event) => older.length === 0 || event.id > older.at(-1).id)];
  const list = eventList(() =>
    all()
      .filter((event) => fits(event, wanted))
      .slice(-DRAWN),
  );
  const kind = choice(KINDS, wanted.kind);
  const names = live.status?.uplinks.map((line) => line.name) ?? [];
  const line = choice([["", "all lines"], ...names.map((name) => [name, name])], wanted.line);
  const words = el("input", { type: "search", autocomplete: "off" });
  const filter = () => {
    Object.assign(wanted, { kind: kind.value, line: line.value, words: words.value });
    list.draw();
  };
  kind.addEventListener("change", filter);
  line.addEventListener("change", filter);
  words.addEventListener("input", filter);
  const more = el("button", { type: "button" }, "Older ones");
  const seen = el("p", { class: "quiet", role: "status" });
  more.addEventListener("click", () =>
    trying(async () => {
      const oldest = all()[0]?.id ?? 1;
      const { events } = await ask(`/v1/events?since=${Math.max(0, oldest - 1 - PAGE)}`);
      older = events;
      list.draw();
      const first = events[0];
      seen.textContent = first ? `Back to ${clock(first.time)}.` : "There are none.";
      more.disabled = !first || first.id >= oldest || oldest - PAGE <= 1;
    }),
  );
  main.append(
    el("div", { class: "row tools" }, field("Show", kind), field("Line", line), field("With the words", words)),
    el("section", { class: "box" }, list.place, el("div", { class: "buttons" }, more, seen)),
  );
  const stops = [on("event", list.draw), on("past", list.draw)];
  return () => stops.forEach((stop) => stop());
}
