// The dashboard: what the API says of the past, then each batch as it closes, drawn.
//
// Everything that comes from the stream of records (keys above all) gets into the page as text, never as markup.

import { Chart, sparkline } from "/chart.js";

const SLOTS = 8;
const SPARK = 40;
/** What is added to both counts before their ratio is taken, as in the program. */
const SMOOTHING = 10;
const LATE_MS = 4000;

const $ = (id) => document.getElementById(id);
const number = new Intl.NumberFormat();
const percent = new Intl.NumberFormat(undefined, { style: "percent", maximumFractionDigits: 1 });
const signed = new Intl.NumberFormat(undefined, { style: "percent", maximumFractionDigits: 0, signDisplay: "always" });
const clock = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });
const moment = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });

// ---- What is known ----

const known = {
  status: null,
  batches: [],
  totals: null,
  /** Of each kind of window, by its name: the last ones. */
  windows: new Map(),
  /** The first thousand totals, while something is filtered for. */
  deep: null,
};
const view = { window: "batch", span: 0, filter: "", sort: "count", down: true };
/**
 * What the chart shows in place of what goes on: batches that are over and the time up to which they are shown, and whether
 * there are none before them.
 */
let past = null;
/** Which colour a key has. */
const slots = new Map();

/** A number that a double would not print as it came, such as 1.0, stays what it was: it may be a key. */
function exact(name, value, context) {
  const source = typeof value === "number" ? context?.source : undefined;
  return source === undefined || String(value) === source ? value : { exact: source, valueOf: () => value };
}

async function ask(path) {
  const answer = await fetch(path, { headers: { accept: "application/json" } });
  if (!answer.ok) throw Object.assign(new Error(`${path}: ${answer.status}`), { status: answer.status });
  return JSON.parse(await answer.text(), exact);
}

/** The same for equal keys alone. */
const id = (key) => JSON.stringify(key);

