// What a page can do without: it reads as well with no script at all. Keys, times in the reader's own zone, and whether the
// page is still live. Nothing here writes a value as HTML.
(() => {
  "use strict";
  const one = (selector) => document.querySelector(selector);
  const base = new URL(one(".brand").href).pathname;

  // Whether the page follows the broker ---------------------------------------------------------------------
  const live = one("#live"), pulse = one("#pulse"), trouble = one("#trouble");
  const say = (text, lost) => {
    pulse.hidden = false;
    pulse.classList.toggle("lost", lost);
    const shown = one("#pulse-text");
    if (shown.textContent !== text) shown.textContent = text;
  };
  if (live) {
    document.addEventListener("htmx:sse:after:connection", () => say("live", false));
    document.addEventListener("htmx:sse:error", () => say("reconnecting", true));
    document.addEventListener("htmx:sse:close", () => say("stopped", true));
    document.addEventListener("htmx:sse:before:message", (event) => {
      const message = event.detail.message;
      if (message.event || !heldBecause(message.data)) return;
      // The last one is the whole part as it is: those before it are worth nothing any more.
      waiting = message.data;
      event.detail.cancelled = true;
      counts(message.data);
      tellHeld();
    });
    document.addEventListener("htmx:sse:after:message", (event) => {
      const message = event.detail.message;
      const isTrouble = message && message.event === "trouble";
      trouble.hidden = !isTrouble;
      if (isTrouble) trouble.textContent = message.data;
      say(isTrouble ? "broker away" : "live", isTrouble);
      if (isTrouble) return;
      waiting = null;
      tellHeld();
      times(live);
      // The buttons of a task, queue or schedule belong to the state that it had: another one has others.
      const state = live.querySelector(".state-line .badge");
      if (acts && state && state.className !== shownState && !document.activeElement.closest("form.inline")) {
        shownState = state.className;
        renew();
      }
    });
  }

  // Holding still -------------------------------------------------------------------------------------------
  // A list moves under nobody: while rows or words are selected, or a button of the mouse is down, what is new waits. A row that
  // has the focus keeps it; only if it would go, the list waits too.
  const held = live && one("#held");
  let waiting = null, isPressed = false;
  const selected = () => live.querySelectorAll('input[name="id"]:checked').length;
  function heldBecause(data) {
    if (!held) return "";
    if (selected()) return "Updates are held while tasks are selected.";
    if (isPressed) return "Updates are held while the mouse is down.";
    const words = getSelection();
    if (!words.isCollapsed && live.contains(words.anchorNode)) return "Updates are held while text is selected.";
    const row = document.activeElement.closest("#live tr[id]");
    if (row && !parsed(data).getElementById(row.id)) return "Updates are held: the row with the focus is gone from the list. Esc lets it go.";
    return "";
  }
  const parsed = (data) => new DOMParser().parseFromString(data, "text/html");
  function tellHeld() {
    if (!held) return;
    const why = waiting === null ? "" : heldBecause(waiting);
    held.hidden = !why;
    const words = held.querySelector("span");
    if (words.textContent !== why) words.textContent = why;
    held.querySelector("button").hidden = !selected();
    if (why) say("held", false);
  }
  // What stands elsewhere on the page goes on.
  function counts(data) {
    for (const count of parsed(data).querySelectorAll("[hx-swap-oob][id]")) {
      const shown = document.getElementById(count.id);
      if (shown) shown.textContent = count.textContent;
    }
  }
  // Shows what has waited, once nothing holds it any more: an unchanged page is not sent again.
  function letGo() {
    if (waiting === null || heldBecause(waiting)) return tellHeld();
    const text = waiting;
    waiting = null;
    tellHeld();
    say("live", false);
    htmx.swap({ sourceElement: live, target: live, text, swap: "innerMorph" }).then(() => times(live));
  }
  if (held) {
    const soon = () => setTimeout(letGo);
    live.addEventListener("change", soon);
    live.addEventListener("focusout", soon);
    live.addEventListener("pointerdown", () => { isPressed = true; });
    for (const end of ["pointerup", "pointercancel", "dragend", "blur"]) addEventListener(end, () => { isPressed = false; soon(); });
    document.addEventListener("selectionchange", soon);
    held.querySelector("button").addEventListener("click", () => select(false));
  }
  function select(isOn) {
    for (const box of document.querySelectorAll('input[name="id"]')) box.checked = isOn;
    const whole = one("#all");
    if (whole) whole.checked = isOn;
    if (held) letGo();
  }
  const acts = one(".head.page form.actions");
  let shownState = live && live.querySelector(".state-line .badge") ? live.querySelector(".state-line .badge").className : "";
  // Takes the form anew from the page itself, with what was focused in it.
  async function renew() {
    const answer = await fetch(location.href, { headers: { accept: "text/html" }, credentials: "same-origin" });
    if (!answer.ok) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const fresh = page.querySelector(".head.page form.actions"), old = one(".head.page form.actions");
    if (fresh && old) old.replaceWith(fresh);
  }

  // Times ---------------------------------------------------------------------------------------------------
  function times(within) {
    for (const time of within.querySelectorAll("time[datetime]")) {
      const at = new Date(time.dateTime);
      if (!Number.isNaN(at.getTime())) time.title = at.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "long" });
    }
  }
  times(document);

  // Selecting -----------------------------------------------------------------------------------------------
  const all = one("#all");
  if (all) {
    all.closest("label").hidden = false;
    all.addEventListener("change", () => select(all.checked));
  }

  // Keys ----------------------------------------------------------------------------------------------------
  const sections = { o: "", q: "queues", t: "tasks", d: "dead", w: "workers", s: "schedules", e: "events", h: "health" };
  let going = 0;
  const rows = () => [...document.querySelectorAll("table.rows tbody tr")];
  const move = (step) => {
    const list = rows();
    if (!list.length) return;
    const at = list.findIndex((row) => row.contains(document.activeElement) || row.hasAttribute("data-at"));
    const next = list[Math.max(0, Math.min(list.length - 1, at < 0 ? 0 : at + step))];
    for (const row of list) row.toggleAttribute("data-at", row === next);
    const link = next.querySelector("a");
    if (link) link.focus();
    next.scrollIntoView({ block: "nearest" });
  };
  document.addEventListener("keydown", (event) => {
    const target = event.target;
    if (event.key === "Escape" && (target.matches("input, select") || target.closest("#live tr"))) return target.blur();
    if (event.ctrlKey || event.metaKey || event.altKey || target.matches("input:not([type=checkbox]), select, textarea")) return;
    if (one("#keys").open) return;
    if (going && Date.now() - going < 1500 && event.key in sections) {
      going = 0;
      location.assign(base.replace(/\/?$/, "/") + sections[event.key]);
      return;
    }
    going = event.key === "g" ? Date.now() : 0;
    const act = {
      "/": () => one("#find").focus(),
      "f": () => one(".filters input:not([type=hidden])")?.focus(),
      "j": () => move(1),
      "k": () => move(-1),
      "x": () => document.activeElement.closest("tr")?.querySelector('input[name="id"]')?.click(),
      "p": () => one("#pause")?.click(),
      "?": () => one("#keys").showModal(),
    }[event.key];
    if (act) {
      event.preventDefault();
      act();
    }
  });
})();
