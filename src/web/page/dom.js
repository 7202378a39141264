// Small helpers to make elements. No text is ever taken for markup.

const SVG = "http://www.w3.org/2000/svg";

function fill(made, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name === "on") for (const [kind, listener] of Object.entries(value)) made.addEventListener(kind, listener);
    else if (name === "value") made.value = value;
    else made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.flat().filter((child) => child !== undefined && child !== null && child !== false));
  return made;
}

/** An element: `el("p", { class: "quiet", on: { click } }, "text", child)`. */
export const el = (name, attributes = {}, ...children) => fill(document.createElement(name), attributes, children);

/** The same for drawings. */
export const svg = (name, attributes = {}, ...children) =>
  fill(document.createElementNS(SVG, name), attributes, children);

/** A drawing of the page's own set. */
export const icon = (name) =>
  svg("svg", { class: "icon", viewBox: "0 0 20 20", "aria-hidden": "true" }, svg("use", { href: `#i-${name}` }));

export const byId = (id) => document.getElementById(id);

/** Changes a text only where it differs, so that nothing is laid out, or read aloud, for nothing. */
export const setText = (place, text) => {
  if (place.textContent !== text) place.textContent = text;
};

export const setAttribute = (place, name, value) => {
  if (value === null || value === undefined || value === false) place.removeAttribute(name);
  else if (place.getAttribute(name) !== String(value)) place.setAttribute(name, String(value));
};

/** For those who hear the page and do not see it. */
export const hidden = (text) => el("span", { class: "unseen" }, text);

const waiting = [];
let speaker = null;

/** Says something to a screen reader: at most once in three seconds, and of many things only how many. */
export function announce(text) {
  waiting.push(text);
  if (speaker !== null) return;
  const speak = () => {
    if (waiting.length === 0) {
      speaker = null;
      return;
    }
    const all = waiting.splice(0);
    byId("announcer").textContent = all.length <= 3 ? all.join("; ") : `${all.length} events; the last: ${all.at(-1)}`;
    speaker = setTimeout(speak, 3000);
  };
  speaker = setTimeout(speak, 150);
}

/** A labelled field of a form. */
export function field(label, input, note) {
  const id = input.id || `f${Math.random().toString(36).slice(2)}`;
  input.id = id;
  if (note) input.setAttribute("aria-describedby", `${id}-note`);
  return el(
    "div",
    { class: "field" },
    el("label", { for: id }, label),
    input,
    note && el("small", { id: `${id}-note` }, note),
  );
}

/** A choice of words; `choices` are `[value, text]`. */
export const choice = (choices, value, attributes = {}) =>
  el(
    "select",
    attributes,
    choices.map(([key, text]) => el("option", { value: key, selected: key === value }, text)),
  );

/** A table in a frame that scrolls sideways by itself on a narrow screen. */
export function table(caption, heads, rows, attributes = {}) {
  const head = el(
    "thead",
    {},
    el(
      "tr",
      {},
      heads.map((name) => el("th", { scope: "col" }, name)),
    ),
  );
  const body = el(
    "tbody",
    {},
    rows.map((row) =>
      el(
        "tr",
        {},
        row.map((cell, at) => (at === 0 ? el("th", { scope: "row" }, cell) : el("td", {}, cell))),
      ),
    ),
  );
  return el(
    "div",
    { class: "scroll", tabindex: "0", role: "region", "aria-label": caption, ...attributes },
    el("table", {}, el("caption", { class: "unseen" }, caption), head, body),
  );
}
