// The program under test: started with lines to count on standard input, asked where its dashboard is, ended.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";

const binary = process.env.TALLYLINE ?? fileURLToPath(new URL("../../target/release/tallyline", import.meta.url));

export class Program {
  /** Starts it with these arguments; it has said where it serves when this is done. */
  static async start(...args) {
    const child = spawn(binary, [...args, "--output", "none"], { stdio: ["pipe", "ignore", "pipe"] });
    const program = new Program(child);
    let told = "";
    await new Promise((resolve, reject) => {
      child.stderr.setEncoding("utf8").on("data", (text) => {
        told += text;
        const line = /^dashboard at (\S+)$/m.exec(told);
        if (line) resolve((program.url = line[1]));
      });
      child.once("exit", (status) => reject(new Error(`ended with ${status}: ${told}`)));
    });
    return program;
  }

  /** Counts standard input by `k`, in batches of 200 ms, at this port. */
  static count(port = 0, ...args) {
    return Program.start("count", "-", "--by", "k", "--every", "200ms", "--http", String(port), ...args);
  }

  constructor(child) {
    this.child = child;
    child.stdin.on("error", () => {});
  }

  get port() {
    return Number(new URL(this.url).port);
  }

  /** Sends a record for each of these keys, so often. */
  send(keys, times = 1) {
    const lines = keys.map((k) => `${JSON.stringify({ k })}\n`.repeat(times));
    this.child.stdin.write(lines.join(""));
  }

  /** Goes on sending them every 50 ms until the program is ended. */
  keepSending(keys, times = 1) {
    this.timer = setInterval(() => this.send(keys, times), 50);
  }

  /** Ends the input: the run is over in good order. */
  finish() {
    clearInterval(this.timer);
    this.child.stdin.end();
  }

  async kill() {
    clearInterval(this.timer);
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    this.child.kill("SIGKILL");
    await once(this.child, "exit");
  }
}