/** Characters that would steer the text around them, made visible. */
const plain = (text) =>
  text.replace(/[\u0000-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g, (c) =>
    `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`);

function text(key) {
  if (Array.isArray(key)) return key.map(text).join(" · ");
  return plain(typeof key === "string" ? key || "(empty)" : (key?.exact ?? String(key)));
}

/** What a key is, where its text does not tell. */
function kind(key) {
  if (typeof key === "string" || Array.isArray(key)) return "";
  return key === null ? "" : typeof key === "boolean" ? "" : "number";
}

/** With its times, and its counts by key. */
function understood(batch) {
  const by = new Map(batch.counts.map((row) => [id(row.key), row.count]));
  return Object.assign(batch, { from: Date.parse(batch.start), to: Date.parse(batch.end), by });
}

function take(batch) {
  understood(batch);
  const last = known.batches.at(-1);
  if (last && batch.batch <= last.batch) return;
  known.batches.push(batch);
  if (known.batches.length > 720) known.batches.shift();
}

function takeWindow(window) {
  const kept = known.windows.get(nameOf(window)) ?? [];
  window.by = new Map(window.counts.map((row) => [id(row.key), row.count]));
  window.from = Date.parse(window.start);
  window.to = Date.parse(window.end);
  known.windows.set(nameOf(window), [...kept.filter((other) => other.to !== window.to), window].slice(-1000));
}

function nameOf(window) {
  const spec = known.status.windows.find((spec) => spec.length_ms === window.length_ms && spec.slide_ms === window.slide_ms);
  return spec?.name ?? "";
}

// ---- How it gets here ----

let events;
let heard = 0;
let isOver = false;

function link(state, words) {
  $("link").dataset.state = state;
  if ($("link-text").textContent !== words) $("link-text").textContent = words;
}

/** Everything from the beginning: at first, and when another run answers. */
async function begin() {
  const status = await ask("/api/v1/status");
  const windows = status.windows.map((spec) => {
    const limit = Math.min(1000, Math.ceil(spec.length_ms / spec.slide_ms) + 2);
    return `/api/v1/windows?length_ms=${spec.length_ms}&slide_ms=${spec.slide_ms}&limit=${limit}`;
  });
  const [batches, totals, ...kinds] = await Promise.all(
    ["/api/v1/batches?limit=720&keys=20", "/api/v1/totals?limit=50", ...windows].map(ask));
  Object.assign(known, { status, batches: [], totals, windows: new Map(), deep: null });
  past = null;
  batches.batches.forEach(take);
  kinds.forEach((list) => list.windows.forEach(takeWindow));
  choices();
}

async function connect() {
  events?.close();
  try {
    await begin();
  } catch (error) {
    if (error.status === 401) return link("failed", "not allowed: open this page with ?token=…");
    link("lost", "no answer; trying again");
    return void setTimeout(connect, 2000);
  }
  heard = Date.now();
  isOver = known.status.over;
  link("live", isOver ? "the run is over" : "live");
  draw();
  if (isOver) return void setTimeout(connect, 5000);
  events = new EventSource("/events");
  events.addEventListener("batch", (event) => onBatch(JSON.parse(event.data, exact)));
  events.addEventListener("end", () => {
    isOver = true;
    events.close();
    link("late", "the run is over; waiting for the next");
    setTimeout(connect, 2000);
  });
  events.onerror = () => {
    link("lost", "connection lost; trying again");
    if (events.readyState === EventSource.CLOSED) setTimeout(connect, 2000);
  };
}

function onBatch(event) {
  if (event.status && event.status.started !== known.status.started) return void connect();
  heard = Date.now();
  if (event.status) known.status = event.status;
  if (event.totals) known.totals = event.totals;
  take(event.batch);
  event.windows.forEach(takeWindow);
  link("live", "live");
  $("link").classList.add("beat");
  setTimeout(() => $("link").classList.remove("beat"), 600);
  if (view.filter) lookDeep();
  draw();
}

setInterval(() => {
  const every = known.status?.every_ms ?? 0;
  const isLate = !isOver && heard && Date.now() - heard > 2 * every + LATE_MS;
  if (isLate && $("link").dataset.state === "live") link("late", "no batch for a while");
}, 1000);

/** The first thousand keys, so that a filter finds those beyond the table. */
async function lookDeep() {
  try {
    known.deep = (await ask("/api/v1/totals?limit=1000")).counts;
    draw();
  } catch {
    // The stream of events tells of a lost connection.
  }
}

// ---- How it is drawn ----

/** An element with these properties and children; strings become text. */
function h(name, properties, ...children) {
  const element = Object.assign(document.createElement(name), properties);
  element.append(...children);
  return element;
}

function svg(name, attributes, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

function bytes(count) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let unit = 0;
  for (; count >= 1000 && unit < units.length - 1; unit++) count /= 1000;
  return `${count.toLocaleString(undefined, { maximumFractionDigits: count < 10 && unit ? 1 : 0 })} ${units[unit]}`;
}

function micros(us) {
  if (us < 1000) return `${number.format(us)} µs`;
  if (us < 1e6) return `${(us / 1000).toLocaleString(undefined, { maximumFractionDigits: us < 1e4 ? 1 : 0 })} ms`;
  return `${(us / 1e6).toLocaleString(undefined, { maximumFractionDigits: 1 })} s`;
}

function lasts(ms) {
  const parts = [[3600e3, "h"], [60e3, "min"], [1e3, "s"], [1, "ms"]];
  const [size, unit] = parts.find(([size]) => ms >= size) ?? parts[3];
  return `${(ms / size).toLocaleString(undefined, { maximumFractionDigits: 1 })} ${unit}`;
}

const rate = (batch) => (batch.ledger.lines * 1000) / Math.max(1, batch.to - batch.from);

let isDue = false;

/** Draws with the next frame, once, and not while nobody looks. */
function draw() {
  if (isDue) return;
  isDue = true;
  requestAnimationFrame(() => {
    isDue = false;
    if (!known.status) return;
    figures();
    chartPart();
    table();
    trending();
    ledger();
    sources();
    sinks();
    latency();
  });
}

/** The last batch of this run, if one has closed: those before it may be of another one. */
function latest() {
  const last = known.batches.at(-1);
  return last && last.to > Date.parse(known.status.started) ? last : undefined;
}

function figures() {
  const { status, batches } = known;
  const last = latest();
  $("by").textContent = status.by.join(", ") || "–";
  $("version").textContent = status.version;
  $("since").textContent = moment.format(Date.parse(status.started));
  $("since").dateTime = status.started;
  if (!last) {
    for (const figure of ["rate", "last", "lines", "distinct", "paused", "p99"]) $(figure).textContent = "–";
    return;
  }
  // The first batch and the last may be short.
  const whole = batches.findLast((batch) => batch.to - batch.from >= status.every_ms * 0.9) ?? last;
  $("rate").textContent = number.format(Math.round(rate(whole)));
  $("last").textContent = number.format(last.ledger.counted);
  $("lines").textContent = number.format(known.totals.ledger.lines);
  $("distinct").textContent = number.format(status.keys);
  const paused = Math.min(1, last.paused_ms / Math.max(1, last.to - last.from));
  $("paused").textContent = percent.format(paused);
  $("paused").className = paused >= 0.1 ? "warn" : "";
  $("p99").textContent = last.p99_us ? micros(last.p99_us) : "–";
  document.title = `${number.format(Math.round(rate(whole)))}/s · tallyline`;
}

const chart = new Chart($("chart"), sayBar, step);

/** Gives the largest keys of these batches colours; who has one keeps it. */
function colour(batches) {
  const sums = new Map();
  for (const batch of batches)
    for (const row of batch.counts) {
      const key = id(row.key);
      const known = sums.get(key) ?? { key: row.key, sum: 0 };
      known.sum += row.count;
      sums.set(key, known);
    }
  const first = [...sums.entries()].sort(([, a], [, b]) => b.sum - a.sum).slice(0, SLOTS);
  const wanted = new Set(first.map(([key]) => key));
  for (const key of slots.keys()) if (!wanted.has(key)) slots.delete(key);
  const free = [...Array(SLOTS).keys()].filter((slot) => ![...slots.values()].includes(slot));
  for (const [key] of first) if (!slots.has(key)) slots.set(key, free.shift());
  return first.map(([key, { key: value }]) => ({ slot: slots.get(key), value })).sort((a, b) => a.slot - b.slot);
}

let bars = [];
/** The batch of each bar. */
let shown = [];

function chartPart() {
  const { status } = known;
  const batches = past?.batches ?? known.batches;
  const to = past?.to ?? batches.at(-1)?.to ?? Date.parse(status.time);
  const from = to - view.span;
  shown = batches.filter((batch) => batch.to > from && batch.from < to);
  const coloured = colour(shown);
  bars = shown.map((batch) => {
    const parts = Array(SLOTS).fill(0);
    for (const [key, count] of batch.by) if (slots.has(key)) parts[slots.get(key)] = count;
    const rest = batch.ledger.counted - parts.reduce((sum, part) => sum + part, 0);
    const bad = batch.ledger.malformed + batch.ledger.missing + batch.ledger.oversize;
    return { start: batch.from, end: batch.to, parts, rest, bad };
  });
  chart.show(bars, from, to);
  $("chart-range").textContent = !shown.length ? "no batch yet" : range(past ? moment : clock) + (stepNote && ` · ${stepNote}`);
  $("chart-range").classList.toggle("past", Boolean(past));
  const isAt = { earlier: !shown.length || Boolean(past?.isFirst), later: !past, now: !past };
  for (const [button, isThere] of Object.entries(isAt)) $(button).setAttribute("aria-disabled", String(isThere));
  const entry = (name, label) => h("li", {}, h("span", { className: `swatch ${name}` }), h("bdi", { title: label }, label));
  const entries = coloured.map(({ slot, value }) => entry(`k${slot}`, text(value)));
  if (bars.some((bar) => bar.rest)) entries.push(entry("rest", "others"));
  $("legend").replaceChildren(...entries);
  if (chart.at >= 0) sayBar(chart.at, true);
}

/** From when to when the chart shows something. */
const range = (format) => `${format.format(shown[0].from)} – ${clock.format(shown.at(-1).to)}`;

let isStepping = false;
/** What there is to be said of the last step. */
let stepNote = "";

/** Goes as far back (-1) or forth (1) in time as the chart shows, or to what goes on (0). */
async function step(direction) {
  const from = shown[0];
  if (isStepping || (direction >= 0 && !past) || (direction < 0 && (!from || past?.isFirst))) return;
  isStepping = true;
  stepNote = "";
  try {
    if (direction < 0) await lookBack(from.batch);
    else if (direction > 0) await lookAhead(shown.at(-1).batch);
    else past = null;
  } catch {
    stepNote = "the past cannot be read at the moment";
  }
  isStepping = false;
  draw();
  requestAnimationFrame(() => ($("chart-say").textContent = stepNote || (past ? range(moment) : "what goes on now")));
}

/** A page of batches, of as many as the chart has room for; and whether there are more in this direction. */
async function page(where) {
  const limit = Math.min(1000, Math.ceil(view.span / known.status.every_ms) + 1);
  const { batches, page } = await ask(`/api/v1/batches?${where}&limit=${limit}&keys=20`);
  return { batches: batches.map(understood), hasMore: page.next !== null };
}

/** Shows what was before this batch. A time in which nothing ran is passed over. */
async function lookBack(before) {
  const { batches, hasMore } = await page(`before=${before}`);
  if (!batches.length) {
    stepNote = "nothing is kept of before";
    if (past) past.isFirst = true;
  } else past = { batches, to: batches.at(-1).to, isFirst: !hasMore && batches[0].from >= batches.at(-1).to - view.span };
}

/** Shows what was behind this batch; at the end, what goes on. */
async function lookAhead(after) {
  const { batches } = await page(`after=${after}`);
  const to = (batches[0]?.from ?? 0) + view.span;
  const last = batches.findLast((batch) => batch.from < to);
  const isNow = !last || last.batch >= known.batches.at(-1).batch;
  past = isNow ? null : { batches, to, isFirst: false };
}

/** What stands in a bar: beside it, and in words for who does not see it. */
function sayBar(at, isQuiet) {
  const tip = $("tip");
  const bar = bars[at];
  tip.hidden = !bar;
  if (!bar) return void ($("chart-say").textContent = "");
  const batch = shown[at];
  const rows = batch.counts.slice(0, SLOTS).map((row) => [text(row.key), row.count]);
  const others = batch.ledger.counted - rows.reduce((sum, [, count]) => sum + count, 0);
  if (others) rows.push(["others", others]);
  if (bar.bad) rows.push(["malformed or missing", bar.bad]);
  const time = `${clock.format(bar.start)} – ${clock.format(bar.end)}`;
  const line = ([name, count]) => h("div", {}, h("span", {}, name), h("b", {}, number.format(count)));
  tip.replaceChildren(h("p", {}, time), line(["counted", batch.ledger.counted]), ...rows.map(line));
  const [x, width] = [chart.x(bar.end), $("chart").clientWidth];
  const left = x + 12 + tip.offsetWidth > width ? chart.x(bar.start) - tip.offsetWidth - 12 : x + 12;
  tip.style.left = `${Math.max(0, left)}px`;
  if (isQuiet !== true)
    $("chart-say").textContent = `${time}: ${rows.map(([name, count]) => `${name} ${number.format(count)}`).join(", ") || "nothing"}`;
}

/** What the table shows, and what it is compared with. */
function chosen() {
  const { batches, totals, windows } = known;
  if (view.window === "total") return { rows: totals?.counts ?? [], hidden: totals?.hidden, sum: totals?.ledger.counted };
  if (view.window === "batch") {
    const [before, now] = [batches.at(-2), latest()];
    const isAlike = before && now && Math.abs(now.to - now.from - (before.to - before.from)) < known.status.every_ms * 0.1;
    return { rows: now?.counts ?? [], hidden: now?.hidden, sum: now?.ledger.counted, before: isAlike ? before : null };
  }
  const kept = windows.get(view.window) ?? [];
  const now = kept.at(-1);
  if (!now) return { rows: [] };
  const sum = now.counts.reduce((sum, row) => sum + row.count, now.hidden?.count ?? 0);
  return { rows: now.counts, hidden: now.hidden, sum, before: kept.find((other) => other.to === now.from), now };
}

function table() {
  const { rows, hidden, sum, before } = chosen();
  const totals = new Map((known.deep ?? known.totals?.counts ?? []).map((row) => [id(row.key), row.total]));
  const spark = known.batches.slice(-SPARK);
  const all = new Map(rows.map((row) => [id(row.key), { key: row.key, count: row.count ?? row.total, total: row.total }]));
  if (view.filter && known.deep)
    for (const row of known.deep)
      if (!all.has(id(row.key))) all.set(id(row.key), { key: row.key, count: hidden ? null : 0, total: row.total });
  const list = [...all.entries()].map(([key, row]) => {
    const was = before ? (before.by.get(key) ?? (before.hidden ? null : 0)) : null;
    const change = was === null || row.count === null ? null : was === 0 ? Infinity : row.count / was - 1;
    return { ...row, id: key, label: text(row.key), change, total: row.total ?? totals.get(key) ?? null };
  });
  const needle = view.filter.toLowerCase();
  const found = list.filter((row) => row.label.toLowerCase().includes(needle));
  const by = { key: (row) => row.label, count: (row) => row.count ?? -1, change: (row) => row.change ?? -2, total: (row) => row.total ?? -1 }[view.sort];
  found.sort((a, b) => (by(a) < by(b) ? -1 : by(a) > by(b) ? 1 : 0) * (view.down ? -1 : 1) || (a.id < b.id ? -1 : 1));
  const lines = found.slice(0, 200).map((row) => line(row, sum, spark));
  if (hidden?.keys && !needle) lines.push(others(hidden, sum));
  $("rows").replaceChildren(...lines);
  $("rows-note").textContent = !list.length
    ? "Nothing was counted here."
    : needle && !found.length
      ? "No key here has that in it."
      : needle
        ? `${number.format(found.length)} of the first ${number.format(list.length)} keys`
        : "";
}

function changeCell(change) {
  if (change === null) return h("td", { className: "n" }, "–");
  if (change === Infinity) return h("td", { className: "n good" }, "new");
  if (Math.abs(change) < 0.005) return h("td", { className: "n" }, "±0 %");
  return h("td", { className: `n ${change > 0 ? "good" : "warn"}` }, `${change > 0 ? "▲" : "▼"} ${signed.format(change)}`);
}

function shareCell(share) {
  const bar = svg("svg", { viewBox: "0 0 100 1", preserveAspectRatio: "none", "aria-hidden": "true" },
    svg("rect", { width: (share * 100).toFixed(2), height: "1" }));
  return h("td", { className: "n share" }, bar, h("span", {}, percent.format(share)));
}

function line(row, sum, spark) {
  const slot = slots.get(row.id);
  const name = h("th", { scope: "row", title: row.label }, h("span", { className: `swatch ${slot === undefined ? "rest" : `k${slot}`}` }), h("bdi", {}, row.label));
  if (kind(row.key)) name.append(h("span", { className: "kind" }, kind(row.key)));
  const path = sparkline(spark.map((batch) => batch.by.get(row.id) ?? 0));
  const shape = svg("svg", { viewBox: "0 0 100 20", preserveAspectRatio: "none", role: "img", "aria-label": "its counts in the last batches" },
    svg("polyline", { points: path }));
  return h("tr", {}, name,
    h("td", { className: "n" }, row.count === null ? "–" : number.format(row.count)),
    row.count === null ? h("td", { className: "n share" }, "–") : shareCell(sum ? row.count / sum : 0),
    changeCell(row.change),
    h("td", { className: "spark" }, shape),
    h("td", { className: "n" }, row.total === null ? "–" : number.format(row.total)));
}

function others(hidden, sum) {
  const cell = (words = "") => h("td", { className: "n" }, words);
  return h("tr", { className: "others" }, h("th", { scope: "row" }, `${number.format(hidden.keys)} other keys`),
    cell(number.format(hidden.count)), shareCell(sum ? hidden.count / sum : 0), cell(), h("td", { className: "spark" }), cell());
}

/** The keys that grow most: as the program says it of a window, else of the last batches against those before. */
function trending() {
  const told = chosen().now?.trending;
  const size = Math.min(12, Math.floor(known.batches.length / 2));
  const every = known.status.every_ms;
  const note = told
    ? `${view.window} against the ${view.window} before`
    : size ? `the last ${lasts(size * every)} against the ${lasts(size * every)} before` : "after two batches";
  const rows = (told?.map((row) => ({ key: row.key, count: row.count, ratio: Number(row.ratio) })) ?? growing(size))
    .filter((row) => row.ratio >= 1.05).slice(0, 6);
  $("trend").replaceChildren(...rows.map((row) => h("li", {}, h("bdi", { title: text(row.key) }, text(row.key)),
    h("span", { className: "good" }, `× ${row.ratio.toLocaleString(undefined, { maximumFractionDigits: 2 })}`))));
  $("trend-note").textContent = rows.length ? note : `nothing grows: ${note}`;
}

function growing(size) {
  const sums = (batches) => {
    const sum = new Map();
    for (const batch of batches)
      for (const row of batch.counts) {
        const entry = sum.get(id(row.key)) ?? { key: row.key, count: 0 };
        entry.count += row.count;
        sum.set(id(row.key), entry);
      }
    return sum;
  };
  if (!size) return [];
  const now = sums(known.batches.slice(-size));
  const before = sums(known.batches.slice(-2 * size, -size));
  return [...now.entries()]
    .map(([key, { key: value, count }]) => ({ key: value, count, ratio: (count + SMOOTHING) / ((before.get(key)?.count ?? 0) + SMOOTHING) }))
    .sort((a, b) => b.ratio - a.ratio || b.count - a.count);
}

function ledger() {
  const [last, all] = [latest()?.ledger, known.totals?.ledger];
  if (!all) return;
  const wrong = new Set(["malformed", "missing", "oversize"]);
  const cell = (name, lines) => h("td", { className: `n ${wrong.has(name) && lines ? "bad" : name === "late" && lines ? "warn" : ""}` }, number.format(lines ?? 0));
  const rows = Object.keys(all).map((name) => h("tr", {}, h("th", { scope: "row" }, name), cell(name, last?.[name]), cell(name, all[name])));
  $("ledger").tBodies[0].replaceChildren(...rows);
}

function sources() {
  const { sources, lag = [], input, state, time } = known.status;
  const items = sources.map((source) => {
    const notes = [source.state];
    if (source.connections !== null) notes.push(`${number.format(source.connections)} producers`);
    if (source.state === "connected" && input.paused) notes.push("paused by backpressure");
    notes.push(bytes(source.bytes));
    const silent = source.heard ? Date.parse(time) - Date.parse(source.heard) : 0;
    if (silent > 2 * known.status.every_ms) notes.push(`silent for ${lasts(silent)}`);
    if (source.losses) notes.push(`lost ${number.format(source.losses)} ×`);
    const behind = lag.filter((part) => part.source === source.source);
    const records = behind.reduce((sum, part) => sum + Number(part.lag ?? 0), 0);
    const late = Math.max(0, ...behind.map((part) => Number(part.lag_ms ?? 0)));
    if (behind.length) notes.push(late ? `${lasts(late)} behind` : `${number.format(records)} behind`);
    return end(source.source, source.state, notes);
  });
  $("sources").replaceChildren(...items);
  const notes = [];
  if (known.status.batches_due) notes.push(`${number.format(known.status.batches_due)} batches behind`);
  if (state) notes.push(state.failing ? "the state cannot be saved" : `state: ${number.format(state.batches_waiting)} batches to be saved`);
  $("state").textContent = notes.join(" · ");
  $("state").className = state?.failing || known.status.batches_due ? "hint bad" : "hint";
}

/** Where records come from or results go to. */
function end(name, state, notes) {
  const item = h("li", {}, h("span", { className: "dot" }), h("b", {}, plain(name)), h("small", {}, notes.join(" · ")));
  item.dataset.state = state;
  return item;
}

function sinks() {
  const { sinks = [] } = known.status;
  const items = sinks.map((sink) => {
    const gone = sink.lost + sink.refused;
    const notes = [`${number.format(sink.batches)} batches, ${number.format(sink.rows)} rows taken`];
    if (sink.failing) notes.unshift("takes nothing");
    // One that has just closed is on its way.
    if (sink.waiting > 1 || sink.failing) notes.push(`${number.format(sink.waiting)} batches waiting, ${lasts(sink.lag_ms)} behind`);
    if (sink.retries) notes.push(`${number.format(sink.retries)} attempts failed`);
    if (sink.refused) notes.push(`${number.format(sink.refused)} batches passed over`);
    if (sink.lost) notes.push(`${number.format(sink.lost)} batches lost`);
    const item = end(sink.name, gone ? "failed" : sink.failing ? "reconnecting" : "connected", notes);
    if (sink.last_error !== null) {
      const what = sink.failing ? "" : "last trouble: ";
      item.append(h("small", { className: sink.failing ? "bad" : "" }, what + plain(sink.last_error)));
    }
    return item;
  });
  $("sinks-part").hidden = !items.length;
  $("sinks").replaceChildren(...items);
}

function latency() {
  const named = { receive_to_counted: "receipt to count", boundary_to_printed: "boundary to output" };
  const rows = Object.entries(named).map(([field, name]) => {
    const of = known.status.latency[field];
    const cells = [of.p50_us, of.p99_us, of.p999_us, of.max_us].map((us) => h("td", { className: "n" }, of.count ? micros(us) : "–"));
    return h("tr", {}, h("th", { scope: "row" }, name), ...cells);
  });
  $("latency").tBodies[0].replaceChildren(...rows);
}

// ---- What one can choose ----

function choices() {
  const { every_ms: every, windows } = known.status;
  const options = [["batch", `the last batch (${lasts(every)})`], ...windows.map(({ name }) => [name, `a window of ${name}`]), ["total", "everything"]];
  fill($("window"), options, view.window);
  view.window = $("window").value;
  const spans = [60, 180, 720].map((batches) => [String(batches * every), `the last ${lasts(batches * every)}`]);
  fill($("span"), spans, String(view.span));
  view.span = Number($("span").value);
}

function fill(select, options, value) {
  select.replaceChildren(...options.map(([value, words]) => h("option", { value }, words)));
  select.value = options.some(([other]) => other === value) ? value : options[0][0];
}

$("window").addEventListener("change", (event) => { view.window = event.target.value; draw(); });
$("span").addEventListener("change", (event) => {
  const last = shown.at(-1);
  view.span = Number(event.target.value);
  if (past && last) lookBack(last.batch + 1).then(draw, draw);
  else draw();
});
for (const [button, direction] of [["earlier", -1], ["later", 1], ["now", 0]]) $(button).addEventListener("click", () => step(direction));
$("filter").addEventListener("input", (event) => {
  view.filter = event.target.value;
  if (view.filter) lookDeep();
  else known.deep = null;
  draw();
});
document.addEventListener("keydown", (event) => {
  const isTyping = /^(INPUT|SELECT|TEXTAREA)$/.test(document.activeElement?.tagName);
  if (event.key === "/" && !isTyping && !event.ctrlKey && !event.metaKey && !event.altKey) {
    event.preventDefault();
    $("filter").focus();
  }
});
for (const button of document.querySelectorAll("[data-sort]"))
  button.addEventListener("click", () => {
    view.down = view.sort === button.dataset.sort ? !view.down : button.dataset.sort !== "key";
    view.sort = button.dataset.sort;
    for (const other of document.querySelectorAll("th[aria-sort]")) {
      const isIt = other.contains(button);
      other.setAttribute("aria-sort", !isIt ? "none" : view.down ? "descending" : "ascending");
    }
    draw();
  });

connect();
