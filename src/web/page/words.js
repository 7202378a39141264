// How things are said: rates, amounts, times, states, events.

/** How a line's state looks, what it is called, and how good that is. */
const LOOKS = {
  up: ["marching", "up", "good"],
  standby: ["waiting", "standing by", "good"],
  testing: ["spinning", "testing", "warn"],
  connecting: ["spinning", "connecting", "warn"],
  lame: ["queasy", "lame", "warn"],
  down: ["lying", "down by hand", "bad"],
  "no-carrier": ["lying", "no carrier", "bad"],
  missing: ["missing", "missing", "bad"],
};

export const look = (state) => {
  const [kind, called, tone] = LOOKS[state] ?? ["spinning", state, "warn"];
  return { kind, called, tone };
};

const inUnits = (value, units) => {
  for (const [unit, size] of units)
    if (value >= size) return `${(value / size).toFixed(value >= 10 * size ? 0 : 1)} ${unit}`;
  return null;
};

export const rate = (bits) =>
  inUnits(bits, [
    ["Gbit/s", 1e9],
    ["Mbit/s", 1e6],
    ["kbit/s", 1e3],
  ]) ?? `${Math.round(bits)} bit/s`;

export const amount = (bytes) =>
  inUnits(bytes, [
    ["TB", 1e12],
    ["GB", 1e9],
    ["MB", 1e6],
    ["kB", 1e3],
  ]) ?? `${bytes} B`;

export const percent = (value) => (value === null || value === undefined ? "–" : `${value} %`);

export const milliseconds = (value) => (value === null || value === undefined ? "–" : `${value} ms`);

export const count = (number, one, many = `${one}s`) => `${number.toLocaleString("en")} ${number === 1 ? one : many}`;

/** A span of seconds, roughly. */
export function span(seconds) {
  for (const [unit, size] of [
    ["d", 86400],
    ["h", 3600],
    ["min", 60],
  ])
    if (seconds >= size) return `${Math.floor(seconds / size)} ${unit}`;
  return `${Math.floor(seconds)} s`;
}

/** A time of day, with the date where that is another day. */
export function clock(time) {
  const when = new Date(time);
  const isToday = when.toDateString() === new Date().toDateString();
  const hour = when.toLocaleTimeString("en-GB");
  return isToday ? hour : `${when.toLocaleDateString("en-GB", { day: "numeric", month: "short" })} ${hour}`;
}

export const TRENDS = { rising: ["↗", "rising"], steady: ["→", "steady"], falling: ["↘", "falling"] };

/** People on the machine itself have no name here. */
export const person = (by) => (by?.startsWith("uid ") ? "console" : by);

const STATES = { up: "up", standby: "up", lame: "lame", testing: "spin", connecting: "spin", missing: "plug" };

const because = (event) => (event.cause ? `: ${event.cause}` : "");

/** Kinds of events: icon, how good it is, and what is said of it in brackets. */
const KINDS = {
  "router-started": ["power", "good", (event) => `started${event.to ? `, version ${event.to}` : ""}`],
  "router-stopped": ["power", "warn", (event) => `stopped${because(event)}`],
  "no-uplink": ["down", "bad", () => "no line works"],
  "uplink-back": ["up", "good", () => "a line works again"],
  "flows-ended": ["cut", "warn", (event) => `${count(event.count ?? 0, "connection")} ended${because(event)}`],
  "line-reserved": ["lock", "isolated", (event) => `reserved${event.to ? `: ${event.to}` : ""}`],
  "line-released": ["unlock", "good", (event) => `released${event.to ? `: ${event.to}` : ""}`],
  "reservation-begun": ["lock", "isolated", () => "reservation begun"],
  "reservation-ended": ["unlock", "good", () => "reservation over"],
  "redial-ordered": ["spin", "isolated", (event) => `redial${because(event)}`],
  "role-ordered": ["gear", "isolated", (event) => `role ${event.to}${because(event)}`],
  "reload-ordered": ["spin", "isolated", (event) => `configuration read again${because(event)}`],
  "gateway-moved": ["spin", "warn", (event) => `gateway moved${event.to ? ` to ${event.to}` : ""}`],
  "address-conflict": ["lame", "bad", (event) => `address conflict${because(event)}`],
  "host-limited": ["lock", "warn", (event) => `host over its limit${because(event)}`],
  claimed: ["potato", "good", () => "has claimed this router"],
  "signed-in": ["potato", "quiet", () => "signed in"],
  "signed-out": ["potato", "quiet", () => "signed out"],
  "sign-in-failed": ["lock", "bad", (event) => `sign-in failed${event.to ? ` as ${event.to}` : ""}${because(event)}`],
  "configuration-written": ["gear", "isolated", () => "configuration written"],
  "session-failed": ["down", "warn", (event) => `session failed${because(event)}`],
};

/** An event as people say it: who, an icon, the line, what happened to it; and how good that is. */
export function told(event) {
  const by = person(event.by);
  if (event.event === "uplink-changed") {
    const what = event.to === "missing" ? "stick pulled" : `${look(event.to).called}${because(event)}`;
    return { tone: look(event.to).tone, icon: STATES[event.to] ?? "down", who: event.uplink, what, line: "" };
  }
  if (event.event === "link-ordered") {
    const tone = event.cause ? "quiet" : event.to === "up" ? "good" : "bad";
    return {
      tone,
      icon: event.to === "up" ? "up" : "down",
      who: by,
      what: `${event.to}${because(event)}`,
      line: event.uplink,
    };
  }
  const [icon, tone, say] = KINDS[event.event] ?? [
    "info",
    "quiet",
    (one) => `${one.event.replaceAll("-", " ")}${one.to ? ` ${one.to}` : ""}${because(one)}`,
  ];
  const who = by ?? event.uplink ?? "router";
  return { tone, icon, who, what: say(event), line: by ? (event.uplink ?? "") : "" };
}

/** The same in one line of text. */
export function sentence(event) {
  const { who, what, line } = told(event);
  return `${who} [${what}]${line ? ` ${line}` : ""}`;
}

/** What somebody has just done to a line, in words. */
export function deed(event) {
  const who = person(event.by);
  if (event.event === "link-ordered") return `${who} has just taken ${event.uplink} ${event.to}`;
  if (event.event === "redial-ordered") return `${who} has just redialled ${event.uplink}`;
  if (event.event === "role-ordered") return `${who} has just made ${event.uplink} ${event.to}`;
  return null;
}

/** Whether an event says only what the order before it has said. */
export const isEcho = (event) => event.event === "uplink-changed" && Boolean(event.by);
