// A browser of the tests, and what they ask of it.

import { readFile } from "node:fs/promises";
import { chromium } from "playwright-core";

const FLAGS = [
  "--headless",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];
const axe = await readFile(new URL("node_modules/axe-core/axe.min.js", import.meta.url), "utf8");

/** Everything is there within this. In milliseconds. */
export const SOON = 15_000;

export const launch = () =>
  chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: FLAGS });

/** Fails the run, and says why. */
export function must(isSo, what) {
  if (!isSo) throw new Error(what);
}

/** Takes the page's files from `folder` and not from the router: to work on the page without building the router anew. */
async function fromDisk(context, folder) {
  await context.route(/\.(js|css)$/, async (route) => {
    const name = new URL(route.request().url()).pathname;
    await route.fulfill({
      path: `${folder}${name}`,
      contentType: name.endsWith("js") ? "text/javascript" : "text/css",
    });
  });
}

/** A page of a person of his own, whose errors are kept. */
export async function person(browser, url, more = {}) {
  const context = await browser.newContext({ viewport: { width: 1360, height: 860 }, colorScheme: "light", ...more });
  if (process.env.PAGE_FILES) await fromDisk(context, process.env.PAGE_FILES);
  const page = await context.newPage();
  page.setDefaultTimeout(SOON);
  page.errors = [];
  page.on("pageerror", (error) => page.errors.push(error.stack));
  page.on("console", (message) => {
    // That something was refused is shown by the page, and logged by the browser.
    if (message.type() === "error" && !message.text().startsWith("Failed to load resource"))
      page.errors.push(message.text());
  });
  await page.goto(url);
  return page;
}

/** Goes to another view as a link does: without loading the page. */
export async function visit(page, hash) {
  await page.evaluate((to) => (location.hash = to), hash);
  await page.waitForFunction(() => document.querySelector("main h1")?.textContent);
}

/** What axe-core has against the page, as one text a violation. */
export async function violations(page, rules) {
  await page.evaluate(axe);
  const options = rules ? { runOnly: rules } : {};
  const found = await page.evaluate(
    async (how) =>
      (await globalThis.axe.run(document, how)).violations.map(
        ({ id, help, nodes }) =>
          `${id}: ${help}: ${nodes.map((node) => `${node.target} ${node.failureSummary}`).join("; ")}`,
      ),
    options,
  );
  return found;
}

/** Whether something moves that should not, or is cut off at the side. */
export const overflow = (page) =>
  page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);

/** Tab until `selector` has the focus: as somebody without a mouse gets there. */
export async function tabTo(page, selector) {
  for (let presses = 0; presses < 80; presses += 1) {
    if (await page.evaluate((wanted) => document.activeElement?.matches(wanted), selector)) return;
    await page.keyboard.press("Tab");
  }
  throw new Error(`80 times Tab did not lead to ${selector}`);
}
