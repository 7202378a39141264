// The page of potatoes: listens to the router and draws what it says. Nothing is fetched from anywhere else.

const byId = (id) => document.getElementById(id);

/** How a line's state looks, and what it is called. */
const LOOKS = {
  up: ["marching", "up"],
  standby: ["waiting", "standby"],
  testing: ["spinning", "testing"],
  connecting: ["spinning", "connecting"],
  lame: ["queasy", "lame"],
  down: ["lying", "down by hand"],
  "no-carrier": ["lying", "no carrier"],
  missing: ["missing", "missing"],
};

/** How long an entry of the feed stays, and how many there are at most. */
const FEED_STAYS = 600_000;
const FEED_MOST = 6;
/** Events that the page shows. */
const EVENTS_SHOWN = 60;

const lines = new Map();
const events = [];
let report = null;
let chosen = null;

const element = (name, className, text) => {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
};

const setText = (place, text) => {
  if (place.textContent !== text) place.textContent = text;
};

const rate = (bits) => {
  for (const [unit, size] of [["Gbit/s", 1e9], ["Mbit/s", 1e6], ["kbit/s", 1e3]]) {
    if (bits >= size) return `${(bits / size).toFixed(bits >= 10 * size ? 0 : 1)} ${unit}`;
  }
  return `${bits} bit/s`;
};

const amount = (bytes) => {
  for (const [unit, size] of [["TB", 1e12], ["GB", 1e9], ["MB", 1e6], ["kB", 1e3]]) {
    if (bytes >= size) return `${(bytes / size).toFixed(1)} ${unit}`;
  }
  return `${bytes} B`;
};

const percent = (value) => (value === null || value === undefined ? "–" : `${value} %`);

const TRENDS = { rising: "↗", steady: "→", falling: "↘" };

/** The card of a line, made once. */
function cardOf(name) {
  const place = element("li");
  const card = element("button", "card");
  card.type = "button";
  card.setAttribute("aria-controls", "detail");
  card.append(byId("potato").content.cloneNode(true));
  const parts = { place, card };
  const head = element("span", "name");
  parts.name = element("span", "", name);
  parts.tag = element("span", "tag");
  parts.tag.hidden = true;
  head.append(parts.name, parts.tag);
  parts.state = element("span", "state");
  const rates = element("span", "rates");
  parts.down = element("span");
  parts.up = element("span");
  rates.append(parts.down, parts.up);
  const quality = element("span", "quality");
  parts.loss = element("span");
  parts.delay = element("span");
  parts.flows = element("span");
  quality.append(parts.loss, parts.delay, parts.flows);
  parts.problem = element("span", "problem");
  card.append(head, parts.state, rates, quality, parts.problem);
  card.addEventListener("click", () => choose(chosen === name ? null : name));
  place.append(card);
  return parts;
}

function drawLine(line) {
  if (!lines.has(line.name)) lines.set(line.name, cardOf(line.name));
  const parts = lines.get(line.name);
  const [look, called] = LOOKS[line.state] ?? ["spinning", line.state];
  parts.card.dataset.look = look;
  const role = line.role ?? "balanced";
  parts.card.dataset.role = role;
  parts.tag.hidden = role === "balanced";
  setText(parts.tag, role);
  const by = line.taken_down_by ? ` (${line.taken_down_by})` : "";
  setText(parts.state, called + by);
  setText(parts.down, `↓ ${rate(line.in.bits_per_second)}`);
  setText(parts.up, `↑ ${rate(line.out.bits_per_second)}`);
  const health = line.health;
  const trend = health?.trend ? ` ${TRENDS[health.trend] ?? ""}` : "";
  setText(parts.loss, `loss ${percent(health?.loss_15s_percent)}${trend}`);
  setText(parts.delay, health?.round_trip_ms ? `${health.round_trip_ms.median} ms` : "– ms");
  setText(parts.flows, `${line.flows} connection${line.flows === 1 ? "" : "s"}`);
  setText(parts.problem, line.problem ?? "");
  return parts;
}

function drawLines(uplinks) {
  const list = byId("lines");
  uplinks.forEach((line, at) => {
    const { place } = drawLine(line);
    if (list.children[at] !== place) list.insertBefore(place, list.children[at] ?? null);
  });
  const names = new Set(uplinks.map((line) => line.name));
  for (const [name, parts] of lines) {
    if (!names.has(name)) {
      parts.place.remove();
      lines.delete(name);
    }
  }
}

function drawSummary(status) {
  const working = status.uplinks.filter((line) => line.state === "up").length;
  const total = (way) => status.uplinks.reduce((sum, line) => sum + line[way].bits_per_second, 0);
  const flows = status.engine.flows;
  setText(byId("summary"), `${working} of ${status.uplinks.length} lines up, ${flows} connections, ↓ ${rate(total("in"))} ↑ ${rate(total("out"))}`);
  document.title = `Potato: ${working} of ${status.uplinks.length} lines up`;
}

