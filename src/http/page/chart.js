// The chart: a bar for each batch, stacked by key, on a canvas. It knows nothing of the page but the element it is
// in; what it is given to draw never changes afterwards.

const PAD = { left: 52, right: 8, top: 8, bottom: 24 };
const TICKS = 5;
/** Steps of the time axis, in seconds. */
const STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 21600, 43200, 86400];

const compact = new Intl.NumberFormat(undefined, { notation: "compact", maximumFractionDigits: 1 });
const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const minutes = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });

/** A round whole number from `least` up: 1, 2, 2.5 or 5 times a power of ten. */
function round(least) {
  const power = 10 ** Math.floor(Math.log10(least));
  return [1, 2, 2.5, 5, 10].map((n) => n * power).find((n) => n >= least && Number.isInteger(n));
}

export class Chart {
  /**
   * `say` is called with the index of the bar that is looked at, or -1; `step` to go back (-1) or forth (1) in time, or
   * to what goes on (0).
   */
  constructor(element, say, step) {
    this.element = element;
    this.canvas = element.querySelector("canvas");
    this.say = say;
    this.step = step;
    this.bars = [];
    this.at = -1;
    new ResizeObserver(() => this.draw()).observe(element);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
    element.addEventListener("pointermove", (event) => this.point(event));
    element.addEventListener("pointerdown", (event) => this.point(event));
    element.addEventListener("pointerleave", () => this.look(-1));
    element.addEventListener("blur", () => this.look(-1));
    element.addEventListener("keydown", (event) => this.key(event));
  }

  /** Bars: `{start, end, parts: [count by slot], rest, bad}`, times in milliseconds; slots have the colours --c0 on. */
  show(bars, from, to) {
    // What is looked at stays so while bars go by.
    const looked = this.bars[this.at];
    [this.bars, this.from, this.to] = [bars, from, to];
    this.at = looked ? bars.findIndex((bar) => bar.end === looked.end) : -1;
    this.draw();
  }

  look(at) {
    this.at = at;
    this.draw();
    this.say(at);
  }

  /** Where a time is, in pixels from the left. */
  x(time) {
    const width = this.element.clientWidth - PAD.left - PAD.right;
    return PAD.left + ((time - this.from) / Math.max(1, this.to - this.from)) * width;
  }

  point(event) {
    const x = event.clientX - this.element.getBoundingClientRect().left;
    this.look(this.bars.findIndex((bar) => x >= this.x(bar.start) && x < this.x(bar.end)));
  }

  key(event) {
    const step = { PageUp: -1, PageDown: 1 }[event.key] ?? (event.key === "Escape" && this.at < 0 ? 0 : undefined);
    if (step !== undefined) {
      event.preventDefault();
      return void this.step(step);
    }
    const last = this.bars.length - 1;
    const at = this.at < 0 ? last : this.at;
    const to = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: last, Escape: -1 }[event.key];
    if (to === undefined || last < 0) return;
    event.preventDefault();
    this.look(event.key === "Escape" ? -1 : Math.min(last, Math.max(0, to)));
  }

  draw() {
    const [width, height] = [this.element.clientWidth, this.element.clientHeight];
    const scale = window.devicePixelRatio || 1;
    if (!width || !height) return;
    this.canvas.width = Math.round(width * scale);
    this.canvas.height = Math.round(height * scale);
    const pen = this.canvas.getContext("2d");
    pen.scale(scale, scale);
    const style = getComputedStyle(this.element);
    const colour = (name) => style.getPropertyValue(name).trim();
    pen.font = `12px ${style.fontFamily}`;
    pen.textBaseline = "middle";
    const sums = this.bars.map((bar) => bar.parts.reduce((sum, part) => sum + part, bar.rest));
    const step = round(Math.max(1, ...sums) / TICKS);
    const top = step * Math.max(1, Math.ceil(Math.max(0, ...sums) / step));
    const base = height - PAD.bottom;
    const y = (count) => base - (count / top) * (base - PAD.top);
    this.grid(pen, colour, { step, top, width, base, y });
    this.bars.forEach((bar, i) => this.bar(pen, colour, bar, i, base, y));
  }

  grid(pen, colour, { step, top, width, base, y }) {
    pen.strokeStyle = colour("--line");
    pen.fillStyle = colour("--soft");
    pen.textAlign = "right";
    for (let count = 0; count <= top; count += step) {
      const at = Math.round(y(count)) + 0.5;
      pen.beginPath();
      pen.moveTo(PAD.left, at);
      pen.lineTo(width - PAD.right, at);
      pen.stroke();
      pen.fillText(compact.format(count), PAD.left - 8, at);
    }
    const seconds = (this.to - this.from) / 1000;
    const labels = Math.max(2, Math.floor(width / 110));
    const every = (STEPS.find((step) => seconds / step <= labels) ?? 86400) * 1000;
    // Whole minutes and hours of the local day.
    const shift = new Date(this.from).getTimezoneOffset() * 60000;
    pen.textAlign = "center";
    for (let time = Math.ceil((this.from - shift) / every) * every + shift; time <= this.to; time += every) {
      const x = this.x(time);
      if (x < PAD.left + 20 || x > width - 30) continue;
      pen.fillText((every < 60000 ? clock : minutes).format(time), x, base + 14);
    }
  }

  bar(pen, colour, bar, i, base, y) {
    const [left, right] = [Math.max(PAD.left, this.x(bar.start)), this.x(bar.end)];
    if (right <= left) return;
    const gap = right - left > 5 ? 1.5 : right - left > 3 ? 0.75 : 0;
    pen.globalAlpha = this.at < 0 || this.at === i ? 1 : 0.45;
    let below = 0;
    [...bar.parts, bar.rest].forEach((count, slot) => {
      if (!count) return;
      pen.fillStyle = colour(slot === bar.parts.length ? "--rest" : `--c${slot}`);
      const from = y(below + count);
      pen.fillRect(left, from, right - left - gap, y(below) - from + 0.3);
      below += count;
    });
    if (bar.bad) {
      pen.globalAlpha *= Math.min(1, 0.3 + (10 * bar.bad) / (below + bar.bad));
      pen.fillStyle = colour("--bad");
      pen.fillRect(left, base + 1, right - left - gap, 3);
    }
    pen.globalAlpha = 1;
  }
}

/** A line through these figures, 100 wide and 20 high. */
export function sparkline(figures) {
  const most = Math.max(1, ...figures);
  const step = 100 / Math.max(1, figures.length - 1);
  return figures.map((figure, i) => `${(i * step).toFixed(1)},${(19 - (figure / most) * 18).toFixed(1)}`).join(" ");
}
