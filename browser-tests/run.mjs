// The page of potatoes in a real browser, against a real router. It is run by netns-tests/tests/page.rs inside a LAN host:
//   node run.mjs URL CLAIM-CODE FOLDER-FOR-SCREENSHOTS
// What only the lab can do it asks for on standard output, a line each ("restart", "flows 10000", "carrier 2 down"), and waits
// for a line on standard input.

import { createInterface } from "node:readline";
import { launch, must, overflow, person, SOON, tabTo, violations, visit } from "./browser.mjs";

const [url, code, folder] = process.argv.slice(2);
const PASSWORD = "seven brown tubers";
const answers = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

async function lab(order) {
  console.log(order);
  const { value } = await answers.next();
  must(value === "done", `the lab says to "${order}": ${value}`);
}

const began = performance.now();
const told = (what) => console.error(`${((performance.now() - began) / 1000).toFixed(1)} s: ${what}`);

const card = (name) => `li.line:has(h2 a[href="#/lines/${name}"])`;
const stage = (name) => `${card(name)} .stage`;
const looks = (page, name, look) => page.waitForSelector(`${card(name)}[data-look="${look}"]`);
const feed = (page, words) => page.locator("#feed-list li", { hasText: words }).first().waitFor({ state: "attached" });
const picture = (page, name, fullPage = false) => page.screenshot({ path: `${folder}/${name}.png`, fullPage });
const dialogs = (page) => page.locator("dialog[open]");

async function isAccessible(page, name, rules) {
  const found = await violations(page, rules);
  must(found.length === 0, `${name}:\n${found.join("\n")}`);
}

async function claims(page) {
  await page.locator("main h1", { hasText: "Welcome" }).waitFor();
  await isAccessible(page, "claim");
  await picture(page, "claim");
  const fill = async (typed) => {
    await page.fill("input[name=code]", typed);
    await page.fill("input[name=name]", "anna");
    await page.fill("input[name=password]", PASSWORD);
    await page.fill("input[name=again]", PASSWORD);
    await page.click("form .primary");
  };
  await fill("AAAA-AAAA-AAAA");
  await page.locator(".problem-box:not([hidden])").waitFor();
  await fill(code);
  for (const name of ["dsl1", "dsl2", "dsl3"]) await looks(page, name, "marching");
  must(await page.locator("#me", { hasText: "anna" }).isVisible(), "who has claimed is signed in");
}

async function paintsWithLittle(browser) {
  const page = await person(browser, url);
  await page.waitForSelector("main h1");
  const bytes = await page.evaluate(() => {
    const painted = performance.getEntriesByName("first-contentful-paint")[0]?.startTime ?? Infinity;
    const all = [...performance.getEntriesByType("navigation"), ...performance.getEntriesByType("resource")];
    return all.filter((one) => one.startTime <= painted).reduce((sum, one) => sum + one.transferSize, 0);
  });
  must(bytes > 10_000 && bytes < 100_000, `${bytes} bytes before the first paint`);
  await page.context().close();
  told(`first paint after ${bytes} bytes`);
}

async function marchesInStep(page) {
  const times = await page.evaluate(() =>
    document
      .getAnimations()
      .filter((one) => one.animationName === "march")
      .map((one) => one.startTime),
  );
  must(times.length === 3 && new Set(times).size === 1, `three march in step: ${times}`);
  await page.emulateMedia({ reducedMotion: "reduce" });
  must((await page.evaluate(() => document.getAnimations().length)) === 0, "nothing moves for those who want it calm");
  await page.emulateMedia({ reducedMotion: null });
}

async function togglesByMouse(page) {
  await page.click(stage("dsl3"));
  const dialog = dialogs(page);
  must((await dialog.innerText()).includes("no new connections"), "it says first what will happen");
  await isAccessible(page, "dialog");
  await picture(page, "dialog");
  await page.keyboard.press("Escape");
  must(
    (await dialog.count()) === 0 && (await page.locator(card("dsl3")).getAttribute("data-look")) === "marching",
    "Escape does nothing to the line",
  );
  await page.click(stage("dsl3"));
  await dialog.locator(".primary").click();
  await looks(page, "dsl3", "lying");
  await feed(page, "anna [down] dsl3");
  await picture(page, "lines-one-down");
}

async function putsUpByKeyboardAlone(page) {
  await page.evaluate(() => document.activeElement.blur());
  await tabTo(page, stage("dsl3"));
  await page.keyboard.press("Enter");
  await dialogs(page).waitFor();
  await tabTo(page, "dialog .primary");
  await page.keyboard.press("Enter");
  await looks(page, "dsl3", "marching");
  await feed(page, "anna [up] dsl3");
  must(
    await page.evaluate((wanted) => document.activeElement.matches(wanted), stage("dsl3")),
    "the focus is where it was",
  );
}

