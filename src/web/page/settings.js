// What an operator or admin sets: one section each, fetched when it is wanted.

import { el } from "/dom.js";
import { isAtLeast, session } from "/session.js";
import * as own from "/settings-own.js";
import * as access from "/settings-access.js";
import * as config from "/settings-config.js";

export const title = "Settings";

/** Sections: name in the address, what it is called, whose it is, what draws it. */
const SECTIONS = [
  ["configuration", "Configuration", "admin", config.configuration],
  ["reservations", "Reservations", "viewer", config.reservations],
  ["notifications", "Notifications", "operator", config.notifications],
  ["users", "Users", "admin", access.users],
  ["tokens", "Tokens", "admin", access.tokens],
  ["me", "My sign-in", "viewer", own.me],
];

export function show(main, { argument, heading }) {
  if (session.user === null) {
    main.append(
      el(
        "section",
        { class: "box" },
        el("p", {}, "Settings are for those who have signed in."),
        el(
          "div",
          { class: "buttons" },
          el(
            "a",
            { class: "button primary-link", href: `#/sign-in?back=${encodeURIComponent("#/settings")}` },
            "Sign in",
          ),
        ),
      ),
    );
    return undefined;
  }
  const mine = SECTIONS.filter(([, , role]) => isAtLeast(role));
  const chosen = mine.find(([name]) => name === argument) ?? mine[0];
  heading.textContent = "Settings";
  const links = mine.map(([name, text]) =>
    el("a", { href: `#/settings/${name}`, "aria-current": name === chosen[0] ? "true" : null }, text),
  );
  const place = el(
    "section",
    { class: "box", "aria-labelledby": "section-title" },
    el("h2", { id: "section-title" }, chosen[1]),
  );
  main.append(el("nav", { class: "tabs", "aria-label": "Settings" }, links), place);
  return chosen[3](place);
}
