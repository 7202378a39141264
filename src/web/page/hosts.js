// Who uses what.

import { ask } from "/api.js";
import { el, setText } from "/dom.js";
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

export function show(main) {
  let sort = 1;
  const rows = new Map();
  const heads = COLUMNS.map(([name, , isNumber], at) => {
    const button = el("button", { type: "button", class: "sort", on: { click: () => order(at) } }, name);
    return el(
      "th",
      { scope: "col", class: isNumber && "number", "aria-sort": at === sort ? "descending" : null },
      button,
    );
  });
  const body = el("tbody", {});
  const note = el("p", { class: "quiet" }, "Asking …");
  let said = null;
  let timer = null;
  const control = new AbortController();
  const draw = () => {
    const value = COLUMNS[sort][1];
    const isWord = sort === 0;
    const hosts = said.hosts.toSorted((one, other) =>
      isWord
        ? String(value(one)).localeCompare(String(value(other)), "en", { numeric: true })
        : value(other) - value(one),
    );
    if (total(said.others) > 0 || said.others.sessions > 0) hosts.push(said.others);
    hosts.forEach((host, at) => {
      const key = host.address ?? "";
      if (!rows.has(key)) rows.set(key, row());
      drawRow(rows.get(key), host);
      if (body.children[at] !== rows.get(key).place) body.insertBefore(rows.get(key).place, body.children[at] ?? null);
    });
    while (body.children.length > hosts.length) body.lastElementChild.remove();
    const all = live.status ? ` “In all” is since the router started, ${span(live.status.uptime_seconds)} ago.` : "";
    const limit = said.limits.sessions
      ? ` One host may have ${said.limits.sessions.toLocaleString("en")} connections.`
      : "";
    setText(note, `${count(said.hosts.length, "host")}. “Today” is since midnight.${all}${limit}`);
  };
  const order = (at) => {
    sort = at;
    heads.forEach((head, number) =>
      number === at
        ? head.setAttribute("aria-sort", at === 0 ? "ascending" : "descending")
        : head.removeAttribute("aria-sort"),
    );
    if (said) draw();
  };
  const look = async () => {
    try {
      said = await ask("/v1/hosts", { signal: control.signal });
      draw();
    } catch (refusal) {
      if (refusal.name === "AbortError") return;
      setText(note, refusal.message);
    }
    if (!control.signal.aborted) timer = setTimeout(look, AGAIN);
  };
  main.append(
    note,
    el(
      "section",
      { class: "box flush" },
      el(
        "div",
        { class: "scroll", tabindex: "0", role: "region", "aria-label": "Hosts" },
        el(
          "table",
          { class: "hosts" },
          el("caption", { class: "unseen" }, "Hosts and what they use"),
          el("thead", {}, el("tr", {}, heads)),
          body,
        ),
      ),
    ),
  );
  look();
  return () => {
    control.abort();
    clearTimeout(timer);
  };
}
