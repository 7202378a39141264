// Questions to the person: a real dialog, which keeps the focus, closes with Escape and gives the focus back.

import { byId, el } from "/dom.js";

/**
 * Asks before something is done. `act` does it, with the form; what the router refuses is shown in the dialog, as it is.
 * Gives what `act` gave, or undefined when the person has thought better of it. `watch` gets the place for news that
 * concern the question, and gives what ends its watching.
 */
export function question({ title, body = [], confirm, tone = "", act, watch }) {
  return new Promise((resolve) => {
    let result;
    const problem = el("p", { class: "problem-box", role: "alert", hidden: true });
    const go = el("button", { type: "submit", class: `primary ${tone}` }, confirm);
    const leave = el("button", { type: "button", on: { click: () => dialog.close() } }, "Cancel");
    const form = el(
      "form",
      {},
      el("h2", { id: "dialog-title" }, title),
      body,
      problem,
      el("div", { class: "buttons" }, leave, go),
    );
    const dialog = el("dialog", { "aria-labelledby": "dialog-title" }, form);
    const stop = watch?.(problem) ?? (() => {});
    form.addEventListener("submit", async (submit) => {
      submit.preventDefault();
      go.disabled = true;
      try {
        result = await act(form);
        dialog.close();
      } catch (refusal) {
        problem.textContent = refusal.message;
        problem.hidden = false;
      } finally {
        go.disabled = false;
      }
    });
    dialog.addEventListener("click", (click) => {
      // Beside the box: its backdrop.
      if (click.target === dialog) dialog.close();
    });
    dialog.addEventListener("close", () => {
      stop();
      dialog.remove();
      resolve(result);
    });
    document.body.append(dialog);
    dialog.showModal();
    (form.querySelector("input, select, textarea") ?? leave).focus();
  });
}

/** A word about what was done, for some seconds. */
export function say(text, tone = "good") {
  const note = el("p", { class: `note ${tone}` }, text);
  byId("notes").append(note);
  setTimeout(() => note.remove(), 8000);
}

/** Runs `work`; says what was refused. */
export async function trying(work) {
  try {
    return await work();
  } catch (refusal) {
    if (refusal.name !== "AbortError") say(refusal.message, "bad");
    return undefined;
  }
}
