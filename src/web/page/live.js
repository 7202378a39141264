// What the router tells while it happens. Connects again by itself, from the last event that was heard.

import { mayLook, refresh, expire } from "/session.js";

/** Events that are kept for the page. */
const KEPT = 500;
/** Something comes each second; after this long without, the connection is no good. In milliseconds. */
const SILENCE = 5000;
/** Between two attempts, at first and at most. In milliseconds. */
const RETRY = [300, 4000];
/** A page that nobody sees lets go of its connection after this: browsers have only six to one router. In milliseconds. */
const UNSEEN = 20_000;

export const live = { status: null, events: [], people: [], contact: "waiting", lost: null };

const listeners = new Map();
let source = null;
let last = null;
let wait = RETRY[0];
let retry = null;
let watchdog = null;
let unseen = null;

/** Calls `listener` at each `status`, `event`, `past`, `people` or `contact`; gives what stops that. */
export function on(kind, listener) {
  if (!listeners.has(kind)) listeners.set(kind, new Set());
  listeners.get(kind).add(listener);
  return () => listeners.get(kind).delete(listener);
}

const tell = (kind, what) => listeners.get(kind)?.forEach((listener) => listener(what));

function contact(state) {
  if (live.contact === state) return;
  live.contact = state;
  tell("contact", state);
}

function takeEvent(event, kind) {
  if (last !== null && event.id <= last) return;
  last = event.id;
  live.events.push(event);
  live.events.splice(0, live.events.length - KEPT);
  tell(kind, event);
}

function heard() {
  clearTimeout(watchdog);
  watchdog = setTimeout(lost, SILENCE);
}

const HEAR = {
  status: (status) => {
    live.status = status;
    wait = RETRY[0];
    contact("live");
    tell("status", status);
  },
  past: (event) => takeEvent(event, "past"),
  event: (event) => takeEvent(event, "event"),
  people: (people) => {
    live.people = people.signed_in ?? [];
    tell("people", live.people);
  },
  session: (session) => {
    if (session.expired) expire();
  },
};

/** Opens the stream, if we may look and do not have it. */
export function connect() {
  if (source !== null || !mayLook()) return;
  clearTimeout(retry);
  source = new EventSource(last === null ? "/live" : `/live?since=${last}`);
  for (const [kind, take] of Object.entries(HEAR)) {
    source.addEventListener(kind, (message) => {
      heard();
      take(JSON.parse(message.data));
    });
  }
  source.addEventListener("error", lost);
  heard();
}

/** Lets go of the stream. */
export function disconnect() {
  clearTimeout(retry);
  clearTimeout(watchdog);
  source?.close();
  source = null;
}

/** Opens the stream anew: as somebody else. */
export function reconnect() {
  disconnect();
  if (mayLook()) connect();
  else contact("closed");
}

function lost() {
  disconnect();
  contact("lost");
  retry = setTimeout(async () => {
    try {
      // A router that has started again may not know us any more.
      await refresh();
    } catch {
      return lost();
    }
    if (mayLook()) connect();
    else contact("closed");
  }, wait);
  wait = Math.min(wait * 1.7, RETRY[1]);
}

document.addEventListener("visibilitychange", () => {
  clearTimeout(unseen);
  if (document.hidden) unseen = setTimeout(disconnect, UNSEEN);
  else connect();
});
globalThis.addEventListener("online", () => {
  if (source === null) reconnect();
});
