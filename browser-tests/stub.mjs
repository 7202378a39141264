// A router that is none: it serves the page's files and made-up answers, to work on the page's looks without a lab.
//   node stub.mjs [port]
// Everybody may look; operator/potato and admin/potato sign in. With STUB=new it has three lines and belongs to nobody: the code
// is CODE.

import { createServer } from "node:http";
import { readFile } from "node:fs/promises";

const PAGE = new URL("../src/web/page/", import.meta.url);
const KINDS = {
  html: "text/html; charset=utf-8",
  css: "text/css; charset=utf-8",
  js: "text/javascript; charset=utf-8",
  svg: "image/svg+xml",
};
const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
const GATE = {
  interface: "wan1",
  kind: "static",
  gateway: "10.77.1.1",
  gateway_mac: "02:00:00:00:01:01",
  problem: null,
  reserved: [],
  lease: null,
  weight: 1,
  drops: {},
  transfers: 1,
  capacity: {
    download: { bits_per_second: 50e6, source: "given" },
    upload: { bits_per_second: 1e7, source: "learned" },
    full: false,
  },
};
const health = (loss, rtt, trend = "steady") => ({
  rounds: 9,
  targets: [
    { target: "gateway", weight: "near", unanswered_in_a_row: 0, loss_15s_percent: loss },
    { target: "1.1.1.1", weight: "counts", unanswered_in_a_row: 0, loss_15s_percent: loss },
  ],
  loss_15s_percent: loss,
  loss_1m_percent: Math.round(loss / 2),
  loss_5m_percent: Math.round(loss / 4),
  trend,
  round_trip_ms: { median: rtt, p99: rtt * 3 },
  jitter_ms: { median: 1, p99: 4 },
});
const lines = [
  { name: "dsl1", state: "up", role: "balanced", health: health(0, 14) },
  {
    name: "dsl2",
    state: "lame",
    role: "balanced",
    health: health(24, 80, "rising"),
    problem: "of 100 questions 24 were lost",
  },
  { name: "dsl3", state: "up", role: "isolated (auto)", health: health(1, 22, "falling") },
  { name: "dsl4", state: "down", role: "balanced", taken_down_by: "anna", health: null },
  { name: "lte", state: "standby", role: "standby", kind: "adopted", health: health(0, 41) },
  { name: "dsl5", state: "missing", role: "balanced", address: null, gateway: null, health: null, interface: "" },
  {
    name: "cable",
    state: "up",
    role: "balanced",
    kind: "dhcp",
    health: health(0, 9),
    reserved: [
      {
        host: "192.168.10.50",
        addresses: ["192.168.10.50"],
        name: "studio",
        mac: null,
        until: "2026-11-26T23:00:00+01:00",
        when_down: "pool",
        by: "anna",
      },
    ],
  },
  { name: "dsl6", state: "connecting", role: "balanced", kind: "pppoe", health: null },
].map((line, at) => ({
  ...GATE,
  address: `10.77.${at + 1}.2/24`,
  flows: line.state === "down" ? 3 : 12 * at,
  redials: 0,
  role_set_by: null,
  role_configured: line.role === "standby" ? "standby" : "balanced",
  drain_seconds: line.role === "standby" ? 300 : null,
  ...line,
  out: { packets: 9, bytes: 2e8 * at, bits_per_second: 0 },
  in: { packets: 9, bytes: 9e8 * at, bits_per_second: 0 },
}));
const isNew = process.env.STUB === "new";
let claimed = !isNew;
if (isNew) {
  lines.splice(3);
  for (const line of lines) Object.assign(line, { state: "up", problem: null });
}
const users = [
  { name: "admin", role: "admin", last_seen: 1790000000 },
  { name: "operator", role: "operator", last_seen: null },
];
const tokens = [{ id: "t1", name: "backup", role: "viewer", created: 1780000000, last_used: null }];
const sessions = new Map();
const streams = new Set();
const events = [];
let text = '[lan]\ninterface = "lan0"\n\n[[uplink]]\nname = "dsl1"\n';

const status = () => ({
  version: "0.1.0",
  pid: 7,
  uptime_seconds: 90061,
  workers: 2,
  tun: "potato0",
  lans: [{ interface: "lan0", capture: "packet", state: "up", address: "192.168.10.1" }],
  uplinks: lines,
  engine: {
    flows: lines.reduce((sum, line) => sum + line.flows, 0),
    flows_created: 99,
    received: 1,
    batches: 1,
    mean_batch: 1,
    handed_over: 0,
    drops: {},
  },
  rules: ["ssh", "default:bulk"],
});

