// All connections, in a list of which only what is seen is drawn, so that ten thousand are as smooth as ten.

import { ask } from "/api.js";
import { choice, el, field, setAttribute, setText, table } from "/dom.js";
import { live } from "/live.js";
import { amount, count, rate, span } from "/words.js";

export const title = "Flows";

/** Height of a row, in pixels, as in the style sheet; narrow screens have two lines a row. */
const ROW = () => (matchMedia("(max-width: 54rem)").matches ? 64 : 40);
/** Flows that are asked for at once. */
const MOST = 20_000;
/** Many flows are asked for less often: the answer is long. In milliseconds. */
const again = (number) => (number < 2000 ? 4000 : 15_000);

const REASONS = {
  soonest: "a typical transfer was expected to be done soonest there",
  "fewest-flows": "it asks for little, and that line had the fewest flows",
  "only-line": "it could have no other",
  mapping: "the host's port is mapped there",
  sticky: "the host's connections to that site have that line",
  rescued: "the line that it had at first did not answer",
  moved: "the line that it had was lost",
  inbound: "it came in by that line",
  unknown: "an earlier run of the router has decided that",
};

const COLUMNS = [
  ["host", "Host", (flow) => flow.host],
  ["remote", "Far end", (flow) => flow.remote],
  ["protocol", "Protocol", (flow) => flow.protocol],
  ["uplink", "Line", (flow) => flow.uplink],
  ["state", "State", (flow) => flow.state],
  ["in", "In", (flow) => flow.in.bytes, amount],
  ["out", "Out", (flow) => flow.out.bytes, amount],
  ["age", "Age", (flow) => flow.age_seconds, span],
];

const keyOf = (flow) => `${flow.protocol} ${flow.host} ${flow.remote}`;

/** The search box: every word must be somewhere in a flow. */
const matches = (words) => (flow) => words.every((word) => flow.text.includes(word));

/** A list that draws what is seen of `rows`, as a grid that the keyboard moves in. */
class VirtualList {
  constructor(open) {
    this.rows = [];
    this.active = -1;
    this.open = open;
    this.pool = [];
    this.filler = el("div", { class: "filler", role: "presentation" });
    this.frame = el(
      "div",
      { class: "list", role: "rowgroup", tabindex: "0", "aria-label": "Connections; arrow keys move, Enter says why" },
      this.filler,
    );
    this.frame.addEventListener("scroll", () => this.later(), { passive: true });
    this.frame.addEventListener("keydown", (key) => this.move(key));
    this.frame.addEventListener("click", (click) => {
      const row = click.target.closest("[data-at]");
      if (row) this.choose(Number(row.dataset.at), true);
    });
    this.resize = new ResizeObserver(() => this.later());
    this.resize.observe(this.frame);
  }

  show(rows) {
    const was = this.rows[this.active] && keyOf(this.rows[this.active]);
    this.rows = rows;
    this.active = was ? rows.findIndex((flow) => keyOf(flow) === was) : -1;
    this.later();
  }

  later() {
    this.waits ??= requestAnimationFrame(() => {
      this.waits = null;
      this.draw();
    });
  }

  draw() {
    const height = ROW();
    const size = `${this.rows.length * height}px`;
    if (this.filler.style.height !== size) this.filler.style.height = size;
    const first = Math.max(0, Math.floor(this.frame.scrollTop / height) - 6);
    const shown = Math.min(this.rows.length - first, Math.ceil(this.frame.clientHeight / height) + 12);
    while (this.pool.length < shown) this.pool.push(this.make());
    this.pool.forEach((row, at) => this.fill(row, at < shown ? first + at : -1, height));
    const active = this.pool.find((row) => !row.hidden && row.dataset.at === String(this.active));
    setAttribute(this.frame, "aria-activedescendant", active?.id);
  }

  make() {
    const cells = COLUMNS.map(([key]) => el("span", { role: "cell", class: `cell f-${key}` }));
    const row = el("div", { role: "row", class: "flow", id: `flow-${this.pool.length}` }, cells);
    this.filler.append(row);
    return row;
  }

