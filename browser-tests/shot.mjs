// Screenshots of the page, from the stub or a router: node shot.mjs URL FOLDER [light|dark] [width] [hash ...]
import { chromium } from "playwright-core";
const [url, folder, scheme = "light", width = "1360", ...hashes] = process.argv.slice(2);
const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"] });
const context = await browser.newContext({ colorScheme: scheme, viewport: { width: Number(width), height: Number(width) < 500 ? 780 : 860 } });
const page = await context.newPage();
page.on("console", (message) => ["error", "warning"].includes(message.type()) && console.log("console:", message.text()));
page.on("pageerror", (error) => console.log("error:", error.stack));
if (process.env.AS) {
  await page.goto(url);
  await page.evaluate((name) => fetch("/v1/session", { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify({ name, password: "potato" }) }), process.env.AS);
  await page.reload();
}
for (const hash of hashes.length ? hashes : ["#/"]) {
  await page.goto(url + hash);
  await page.waitForTimeout(1600);
  if (process.env.CLICK) { await page.click(process.env.CLICK); await page.waitForTimeout(500); }
  const name = `${hash.replace(/[#/?=&]+/g, "-")}-${scheme}-${width}.png`.replace(/^-+/, "");
  await page.screenshot({ path: `${folder}/${name}`, fullPage: Boolean(process.env.FULL) });
  console.log(name);
}
await browser.close();
