// Pictures of the demo's dashboard for the documentation: node shots.js FOLDER

import { join } from "node:path";
import { chromium } from "playwright-core";
import { Program } from "./program.js";

const [folder = "../../docs"] = process.argv.slice(2);
const program = await Program.start("demo", "--every", "1s", "--window", "10s/1s", "--trending", "5", "--duration", "90s");
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox"] });
await new Promise((resolve) => setTimeout(resolve, 62_000));
for (const [name, options] of [
  ["dashboard", { viewport: { width: 1200, height: 860 } }],
  ["dashboard-dark", { viewport: { width: 1200, height: 860 }, colorScheme: "dark" }],
  ["dashboard-phone", { viewport: { width: 390, height: 844 } }],
]) {
  const context = await browser.newContext({ locale: "en-GB", reducedMotion: "reduce", ...options });
  const page = await context.newPage();
  await page.goto(program.url);
  await page.locator("#rows tr").first().waitFor();
  await new Promise((resolve) => setTimeout(resolve, 1500));
  await page.screenshot({ path: join(folder, `${name}.png`) });
  await context.close();
}
await browser.close();
await program.kill();
