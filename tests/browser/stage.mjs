// The demo as a program of its own, and a browser in front of it. Both end with the tests, however those end.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { AxeBuilder } from "@axe-core/playwright";
import { chromium } from "playwright-core";

const program = process.env.TASKQ_DEMO;
const browserProgram = process.env.TASKQ_CHROMIUM ?? "/usr/bin/chromium";

// As root chromium has no sandbox of its own, and it asks others for nothing here.
const FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run"];

export class Stage {
  static async open() {
    assert.ok(program, "TASKQ_DEMO names the demo program");
    const stage = new Stage();
    stage.folder = mkdtempSync(join(tmpdir(), "taskq-browser-"));
    const url = `sqlite://${join(stage.folder, "demo.db")}`;
    stage.demo = spawn(program, ["--listen", "127.0.0.1:0", "--url", url], { stdio: ["ignore", "pipe", "inherit"] });
    stage.address = await new Promise((found, failed) => {
      let told = "";
      stage.demo.stdout.on("data", (part) => {
        told += part;
        const line = told.match(/dashboard at (http:\S+)\//);
        if (line) found(line[1]);
      });
      stage.demo.on("exit", (code) => failed(new Error(`the demo ended with ${code}: ${told}`)));
      setTimeout(() => failed(new Error(`the demo says nothing: ${told}`)), 30_000).unref();
    });
    stage.browser = await chromium.launch({ executablePath: browserProgram, args: FLAGS });
    return stage;
  }

  // A page that complains about whatever a browser complains about: blocked scripts and styles, failed requests, exceptions.
  async page(options = {}) {
    const context = await this.browser.newContext({ viewport: { width: 1280, height: 800 }, reducedMotion: "reduce", ...options });
    context.setDefaultTimeout(15_000);
    const page = await context.newPage();
    page.complaints = [];
    page.on("console", (message) => {
      if (["error", "warning"].includes(message.type())) page.complaints.push(message.text());
    });
    page.on("pageerror", (error) => page.complaints.push(String(error)));
    page.on("request", (request) => {
      if (!request.url().startsWith(this.address)) page.complaints.push(`asks ${request.url()}`);
    });
    return page;
  }

  async close() {
    await this.browser?.close();
    if (this.demo && this.demo.exitCode === null) {
      const ended = new Promise((done) => this.demo.on("exit", done));
      this.demo.kill("SIGINT");
      const late = setTimeout(() => this.demo.kill("SIGKILL"), 40_000);
      await ended;
      clearTimeout(late);
    }
    rmSync(this.folder, { recursive: true, force: true });
  }
}

// No finding of axe that hinders anybody seriously.
export async function assertAccessible(page, what) {
  const { violations } = await new AxeBuilder({ page }).analyze();
  const bad = violations.filter((finding) => ["serious", "critical"].includes(finding.impact));
  const told = bad.map((finding) => `${finding.id}: ${finding.help}\n  ${finding.nodes.slice(0, 4).map((node) => `${node.html}\n    ${node.failureSummary}`).join("\n  ")}`);
  assert.equal(bad.length, 0, `${what}\n${told.join("\n")}`);
}

// The links of the list of sections.
export const SECTIONS = ["/", "/queues", "/tasks?state=ready", "/tasks?state=retrying", "/dead", "/workers", "/schedules", "/events", "/events?kind=settled&queue=orders", "/health"];

// Waits until the shop has had customers: there is a dead letter, and a schedule.
export async function untilBusy(stage) {
  const page = await stage.page();
  await page.goto(`${stage.address}/dead?queue=orders&name=refund_order`);
  for (let tries = 0; tries < 60 && !(await page.locator("tbody tr").count()); tries += 1) {
    await page.waitForTimeout(500);
    await page.reload();
  }
  assert.ok(await page.locator("tbody tr").count(), "a refund has failed for good");
  await page.context().close();
}
