// The dashboard in a real browser: what it shows, that it stays what it is whatever is counted, and that it comes back.

import assert from "node:assert/strict";
import { mkdtemp, readFile, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, before, test } from "node:test";
import { chromium } from "playwright-core";
import { Program } from "./program.js";

const axe = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const DESK = { width: 1280, height: 900 };
const PHONE = { width: 360, height: 740 };

let browser;
const programs = [];
const contexts = [];

before(async () => {
  browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox"] });
});
after(() => browser.close());
afterEach(async () => {
  await Promise.all(contexts.splice(0).map((context) => context.close()));
  await Promise.all(programs.splice(0).map((program) => program.kill()));
});

async function count(...args) {
  const program = await Program.count(...args);
  programs.push(program);
  return program;
}

/** Opens the page; what the console says and every request are kept. */
async function open(url, options = {}) {
  const context = await browser.newContext({ viewport: DESK, locale: "en-GB", ...options });
  contexts.push(context);
  const page = await context.newPage();
  page.setDefaultTimeout(20_000);
  page.said = [];
  page.asked = [];
  page.on("console", (message) => ["error", "warning"].includes(message.type()) && page.said.push(message.text()));
  page.on("pageerror", (error) => page.said.push(error.message));
  page.on("request", (request) => page.asked.push(request.url()));
  await page.goto(url);
  return page;
}

const number = async (page, id) => Number((await page.locator(`#${id}`).innerText()).replaceAll(",", ""));
const isLive = (page) => page.locator('#link[data-state="live"]').waitFor();
const rows = (page) => page.locator("#rows tr:not(.others) th bdi");

