// Questions and orders to the router, and what it says when it refuses one.

/** What the router has refused, in its own words (problem+json, RFC 9457). */
export class Refusal extends Error {
  constructor(status, detail, retryAfter) {
    super(detail);
    this.status = status;
    this.retryAfter = retryAfter;
  }
}

let whenSignedOut = () => {};

/** Calls this when the router no longer knows who we are. */
export const onSignedOut = (listener) => {
  whenSignedOut = listener;
};

async function refusal(response) {
  const retryAfter = Number(response.headers.get("retry-after")) || 0;
  let said = "";
  try {
    said = await response.text();
    const problem = JSON.parse(said);
    said = problem.detail || problem.title || said;
  } catch {
    // Plain text then, or none.
  }
  const again = retryAfter > 0 && !said.includes(String(retryAfter)) ? ` Try again in ${retryAfter} s.` : "";
  return new Refusal(
    response.status,
    (said.trim() || `the router refuses this (${response.status})`) + again,
    retryAfter,
  );
}

/** Asks, or with `body` or `method` orders; gives the answer, or throws a `Refusal`. */
export async function ask(path, { body, method = body === undefined ? "GET" : "POST", signal } = {}) {
  const request = { method, signal, headers: { accept: "application/json" }, cache: "no-store" };
  if (body !== undefined) {
    request.headers["content-type"] = "application/json";
    request.body = JSON.stringify(body);
  }
  let response;
  try {
    response = await fetch(path, request);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refusal(0, "There is no contact with the router.");
  }
  if (!response.ok) {
    const refused = await refusal(response);
    if (response.status === 401 && !path.startsWith("/v1/session") && !path.startsWith("/v1/claim")) whenSignedOut();
    throw refused;
  }
  if (response.status === 204) return null;
  const text = await response.text();
  return text ? JSON.parse(text) : null;
}

/**
 * Does `work(signal)` at once, and again `every` milliseconds after it is done; what it is refused is given to `refused`.
 * `now` does it at once, in place of what is under way, and `stop` ends it.
 */
export function again(work, every, refused = () => {}) {
  let control = new AbortController();
  let timer = null;
  const stop = () => {
    control.abort();
    clearTimeout(timer);
  };
  const now = async () => {
    stop();
    control = new AbortController();
    const { signal } = control;
    try {
      await work(signal);
    } catch (refusal) {
      if (!signal.aborted) refused(refusal);
    }
    if (!signal.aborted) timer = setTimeout(now, every());
  };
  now();
  return { now, stop };
}
