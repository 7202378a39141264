// The configuration as text, reservations, and the channels by which people are told.

import { ask } from "/api.js";
import { question, say, trying } from "/dialog.js";
import { el, field } from "/dom.js";
import { live, on } from "/live.js";
import { release, reserve } from "/orders.js";
import { clock, count } from "/words.js";

/** Puts the cursor at the line that an error names. */
function pointAt(area, said) {
  const number = Number(/(?:line |toml:|^)(\d+)/.exec(said)?.[1]);
  if (!number) return;
  const lines = area.value.split("\n");
  const start = lines.slice(0, number - 1).join("\n").length + (number > 1 ? 1 : 0);
  area.focus();
  area.setSelectionRange(start, start + (lines[number - 1] ?? "").length);
  area.scrollTop = Math.max(0, (number - 5) * (area.scrollHeight / Math.max(1, lines.length)));
}

function verdict(place, { ok, error, warnings = [], changes }) {
  const head = ok
    ? el("p", { class: "good" }, changes ? "Saved, and in force." : "This configuration is right.")
    : el("p", { class: "problem-box" }, error);
  place.replaceChildren(
    head,
    ...(changes ?? []).map((change) => el("p", {}, change)),
    ...warnings.map((warning) => el("p", { class: "warn" }, warning)),
  );
}

/** The configuration's text, to check and to save. */
export function configuration(place) {
  const area = el("textarea", { rows: "24", spellcheck: "false", autocapitalize: "none", wrap: "off" });
  const said = el("div", { class: "stack", role: "status" });
  const path = el("p", { class: "quiet" }, "Asking …");
  let saved = "";
  const check = async () => {
    const result = await ask("/v1/config/check", { body: { text: area.value } });
    verdict(said, result);
    if (!result.ok) pointAt(area, result.error);
    return result;
  };
  const save = () =>
    trying(async () => {
      const result = await check();
      if (!result.ok) return;
      const done = await question({
        title: "Save this configuration?",
        body: [
          el(
            "p",
            {},
            "It is in force at once. Lines that are the same notice nothing; connections of lines that go, or get another address, end.",
          ),
          ...result.warnings.map((warning) => el("p", { class: "warn" }, warning)),
          el("p", { class: "quiet" }, "What the file says now is kept beside it, as .bak."),
        ],
        confirm: "Save",
        act: () => ask("/v1/config", { body: { text: area.value, was: saved } }),
      });
      if (!done) return;
      saved = area.value;
      verdict(said, { ok: true, ...done });
    });
  const buttons = el(
    "div",
    { class: "buttons" },
    el("button", { type: "button", on: { click: () => trying(check) } }, "Check"),
    el("button", { type: "button", class: "primary", on: { click: save } }, "Save"),
    el("button", { type: "button", on: { click: () => (area.value = saved) } }, "As it was"),
  );
  place.append(path, field("Text", area), buttons, said);
  const keep = (leaving) => {
    if (area.value !== saved) leaving.preventDefault();
  };
  addEventListener("beforeunload", keep);
  trying(async () => {
    const file = await ask("/v1/config");
    path.textContent = file.path;
    area.value = saved = file.text;
  });
  return () => removeEventListener("beforeunload", keep);
}

/** Who has which line for himself. */
export function reservations(place) {
  const list = el("ul", { class: "rows" });
  const draw = () => {
    const all = (live.status?.uplinks ?? []).flatMap((line) =>
      (line.reserved ?? []).map((one) => ({ line: line.name, ...one })),
    );
    const key = JSON.stringify(all);
    if (list.dataset.key === key) return;
    list.dataset.key = key;
    list.replaceChildren(
      ...(all.length === 0
        ? [el("li", { class: "quiet" }, "No line is reserved.")]
        : all.map((one) =>
            el(
              "li",
              {},
              el(
                "span",
                {},
                el("strong", {}, one.line),
                ` for ${one.name ? `${one.name} (${one.host})` : one.host}, by ${one.by}${one.until ? `, until ${clock(one.until)}` : ""}`,
              ),
              el(
                "button",
                { type: "button", class: "small", on: { click: () => release(one.line, [one.host]) } },
                "Release",
              ),
            ),
          )),
    );
  };
  const lines = el(
    "div",
    { class: "buttons" },
    (live.status?.uplinks ?? []).map((line) =>
      el("button", { type: "button", class: "small", on: { click: () => reserve(line.name) } }, `Reserve ${line.name}`),
    ),
  );
  place.append(el("p", { class: "quiet" }, "A reserved line gets new connections of its hosts alone."), list, lines);
  draw();
  return on("status", draw);
}

const sent = (time) =>
  time === null || time === undefined
    ? "nothing sent yet"
    : `last sent ${clock(typeof time === "number" ? time * 1000 : time)}`;

/** Channels by which people are told, each with a test. */
export function notifications(place) {
  const list = el("ul", { class: "rows" }, el("li", { class: "quiet" }, "Asking …"));
  const draw = async () => {
    const { channels } = await ask("/v1/notify");
    const test = (channel) => () =>
      trying(async () => {
        await ask("/v1/notify/test", { body: { channel } });
        say(`A test is on its way by ${channel}.`);
        await draw();
      });
    list.replaceChildren(
      ...(channels.length === 0
        ? [el("li", { class: "quiet" }, "There are none: [[notify]] in the configuration makes one.")]
        : channels.map((one) =>
            el(
              "li",
              {},
              el(
                "span",
                {},
                el("strong", {}, one.name),
                ` (${one.kind}): ${sent(one.last_sent)}${one.queued ? `, ${count(one.queued, "message")} waiting` : ""}`,
                one.last_error && el("span", { class: "bad block" }, one.last_error),
              ),
              el("button", { type: "button", class: "small", on: { click: test(one.name) } }, "Test"),
            ),
          )),
    );
  };
  place.append(list);
  trying(draw);
  const timer = setInterval(() => list.contains(document.activeElement) || draw().catch(() => {}), 10_000);
  return () => clearInterval(timer);
}
