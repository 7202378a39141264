// One line: what it is, how it did, who is on it, and what can be done with it.

import { again, ask } from "/api.js";
import { el, icon, setText, table } from "/dom.js";
import { eventList } from "/events.js";
import { plotsOf } from "/history.js";
import { dress, inStep, potato, stateOf, tagOf } from "/lines.js";
import { live, on } from "/live.js";
import { changeRole, redial, release, reserve, toggle } from "/orders.js";
import { amount, clock, count, milliseconds, percent, person, rate, span, TRENDS } from "/words.js";

/** Flows and the plot are asked for again after this. In milliseconds. */
const AGAIN = 5000;
const FLOWS = 25;

const or = (value, other = "–") => value ?? other;

function lossOf(health) {
  if (!health) return "–";
  const trend = TRENDS[health.trend] ? `, ${TRENDS[health.trend][1]}` : "";
  return `${percent(health.loss_15s_percent)} in 15 s, ${percent(health.loss_1m_percent)} in 1 min, ${percent(health.loss_5m_percent)} in 5 min${trend}`;
}

const roundTripOf = (health) =>
  health?.round_trip_ms
    ? `${milliseconds(health.round_trip_ms.median)}, 99 of 100 within ${milliseconds(health.round_trip_ms.p99)}`
    : "–";

const SOURCES = { given: "as configured", learned: "as learned", reached: "reached so far" };
const capacityOf = (one) =>
  one?.bits_per_second ? `${rate(one.bits_per_second)} (${SOURCES[one.source] ?? one.source})` : "not known yet";

function leaseOf(line) {
  if (line.session)
    return `PPPoE session ${line.session.id} with ${line.session.concentrator || line.session.concentrator_mac}`;
  if (!line.lease) return null;
  return `by DHCP from ${line.lease.server}${line.lease.expires_in_seconds ? `, for ${span(line.lease.expires_in_seconds)} more` : ""}`;
}

const roleOf = (line) =>
  line.role_set_by
    ? `${line.role}, by ${person(line.role_set_by)} (as configured: ${line.role_configured})`
    : line.role || "balanced";

function facts(line) {
  const { health } = line;
  const dropped = Object.entries(line.drops)
    .map(([reason, number]) => `${number} ${reason.replaceAll("_", " ")}`)
    .join(", ");
  return [
    ["Address", or(line.address)],
    ["Gateway", line.gateway ? `${line.gateway}${line.gateway_mac ? ` (${line.gateway_mac})` : ""}` : "–"],
    ["Interface", `${line.interface || "–"} (${line.kind})`],
    ["Lease", leaseOf(line)],
    ["Role", roleOf(line)],
    ["Loss", lossOf(health)],
    ["Round trip", roundTripOf(health)],
    ["Now", `${rate(line.in.bits_per_second)} in, ${rate(line.out.bits_per_second)} out`],
    ["Carried", `${amount(line.in.bytes)} in, ${amount(line.out.bytes)} out`],
    ["Capacity", `${capacityOf(line.capacity?.download)} in, ${capacityOf(line.capacity?.upload)} out`],
    ["Connections", `${line.flows}${line.transfers ? `, ${count(line.transfers, "transfer")}` : ""}`],
    ["Dropped", dropped || "nothing"],
  ].filter(([, value]) => value !== null);
}

function drawFacts(list, line) {
  const all = facts(line);
  if (list.children.length !== all.length)
    list.replaceChildren(...all.map(([name]) => el("div", {}, el("dt", {}, name), el("dd", {}))));
  all.forEach(([name, value], at) => {
    setText(list.children[at].firstChild, name);
    setText(list.children[at].lastChild, value);
  });
}

/** Who has the line for himself. */
function drawReserved(place, line) {
  const key = JSON.stringify(line.reserved ?? []);
  if (place.dataset.key === key) return;
  place.dataset.key = key;
  place.replaceChildren(
    ...(line.reserved ?? []).map((one) =>
      el(
        "li",
        {},
        icon("lock"),
        el(
          "span",
          {},
          el("strong", {}, one.name ?? one.host),
          ` ${one.name ? one.host : ""} by ${one.by}${one.until ? `, until ${clock(one.until)}` : ""}; while the line is down ${one.when_down === "refuse" ? "refused" : "on the other lines"}`,
        ),
        el(
          "button",
          { type: "button", class: "small", on: { click: () => release(line.name, [one.host]) } },
          "Release",
        ),
      ),
    ),
  );
}

const targets = (health) =>
  (health?.targets ?? []).length > 0 &&
  table(
    "Who is asked whether the line works",
    ["Target", "What its silence means", "Loss in 15 s"],
    health.targets.map((one) => [
      one.target,
      { counts: "the line is lame", near: "the gateway is gone", unproven: "nothing yet" }[one.weight] ?? one.weight,
      percent(one.loss_15s_percent),
    ]),
  );