/** Waits until this is so of the page. */
async function until(what, condition) {
  for (let i = 0; i < 400; i++) {
    if (await condition()) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  assert.fail(`it does not come to pass: ${what}`);
}

/** How many colours the chart is painted with. */
const colours = (page) => page.evaluate(() => {
  const canvas = document.querySelector("canvas");
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  const seen = new Map();
  for (let i = 0; i < data.length; i += 4) {
    if (data[i + 3] < 255) continue;
    const colour = (data[i] << 16) | (data[i + 1] << 8) | data[i + 2];
    seen.set(colour, (seen.get(colour) ?? 0) + 1);
  }
  // Text has many shades, of a few pixels each.
  return [...seen.values()].filter((pixels) => pixels > 100).length;
});

test("figures, table and chart follow the stream, and nothing comes from elsewhere", async () => {
  const program = await count();
  program.keepSending(["a", "a", "b"], 20);
  program.child.stdin.write("no JSON\n");
  const page = await open(program.url);
  await isLive(page);
  await until("lines grow", async () => (await number(page, "lines")) > 0);
  const first = await number(page, "lines");
  await until("lines go on growing", async () => (await number(page, "lines")) > first + 100);
  await until("a rate", async () => (await number(page, "rate")) > 100);
  assert.deepEqual(await rows(page).allInnerTexts(), ["a", "b"]);
  await until("a chart", async () => (await colours(page)) >= 2);
  const malformed = page.locator("#ledger tr", { hasText: "malformed" }).locator("td").last();
  assert.equal(await malformed.innerText(), "1");
  assert.match(await malformed.getAttribute("class"), /bad/);
  assert.match(await page.locator("#sources").innerText(), /-\s+connected/);
  assert.equal(await page.locator("#sinks-part").isVisible(), false);
  assert.deepEqual(page.said, []);
  for (const asked of page.asked) assert.equal(new URL(asked).origin, new URL(program.url).origin);
});

test("sinks are told of: what they have taken, what waits, what is wrong", async () => {
  const here = await mkdtemp(join(tmpdir(), "sinks-"));
  const program = await count(0, "--to-drain", "0s", "--to", `file:${here}/a.jsonl`, "--to", `exec:test -e ${here}/up`);
  program.keepSending(["a", "b"]);
  const page = await open(program.url);
  const sinks = page.locator("#sinks li");
  await until("both are there", async () => (await sinks.count()) === 2);
  await until("one takes nothing", async () => /takes nothing.* waiting.*the command ended with status 1/s.test(await sinks.nth(1).innerText()));
  assert.equal(await sinks.nth(1).getAttribute("data-state"), "reconnecting");
  await until("the other one does", async () => /\d batches, [1-9][\d,]* rows taken/.test(await sinks.nth(0).innerText()));
  assert.equal(await sinks.nth(0).getAttribute("data-state"), "connected");
  await writeFile(join(here, "up"), "");
  await until("it takes them again", async () => /^(?!.*takes nothing).*last trouble: /s.test(await sinks.nth(1).innerText()));
  assert.deepEqual(page.said, []);
});

test("what the page says is what the API says", async () => {
  const program = await count();
  program.send(["x", "y", "x"], 1000);
  const page = await open(program.url);
  await until("all is counted", async () => (await number(page, "lines")) === 3000);
  await page.locator("#window").selectOption("total");
  await until("totals", async () => /2,000/.test(await page.locator("#rows").innerText()));
  const totals = await (await fetch(`${program.url}api/v1/totals`)).json();
  assert.deepEqual(totals.counts, [{ key: "x", total: 2000 }, { key: "y", total: 1000 }]);
});

test("a filter finds keys beyond the table", async () => {
  const program = await count();
  const keys = Array.from({ length: 300 }, (_, i) => `key-${String(i).padStart(3, "0")}`);
  const page = await open(program.url);
  program.send(keys, 2);
  program.keepSending(keys);
  await until("the table is full", async () => (await rows(page).count()) === 50);
  assert.match(await page.locator("#rows .others").innerText(), /250 other keys/);
  await page.keyboard.press("/");
  assert.equal(await page.evaluate(() => document.activeElement.id), "filter");
  await page.keyboard.type("KEY-29");
  await until("ten are found", async () => (await rows(page).count()) === 10);
  await page.locator("#filter").fill("nowhere");
  await until("none is found", async () => (await rows(page).count()) === 0);
  assert.match(await page.locator("#rows-note").innerText(), /No key/);
});

test("a window is chosen and compared with the one before", async () => {
  const program = await count(0, "--window", "400ms", "--trending", "3");
  program.keepSending(["steady"], 20);
  const page = await open(program.url);
  await isLive(page);
  await page.locator("#window").selectOption({ label: "a window of 400ms" });
  await until("a change", async () => /%/.test(await page.locator("#rows td").nth(2).innerText()));
  clearInterval(program.timer);
  program.keepSending(["steady", "rising"], 30);
  await until("what rises", async () => /rising/.test(await page.locator("#trend").innerText()));
});

test("columns sort, by pointer and by keyboard", async () => {
  const program = await count();
  program.keepSending(["b", "b", "b", "a", "c", "c"], 3);
  const page = await open(program.url);
  await until("rows", async () => (await rows(page).count()) === 3);
  assert.deepEqual(await rows(page).allInnerTexts(), ["b", "c", "a"]);
  await page.getByRole("button", { name: "key", exact: true }).focus();
  await page.keyboard.press("Enter");
  await until("by key", async () => (await rows(page).allInnerTexts()).join("") === "abc");
  assert.equal(await page.locator("th", { hasText: "key" }).first().getAttribute("aria-sort"), "ascending");
});

test("the chart can be read by keyboard", async () => {
  const program = await count();
  program.keepSending(["a"], 7);
  const page = await open(program.url);
  await until("bars", async () => (await page.locator("#legend li").count()) > 0);
  await page.locator("#chart").focus();
  await page.keyboard.press("ArrowLeft");
  await page.locator("#tip").waitFor();
  assert.match(await page.locator("#chart-say").innerText(), /\d\d:\d\d:\d\d.*: /);
  await page.keyboard.press("Escape");
  await page.locator("#tip").waitFor({ state: "hidden" });
});

test("hostile keys are text", async () => {
  const program = await count();
  const keys = [
    "<img src=x onerror=window.hit=1>",
    "<script>window.hit=1</script>",
    "\u202eoverride\u2066",
    "__proto__",
    "constructor",
    "' onmouseover='window.hit=1",
    "{{7*7}}${7*7}",
    "",
    1,
    true,
    null,
  ];
  program.keepSending(keys, 2);
  program.child.stdin.write('{"k":1.0}\n{"k":1.0}\n'.repeat(2000));
  const page = await open(program.url);
  await until("all rows", async () => (await rows(page).count()) >= keys.length);
  const texts = await rows(page).allInnerTexts();
  for (const key of keys.slice(0, 2)) assert.ok(texts.includes(key), `${key} of ${texts}`);
  assert.ok(texts.includes("\\u202eoverride\\u2066"), texts.join("|"));
  assert.ok(texts.includes("(empty)") && texts.includes("__proto__") && texts.includes("null"));
  await page.locator("#window").selectOption("total");
  // 1 and 1.0 are two keys.
  await until("both numbers", async () => (await rows(page).allInnerTexts()).filter((text) => /^1(\.0)?$/.test(text)).length === 2);
  assert.equal(await page.evaluate(() => window.hit), undefined);
  assert.equal(await page.locator("main img, main script").count(), 0);
  assert.deepEqual(page.said, []);
});

test("light and dark follow the system", async () => {
  const program = await count();
  program.keepSending(["a"]);
  const background = (page) => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const page = await open(program.url, { colorScheme: "light" });
  const light = await background(page);
  await page.emulateMedia({ colorScheme: "dark" });
  assert.notEqual(await background(page), light);
});

for (const [name, options] of [
  ["a desk, light", { colorScheme: "light" }],
  ["a desk, dark", { colorScheme: "dark" }],
  ["a phone", { viewport: PHONE, hasTouch: true, isMobile: true }],
]) {
  test(`no fault of accessibility on ${name}`, async () => {
    const program = await count(0, "--window", "1s");
    program.keepSending(["a", "b", "c".repeat(300)], 5);
    program.child.stdin.write("no JSON\n");
    const page = await open(program.url, { reducedMotion: "reduce", ...options });
    await until("rows", async () => (await rows(page).count()) === 3);
    await page.evaluate(axe);
    const { violations } = await page.evaluate(() => window.axe.run());
    const told = violations.map(({ id, impact, nodes }) => `${impact} ${id}: ${nodes.map((node) => node.html).join(", ")}`);
    assert.deepEqual(told, []);
  });
}

test("a phone shows everything without scrolling sideways", async () => {
  const program = await count();
  program.keepSending(["a", "x".repeat(400)], 5000);
  const page = await open(program.url, { viewport: PHONE, isMobile: true, hasTouch: true });
  await until("rows", async () => (await rows(page).count()) === 2);
  const wide = await page.evaluate(() => document.documentElement.scrollWidth);
  assert.ok(wide <= PHONE.width, `${wide} of ${PHONE.width}`);
});

test("after a restart the page comes back by itself", async () => {
  let program = await count();
  program.keepSending(["before"], 5);
  const page = await open(program.url);
  await until("rows", async () => (await rows(page).count()) === 1);
  const { port } = program;
  await program.kill();
  await page.locator('#link[data-state="lost"]').waitFor();
  program = await count(port);
  program.send(["after", "after"], 4);
  program.keepSending(["after"]);
  await until("the new run's keys", async () => (await rows(page).allInnerTexts()).join() === "after");
  await isLive(page);
});

test("with a state the past is there after a restart, and can be gone through", async () => {
  const state = join(await mkdtemp(join(tmpdir(), "dashboard-")), "state.db");
  let program = await count(0, "--state", state);
  program.keepSending(["before"], 5);
  const batches = async () => (await (await fetch(`${program.url}api/v1/batches?limit=1000`)).json()).batches;
  // More than one chart of them.
  await until("many batches", async () => (await batches()).length > 70);
  const { port } = program;
  await program.kill();
  program = await count(port, "--state", state);
  program.keepSending(["after"], 5);
  const page = await open(program.url);
  await isLive(page);
  const legend = async () => (await page.locator("#legend li").allInnerTexts()).join();
  await until("both runs in the chart", async () => (await legend()).includes("before") && (await legend()).includes("after"));
  await until("the new run alone in the last batch", async () => (await rows(page).allInnerTexts()).join() === "after");

  const range = () => page.locator("#chart-range").innerText();
  const button = (name) => page.getByRole("button", { name, exact: false });
  const isOff = async (name) => (await button(name).getAttribute("aria-disabled")) === "true";
  assert.ok((await isOff("Later")) && (await isOff("Live")));
  await button("Earlier").click();
  await until("the past", async () => (await legend()) === "before" && !(await isOff("Live")));
  assert.equal(await page.locator("#chart-range.past").count(), 1);
  const still = await range();
  const lines = await number(page, "lines");
  await until("counting goes on", async () => (await number(page, "lines")) > lines);
  assert.equal(await range(), still, "the past stands still");
  await page.locator("#chart").focus();
  await page.keyboard.press("ArrowLeft");
  await page.locator("#tip").waitFor();
  assert.match(await page.locator("#tip").innerText(), /before/);
  await page.keyboard.press("Escape");
  await page.locator("#tip").waitFor({ state: "hidden" });
  await until("the beginning", async () => {
    if (await isOff("Earlier")) return true;
    await page.keyboard.press("PageUp");
    return false;
  });
  assert.match(await range(), /\d{4}/, "a past time has its date");

  await page.keyboard.press("PageDown");
  await until("later", async () => !(await isOff("Earlier")));
  await until("what goes on", async () => {
    if (await isOff("Live")) return true;
    await page.keyboard.press("PageDown");
    return false;
  });
  await until("live", async () => (await legend()).includes("after") && (await page.locator("#chart-range.past").count()) === 0);
  await button("Earlier").click();
  await until("the past again", async () => !(await isOff("Live")));
  await page.locator("#chart").focus();
  await page.keyboard.press("Escape");
  await until("live again", async () => isOff("Live"));
  assert.deepEqual(page.said, []);
});

test("the end of a run is told", async () => {
  const program = await count();
  program.send(["a"], 9);
  const page = await open(program.url);
  await page.locator("#window").selectOption("total");
  await until("rows", async () => (await rows(page).count()) === 1);
  program.finish();
  await until("the end", async () => /over|no answer/.test(await page.locator("#link-text").innerText()));
  assert.equal(await number(page, "lines"), 9);
});

test("with a token the page is opened once with it, and then without", async () => {
  const token = "0123456789abcdef0123456789abcdef";
  const file = join(await mkdtemp(join(tmpdir(), "dashboard-")), "token");
  await writeFile(file, token);
  const program = await count(0, "--http-token-file", file);
  program.keepSending(["a"]);
  const page = await open(`${program.url}?token=${token}`);
  await isLive(page);
  assert.equal(page.url(), program.url);
  await page.reload();
  await isLive(page);
  const stranger = await browser.newContext();
  contexts.push(stranger);
  const answer = await (await stranger.newPage()).goto(program.url);
  assert.equal(answer.status(), 401);
});