const send = (stream, kind, what, id) =>
  stream.write(`event: ${kind}\n${id ? `id: ${id}\n` : ""}data: ${JSON.stringify(what)}\n\n`);

function tell(event) {
  const whole = { id: events.length + 1, time: new Date().toISOString(), ...event };
  events.push(whole);
  for (const stream of streams) {
    send(stream, "event", whole, whole.id);
    send(stream, "status", status());
  }
}

for (let ago = 300; ago > 0; ago -= 1)
  events.push({
    id: events.length + 1,
    time: new Date(Date.now() - ago * 60_000 * 4).toISOString(),
    event: "uplink-changed",
    uplink: `dsl${1 + (ago % 6)}`,
    from: "up",
    to: ago % 3 ? "up" : "no-carrier",
    cause: ago % 3 ? "targets answer" : "carrier lost",
  });
tell({ event: "router-started", to: "0.1.0" });
tell({ event: "link-ordered", uplink: "dsl4", to: "down", by: "anna" });
tell({ event: "uplink-changed", uplink: "dsl2", from: "up", to: "lame", cause: "24 % loss" });
tell({ event: "uplink-changed", uplink: "dsl5", from: "up", to: "missing", cause: "interface gone" });
tell({ event: "line-reserved", uplink: "cable", to: "192.168.10.50", by: "anna" });
tell({ event: "link-ordered", uplink: "dsl3", to: "up", by: "operator" });

setInterval(() => {
  lines.forEach((line, at) => {
    const runs = ["up", "lame"].includes(line.state);
    line.in.bits_per_second = runs
      ? Math.round((at + 1) * 4e6 * (1.2 + Math.sin(Date.now() / 4000 + at)) * (0.7 + Math.random() / 2))
      : 0;
    line.out.bits_per_second = Math.round(line.in.bits_per_second / 6);
  });
  for (const stream of streams) send(stream, "status", status());
}, 1000);

const hosts = () => ({
  over_milliseconds: 1000,
  limits: { sessions: 16384, new_per_second: 500, ports: 16384 },
  others: {
    sessions: 0,
    out: { bytes: 0, bits_per_second: 0 },
    in: { bytes: 0, bits_per_second: 0 },
    lines: [],
    refused: {},
  },
  hosts: [21, 22, 23, 50].map((number) => ({
    address: `192.168.10.${number}`,
    name: number === 50 ? "studio" : number === 21 ? "anna-laptop" : null,
    mac: `02:00:00:00:10:${number}`,
    sessions: number * 3,
    ports: 9,
    flows: number * 99,
    out: { bytes: number * 1e6, bits_per_second: number * 1e4 },
    in: { bytes: number * 9e7, bits_per_second: number * 2e5 },
    refused: number === 22 ? { sessions: 4 } : {},
    lines: [
      {
        uplink: "dsl1",
        class: "bulk",
        sessions: 4,
        flows: 9,
        out: { bytes: 9e5, bits_per_second: 9e3 },
        in: { bytes: 9e6, bits_per_second: 1e5 },
      },
      {
        uplink: "cable",
        class: "isolated",
        sessions: 1,
        flows: 2,
        out: { bytes: 9e4, bits_per_second: 9e2 },
        in: { bytes: 9e5, bits_per_second: 1e4 },
      },
    ],
  })),
});
const flow = (at) => ({
  protocol: at % 3 ? "tcp" : "udp",
  host: `192.168.10.${20 + (at % 40)}:${30000 + (at % 30000)}`,
  remote: `203.0.113.${at % 250}:${at % 2 ? 443 : 53}`,
  direction: "outbound",
  external: `10.77.1.2:${30000 + (at % 30000)}`,
  bulky: false,
  uplink: `dsl${1 + (at % 3)}`,
  state: "established",
  out: { packets: 1, bytes: at * 31 },
  in: { packets: 1, bytes: (at * 7919) % 5e7 },
  age_seconds: at % 5000,
  expires_in_seconds: 300,
  rule: "default:bulk",
  class: "bulk",
  reason: "soonest",
});
const candidates = ["dsl1", "dsl3"].map((uplink, at) => ({
  uplink,
  expected_ms: 40.5 + at * 30,
  share_bits_per_second: 1e7,
  bounded_by_loss: at === 1,
  transfers: at,
  flows: 9,
  round_trip_ms: 14,
}));
const SPANS = { hour: [1, 3600], day: [60, 1440], month: [3600, 720], year: [3600 * 24, 365] };
function history(query) {
  const [step, points] = SPANS[query.get("span") ?? "hour"];
  const now = Math.floor(Date.now() / 1000 / step) * step;
  const make = (seed) =>
    Array.from({ length: Math.min(points, 720) }, (_, at) => ({
      time: now - (points - at * Math.max(1, points / 720)) * step,
      in_bps: Math.round(2e7 * (1 + Math.sin(at / 40 + seed)) + Math.random() * 3e6),
      out_bps: Math.round(3e6 * (1 + Math.cos(at / 50 + seed))),
      loss_percent: at % 97 < 5 ? 12 : at > 300 && at < 330 ? null : 0,
      rtt_ms: at > 300 && at < 330 ? null : 14 + seed + Math.round(Math.random() * 4),
      state: "up",
    }));
  if (query.get("uplink")) return { step_seconds: step, points: make(1) };
  return { step_seconds: step, uplinks: Object.fromEntries(lines.map((line, at) => [line.name, make(at)])) };
}

