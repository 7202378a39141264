// What people order of a line: each says first what will happen.

import { choice, el, field } from "/dom.js";
import { ask } from "/api.js";
import { question, say } from "/dialog.js";
import { live, on } from "/live.js";
import { isAtLeast, session } from "/session.js";
import { clock, count, deed, person, span } from "/words.js";

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
    const done = event.uplink === name && !event.cause && deed(event);
    if (!done) return;
    place.textContent = `${done} (${clock(event.time)}).`;
    place.hidden = false;
  });

const othersThatWork = (line) =>
  live.status.uplinks.filter((one) => one.name !== line.name && ["up", "standby", "testing"].includes(one.state));

function lossOfTheLast(line) {
  const others = othersThatWork(line);
  return (
    others.length === 0 &&
    el("p", { class: "warn" }, el("strong", {}, "No other line is up: "), "new connections will have no way out.")
  );
}

function consequences(line) {
  if (line.state === "down") {
    const by = line.taken_down_by ? `${person(line.taken_down_by)} took it down. ` : "";
    return [el("p", {}, `${by}It is tested first, and then gets its share of new connections again.`)];
  }
  const flows =
    line.flows === 0
      ? "There are no connections on it now."
      : `Its ${count(line.flows, "connection")} will not be reset: ${line.flows === 1 ? "it goes on until it ends" : "they go on until they end"}.`;
  const reserved =
    line.reserved?.length > 0 &&
    el("p", {}, `It is reserved for ${line.reserved.map((one) => one.name ?? one.host).join(", ")}.`);
  return [
    el("p", {}, "It gets no new connections until somebody puts it back up, also over a restart."),
    el("p", {}, flows),
    reserved,
    lossOfTheLast(line),
  ];
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

const its = (line) => `Its ${count(line.flows, "connection")}`;

/** What a redial is, by what the line is. */
const REDIALS = {
  pppoe: "Its PPPoE session is ended and dialled anew.",
  dhcp: "Its address is given back to the provider (DHCP) and asked for anew.",
  static: "Its address stays. Its gateway is asked for anew, and the line is tested.",
  adopted: "Its address is the kernel's and stays. Its gateway is asked for anew, and the line is tested.",
};

/** What becomes of a redialled line's connections. */
function redialled(line) {
  if (line.flows === 0) return [el("p", {}, "There are no connections on it now.")];
  const isOne = line.flows === 1;
  if (!["pppoe", "dhcp"].includes(line.kind)) return [el("p", {}, `${its(line)} ${isOne ? "goes" : "go"} on.`)];
  const waits = isOne ? "waits for up to 15 seconds for its address" : "wait for up to 15 seconds for their address";
  return [
    el("p", {}, `${its(line)} ${waits}.`),
    el("p", {}, el("strong", {}, `${count(line.flows, "connection")} will be reset if it gets another address.`)),
  ];
}

function redialConsequences(line) {
  const down = line.state === "down" && el("p", {}, "It stays down by hand.");
  return [
    el("p", {}, `${REDIALS[line.kind] ?? ""} Until it works, new connections take other lines.`),
    redialled(line),
    down,
    lossOfTheLast(line),
  ];
}

/** Has a line get its address anew. */
export async function redial(name) {
  const line = lineOf(name);
  if (!line || !mayOrder()) return;
  const done = await question({
    title: `Redial ${name}?`,
    body: redialConsequences(line).flat(),
    confirm: "Redial",
    watch: watchLine(name),
    act: () => ask("/v1/redial", { body: { uplink: name, expect: line.redials } }),
  });
  if (!done) return;
  say(`${name}: ${done.what}.`);
  done.warnings.forEach((warning) => say(warning, "warn"));
}

/** The role that a line has by configuration or by hand; one that the router gives it is none of these. */
const roleOf = (line) => (line.role === "isolated (auto)" ? "balanced" : line.role || "balanced");

const ROLES = [
  ["balanced", "Balanced"],
  ["isolated", "Isolated"],
  ["standby", "Standby"],
];

/** Which new connections a line in this role gets. */
function newConnections(line, role) {
  if (role === "balanced") return "It gets its share of all new connections.";
  if (othersThatWork(line).length === 0)
    return "No other line works now: it goes on carrying everything until one does.";
  if (role === "isolated")
    return "It gets new connections that are urgent, as the rules have them; all others go elsewhere.";
  return "New connections of everybody go elsewhere, as long as a better line works.";
}

/** What becomes of the connections that it has. */
function oldConnections(line, role) {
  if (line.flows === 0) return "There are no connections on it now.";
  if (role === "standby" && line.drain_seconds)
    return `${its(line)} may stay for ${span(line.drain_seconds)} while a better line works, as its drain time says.`;
  return `${its(line)} ${line.flows === 1 ? "stays until it ends" : "stay until they end"}.`;
}

function roleConsequences(line, role) {
  if (role === roleOf(line))
    return [
      el("p", {}, `${line.name} is ${role} now.`),
      el("p", {}, line.role_set_by ? `${person(line.role_set_by)} made it so.` : "So the configuration has it."),
    ];
  const isConfigured = role === line.role_configured;
  const until = isConfigured
    ? "So the configuration has it."
    : `It stays so until somebody changes it, also over a restart. The configuration has it ${line.role_configured}.`;
  return [el("p", {}, newConnections(line, role)), el("p", {}, oldConnections(line, role)), el("p", {}, until)];
}

/** Gives a line another role, after a question that says what each would mean. */
export async function changeRole(name) {
  const line = lineOf(name);
  if (!line || !mayOrder()) return;
  const named = ROLES.map(([role, text]) => [role, role === line.role_configured ? `${text} (as configured)` : text]);
  const chosen = choice(named, roleOf(line), { name: "role" });
  const meaning = el("div", { class: "stack", "aria-live": "polite" });
  const tell = () => meaning.replaceChildren(...roleConsequences(line, chosen.value));
  chosen.addEventListener("change", tell);
  tell();
  const order = () => ({
    uplink: name,
    role: chosen.value === line.role_configured ? "configured" : chosen.value,
    expect: roleOf(line),
  });
  const done = await question({
    title: `The role of ${name}`,
    body: [field("What it is for", chosen), meaning],
    confirm: "Change its role",
    watch: watchLine(name),
    act: () => ask("/v1/role", { body: order() }),
  });
  if (!done) return;
  say(`${name} is ${done.role}${done.set_by ? "" : ", as configured"}.`);
  done.warnings.forEach((warning) => say(warning, "warn"));
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
  const until = choice(
    [
      ["3600", "one hour"],
      ["7200", "two hours"],
      ["14400", "four hours"],
      ["time", "until a time of day"],
      ["release", "until somebody releases it"],
    ],
    "3600",
    { name: "until" },
  );
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
      el(
        "p",
        {},
        `Only these hosts will get new connections on ${name}. The ${count(line?.flows ?? 0, "connection")} of all hosts that it has now will not be reset.`,
      ),
      field("Hosts", hosts, "Addresses, Ethernet addresses or names, with commas between them"),
      list,
      field("For how long", until),
      timeField,
      field(
        "While the line is down, these hosts",
        choice(
          [
            ["pool", "use the other lines"],
            ["refuse", "are refused"],
          ],
          "pool",
          { name: "when_down" },
        ),
      ),
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
    body: [
      el(
        "p",
        {},
        hosts.length > 0
          ? `${hosts.join(", ")} will use the lines that all use.`
          : "All hosts will use it as any other line.",
      ),
      el("p", {}, "No connection is reset."),
    ],
    confirm: "Release",
    act: () => ask("/v1/release", { body: { uplink: name, hosts } }),
  });
  if (!done) return;
  say(`${name} is released.`);
  done.warnings.forEach((warning) => say(warning, "warn"));
}
