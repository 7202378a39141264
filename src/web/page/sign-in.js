// Signing in and out; and the first run, when the router belongs to nobody yet.

import { say } from "/dialog.js";
import { el, field } from "/dom.js";
import { potato } from "/lines.js";
import { claim, session, signIn, signOut } from "/session.js";

export const title = "Sign in";

const input = (name, type, autocomplete, more = {}) =>
  el("input", { name, type, autocomplete, required: true, autocapitalize: "none", spellcheck: "false", ...more });

/** A form that does something with the router, and shows what that refuses. */
function form(fields, label, act) {
  const problem = el("p", { class: "problem-box", role: "alert", hidden: true });
  const go = el("button", { type: "submit", class: "primary" }, label);
  const made = el("form", {}, fields, problem, go);
  made.addEventListener("submit", async (submit) => {
    submit.preventDefault();
    go.disabled = true;
    problem.hidden = true;
    try {
      await act(Object.fromEntries(new FormData(made)));
    } catch (refusal) {
      problem.textContent = refusal.message;
      problem.hidden = false;
      // Throttled: not before its time.
      if (refusal.retryAfter)
        await new Promise((resolve) => setTimeout(resolve, Math.min(refusal.retryAfter, 30) * 1000));
    } finally {
      go.disabled = false;
    }
  });
  return made;
}

/** Where one came from. */
function goBack(query) {
  const back = query.get("back") ?? "#/";
  location.hash = back.startsWith("#/") && !back.startsWith("#/sign-in") ? back : "#/";
}

function signInForm(query) {
  const name = input("name", "text", "username");
  return form(
    [field("Name", name), field("Password", input("password", "password", "current-password"))],
    "Sign in",
    async ({ name: who, password }) => {
      await signIn(who.trim(), password);
      say(`Hello, ${session.user.name}.`);
      goBack(query);
    },
  );
}

function claimForm(query) {
  const fields = [
    field("Code", input("code", "text", "one-time-code"), "The router has written it to its console and its log."),
    field("Your name", input("name", "text", "username")),
    field("Password", input("password", "password", "new-password")),
    field("Password, again", input("again", "password", "new-password")),
  ];
  return form(fields, "Claim this router", async ({ code, name, password, again }) => {
    if (password !== again) throw new Error("The two passwords differ.");
    await claim(code.trim(), name.trim(), password);
    say(`This router is yours, ${session.user.name}.`);
    goBack(query);
  });
}

function signedIn() {
  const leave = (everywhere) => () =>
    signOut(everywhere).then(
      () => say(everywhere ? "Signed out everywhere." : "Signed out."),
      (refusal) => say(refusal.message, "bad"),
    );
  return el(
    "div",
    { class: "stack" },
    el("p", {}, "You are ", el("strong", {}, session.user.name), `, ${session.user.role}.`),
    el(
      "div",
      { class: "buttons" },
      el("button", { type: "button", class: "primary", on: { click: leave(false) } }, "Sign out"),
      el("button", { type: "button", on: { click: leave(true) } }, "Sign out everywhere"),
      el("a", { class: "button", href: "#/" }, "To the lines"),
    ),
  );
}

function words() {
  if (!session.claimed)
    return [
      "Welcome to Potato",
      "This router belongs to nobody yet. Whoever has the code from its console becomes its first admin.",
    ];
  if (session.user) return ["Signed in", ""];
  return [
    "Sign in",
    session.look === "anyone"
      ? "Everybody here may look. To change something, say who you are."
      : "This router shows its lines to those who sign in.",
  ];
}

export function show(main, { heading, query }) {
  const [head, text] = words();
  heading.textContent = head;
  const body = !session.claimed ? claimForm(query) : session.user ? signedIn() : signInForm(query);
  const big = el("div", { class: "big", "data-look": session.user ? "marching" : "waiting" }, potato());
  main.append(el("section", { class: "box enter" }, big, heading, text && el("p", { class: "quiet" }, text), body));
  if (!session.user) body.querySelector("input")?.focus();
}
