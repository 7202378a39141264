// What people order of a line: each says first what will happen.

import { choice, el, field } from "/dom.js";
import { ask } from "/api.js";
import { question, say } from "/dialog.js";
import { live, on } from "/live.js";
import { isAtLeast, session } from "/session.js";
import { clock, count, person } from "/words.js";

const lineOf = (name) => live.status?.uplinks.find((line) => line.name === name);

/** Whether we may give orders; who is not signed in is led there, and comes back. */
export function mayOrder() {
  if (session.user === null) {
    location.hash = `#/sign-in?back=${encodeURIComponent(location.hash || "#/")}`;
    return false;
  }
  if (isAtLeast("operator")) return true;
  say(`You are signed in as ${session.user.role}: only operators and admins change lines.`, "warn");
  return false;
}

/** Tells in an open question what somebody else does to the same line meanwhile. */
const watchLine = (name) => (place) =>
  on("event", (event) => {
    if (event.uplink !== name || event.event !== "link-ordered" || event.cause) return;
    place.textContent = `${person(event.by)} has just taken ${name} ${event.to} (${clock(event.time)}).`;
    place.hidden = false;
  });

function lossOfTheLast(line) {
  const others = live.status.uplinks.filter((one) => one.name !== line.name && ["up", "standby", "testing"].includes(one.state));
  return others.length === 0 && el("p", { class: "warn" }, el("strong", {}, "No other line is up: "), "new connections will have no way out.");
}

function consequences(line) {
  if (line.state === "down") {
    const by = line.taken_down_by ? `${person(line.taken_down_by)} took it down. ` : "";
    return [el("p", {}, `${by}It is tested first, and then gets its share of new connections again.`)];
  }
  const flows = line.flows === 0 ? "There are no connections on it now." : `Its ${count(line.flows, "connection")} will not be reset: ${line.flows === 1 ? "it goes on until it ends" : "they go on until they end"}.`;
  const reserved = line.reserved?.length > 0 && el("p", {}, `It is reserved for ${line.reserved.map((one) => one.name ?? one.host).join(", ")}.`);
  return [el("p", {}, "It gets no new connections until somebody puts it back up, also over a restart."), el("p", {}, flows), reserved, lossOfTheLast(line)];
}

const order = (uplink, state, expect) => ask("/v1/link", { body: { uplink, state, expect } });

const report = (name, { state, warnings = [] }) => {
  say(`${name} is ${state}.`);
  warnings.forEach((warning) => say(warning, "warn"));
};

/** Takes a line down, or puts it back, after a question. */
export async function toggle(name) {
  const line = lineOf(name);
  if (!line || !mayOrder()) return;
  const isDown = line.state === "down";
  const done = await question({
    title: isDown ? `Put ${name} back up?` : `Take ${name} down?`,
    body: consequences(line),
    confirm: isDown ? "Put it up" : "Take it down",
    tone: isDown ? "good" : "bad",
    watch: watchLine(name),
    act: () => order(name, isDown ? "up" : "down", isDown ? "down" : "up"),
  });
  if (done) report(name, done);
}

/** Takes a line down and up again. */
export async function redial(name) {
  const line = lineOf(name);
  if (!line || !mayOrder()) return;
  const isDown = line.state === "down";
  const done = await question({
    title: `Redial ${name}?`,
    body: [el("p", {}, `It is taken down and put back up at once. New connections take other lines until it has been tested.`), el("p", {}, `Its ${count(line.flows, "connection")} go on as long as its address stays.`), lossOfTheLast(line)],
    confirm: "Redial",
    watch: watchLine(name),
    act: async () => {
      if (!isDown) await order(name, "down", "up");
      return order(name, "up", "down");
    },
  });
  if (done) report(name, done);
}

async function knownHosts() {
  try {
    const { hosts } = await ask("/v1/hosts");
    return hosts.map((host) => el("option", { value: host.address }, host.name ?? host.mac ?? ""));
  } catch {
    return [];
  }
}

/** The order that a form for a reservation stands for. */
function reservation(uplink, form) {
  const { hosts, until, time, when_down: whenDown } = Object.fromEntries(new FormData(form));
  const terms = { uplink, hosts: hosts.split(/[\s,;]+/).filter(Boolean), when_down: whenDown };
  if (until === "time") terms.until = time;
  else if (until !== "release") terms.for_seconds = Number(until);
  return terms;
}

/** Reserves a line for hosts. */
export async function reserve(name, host = "") {
  if (!mayOrder()) return;
  const list = el("datalist", { id: "known-hosts" }, await knownHosts());
  const hosts = el("input", { name: "hosts", list: "known-hosts", required: true, autocomplete: "off", value: host });
  const until = choice([["3600", "one hour"], ["7200", "two hours"], ["14400", "four hours"], ["time", "until a time of day"], ["release", "until somebody releases it"]], "3600", { name: "until" });
  const time = el("input", { type: "time", name: "time", value: "18:00" });
  const timeField = field("Time", time);
  timeField.hidden = true;
  until.addEventListener("change", () => {
    timeField.hidden = until.value !== "time";
  });
  const line = lineOf(name);
  const done = await question({
    title: `Reserve ${name}`,
    body: [
      el("p", {}, `Only these hosts will get new connections on ${name}. The ${count(line?.flows ?? 0, "connection")} of all hosts that it has now will not be reset.`),
      field("Hosts", hosts, "Addresses, Ethernet addresses or names, with commas between them"), list,
      field("For how long", until), timeField,
      field("While the line is down, these hosts", choice([["pool", "use the other lines"], ["refuse", "are refused"]], "pool", { name: "when_down" })),
    ],
    confirm: "Reserve",
    act: (form) => ask("/v1/reserve", { body: reservation(name, form) }),
  });
  if (!done) return;
  say(`${name} is reserved for ${done.hosts.join(", ")}${done.until ? ` until ${clock(done.until)}` : ""}.`);
  done.warnings.forEach((warning) => say(warning, "warn"));
}

/** Ends a line's reservation, for one host or all. */
export async function release(name, hosts = []) {
  if (!mayOrder()) return;
  const done = await question({
    title: `Release ${name}?`,
    body: [el("p", {}, hosts.length > 0 ? `${hosts.join(", ")} will use the lines that all use.` : "All hosts will use it as any other line."), el("p", {}, "No connection is reset.")],
    confirm: "Release",
    act: () => ask("/v1/release", { body: { uplink: name, hosts } }),
  });
  if (!done) return;
  say(`${name} is released.`);
  done.warnings.forEach((warning) => say(warning, "warn"));
}

