// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

// Keeps the page as the server sees it: it is told which parts and cells differ, and puts them in place.
"use strict";

const live = document.getElementById("live");
const silence = 40_000; // of the server, which says something each 15 s
let source = null, at = document.body.dataset.at, heard = Date.now(), cutSince = null, retry = null;

function say(text, kind) {
  if (live.textContent !== text) live.textContent = text;
  live.className = kind;
}

function connected() {
  heard = Date.now();
  cutSince = null;
  say("Live", "live");
}

function cut() {
  if (!cutSince) cutSince = new Date();
  say("Cut off since " + cutSince.toISOString().slice(11, 19) + " UTC: what is shown may be old. Trying again.", "cut");
}

function connect() {
  clearTimeout(retry);
  if (source) source.close();
  const url = new URL(location.href);
  url.searchParams.set("at", at);
  source = new EventSource(url);
  source.onopen = connected;
  source.addEventListener("beat", connected);
  source.addEventListener("change", (e) => {
    connected();
    at = e.lastEventId;
    change(JSON.parse(e.data));
    performance.mark("changed");
  });
  source.onerror = () => {
    cut();
    if (source.readyState === EventSource.CLOSED) retry = setTimeout(connect, 2000);
  };
}

function change(m) {
  for (const [id, html] of Object.entries(m.parts || {})) {
    const part = document.getElementById(id);
    if (!part) return location.reload(); // another kind of page than ours
    const focused = part.contains(document.activeElement) ? document.activeElement : null;
    const key = focused && (focused.id || focused.getAttribute("href"));
    part.innerHTML = html;
    rove(part);
    if (!key) continue;
    const again = document.getElementById(key) || [...part.querySelectorAll("a")].find((a) => a.getAttribute("href") === key);
    if (again) again.focus({ preventScroll: true });
  }
  for (const [id, [kind, label]] of Object.entries(m.cells || {})) {
    const cell = document.getElementById(id);
    if (!cell) continue;
    cell.className = kind;
    cell.setAttribute("aria-label", label);
  }
  tick();
}

// Of each role's hosts one is in the order of the tabulator; arrows, Home and End go to the others.
function rove(within) {
  const groups = within.matches(".cells") ? [within] : within.querySelectorAll(".cells");
  for (const group of groups) {
    let first = true;
    for (const cell of group.children) {
      cell.tabIndex = first ? 0 : -1;
      first = false;
    }
  }
}

function below(cell, step) {
  const box = cell.getBoundingClientRect();
  let best = null, bestTop = null;
  for (let next = cell; (next = step > 0 ? next.nextElementSibling : next.previousElementSibling);) {
    const b = next.getBoundingClientRect();
    if (Math.abs(b.top - box.top) < 2) continue;
    if (bestTop !== null && Math.abs(b.top - bestTop) > 2) break;
    bestTop = b.top;
    if (!best || Math.abs(b.left - box.left) < Math.abs(best.getBoundingClientRect().left - box.left)) best = next;
  }
  return best;
}

document.addEventListener("keydown", (e) => {
  const cell = e.target.closest && e.target.closest(".cells a");
  if (!cell || e.ctrlKey || e.metaKey || e.altKey) return;
  const group = cell.parentElement;
  const to = { ArrowRight: () => cell.nextElementSibling, ArrowLeft: () => cell.previousElementSibling, ArrowDown: () => below(cell, 1),
    ArrowUp: () => below(cell, -1), Home: () => group.firstElementChild, End: () => group.lastElementChild }[e.key];
  if (!to) return;
  e.preventDefault();
  const next = to();
  if (!next) return;
  cell.tabIndex = -1;
  next.tabIndex = 0;
  next.focus();
});

function show(e) {
  const cursor = document.getElementById("cursor");
  const cell = e.target.closest && e.target.closest(".cells a");
  if (cursor && cell) cursor.textContent = cell.getAttribute("aria-label");
}
document.addEventListener("focusin", show);
document.addEventListener("mouseover", show);

function age(seconds) {
  const d = Math.max(0, Math.floor(seconds)), two = (n) => String(n).padStart(2, "0");
  if (d >= 172800) return Math.floor(d / 86400) + "d" + Math.floor((d % 86400) / 3600) + "h";
  if (d >= 3600) return Math.floor(d / 3600) + "h" + two(Math.floor((d % 3600) / 60)) + "m";
  if (d >= 60) return Math.floor(d / 60) + "m" + two(d % 60) + "s";
  return d + "s";
}

function tick() {
  for (const t of document.querySelectorAll("time.age")) {
    const text = age((Date.now() - Date.parse(t.dateTime)) / 1000);
    if (t.textContent !== text) t.textContent = text;
  }
}

setInterval(() => {
  tick();
  if (source && Date.now() - heard > silence) {
    cut();
    heard = Date.now();
    connect();
  }
}, 1000);

// A tab that nobody sees holds no connection: browsers have few for each server.
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) return connect();
  clearTimeout(retry);
  if (source) source.close();
  source = null;
});

rove(document.body);
if (!document.hidden) connect();
