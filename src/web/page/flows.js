// All connections, in a list of which only what is seen is drawn, so that ten thousand are as smooth as ten.

import { again, ask } from "/api.js";
import { choice, el, field, setAttribute, setText, table } from "/dom.js";
import { lineChoice } from "/lines.js";
import { amount, count, rate, span } from "/words.js";

export const title = "Flows";

/** Height of a row, in pixels, as in the style sheet; narrow screens have two lines a row. */
const ROW = () => (matchMedia("(max-width: 54rem)").matches ? 64 : 40);
/** Flows that are asked for at once. */
const MOST = 20_000;
/** Many flows are asked for less often: the answer is long. In milliseconds. */
const pause = (number) => (number < 2000 ? 4000 : 15_000);

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

const PROTOCOLS = [
  ["", "all"],
  ["tcp", "TCP"],
  ["udp", "UDP"],
  ["icmp", "ICMP"],
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

/** Which flows are wanted, and in which order. */
class Wanted {
  words = [];
  protocol = "";
  /** The column that they are ordered by: what came in, at first. */
  sort = 5;
  isUp = false;

  constructor(words, line) {
    this.find(words);
    this.line = line;
  }

  find(words) {
    this.words = words.toLowerCase().split(/\s+/).filter(Boolean);
  }

  order(at) {
    // Words go up at first, numbers down.
    this.isUp = this.sort === at ? !this.isUp : at < 5;
    this.sort = at;
  }

  of(flows) {
    const isMatch = matches(this.words);
    const isIts = (flow) => !this.line || flow.uplink === this.line;
    const isSpoken = (flow) => !this.protocol || flow.protocol === this.protocol;
    const value = COLUMNS[this.sort][2];
    const sign = this.isUp ? 1 : -1;
    const compared = (left, right) => sign * (left < right ? -1 : left > right ? 1 : 0);
    const found = flows.filter((flow) => isIts(flow) && isSpoken(flow) && isMatch(flow));
    return found.sort((one, other) => compared(value(one), value(other)));
  }
}

/** The table of flows, with heads that order it. */
class FlowTable {
  list = new VirtualList(why);

  constructor(order) {
    this.heads = COLUMNS.map(([key, name], at) => {
      const button = el("button", { type: "button", class: "sort", on: { click: () => order(at) } }, name);
      return el("span", { role: "columnheader", class: `cell f-${key}` }, button);
    });
    const head = el("div", { role: "row", class: "flow head", "aria-rowindex": "1" }, this.heads);
    this.place = el(
      "div",
      { class: "flows box flush", role: "table", "aria-label": "Connections" },
      el("div", { role: "rowgroup" }, head),
      this.list.frame,
    );
  }

  show(found, { sort, isUp }) {
    const way = isUp ? "ascending" : "descending";
    setAttribute(this.place, "aria-rowcount", found.length + 1);
    this.heads.forEach((head, at) => setAttribute(head, "aria-sort", at === sort ? way : null));
    this.list.show(found);
  }
}

/** What can be wanted: gives the row of fields; `change` is called after each change. */
function tools(wanted, words, change, look) {
  const search = el("input", { type: "search", autocomplete: "off", value: words });
  const line = lineChoice(wanted.line);
  const protocol = choice(PROTOCOLS, wanted.protocol);
  const take = () => {
    wanted.find(search.value);
    Object.assign(wanted, { line: line.value, protocol: protocol.value });
    change();
  };
  search.addEventListener("input", take);
  line.addEventListener("change", take);
  protocol.addEventListener("change", take);
  return el(
    "div",
    { class: "row tools" },
    field("Find", search),
    field("Line", line),
    field("Protocol", protocol),
    el("button", { type: "button", on: { click: look } }, "Look again"),
  );
}

/** How many there are, and how many of them are shown. */
const tally = (found, all) =>
  found === all
    ? `${count(all, "connection")}. Choose one to see why it has its line.`
    : `${found.toLocaleString("en")} of ${count(all, "connection")}.`;

export function show(main, { query }) {
  const words = query.get("host") ?? "";
  const wanted = new Wanted(words, query.get("line") ?? "");
  const note = el("p", { class: "quiet", role: "status" }, "Asking …");
  let flows = [];
  const draw = () => {
    const found = wanted.of(flows);
    grid.show(found, wanted);
    setText(note, tally(found.length, flows.length));
  };
  const grid = new FlowTable((at) => {
    wanted.order(at);
    draw();
  });
  const look = async (signal) => {
    ({ flows } = await ask(`/v1/flows?limit=${MOST}`, { signal }));
    flows.forEach(searchable);
    draw();
  };
  const looking = again(
    look,
    () => pause(flows.length),
    (refusal) => setText(note, refusal.message),
  );
  main.append(tools(wanted, words, draw, looking.now), note, grid.place);
  return () => {
    looking.stop();
    grid.list.resize.disconnect();
  };
}
