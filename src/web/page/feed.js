// The feed: what happens slides in at the side, and stays for ten minutes.

import { announce, byId, el, icon, setAttribute, setText } from "/dom.js";
import { on } from "/live.js";
import { clock, isEcho, sentence, told } from "/words.js";

/** How long an entry stays. In milliseconds. */
const STAYS = 600_000;
/** How long it is fresh: on a narrow screen only fresh entries are seen by themselves. In milliseconds. */
const FRESH = 8000;
/** Entries at one time. */
const MOST = 40;

function entry(event, isNews) {
  const { tone, icon: name, who, what, line } = told(event);
  const drawn = el("span", { class: "sign" }, icon(name), el("span", {}, `[${what}]`));
  const end = line && el("strong", { class: "on" }, line);
  const time = el("time", { datetime: event.time }, clock(event.time));
  return el(
    "li",
    { class: `${tone}${isNews ? " fresh" : ""}` },
    el("span", { class: "kill" }, el("strong", {}, who), " ", drawn, " ", end),
    time,
  );
}

function take(event, isNews) {
  const left = STAYS - (Date.now() - Date.parse(event.time));
  // The clocks of router and page may differ: news is news.
  if (isEcho(event) || (!isNews && (left <= 0 || left > 2 * STAYS))) return;
  const list = byId("feed-list");
  const made = entry(event, isNews);
  list.prepend(made);
  while (list.children.length > MOST) list.lastElementChild.remove();
  setTimeout(
    () => {
      made.remove();
      count();
    },
    isNews ? STAYS : left,
  );
  count();
  if (!isNews) return;
  setTimeout(() => made.classList.remove("fresh"), FRESH);
  announce(sentence(event));
}

function count() {
  const number = byId("feed-list").children.length;
  byId("feed-none").hidden = number > 0;
  byId("feed").dataset.count = String(number);
  drawMore();
}

function drawMore() {
  const more = byId("feed-more");
  const isOpen = byId("feed").classList.contains("open");
  setAttribute(more, "aria-expanded", isOpen);
  setText(more, isOpen ? "Less" : `Just now: ${byId("feed").dataset.count}`);
}

/** Begins to listen. */
export function startFeed() {
  // It scrolls by itself, so the keyboard must reach it.
  byId("feed-list").tabIndex = 0;
  count();
  on("past", (event) => take(event, false));
  on("event", (event) => take(event, true));
  byId("feed-more").addEventListener("click", () => {
    byId("feed").classList.toggle("open");
    drawMore();
  });
}
