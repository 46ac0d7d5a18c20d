// A newcomer's walk: from the first page to a failed task, its error, its replay and its success; then a queue that is paused
// and resumed, and a schedule that is triggered.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Stage, untilBusy } from "./stage.mjs";

let stage;
before(async () => {
  stage = await Stage.open();
  await untilBusy(stage);
});
after(() => stage?.close());

test("a newcomer finds a failed task, reads its error, replays it and sees it succeed", async () => {
  const page = await stage.page();
  await page.goto(`${stage.address}/`);
  await page.getByRole("navigation", { name: "Sections" }).getByRole("link", { name: /Dead letters/ }).click();
  await page.locator('select[name="queue"]').selectOption("orders");
  await page.getByLabel("Name").fill("refund");
  await page.getByRole("button", { name: "Filter" }).click();
  const row = page.locator("tbody tr").first();
  assert.match(await row.innerText(), /no open session/);
  await row.getByRole("link", { name: "refund_order" }).click();
  await page.getByRole("heading", { name: "refund_order", level: 1 }).waitFor();
  assert.match(await page.locator("pre.error").first().innerText(), /refund of order \d+ refused/);
  assert.equal(await page.getByText(/^Attempt \d/).count(), 2);
  await page.getByRole("button", { name: "Replay" }).click();
  await page.getByRole("status").filter({ hasText: "ready again" }).waitFor();
  // Nothing is loaded again: the page itself follows the task.
  await page.locator(".state-line .is-succeeded").waitFor();
  assert.match(await page.locator("#live").innerText(), /is paid back/);
  await page.getByRole("button", { name: "Replay" }).waitFor({ state: "detached" });
  assert.deepEqual(page.complaints, []);
  await page.context().close();
});

test("a queue is paused, says so everywhere, and is resumed", async () => {
  const page = await stage.page();
  await page.goto(`${stage.address}/queues`);
  await page.getByRole("link", { name: "mail", exact: true }).click();
  await page.getByRole("button", { name: "Pause" }).click();
  await page.getByText("nothing is handed out", { exact: false }).first().waitFor();
  const ready = async () => Number((await page.locator(".shelves .is-ready").locator("xpath=ancestor::a").locator("b").innerText()).replaceAll(",", ""));
  const before = await ready();
  await page.waitForFunction((before) => Number(document.querySelector(".shelves b").textContent.replaceAll(",", "")) > before, before);
  await page.getByRole("button", { name: "Resume" }).click();
  await page.getByRole("button", { name: "Pause" }).waitFor();
  await page.waitForFunction(() => Number(document.querySelector(".shelves b").textContent.replaceAll(",", "")) < 5);
  assert.deepEqual(page.complaints, []);
  await page.context().close();
});

test("a schedule is triggered, paused and resumed, and its task runs", async () => {
  const page = await stage.page();
  await page.goto(`${stage.address}/schedules`);
  await page.getByRole("link", { name: "stock", exact: true }).click();
  assert.equal(await page.locator(".fires li").count(), 10);
  await page.getByRole("button", { name: "Trigger" }).click();
  const note = await page.getByRole("status").innerText();
  const id = note.match(/reports\/stock\S+/)[0];
  await page.getByRole("button", { name: "Pause" }).click();
  await page.locator(".state-line .is-paused").waitFor();
  await page.getByRole("button", { name: "Resume" }).click();
  await page.locator(".state-line .is-scheduled").waitFor();
  await page.getByRole("searchbox", { name: "Find a task by its id" }).fill(id);
  await page.keyboard.press("Enter");
  await page.locator(".state-line .is-succeeded").waitFor();
  assert.deepEqual(page.complaints, []);
  await page.context().close();
});

test("dead letters are selected on a page and replayed together", async () => {
  const page = await stage.page();
  await page.goto(`${stage.address}/dead?queue=orders`);
  await page.getByLabel("all of this page").check();
  const selected = await page.locator('input[name="id"]:checked').count();
  assert.ok(selected > 0);
  await page.getByRole("button", { name: "Replay selected" }).click();
  assert.match(await page.getByRole("status").innerText(), /dead letters? replayed/);
  await page.context().close();
});