  fill(row, at, height) {
    row.hidden = at < 0;
    if (at < 0) return;
    const flow = this.rows[at];
    row.style.transform = `translateY(${at * height}px)`;
    row.dataset.at = String(at);
    setAttribute(row, "aria-rowindex", at + 2);
    row.classList.toggle("active", at === this.active);
    COLUMNS.forEach(([, , value, format], column) =>
      setText(row.children[column], format ? format(value(flow)) : value(flow)),
    );
  }

  choose(at, isOpened) {
    this.active = Math.max(0, Math.min(this.rows.length - 1, at));
    const height = ROW();
    const top = this.active * height;
    if (top < this.frame.scrollTop) this.frame.scrollTop = top;
    else if (top + height > this.frame.scrollTop + this.frame.clientHeight)
      this.frame.scrollTop = top + height - this.frame.clientHeight;
    this.draw();
    if (isOpened && this.rows[this.active]) this.open(this.rows[this.active]);
  }

  move(key) {
    const page = Math.max(1, Math.floor(this.frame.clientHeight / ROW()) - 1);
    const steps = {
      ArrowDown: this.active + 1,
      ArrowUp: this.active - 1,
      PageDown: this.active + page,
      PageUp: this.active - page,
      Home: 0,
      End: this.rows.length - 1,
    };
    if (key.key in steps) this.choose(steps[key.key], false);
    else if (key.key === "Enter" && this.active >= 0) this.choose(this.active, true);
    else return;
    key.preventDefault();
  }
}

const pair = (name, value) => value && el("div", {}, el("dt", {}, name), el("dd", {}, value));

function compared(candidates) {
  const rows = candidates.map((one) => [
    one.uplink,
    `${one.expected_ms.toFixed(1)} ms`,
    rate(one.share_bits_per_second) + (one.bounded_by_loss ? " (bounded by loss)" : ""),
    String(one.transfers),
    String(one.flows),
    `${one.round_trip_ms} ms`,
  ]);
  return [
    el("h3", {}, "Lines that were compared, as things were then"),
    table("Lines that were compared", ["Line", "Done in", "Its share", "Transfers", "Flows", "Round trip"], rows),
  ];
}

/** Why a flow has its line, in a dialog. */
async function why(flow) {
  const body = el("div", { class: "stack" }, el("p", { class: "quiet" }, "Asking …"));
  const close = el("button", { type: "button", on: { click: () => dialog.close() } }, "Close");
  const dialog = el(
    "dialog",
    { class: "wide", "aria-labelledby": "why-title" },
    el("h2", { id: "why-title" }, `${flow.host} to ${flow.remote}`),
    body,
    el("div", { class: "buttons" }, close),
  );
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
  close.focus();
  try {
    const query = new URLSearchParams({ host: flow.host, remote: flow.remote, protocol: flow.protocol });
    const [found] = (await ask(`/v1/why?${query}`)).flows;
    if (!found) return body.replaceChildren(el("p", {}, "This connection has ended."));
    const facts = el(
      "dl",
      { class: "facts" },
      pair("Line", found.uplink),
      pair("Why", REASONS[found.reason] ?? found.reason),
      pair("Rule", found.rule ?? "none"),
      pair("Class", `${found.class}${found.bulky ? ", bulky" : ""}`),
      pair("Seen outside as", found.external),
      pair("Opened by", found.direction === "inbound" ? "the far end" : "the host"),
      pair("State", found.state),
      pair("Carried", `${amount(found.in.bytes)} in, ${amount(found.out.bytes)} out`),
      pair("Ends", `in ${span(found.expires_in_seconds)}, if nothing more comes`),
    );
    return body.replaceChildren(facts, ...(found.candidates?.length ? compared(found.candidates) : []));
  } catch (refusal) {
    return body.replaceChildren(el("p", { class: "problem-box", role: "alert" }, refusal.message));
  }
}