async function drawFlows(place, name, signal) {
  const { flows, limited } = await ask(`/v1/flows?uplink=${encodeURIComponent(name)}&limit=2000`, { signal });
  const busiest = flows
    .sort((one, other) => other.in.bytes + other.out.bytes - one.in.bytes - one.out.bytes)
    .slice(0, FLOWS);
  const rows = busiest.map((flow) => [
    flow.host,
    flow.remote,
    flow.protocol,
    amount(flow.in.bytes),
    amount(flow.out.bytes),
    span(flow.age_seconds),
  ]);
  const all = el(
    "a",
    { href: `#/flows?line=${encodeURIComponent(name)}` },
    `All ${flows.length}${limited ? " and more" : ""}`,
  );
  if (place.contains(document.activeElement)) return;
  place.replaceChildren(
    flows.length === 0
      ? el("p", { class: "quiet" }, "There are none now.")
      : table(
          "Connections on this line that have carried most",
          ["Host", "Far end", "Protocol", "In", "Out", "Age"],
          rows,
        ),
    all,
  );
}

function buttons(name) {
  const made = {
    toggle: el("button", { type: "button", class: "primary", on: { click: () => toggle(name) } }),
    redial: el("button", { type: "button", on: { click: () => redial(name) } }, icon("spin"), "Redial"),
    role: el("button", { type: "button", on: { click: () => changeRole(name) } }, icon("gear"), "Role"),
    reserve: el("button", { type: "button", on: { click: () => reserve(name) } }, icon("lock"), "Reserve"),
    release: el("button", { type: "button", on: { click: () => release(name) } }, icon("unlock"), "Release"),
  };
  for (const [order, button] of Object.entries(made)) button.dataset.order = order;
  return { made, place: el("div", { class: "buttons" }, Object.values(made)) };
}

/** The head of the panel: the potato, how the line is, and what can be done with it. */
class Head {
  constructor(heading, name) {
    this.state = el("p", { class: "state" });
    this.tag = el("span", { class: "tag", hidden: true });
    this.problem = el("p", { class: "warn" });
    this.orders = buttons(name);
    const words = el("div", { class: "line-words" }, heading, this.tag, this.state, this.problem, this.orders.place);
    this.place = el("section", { class: "box line-head" }, el("div", { class: "stage" }, potato()), words);
  }

  /** Draws `line`; without one, `otherwise` is said. */
  draw(line, otherwise) {
    this.orders.place.hidden = !line;
    if (!line) {
      setText(this.state, otherwise);
      return;
    }
    const before = this.place.dataset.look;
    dress(this.place, line);
    if (before !== this.place.dataset.look) inStep();
    setText(this.state, stateOf(line));
    setText(this.tag, tagOf(line));
    this.tag.hidden = tagOf(line) === "";
    setText(this.problem, line.problem ?? "");
    setText(this.orders.made.toggle, line.state === "down" ? "Put it up" : "Take it down");
    this.orders.made.release.hidden = !(line.reserved?.length > 0);
  }
}

/** What is known of the line now. */
class Now {
  facts = el("dl", { class: "facts" });
  reserved = el("ul", { class: "reserved" });
  asked = el("div", {});

  draw(line) {
    drawFacts(this.facts, line);
    drawReserved(this.reserved, line);
    const made = targets(line.health);
    if (!this.asked.contains(document.activeElement)) this.asked.replaceChildren(...(made ? [made] : []));
  }
}

const box = (title, ...children) => el("section", { class: "box" }, el("h2", {}, title), children);

async function drawPlots(place, name, signal) {
  const { points } = await ask(`/v1/history?span=hour&uplink=${encodeURIComponent(name)}`, { signal });
  // Who reads a table is not disturbed.
  if (!place.querySelector("details[open]")) place.replaceChildren(...plotsOf(points, 200));
}

export function show(main, { argument: name }) {
  const head = new Head(main.querySelector("h1"), name);
  const now = new Now();
  const flows = el("div", { class: "stack" }, el("p", { class: "quiet" }, "Asking …"));
  const plots = el("div", { class: "plots three" });
  const longer = el("a", { href: `#/history?span=day&line=${encodeURIComponent(name)}` }, "A day, a month, a year");
  const happened = eventList(() => live.events.filter((event) => event.uplink === name).slice(-15));
  main.append(
    el("a", { class: "back", href: "#/" }, "‹ All lines"),
    head.place,
    box("Now", now.facts, now.reserved, now.asked),
    box("The last hour", plots, longer),
    box("Connections", flows),
    box("Lately", happened.place),
  );
  const draw = (status) => {
    const line = status?.uplinks.find((one) => one.name === name);
    head.draw(line, status ? "There is no such line." : "Asking the router …");
    if (line) now.draw(line);
  };
  draw(live.status);
  const noPlots = (refusal) => plots.replaceChildren(el("p", { class: "quiet" }, refusal.message));
  const stops = [
    on("status", draw),
    on("event", happened.draw),
    on("past", happened.draw),
    again(
      (signal) => drawFlows(flows, name, signal),
      () => AGAIN,
    ).stop,
    again(
      (signal) => drawPlots(plots, name, signal),
      () => 2 * AGAIN,
      noPlots,
    ).stop,
  ];
  return () => stops.forEach((stop) => stop());
}
