// Who uses what.

import { again, ask } from "/api.js";
import { el, setAttribute, setText } from "/dom.js";
import { live } from "/live.js";
import { amount, count, rate, span } from "/words.js";

export const title = "Hosts";

/** Between two looks. In milliseconds. */
const AGAIN = 2000;

const total = (host) => host.in.bytes + host.out.bytes;
const speed = (host) => host.in.bits_per_second + host.out.bits_per_second;

/** Columns: name, order, whether it is a number. */
const COLUMNS = [
  ["Host", (host) => host.name ?? host.address],
  ["In", (host) => host.in.bits_per_second, true],
  ["Out", (host) => host.out.bits_per_second, true],
  ["Connections", (host) => host.sessions, true],
  ["Today", usedToday, true],
  ["In all", total, true],
  ["Lines", (host) => host.lines.length],
];

/** What a host has used since midnight by the router's clock; 0 where that is not told. */
function usedToday(host) {
  return (host.today?.in_bytes ?? 0) + (host.today?.out_bytes ?? 0);
}

/** The lines of a host, the busiest first: one entry a line. */
function linesOf(host) {
  const sums = new Map();
  for (const one of host.lines) {
    const sum = sums.get(one.uplink) ?? { bytes: 0, speed: 0 };
    sums.set(one.uplink, { bytes: sum.bytes + total(one), speed: sum.speed + speed(one) });
  }
  const whole = Math.max(
    1,
    [...sums.values()].reduce((sum, one) => sum + one.bytes, 0),
  );
  return [...sums]
    .sort(([, one], [, other]) => other.bytes - one.bytes)
    .map(([name, one]) => ({ name, share: Math.round((100 * one.bytes) / whole), speed: one.speed }));
}

function row() {
  const parts = {
    cells: COLUMNS.map((column, at) =>
      el(at === 0 ? "th" : "td", { scope: at === 0 && "row", class: column[2] && "number" }),
    ),
  };
  parts.place = el("tr", {}, parts.cells);
  return parts;
}

function drawName(cell, host) {
  const key = `${host.name} ${host.address} ${host.mac}`;
  if (cell.dataset.key === key) return;
  cell.dataset.key = key;
  const address = host.address ?? "all others";
  cell.replaceChildren(
    el("a", { href: host.address ? `#/flows?host=${host.address}` : "#/flows" }, host.name ?? address),
    el("small", { class: "below" }, [host.name && host.address, host.mac].filter(Boolean).join(" · ")),
  );
}

function drawRow({ place, cells }, host) {
  drawName(cells[0], host);
  setText(cells[1], rate(host.in.bits_per_second));
  setText(cells[2], rate(host.out.bits_per_second));
  setText(cells[3], String(host.sessions));
  setText(cells[4], host.today ? amount(usedToday(host)) : "–");
  setText(cells[5], amount(total(host)));
  const refused = Object.values(host.refused ?? {}).reduce((sum, number) => sum + number, 0);
  const key =
    linesOf(host)
      .map((line) => `${line.name} ${line.share} %`)
      .join(", ") + (refused ? `; ${count(refused, "connection")} refused by a limit` : "");
  setText(cells[6], key);
  cells[6].className = refused ? "warn" : "";
  place.hidden = false;
}

/** The table of hosts. */
class Table {
  sort = 1;
  said = null;
  rows = new Map();
  body = el("tbody", {});

  constructor() {
    this.heads = COLUMNS.map(([name, , isNumber], at) => {
      const button = el("button", { type: "button", class: "sort", on: { click: () => this.order(at) } }, name);
      return el("th", { scope: "col", class: isNumber && "number" }, button);
    });
    this.mark();
    const caption = el("caption", { class: "unseen" }, "Hosts and what they use");
    const table = el("table", { class: "hosts" }, caption, el("thead", {}, el("tr", {}, this.heads)), this.body);
    const scroll = el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Hosts" }, table);
    this.place = el("section", { class: "box flush" }, scroll);
  }

  /** Says by which column it is ordered. */
  mark() {
    const way = this.sort === 0 ? "ascending" : "descending";
    this.heads.forEach((head, at) => setAttribute(head, "aria-sort", at === this.sort ? way : null));
  }

  order(at) {
    this.sort = at;
    this.mark();
    if (this.said) this.draw(this.said);
  }

  /** All hosts in order, and at the end those that have no row of their own. */
  hosts() {
    const value = COLUMNS[this.sort][1];
    const byName = (one, other) => String(value(one)).localeCompare(String(value(other)), "en", { numeric: true });
    const hosts = this.said.hosts.toSorted(this.sort === 0 ? byName : (one, other) => value(other) - value(one));
    const { others } = this.said;
    return total(others) > 0 || others.sessions > 0 ? [...hosts, others] : hosts;
  }

  draw(said) {
    this.said = said;
    const hosts = this.hosts();
    hosts.forEach((host, at) => {
      const key = host.address ?? "";
      if (!this.rows.has(key)) this.rows.set(key, row());
      const own = this.rows.get(key);
      drawRow(own, host);
      if (this.body.children[at] !== own.place) this.body.insertBefore(own.place, this.body.children[at] ?? null);
    });
    while (this.body.children.length > hosts.length) this.body.lastElementChild.remove();
  }
}

/** What one should know of the numbers. */
function about(said) {
  const all = live.status ? ` “In all” is since the router started, ${span(live.status.uptime_seconds)} ago.` : "";
  const most = said.limits.sessions;
  const limit = most ? ` One host may have ${most.toLocaleString("en")} connections.` : "";
  return `${count(said.hosts.length, "host")}. “Today” is since midnight.${all}${limit}`;
}

export function show(main) {
  const hosts = new Table();
  const note = el("p", { class: "quiet" }, "Asking …");
  main.append(note, hosts.place);
  const look = async (signal) => {
    const said = await ask("/v1/hosts", { signal });
    hosts.draw(said);
    setText(note, about(said));
  };
  return again(
    look,
    () => AGAIN,
    (refusal) => setText(note, refusal.message),
  ).stop;
}
