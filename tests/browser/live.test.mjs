// Lists that follow the shop, and hold still for whoever selects something; and the page of events.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Stage, untilBusy } from "./stage.mjs";

let stage;
before(async () => {
  stage = await Stage.open();
  await untilBusy(stage);
});
after(() => stage?.close());

// The ids of the rows, in their order.
const rows = (page) => page.locator("#live tbody tr").evaluateAll((rows) => rows.map((row) => row.id));

// How long the part that moves stands still between so many changes: the median, as a machine that does something else delays one
// or another. A part that stands still for good is told as such.
const usualPause = (page, changes) => page.evaluate((changes) => new Promise((done, failed) => {
  let last = performance.now();
  const pauses = [];
  const observer = new MutationObserver(() => {
    const now = performance.now();
    // One update is several changes.
    if (now - last < 50) return;
    pauses.push(now - last);
    last = now;
    if (pauses.length < changes) return;
    observer.disconnect();
    done(pauses.sort((one, other) => one - other)[Math.floor(changes / 2)]);
  });
  observer.observe(document.querySelector("#live"), { subtree: true, childList: true, characterData: true, attributes: true });
  setTimeout(() => failed(new Error(`only ${pauses.length} changes in half a minute`)), 30_000);
}), changes);

// A page whose rows are new ones all the time: the queue is paused and customers go on.
async function pause(queue, word) {
  const page = await stage.page();
  await page.goto(`${stage.address}/queue?name=${queue}`);
  await page.getByRole("button", { name: word }).click();
  await page.getByRole("status").waitFor();
  await page.context().close();
}

test("a list of tasks follows the shop within a second, and the counts beside the states with it", async () => {
  const page = await stage.page();
  await page.goto(`${stage.address}/tasks?queue=mail&state=ready&name=send`);
  await page.locator("#pulse-text", { hasText: "live" }).waitFor();
  // Not before: what comes when the first page is full stands on others.
  await pause("mail", "Pause");
  const count = async () => Number((await page.locator("#tab-ready").innerText()).replaceAll(",", ""));
  const before = await count();
  assert.ok(await usualPause(page, 6) < 1_000);
  assert.ok(await count() > before, "the count beside the state");
  assert.deepEqual(page.complaints, []);
  await page.context().close();
  await pause("mail", "Resume");
});

test("while tasks are selected nothing moves, it is said, and the list goes on when they are not", async () => {
  const page = await stage.page();
  await page.goto(`${stage.address}/dead?queue=orders`);
  await page.locator("#pulse-text", { hasText: "live" }).waitFor();
  const first = page.locator('#live input[name="id"]').first();
  const id = await first.getAttribute("value");
  await first.check();
  const before = await rows(page);
  // Meanwhile one of them goes, as somebody else deletes it.
  const other = await stage.page();
  await other.goto(`${stage.address}/task?id=${encodeURIComponent(id)}`);
  await other.getByRole("button", { name: "Delete" }).click();
  await other.getByRole("status").waitFor();
  await other.context().close();
  await page.getByText("Updates are held while tasks are selected.").waitFor();
  assert.deepEqual(await rows(page), before);
  assert.ok(await first.isChecked());
  await page.getByRole("button", { name: "Deselect" }).click();
  await page.waitForFunction((id) => ![...document.querySelectorAll('#live input[name="id"]')].some((box) => box.value === id), id);
  assert.equal(await page.locator("#held").isVisible(), false);
  assert.deepEqual(page.complaints, []);
  await page.context().close();
});

test("a row that has the focus keeps it while others come, and its mark too", async () => {
  const page = await stage.page();
  await page.goto(`${stage.address}/tasks?queue=mail&state=ready`);
  await page.locator("#pulse-text", { hasText: "live" }).waitFor();
  await pause("mail", "Pause");
  await page.locator("#live tbody tr").first().waitFor();
  await page.keyboard.press("j");
  const focused = () => page.evaluate(() => document.activeElement.closest("tr")?.id);
  const row = await focused();
  assert.ok(row);
  await usualPause(page, 4);
  assert.equal(await focused(), row);
  assert.equal(await page.locator("#live tr[data-at]").getAttribute("id"), row);
  // It goes, and the list waits until the focus is somewhere else.
  await pause("mail", "Resume");
  await page.getByText("the row with the focus is gone from the list", { exact: false }).waitFor();
  assert.equal(await focused(), row);
  await page.keyboard.press("Escape");
  await page.waitForFunction((row) => !document.getElementById(row), row);
  assert.deepEqual(page.complaints, []);
  await page.context().close();
});

test("what somebody has opened stays open while the page goes on", async () => {
  const page = await stage.page();
  await page.goto(`${stage.address}/health`);
  const changes = page.locator("#live details").first();
  await changes.locator("summary").click();
  assert.ok(await usualPause(page, 4) < 4_000);
  assert.equal(await changes.getAttribute("open"), "");
  await page.context().close();
});

test("an event is on the page within a second of what it tells of", async () => {
  const page = await stage.page();
  await page.goto(`${stage.address}/events?kind=enqueued&text=reports/stock`);
  await page.locator("#pulse-text", { hasText: "live" }).waitFor();
  const other = await stage.page();
  const delays = [];
  // The best of a few: of a machine that does something else a delay says nothing.
  for (let round = 0; round < 3; round += 1) {
    const before = (await rows(page)).length;
    const shown = page.waitForFunction((before) => document.querySelectorAll("#live tbody tr").length > before && Date.now(), before);
    await other.goto(`${stage.address}/schedule?queue=reports&name=stock`);
    const began = Date.now();
    await other.getByRole("button", { name: "Trigger" }).click();
    delays.push(await (await shown).jsonValue() - began);
  }
  assert.ok(Math.min(...delays) < 1_000, `after ${delays} ms`);
  await other.context().close();
  await page.context().close();
});

test("the page of events follows the shop, keeps to its filters, pauses and goes on", async () => {
  const page = await stage.page();
  await page.goto(`${stage.address}/`);
  await page.getByRole("navigation", { name: "Sections" }).getByRole("link", { name: "Events" }).click();
  await page.locator("#pulse-text", { hasText: "live" }).waitFor();
  const newest = (await rows(page))[0];
  await page.waitForFunction((newest) => document.querySelector("#live tbody tr").id !== newest, newest);
  await page.keyboard.press("p");
  await page.getByText("This page stands still", { exact: false }).waitFor();
  const still = await rows(page);
  await page.waitForTimeout(1_500);
  assert.deepEqual(await rows(page), still);
  await page.keyboard.press("p");
  await page.locator("#pulse-text", { hasText: "live" }).waitFor();
  await page.waitForFunction((still) => document.querySelector("#live tbody tr").id !== still, still[0]);
  await page.getByLabel("settled").check();
  await page.locator('select[name="queue"]').selectOption("orders");
  await page.getByRole("button", { name: "Filter" }).click();
  await page.locator("#live tbody tr").first().waitFor();
  const kinds = await page.locator("#live .badge").allInnerTexts();
  assert.ok(kinds.every((kind) => ["settled", "left_out", "missed"].includes(kind)), kinds.join());
  await page.locator("#live tbody th a").first().click();
  await page.getByRole("link", { name: "Events of this task" }).click();
  await page.locator("#live tbody tr").first().waitFor();
  assert.deepEqual(page.complaints, []);
  await page.context().close();
});
