// Who may sign in, and which programs may ask.

import { ask } from "/api.js";
import { question, say, trying } from "/dialog.js";
import { choice, el, field } from "/dom.js";
import { session } from "/session.js";
import { clock } from "/words.js";

const ROLES = [
  ["viewer", "viewer: looks"],
  ["operator", "operator: lines and reservations too"],
  ["admin", "admin: all"],
];

const when = (time, never) =>
  time === null || time === undefined ? never : clock(typeof time === "number" ? time * 1000 : time);

const values = (form) => Object.fromEntries(new FormData(form));

const nameInput = () =>
  el("input", { name: "name", required: true, autocomplete: "off", autocapitalize: "none", spellcheck: "false" });
const passwordInput = () =>
  el("input", { name: "password", type: "password", required: true, autocomplete: "new-password" });

const path = (user) => `/v1/users/${encodeURIComponent(user.name)}`;

/** A question, then an order, then the list anew. */
async function change(draw, settings, done) {
  const result = await question(settings);
  if (result === undefined) return;
  say(done);
  await trying(draw);
}

const small = (label, about, click) =>
  el("button", { type: "button", class: "small", "aria-label": `${label} ${about}`, on: { click } }, label);

function userRow(user, draw) {
  const order = (method, body) => () => ask(path(user), { method, body }).then((said) => said ?? true);
  const role = () =>
    change(
      draw,
      {
        title: `Role of ${user.name}`,
        body: [field("Role", choice(ROLES, user.role, { name: "role" }))],
        confirm: "Set",
        act: (form) => order("POST", values(form))(),
      },
      `${user.name} has another role.`,
    );
  const password = () =>
    change(
      draw,
      {
        title: `New password for ${user.name}`,
        body: [field("Password", passwordInput())],
        confirm: "Set",
        act: (form) => order("POST", values(form))(),
      },
      `${user.name} has a new password.`,
    );
  const remove = () =>
    change(
      draw,
      {
        title: `Remove ${user.name}?`,
        body: [el("p", {}, "All sessions of this user end at once.")],
        confirm: "Remove",
        tone: "bad",
        act: order("DELETE"),
      },
      `${user.name} is removed.`,
    );
  return el(
    "li",
    {},
    el(
      "span",
      {},
      el("strong", {}, user.name),
      ` ${user.role}, `,
      el("span", { class: "quiet" }, `last seen ${when(user.last_seen, "never")}`),
    ),
    el(
      "span",
      { class: "buttons" },
      small("Role", `of ${user.name}`, role),
      small("Password", `of ${user.name}`, password),
      user.name !== session.user?.name && small("Remove", user.name, remove),
    ),
  );
}

/** People. */
export function users(place) {
  const list = el("ul", { class: "rows" }, el("li", { class: "quiet" }, "Asking …"));
  const draw = async () => {
    const said = await ask("/v1/users");
    list.replaceChildren(...said.users.map((user) => userRow(user, draw)));
  };
  const add = () =>
    change(
      draw,
      {
        title: "Add a user",
        body: [
          field("Name", nameInput()),
          field("Role", choice(ROLES, "operator", { name: "role" })),
          field("Password", passwordInput()),
        ],
        confirm: "Add",
        act: (form) => ask("/v1/users", { body: values(form) }).then((said) => said ?? true),
      },
      "The user may sign in now.",
    );
  place.append(
    list,
    el(
      "div",
      { class: "buttons" },
      el("button", { type: "button", class: "primary", on: { click: add } }, "Add a user"),
    ),
  );
  trying(draw);
}

/** Shows a token, this one time. */
function reveal({ token }) {
  const text = el("input", { value: token, readonly: true, "aria-label": "Token", class: "code" });
  text.addEventListener("focus", () => text.select());
  return question({
    title: "The new token",
    body: [el("p", {}, "It is shown this once: copy it now. Programs send it as “Authorization: Bearer”."), text],
    confirm: "I have it",
    act: () => true,
  });
}

function tokenRow(token, draw) {
  const remove = () =>
    change(
      draw,
      {
        title: `Revoke ${token.name}?`,
        body: [el("p", {}, "Programs that use it are refused from now on.")],
        confirm: "Revoke",
        tone: "bad",
        act: () => ask(`/v1/tokens/${encodeURIComponent(token.id)}`, { method: "DELETE" }).then((said) => said ?? true),
      },
      `${token.name} is revoked.`,
    );
  return el(
    "li",
    {},
    el(
      "span",
      {},
      el("strong", {}, token.name),
      ` ${token.role}, `,
      el("span", { class: "quiet" }, `made ${when(token.created, "–")}, last used ${when(token.last_used, "never")}`),
    ),
    small("Revoke", token.name, remove),
  );
}

/** Programs. */
export function tokens(place) {
  const list = el("ul", { class: "rows" }, el("li", { class: "quiet" }, "Asking …"));
  const draw = async () => {
    const said = await ask("/v1/tokens");
    list.replaceChildren(
      ...(said.tokens.length === 0
        ? [el("li", { class: "quiet" }, "There are none.")]
        : said.tokens.map((token) => tokenRow(token, draw))),
    );
  };
  const add = async () => {
    const made = await question({
      title: "New token",
      body: [field("Name", nameInput(), "What it is for"), field("Role", choice(ROLES, "viewer", { name: "role" }))],
      confirm: "Make it",
      act: (form) => ask("/v1/tokens", { body: values(form) }),
    });
    if (!made) return;
    await reveal(made);
    await trying(draw);
  };
  place.append(
    el("p", { class: "quiet" }, "For programs that ask or order by the same paths as this page."),
    list,
    el(
      "div",
      { class: "buttons" },
      el("button", { type: "button", class: "primary", on: { click: add } }, "New token"),
    ),
  );
  trying(draw);
}