async function addsUser(page) {
  await visit(page, "#/settings/users");
  await page.click("text=Add a user");
  await page.fill("dialog input[name=name]", "bert");
  await page.fill("dialog input[name=password]", `${PASSWORD} two`);
  await page.selectOption("dialog select", "operator");
  await page.click("dialog .primary");
  await page.locator(".rows li", { hasText: "bert" }).waitFor();
  await visit(page, "#/");
}

async function signsIn(page, name, password) {
  await page.fill("input[name=name]", name);
  await page.fill("input[name=password]", password);
  await page.keyboard.press("Enter");
  await looks(page, "dsl1", "marching");
}

/** Two people want the same line down: the second is told who was faster. */
async function twoAtOneLine(anna, bert) {
  await anna.locator("#people li", { hasText: "bert" }).waitFor();
  await bert.locator("#people li", { hasText: "anna" }).waitFor();
  await anna.click(stage("dsl2"));
  await bert.click(stage("dsl2"));
  await dialogs(bert).locator(".primary").click();
  await looks(anna, "dsl2", "lying");
  const alert = dialogs(anna).locator("[role=alert]");
  await alert.filter({ hasText: "bert" }).waitFor();
  await alert.evaluate((place) => (place.textContent = ""));
  await dialogs(anna).locator(".primary").click();
  await alert.filter({ hasText: "bert" }).waitFor();
  await picture(anna, "second-is-told");
  told(`the second is told: ${await alert.innerText()}`);
  await anna.keyboard.press("Escape");
  await feed(anna, "bert [down] dsl2");
  await anna.click(stage("dsl2"));
  await dialogs(anna).locator(".primary").click();
  await looks(bert, "dsl2", "marching");
}

/** Milliseconds from what the router says was the time of a change until the potato has changed. */
async function changesAreSeenSoon(page) {
  const delays = await page.evaluate(async () => {
    const { on } = await import("/live.js");
    const { ask } = await import("/api.js");
    const all = [];
    for (const state of ["down", "up", "down", "up", "down", "up"]) {
      const place = document.querySelector('li.line:has(h2 a[href="#/lines/dsl3"])');
      const before = place.dataset.look;
      const seen = new Promise((resolve) =>
        new MutationObserver((_, self) => {
          if (place.dataset.look === before) return;
          self.disconnect();
          resolve(Date.now());
        }).observe(place, { attributes: true }),
      );
      const happened = new Promise((resolve) => {
        const stop = on("event", (event) => {
          if (event.event !== "uplink-changed" || event.uplink !== "dsl3") return;
          stop();
          resolve(Date.parse(event.time));
        });
      });
      await ask("/v1/link", { body: { uplink: "dsl3", state } });
      all.push((await seen) - (await happened));
    }
    return all;
  });
  const median = delays.toSorted((one, other) => one - other)[delays.length >> 1];
  told(`a change is on the page after ${delays.join(", ")} ms`);
  must(median < 300, `a change is seen within 300 ms: ${delays}`);
  await looks(page, "dsl3", "marching");
}

async function seesLinesFail(page) {
  await lab("carrier 2 down");
  await looks(page, "dsl2", "lying");
  await feed(page, "dsl2 [no carrier");
  await lab("carrier 2 up");
  await looks(page, "dsl2", "marching");
}

async function reserves(page) {
  await visit(page, "#/lines/dsl1");
  await page.click("button:has-text('Reserve')");
  await page.fill("dialog input[name=hosts]", "192.168.10.21");
  await picture(page, "reserve");
  await page.click("dialog .primary");
  await page.locator(".line-head[data-reserved]").waitFor();
  await page.waitForTimeout(300);
  await picture(page, "line", true);
  await isAccessible(page, "line");
  await page.locator(".line-head button:has-text('Release')").click();
  await page.click("dialog .primary");
  await page.locator(".line-head:not([data-reserved])").waitFor();
}

const order = (name) => `.line-head [data-order="${name}"]`;