/** A flow with all that one can look for, in small letters. */
const searchable = (flow) =>
  Object.assign(flow, {
    text: `${flow.protocol} ${flow.host} ${flow.remote} ${flow.external} ${flow.uplink} ${flow.state} ${flow.rule ?? ""} ${flow.class}`.toLowerCase(),
  });

export function show(main, { query }) {
  const wanted = { words: [], line: query.get("line") ?? "", protocol: "", sort: 5, isUp: false };
  let flows = [];
  let timer = null;
  const control = new AbortController();
  const list = new VirtualList(why);
  const note = el("p", { class: "quiet", role: "status" }, "Asking …");
  const names = live.status?.uplinks.map((line) => line.name) ?? [];
  const words = el("input", { type: "search", autocomplete: "off", value: query.get("host") ?? "" });
  const line = choice(
    [["", "all lines"], ...[...new Set([...names, wanted.line])].filter(Boolean).map((name) => [name, name])],
    wanted.line,
  );
  const protocol = choice(
    [
      ["", "all"],
      ["tcp", "TCP"],
      ["udp", "UDP"],
      ["icmp", "ICMP"],
    ],
    "",
  );
  const heads = COLUMNS.map(([key, name], at) =>
    el(
      "span",
      { role: "columnheader", class: `cell f-${key}` },
      el("button", { type: "button", class: "sort", on: { click: () => order(at) } }, name),
    ),
  );
  const grid = el(
    "div",
    { class: "flows box flush", role: "table", "aria-label": "Connections" },
    el("div", { role: "rowgroup" }, el("div", { role: "row", class: "flow head", "aria-rowindex": "1" }, heads)),
    list.frame,
  );
  const draw = () => {
    const isMatch = matches(wanted.words);
    const value = COLUMNS[wanted.sort][2];
    const sign = wanted.isUp ? 1 : -1;
    const found = flows.filter(
      (flow) =>
        (!wanted.line || flow.uplink === wanted.line) &&
        (!wanted.protocol || flow.protocol === wanted.protocol) &&
        isMatch(flow),
    );
    found.sort((one, other) => {
      const [left, right] = [value(one), value(other)];
      return sign * (left < right ? -1 : left > right ? 1 : 0);
    });
    setAttribute(grid, "aria-rowcount", found.length + 1);
    heads.forEach((head, at) =>
      setAttribute(head, "aria-sort", at === wanted.sort ? (wanted.isUp ? "ascending" : "descending") : null),
    );
    list.show(found);
    setText(
      note,
      found.length === flows.length
        ? `${count(flows.length, "connection")}. Choose one to see why it has its line.`
        : `${found.length.toLocaleString("en")} of ${count(flows.length, "connection")}.`,
    );
  };
  const order = (at) => {
    wanted.isUp = wanted.sort === at ? !wanted.isUp : at < 5;
    wanted.sort = at;
    draw();
  };
  const filter = () => {
    wanted.words = words.value.toLowerCase().split(/\s+/).filter(Boolean);
    wanted.line = line.value;
    wanted.protocol = protocol.value;
    draw();
  };
  const look = async () => {
    clearTimeout(timer);
    try {
      ({ flows } = await ask(`/v1/flows?limit=${MOST}`, { signal: control.signal }));
      flows.forEach(searchable);
      draw();
    } catch (refusal) {
      if (refusal.name === "AbortError") return;
      setText(note, refusal.message);
    }
    if (!control.signal.aborted) timer = setTimeout(look, again(flows.length));
  };
  words.addEventListener("input", filter);
  line.addEventListener("change", filter);
  protocol.addEventListener("change", filter);
  wanted.words = words.value.toLowerCase().split(/\s+/).filter(Boolean);
  main.append(
    el(
      "div",
      { class: "row tools" },
      field("Find", words),
      field("Line", line),
      field("Protocol", protocol),
      el("button", { type: "button", on: { click: look } }, "Look again"),
    ),
    note,
    grid,
  );
  look();
  return () => {
    control.abort();
    clearTimeout(timer);
    list.resize.disconnect();
  };
}
