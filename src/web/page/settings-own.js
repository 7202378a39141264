// One's own sign-in.

import { ask } from "/api.js";
import { question, say, trying } from "/dialog.js";
import { el, field } from "/dom.js";
import { session, signOut } from "/session.js";

const password = (name, autocomplete) => el("input", { name, type: "password", required: true, autocomplete });

async function changePassword() {
  const done = await question({
    title: "Change my password",
    body: [
      field("Password now", password("old", "current-password")),
      field("New password", password("new", "new-password")),
      field("New password, again", password("again", "new-password")),
    ],
    confirm: "Change",
    act: async (form) => {
      const { old, new: fresh, again } = Object.fromEntries(new FormData(form));
      if (fresh !== again) throw new Error("The two new passwords differ.");
      await ask("/v1/password", { body: { old, new: fresh } });
      return true;
    },
  });
  if (done) say("Your password is changed.");
}

async function everywhere() {
  const done = await question({
    title: "Sign out everywhere?",
    body: [el("p", {}, "All your sessions end at once, this one too.")],
    confirm: "Sign out everywhere",
    act: async () => {
      await signOut(true);
      return true;
    },
  });
  if (done) say("Signed out everywhere.");
}

/** Who one is, one's password, the way out. */
export function me(place) {
  place.append(
    el("p", {}, "You are ", el("strong", {}, session.user.name), `, ${session.user.role}.`),
    el(
      "div",
      { class: "buttons" },
      el("button", { type: "button", on: { click: changePassword } }, "Change my password"),
      el("button", { type: "button", on: { click: () => trying(() => signOut()) } }, "Sign out"),
      el("button", { type: "button", on: { click: everywhere } }, "Sign out everywhere"),
    ),
    el("p", { class: "quiet" }, `Potato ${session.version}`),
  );
}