class Problem extends Error {
  constructor(code, detail) {
    super(detail);
    this.code = code;
  }
}
const refuse = (code, detail) => {
  throw new Problem(code, detail);
};

const session = (request) => sessions.get(/session=(\w+)/.exec(request.headers.cookie ?? "")?.[1]);
const people = () => [...new Set([...sessions.values()].map((user) => user.name))];

function enter(response, user) {
  const key = Math.random().toString(36).slice(2);
  sessions.set(key, user);
  response.setHeader("set-cookie", `session=${key}; HttpOnly; SameSite=Strict; Path=/`);
  for (const stream of streams) send(stream, "people", { signed_in: people() });
  return user;
}

const ROUTES = {
  "GET /v1/welcome": () => ({ claimed, look: isNew ? "signed-in" : "anyone", version: "0.1.0" }),
  "GET /v1/session": ({ user }) => user ?? refuse(401, "nobody is signed in"),
  "POST /v1/session": ({ body, response }) =>
    ["potato", "seven brown tubers two"].includes(body.password)
      ? enter(response, { name: body.name, role: body.name === "admin" ? "admin" : "operator" })
      : refuse(401, "name or password is wrong"),
  "POST /v1/claim": ({ body, response }) => {
    if (body.code !== "CODE") refuse(403, "that is not the code");
    claimed = true;
    return enter(response, { name: body.name, role: "admin" });
  },
  "DELETE /v1/session": () => (sessions.clear(), null),
  "DELETE /v1/sessions": () => (sessions.clear(), null),
  "GET /v1/status": status,
  "GET /v1/hosts": hosts,
  "GET /v1/flows": ({ query }) => ({
    flows: Array.from({ length: Math.min(10000, Number(query.get("limit") ?? 1000)) }, (_, at) => flow(at)),
    limited: false,
  }),
  "GET /v1/why": () => ({ flows: [{ ...flow(1), candidates }], limited: false }),
  "GET /v1/events": ({ query }) => ({
    events: events.filter((event) => event.id > Number(query.get("since") ?? events.length - 100)),
  }),
  "GET /v1/history": ({ query }) => history(query),
  "GET /v1/users": () => ({ users }),
  "POST /v1/users": ({ body }) => (users.push(body), body),
  "GET /v1/tokens": () => ({ tokens }),
  "POST /v1/tokens": () => ({ id: "t2", token: "potato_1234567890abcdef" }),
  "GET /v1/notify": () => ({
    channels: [
      { name: "office", kind: "xmpp", queued: 0, last_error: null, last_sent: 1790000000 },
      { name: "phone", kind: "ntfy", queued: 2, last_error: "connection refused", last_sent: null },
    ],
  }),
  "POST /v1/notify/test": ({ body }) => (body.channel === "phone" ? refuse(502, "phone: connection refused") : null),
  "GET /v1/config": () => ({ path: "/etc/potato/potato.toml", text }),
  "POST /v1/config/check": ({ body }) =>
    body.text.includes("oops")
      ? { ok: false, error: 'potato.toml:2: unknown key "oops"; there are interface, capture, tun', warnings: [] }
      : { ok: true, warnings: ["uplink dsl5 is not plugged in"] },
  "POST /v1/config": ({ body }) => (
    (text = body.text),
    { changes: ["dsl1: weight 1 -> 2"], unchanged: 5, warnings: [] }
  ),
  "POST /v1/reserve": ({ body }) => ({
    uplink: body.uplink,
    hosts: body.hosts,
    until: null,
    flows_of_others: 2,
    warnings: [],
  }),
  "POST /v1/release": ({ body }) => ({ uplink: body.uplink, released: body.hosts, hosts: [], warnings: [] }),
  "POST /v1/redial": ({ body, user }) => {
    const line = lines.find((one) => one.name === body.uplink) ?? refuse(400, "there is no such uplink");
    if (body.expect !== undefined && body.expect !== line.redials)
      refuse(409, `${line.name} was redialled by anna; nothing was done`);
    line.redials += 1;
    tell({ event: "redial-ordered", uplink: line.name, by: user.name });
    return {
      uplink: line.name,
      state: line.state,
      what: "its gateway is asked for anew",
      flows: line.flows,
      warnings: [],
    };
  },
  "POST /v1/role": ({ body, user }) => {
    const line = lines.find((one) => one.name === body.uplink) ?? refuse(400, "there is no such uplink");
    line.role = body.role === "configured" ? line.role_configured : body.role;
    line.role_set_by = line.role === line.role_configured ? null : user.name;
    tell({ event: "role-ordered", uplink: line.name, to: line.role, by: user.name });
    return {
      uplink: line.name,
      role: line.role,
      set_by: line.role_set_by,
      changed: true,
      flows: line.flows,
      warnings: [],
    };
  },
  "POST /v1/link": ({ body, user }) => {
    const line = lines.find((one) => one.name === body.uplink) ?? refuse(400, "there is no such uplink");
    if (body.expect && body.expect !== (line.state === "down" ? "down" : "up"))
      refuse(409, `${line.taken_down_by ?? "anna"} has done that just now`);
    line.state = body.state === "up" ? "up" : "down";
    line.taken_down_by = body.state === "up" ? null : user.name;
    tell({ event: "link-ordered", uplink: line.name, to: body.state, by: user.name });
    tell({ event: "uplink-changed", uplink: line.name, to: body.state, by: user.name });
    return { uplink: line.name, state: line.state, changed: true, warnings: [] };
  },
};