function choose(name) {
  const before = chosen;
  chosen = name;
  for (const [other, parts] of lines) parts.card.setAttribute("aria-expanded", String(other === name));
  byId("detail").hidden = name === null;
  if (name === null) {
    lines.get(before)?.card.focus();
    return;
  }
  drawDetail();
  byId("detail").scrollIntoView({ block: "nearest" });
}

function drawDetail() {
  const line = report?.uplinks.find((one) => one.name === chosen);
  if (!line) {
    if (chosen !== null) choose(null);
    return;
  }
  setText(byId("detail-title"), line.name);
  const health = line.health;
  const facts = [
    ["State", (LOOKS[line.state] ?? ["", line.state])[1]],
    ["Interface", line.interface || "–"],
    ["Kind", line.kind],
    ["Address", line.address ?? "–"],
    ["Gateway", line.gateway ? `${line.gateway}${line.gateway_mac ? ` (${line.gateway_mac})` : ""}` : "–"],
    ["Loss", health ? `15 s ${percent(health.loss_15s_percent)}, 1 min ${percent(health.loss_1m_percent)}, 5 min ${percent(health.loss_5m_percent)}` : "–"],
    ["Round trip", health?.round_trip_ms ? `median ${health.round_trip_ms.median} ms, 99 of 100 within ${health.round_trip_ms.p99} ms` : "–"],
    ["Connections", String(line.flows)],
    ["Received", amount(line.in.bytes)],
    ["Sent", amount(line.out.bytes)],
    ["Dropped", Object.entries(line.drops).map(([reason, count]) => `${count} ${reason}`).join(", ") || "nothing"],
  ];
  const list = byId("detail-facts");
  facts.forEach(([what, value], at) => {
    if (!list.children[2 * at]) list.append(element("dt"), element("dd"));
    setText(list.children[2 * at], what);
    setText(list.children[2 * at + 1], value);
  });
  drawEvents(byId("detail-events"), events.filter((event) => event.uplink === line.name).slice(-8));
}

/** An event as people say it: who, what, why; and how good that is. */
function told(event) {
  const tone = (state) => ({ up: "good", standby: "good", lame: "warn", testing: "", connecting: "warn" })[state] ?? "bad";
  const because = event.cause ? `: ${event.cause}` : "";
  const by = event.by ? `${event.by} ` : "";
  switch (event.event) {
    case "uplink-changed":
      return [tone(event.to), `${event.uplink} [${event.to === "missing" ? "stick pulled" : event.to}]${because}`];
    case "link-ordered":
      return [event.to === "up" ? "good" : "warn", `${by}[${event.to}] ${event.uplink}`];
    case "no-uplink":
      return ["bad", `no line works${because}`];
    case "uplink-back":
      return ["good", `${event.uplink} [back]: a line works again`];
    case "flows-ended":
      return ["warn", `${event.uplink}${because}`];
    case "router-started":
      return ["good", `router started (${event.to})`];
    case "router-stopped":
      return ["warn", `router stopped${because}`];
    default:
      return ["", `${by}${event.uplink ? `${event.uplink} ` : ""}[${event.event.replaceAll("-", " ")}]${event.to ? ` ${event.to}` : ""}${because}`];
  }
}

function drawEvents(list, shown) {
  const rows = shown.toReversed().map((event) => {
    const row = element("li");
    row.dataset.id = event.id;
    const time = element("time", "", new Date(event.time).toLocaleString());
    time.dateTime = event.time;
    const [tone, text] = told(event);
    row.append(time, element("span", tone, text));
    return row;
  });
  const newest = rows[0]?.dataset.id;
  if (list.children.length !== rows.length || list.children[0]?.dataset.id !== newest) list.replaceChildren(...rows);
}

function takeEvent(event, isNews) {
  if (events.length > 0 && event.id <= events[events.length - 1].id) return;
  events.push(event);
  events.splice(0, events.length - EVENTS_SHOWN);
  if (!isNews) return;
  const [tone, text] = told(event);
  const entry = element("p", `fresh ${tone}`, text);
  const feed = byId("feed");
  feed.append(entry);
  while (feed.children.length > FEED_MOST) feed.firstElementChild.remove();
  setTimeout(() => entry.remove(), FEED_STAYS);
}

function contact(state, text) {
  byId("contact").dataset.contact = state;
  setText(byId("contact"), text);
}

// The browser connects again by itself, and says which event it has seen last.
const source = new EventSource("/live");
source.addEventListener("open", () => contact("live", "live"));
source.addEventListener("error", () => contact("lost", "no contact with the router; trying again"));
source.addEventListener("status", (message) => {
  report = JSON.parse(message.data);
  contact("live", "live");
  drawLines(report.uplinks);
  drawSummary(report);
  drawDetail();
});
source.addEventListener("past", (message) => {
  takeEvent(JSON.parse(message.data), false);
  drawEvents(byId("events"), events);
});
source.addEventListener("event", (message) => {
  takeEvent(JSON.parse(message.data), true);
  drawEvents(byId("events"), events);
  drawDetail();
});
byId("detail-close").addEventListener("click", () => choose(null));
document.addEventListener("keydown", (key) => {
  if (key.key === "Escape" && chosen !== null) choose(null);
});
