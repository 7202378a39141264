// The page of potatoes: which page is shown, who looks at it, and whether the router is there. Nothing is fetched from
// anywhere else.

import { byId, el, icon, setText } from "/dom.js";
import { connect, live, on, reconnect } from "/live.js";
import { mayLook, onSession, refresh, session } from "/session.js";
import { startFeed } from "/feed.js";
import * as lines from "/lines.js";

/** Pages that are fetched when somebody wants them. */
const PAGES = {
  hosts: () => import("/hosts.js"),
  flows: () => import("/flows.js"),
  history: () => import("/history.js"),
  events: () => import("/events.js"),
  settings: () => import("/settings.js"),
  line: () => import("/line.js"),
  "sign-in": () => import("/sign-in.js"),
};

/** Between two attempts to reach the router at all. In milliseconds. */
const RETRY = 1500;

let leave = () => {};
let turn = 0;
let shown = null;

/** The page and its arguments that the address names. */
function place() {
  const [path, query = ""] = location.hash.replace(/^#\/?/, "").split("?");
  const [page = "", ...rest] = path.split("/").map(decodeURIComponent);
  if (page === "lines" && rest[0]) return { page: "line", argument: rest[0], query };
  return { page: page === "" ? "lines" : page, argument: rest[0], query };
}

async function show() {
  if (!session.isKnown) return;
  let { page, argument, query } = place();
  if (!session.claimed || (!mayLook() && page !== "sign-in")) page = "sign-in";
  const name = `${page}/${argument ?? ""}`;
  const isSame = shown === name;
  const mine = ++turn;
  let view = lines;
  try {
    if (page !== "lines") view = await (PAGES[page] ?? (() => Promise.resolve(unknown)))();
  } catch {
    view = unreachable;
  }
  if (mine !== turn) return;
  leave();
  const main = byId("view");
  main.replaceChildren();
  main.dataset.page = page;
  const heading = el("h1", { tabindex: "-1" }, view.title ?? argument ?? "");
  main.append(heading);
  leave = view.show(main, { argument, heading, query: new URLSearchParams(query) }) ?? (() => {});
  for (const link of byId("pages").children) {
    const isHere = link.dataset.page === page || (page === "line" && link.dataset.page === "lines");
    if (isHere) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  if (shown !== null && !isSame && !main.contains(document.activeElement)) {
    heading.focus({ preventScroll: true });
    scrollTo(0, 0);
  }
  shown = name;
  drawTitle();
}

const unknown = {
  title: "No such page",
  show: (main) =>
    void main.append(el("p", {}, "There is nothing at this address. ", el("a", { href: "#/" }, "All lines"))),
};

const unreachable = {
  title: "No contact",
  show: (main) =>
    void main.append(
      el("p", {}, "The router does not answer. This page comes as soon as it does."),
      el("button", { type: "button", on: { click: show } }, "Try again"),
    ),
};

function drawTitle() {
  const uplinks = live.status?.uplinks;
  const working = uplinks?.filter((line) => line.state === "up").length;
  const page = byId("view").querySelector("h1")?.textContent ?? "";
  const title = uplinks ? `${page}: ${working} of ${uplinks.length} up – Potato` : `${page} – Potato`;
  if (document.title !== title) document.title = title;
}

function drawPeople() {
  const others = live.people.filter((name) => name !== session.user?.name);
  byId("people").replaceChildren(...others.map((name) => el("li", { title: `${name} is signed in` }, name)));
  byId("people").hidden = others.length === 0;
  const me = byId("me");
  me.hidden = !session.isKnown;
  me.replaceChildren(
    icon("potato"),
    session.user
      ? el("span", {}, session.user.name, el("small", {}, session.user.role))
      : el("span", {}, session.claimed ? "Sign in" : "Claim"),
  );
}

const CONTACT = { live: "live", waiting: "connecting", lost: "no contact, trying again", closed: "signed out" };

function drawContact(state) {
  byId("contact").dataset.contact = state;
  setText(byId("contact"), CONTACT[state]);
}

let was = null;

onSession(() => {
  const name = session.user?.name ?? null;
  if (was !== name || live.contact === "closed") reconnect();
  was = name;
  drawPeople();
  show();
});
on("people", drawPeople);
on("contact", drawContact);
on("status", drawTitle);
addEventListener("hashchange", show);
startFeed();

async function start() {
  try {
    await refresh();
    connect();
  } catch {
    drawContact("lost");
    setTimeout(start, RETRY);
  }
}
start();