async function body(request) {
  let whole = "";
  for await (const part of request) whole += part;
  return whole ? JSON.parse(whole) : {};
}

async function answer(request, response, url) {
  const route = ROUTES[`${request.method} ${url.pathname}`] ?? refuse(404, "no such path");
  const user = session(request);
  if (request.method !== "GET" && !["/v1/session", "/v1/claim"].includes(url.pathname) && !user)
    refuse(401, "sign in first");
  const said = route({
    query: url.searchParams,
    user,
    response,
    body: request.method === "GET" ? {} : await body(request),
  });
  response.writeHead(said === null ? 204 : 200, { "content-type": "application/json" });
  response.end(said === null ? "" : JSON.stringify(said));
}

function stream(request, response, url) {
  response.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-cache" });
  const since = url.searchParams.get("since");
  for (const event of events.slice(since ?? -60)) send(response, since ? "event" : "past", event, event.id);
  send(response, "people", { signed_in: people() });
  send(response, "status", status());
  streams.add(response);
  request.on("close", () => streams.delete(response));
}

export const server = createServer(async (request, response) => {
  const url = new URL(request.url, "http://stub");
  response.setHeader("content-security-policy", POLICY);
  try {
    if (url.pathname === "/live") return stream(request, response, url);
    if (url.pathname.startsWith("/v1/")) return await answer(request, response, url);
    const name = url.pathname === "/" ? "index.html" : url.pathname.slice(1);
    const file = await readFile(new URL(name, PAGE));
    response.writeHead(200, { "content-type": KINDS[name.split(".").pop()] });
    return response.end(file);
  } catch (error) {
    const code = error.code > 0 ? error.code : error.code === "ENOENT" ? 404 : 500;
    response.writeHead(code, { "content-type": "application/problem+json" });
    return response.end(JSON.stringify({ type: "about:blank", title: "refused", status: code, detail: error.message }));
  }
});
server.listen(Number(process.argv[2] ?? 8099), "127.0.0.1");