/** Another role by mouse, and the old one by keyboard alone. */
async function changesRole(page) {
  await visit(page, "#/lines/dsl1");
  await page.click(order("role"));
  await page.selectOption("dialog select[name=role]", "standby");
  must(
    (await dialogs(page).innerText()).includes("New connections of everybody go elsewhere"),
    "it says first what will happen",
  );
  await isAccessible(page, "role");
  await picture(page, "role");
  await page.click("dialog .primary");
  await page.locator('.line-head[data-role="standby"]').waitFor();
  await feed(page, "anna [role standby] dsl1");
  await page.locator(".facts dd", { hasText: "standby, by anna (as configured: balanced)" }).waitFor();
  await page.locator(".line-head .state", { hasText: "standing by" }).waitFor();
  await picture(page, "line-standby");
  await tabTo(page, order("role"));
  await page.keyboard.press("Enter");
  await dialogs(page).waitFor();
  must(await page.evaluate(() => document.activeElement.matches("dialog select")), "the choice has the focus");
  await page.keyboard.press("Home");
  await tabTo(page, "dialog .primary");
  await page.keyboard.press("Enter");
  await page.locator('.line-head[data-role="balanced"]').waitFor();
  await feed(page, "anna [role balanced] dsl1");
  must(
    await page.evaluate((wanted) => document.activeElement.matches(wanted), order("role")),
    "the focus is where it was",
  );
}

async function redials(page) {
  await visit(page, "#/lines/dsl1");
  await tabTo(page, order("redial"));
  await page.keyboard.press("Enter");
  await dialogs(page).waitFor();
  must((await dialogs(page).innerText()).includes("Its address stays"), "it says first what will happen");
  await isAccessible(page, "redial");
  await picture(page, "redial");
  await tabTo(page, "dialog .primary");
  await page.keyboard.press("Enter");
  await feed(page, "anna [redial] dsl1");
  await page.locator('.line-head[data-look="marching"]').waitFor();
}

/** Somebody else changes the role while the question is open: the second is told who was faster. */
async function twoAtOneRole(anna, bert) {
  for (const page of [anna, bert]) {
    await visit(page, "#/lines/dsl2");
    await page.click(order("role"));
    await page.selectOption("dialog select[name=role]", "isolated");
  }
  await bert.click("dialog .primary");
  const alert = dialogs(anna).locator("[role=alert]");
  await alert.filter({ hasText: "bert has just made dsl2 isolated" }).waitFor();
  await anna.click("dialog .primary");
  await alert.filter({ hasText: "dsl2 was made isolated by bert" }).waitFor();
  await anna.keyboard.press("Escape");
  await bert.click(order("role"));
  await bert.selectOption("dialog select[name=role]", "balanced");
  await bert.click("dialog .primary");
  await anna.locator('.line-head[data-role="balanced"]').waitFor();
  for (const page of [anna, bert]) await visit(page, "#/");
}

async function listsTenThousand(page) {
  await lab("flows 10000");
  await visit(page, "#/flows");
  await page.waitForFunction(
    () => Number(document.querySelector("[role=table]")?.getAttribute("aria-rowcount")) >= 10_000,
    null,
    { timeout: SOON },
  );
  must((await page.locator(".flow").count()) < 80, "only what is seen is drawn");
  const frames = await page.evaluate(async () => {
    const list = document.querySelector(".list");
    const times = [];
    let before = performance.now();
    for (let step = 0; step < 40; step += 1) {
      list.scrollTop += 3000;
      await new Promise(requestAnimationFrame);
      times.push(performance.now() - before);
      before = performance.now();
    }
    return times.sort((one, other) => one - other);
  });
  told(
    `scrolling through 10,000 flows: a frame takes ${frames[20].toFixed(0)} ms, the longest ${frames.at(-1).toFixed(0)} ms`,
  );
  must(frames[20] < 60, `it scrolls smoothly: ${frames}`);
  await picture(page, "flows");
  await isAccessible(page, "flows");
  await page.focus(".list");
  await page.keyboard.press("End");
  await page.keyboard.press("Home");
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("Enter");
  await dialogs(page).locator("dt", { hasText: "Why" }).waitFor();
  await isAccessible(page, "why");
  await picture(page, "why");
  await page.keyboard.press("Escape");
}

/** The router starts again under an open page, which goes on by itself, and knows us still. */
async function survivesRestart(page) {
  await visit(page, "#/");
  await page.evaluate(() => (globalThis.isSame = true));
  const newest = () => page.evaluate(async () => (await import("/live.js")).live.events.at(-1).id);
  const before = await newest();
  await lab("restart");
  await feed(page, "router [started");
  await looks(page, "dsl1", "marching");
  await page.locator('#contact[data-contact="live"]').waitFor();
  must(await page.evaluate(() => globalThis.isSame), "the page was not loaded again");
  must((await newest()) > before, "events go on from where they were");
  must(await page.locator("#me", { hasText: "anna" }).isVisible(), "still signed in");
}

const VIEWS = [
  ["lines", "#/"],
  ["hosts", "#/hosts"],
  ["history", "#/history"],
  ["events", "#/events"],
  ["settings", "#/settings/configuration"],
  ["users", "#/settings/users"],
  ["me", "#/settings/me"],
  ["flows", "#/flows"],
];

