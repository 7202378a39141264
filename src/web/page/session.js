// Who we are to the router, and what we may.

import { ask, onSignedOut } from "/api.js";

const ROLES = ["viewer", "operator", "admin"];
const listeners = new Set();

/** What is known: `user` is `{ name, role }` or null. */
export const session = { claimed: true, look: "signed-in", version: "", user: null, isKnown: false };

/** Calls this whenever somebody signs in or out; gives what stops that. */
export function onSession(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

const tell = () => listeners.forEach((listener) => listener(session));

function become(user) {
  session.user = user;
  tell();
}

onSignedOut(() => {
  if (session.user) become(null);
});

/** Asks the router how things stand. */
export async function refresh() {
  Object.assign(session, await ask("/v1/welcome"));
  let user = null;
  try {
    user = session.claimed ? await ask("/v1/session") : null;
  } catch (refusal) {
    if (refusal.status !== 401) throw refusal;
  }
  const isNews = !session.isKnown || user?.name !== session.user?.name || user?.role !== session.user?.role;
  session.isKnown = true;
  session.user = user;
  if (isNews) tell();
}

/** Whether we may see lines, hosts, flows and events. */
export const mayLook = () => session.look === "anyone" || session.user !== null;

/** Whether our role is at least this one. */
export const isAtLeast = (role) => session.user !== null && ROLES.indexOf(session.user.role) >= ROLES.indexOf(role);

export const signIn = async (name, password) => become(await ask("/v1/session", { body: { name, password } }));

export async function claim(code, name, password) {
  const user = await ask("/v1/claim", { body: { code, name, password } });
  session.claimed = true;
  become(user);
}

export async function signOut(everywhere = false) {
  await ask(everywhere ? "/v1/sessions" : "/v1/session", { method: "DELETE" });
  become(null);
}

/** The session has ended elsewhere. */
export const expire = () => become(null);
