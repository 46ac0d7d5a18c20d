// Every page: for those who do not see it, in light and dark, on a phone, without a mouse, without scripts, and live.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { SECTIONS, Stage, assertAccessible, untilBusy } from "./stage.mjs";

let stage;
let pages;
before(async () => {
  stage = await Stage.open();
  await untilBusy(stage);
  // And one page of each kind that has a subject.
  const page = await stage.page();
  const first = async (path, link) => {
    await page.goto(stage.address + path);
    const href = await page.locator(link).first().getAttribute("href");
    return href;
  };
  pages = [
    ...SECTIONS,
    "/queue?name=orders",
    await first("/dead?queue=orders", "tbody th a"),
    await first("/schedules", "tbody th a"),
    ...(await page.goto(`${stage.address}/workers`).then(() => page.locator("tbody th a").first().getAttribute("href", { timeout: 1_000 }).then((href) => [href], () => []))),
    "/nowhere",
  ];
  await page.context().close();
});
after(() => stage?.close());

for (const colorScheme of ["light", "dark"]) {
  test(`nobody is seriously hindered on any page, ${colorScheme}`, async () => {
    const page = await stage.page({ colorScheme });
    for (const path of pages) {
      await page.goto(stage.address + path);
      await assertAccessible(page, `${path}, ${colorScheme}`);
    }
    // What a browser says of a page that is not there is no complaint of ours.
    assert.deepEqual(page.complaints.filter((text) => !text.includes("404")), []);
    await page.context().close();
  });
}

test("on a phone no page is wider than the phone, and nobody is hindered", async () => {
  const page = await stage.page({ viewport: { width: 360, height: 740 }, hasTouch: true });
  for (const path of pages) {
    await page.goto(stage.address + path);
    const [wide, window] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
    assert.ok(wide <= window, `${path} is ${wide} wide`);
    assert.ok(await page.getByRole("heading", { level: 1 }).count(), `${path} has a headline`);
    await assertAccessible(page, `${path} on a phone`);
  }
  await page.context().close();
});

test("without scripts every page reads, and forms work", async () => {
  const page = await stage.page({ javaScriptEnabled: false });
  for (const path of pages.filter((path) => path !== "/nowhere")) {
    const answer = await page.goto(stage.address + path);
    assert.equal(answer.status(), 200, path);
  }
  await page.goto(`${stage.address}/`);
  assert.match(await page.locator("#live").innerText(), /Throughput[\s\S]*Queues[\s\S]*orders/);
  assert.ok((await page.locator(".chart path.line").count()) >= 4, "charts are there without scripts");
  await page.goto(`${stage.address}/queue?name=reports`);
  await page.getByRole("button", { name: "Pause" }).click();
  await page.getByRole("button", { name: "Resume" }).click();
  assert.match(await page.getByRole("status").innerText(), /Resumed/);
  await page.context().close();
});

test("without a mouse one gets everywhere", async () => {
  const page = await stage.page();
  await page.goto(`${stage.address}/`);
  await page.keyboard.press("Tab");
  assert.equal(await page.evaluate(() => document.activeElement.textContent), "Skip to content");
  await page.keyboard.press("Enter");
  assert.equal(await page.evaluate(() => document.activeElement.id), "content");
  await page.keyboard.press("g");
  await page.keyboard.press("d");
  await page.waitForURL("**/dead");
  await page.keyboard.press("f");
  assert.equal(await page.evaluate(() => document.activeElement.name), "name");
  await page.keyboard.press("Escape");
  await page.keyboard.press("j");
  await page.keyboard.press("x");
  assert.equal(await page.locator('input[name="id"]:checked').count(), 1);
  await page.keyboard.press("j");
  await page.keyboard.press("k");
  await page.keyboard.press("Enter");
  await page.waitForURL("**/task?id=*");
  await page.keyboard.press("?");
  assert.ok(await page.getByRole("dialog", { name: "Keys" }).isVisible());
  await page.keyboard.press("Escape");
  await page.keyboard.press("/");
  await page.keyboard.type("mail/none");
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name: "Not found" }).waitFor();
  await page.context().close();
});

test("what is on the page follows the shop within a second, and what has the focus keeps it", async () => {
  const page = await stage.page();
  await page.goto(`${stage.address}/`);
  await page.locator("#pulse-text", { hasText: "live" }).waitFor();
  await page.locator("#live a", { hasText: "orders" }).first().focus();
  // Customers come all the time, so figures change with each look.
  const longest = await page.evaluate(() => new Promise((done) => {
    const live = document.querySelector("#live");
    let last = performance.now(), longest = 0, seen = 0;
    new MutationObserver(() => {
      const now = performance.now();
      longest = Math.max(longest, now - last);
      last = now;
      seen += 1;
      if (seen >= 12) done(longest);
    }).observe(live, { subtree: true, childList: true, characterData: true, attributes: true });
  }));
  assert.ok(longest < 1_000, `nothing changed for ${longest} ms`);
  assert.match(await page.evaluate(() => document.activeElement.textContent), /orders/);
  assert.deepEqual(page.complaints, []);
  await page.context().close();
});

test("hostile text in arguments runs nothing", async () => {
  const page = await stage.page();
  const attack = encodeURIComponent(`"><img src=x onerror="document.title='owned'"><script>document.title='owned'</script>`);
  for (const path of [`/tasks?queue=orders&text=${attack}`, `/dead?queue=orders&name=${attack}`, `/find?q=${attack}`, `/${attack}`]) {
    await page.goto(stage.address + path);
    assert.ok(!(await page.title()).includes("owned"));
    assert.equal(await page.locator('img[src="x"]').count(), 0);
  }
  await page.context().close();
});