async function everyViewIsAccessible(page) {
  for (const [name, hash] of VIEWS) {
    await page.emulateMedia({ colorScheme: "light" });
    await visit(page, hash);
    await page.waitForTimeout(250);
    await isAccessible(page, name);
    await picture(page, `${name}-light`);
    await page.emulateMedia({ colorScheme: "dark" });
    await isAccessible(page, `${name}, dark`, ["color-contrast"]);
    await picture(page, `${name}-dark`);
  }
  await page.emulateMedia({ colorScheme: "light" });
}

async function worksOnPhones(page) {
  await page.setViewportSize({ width: 360, height: 740 });
  for (const [name, hash] of [...VIEWS, ["line", "#/lines/dsl1"]]) {
    await visit(page, hash);
    await page.waitForTimeout(200);
    must((await overflow(page)) <= 0, `${name} is wider than a phone`);
    await picture(page, `${name}-phone`);
  }
  await isAccessible(page, "a phone");
  await dialogsFitPhones(page);
  await page.setViewportSize({ width: 1360, height: 860 });
}

/** The questions of the line that is shown. */
async function dialogsFitPhones(page) {
  for (const scheme of ["light", "dark"]) {
    await page.emulateMedia({ colorScheme: scheme });
    for (const name of ["role", "redial"]) {
      await page.click(order(name));
      await dialogs(page).waitFor();
      must((await overflow(page)) <= 0, `${name} is wider than a phone`);
      await picture(page, `${name}-phone-${scheme}`);
      await isAccessible(page, `${name}, a phone, ${scheme}`, ["color-contrast"]);
      await page.keyboard.press("Escape");
    }
  }
  await page.emulateMedia({ colorScheme: "light" });
}

async function goesBack(page) {
  await visit(page, "#/");
  await page.click('nav a[data-page="hosts"]');
  await page.locator("main h1", { hasText: "Hosts" }).waitFor();
  await page.goBack();
  await page.locator("main h1", { hasText: "Lines" }).waitFor();
}

async function changesTheConfiguration(page) {
  await visit(page, "#/settings/configuration");
  const area = page.locator("textarea");
  await page.waitForFunction(() => document.querySelector("textarea").value.includes("[[uplink]]"));
  const text = await area.inputValue();
  await area.fill(`${text}\noops = 1\n`);
  await page.click("button:has-text('Check')");
  await page.locator(".problem-box", { hasText: "oops" }).last().waitFor();
  await area.fill(text.replace('name = "dsl3"\n', 'name = "dsl3"\nweight = 3\n'));
  await page.click("button:has-text('Save')");
  await dialogs(page).locator(".primary").click();
  await page.locator("text=Saved, and in force").waitFor();
}

/** Whoever signs out everywhere is out on all pages at once. */
async function signsOutEverywhere(page) {
  const other = await page.context().newPage();
  await other.goto(url);
  await looks(other, "dsl1", "marching");
  await visit(page, "#/settings/me");
  await page.click("button:has-text('Sign out everywhere')");
  await page.click("dialog .primary");
  for (const one of [page, other]) await one.locator("input[name=password]").waitFor();
  await isAccessible(other, "sign-in");
  await picture(other, "sign-in");
}

const browser = await launch();
const people = [];
try {
  await paintsWithLittle(browser);
  const anna = await person(browser, url);
  people.push(anna);
  const step = async (work, ...more) => {
    await work(anna, ...more);
    told(work.name);
  };
  await step(claims);
  await step(marchesInStep);
  await step(togglesByMouse);
  await step(putsUpByKeyboardAlone);
  await step(goesBack);
  await step(addsUser);
  const bert = await person(browser, url);
  people.push(bert);
  await signsIn(bert, "bert", `${PASSWORD} two`);
  await step(twoAtOneLine, bert);
  await step(twoAtOneRole, bert);
  await bert.context().close();
  await step(changesAreSeenSoon);
  await step(seesLinesFail);
  await step(reserves);
  await step(changesRole);
  await step(redials);
  await step(listsTenThousand);
  await step(survivesRestart);
  await step(changesTheConfiguration);
  await step(everyViewIsAccessible);
  await step(worksOnPhones);
  await step(signsOutEverywhere);
  const errors = people.flatMap((page) => page.errors);
  must(errors.length === 0, `errors on the page: ${errors.join("\n")}`);
} catch (error) {
  await Promise.all(people.map((page, at) => picture(page, `failed-${at}`).catch(() => {})));
  console.error(`${error.stack}\n${people.flatMap((page) => page.errors).join("\n")}`);
  process.exitCode = 1;
} finally {
  await browser.close();
}
process.exit();
