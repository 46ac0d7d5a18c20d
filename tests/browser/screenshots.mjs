// Makes the pictures of docs/dashboard.md and README.md anew, from the demo after it has run for a while:
//
//     cargo xtask test --browser nothing      # once, so that what this needs lies in target/browser
//     cp tests/browser/*.mjs target/browser
//     TASKQ_DEMO=$PWD/target/debug/examples/demo node target/browser/screenshots.mjs docs/screenshots

import { join, resolve } from "node:path";
import { Stage, untilBusy } from "./stage.mjs";

const folder = process.argv[2] ?? "docs/screenshots";

// So long, that the charts have something to show.
const BUSY_MS = 150_000;

const PICTURES = [
  ["overview", "/"],
  ["overview-dark", "/", { colorScheme: "dark" }],
  ["phone", "/", { viewport: { width: 390, height: 844 } }],
  ["queues", "/queues"],
  ["dead", "/dead?queue=orders"],
  ["workers-dark", "/workers", { colorScheme: "dark" }],
  ["schedules", "/schedules"],
  ["events", "/events"],
  ["health", "/health"],
];

const stage = await Stage.open();
try {
  await untilBusy(stage);
  const watching = await stage.page();
  await watching.goto(`${stage.address}/`);
  await watching.waitForTimeout(BUSY_MS);
  for (const [name, path, options] of PICTURES) {
    await picture(name, path, options);
  }
  await watching.goto(`${stage.address}/dead?queue=orders&name=refund_order`);
  const task = await watching.locator("tbody tr a").first().getAttribute("href");
  await picture("task", task);
} finally {
  await stage.close();
}

async function picture(name, path, options = {}) {
  const page = await stage.page(options);
  await page.goto(`${stage.address}${path}`);
  // One look of the dashboard, so that what follows live is there.
  await page.waitForTimeout(1_500);
  const file = resolve(join(folder, `${name}.png`));
  await page.screenshot({ path: file });
  console.log(file);
  await page.context().close();
}
