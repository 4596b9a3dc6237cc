// Copyright The upgrade-controller Authors.
// SPDX-License-Identifier: Apache-2.0

// Keeps the page up to date: the server sends the parts and cells that differ, and this script replaces them.
"use strict";

const live = document.getElementById("live");
const maxSilence = 40_000; // in ms; the server sends a heartbeat every 15 s
let source = null, snapshot = document.body.dataset.snapshot, lastMessage = Date.now(), offlineSince = null, retry = null;

function showStatus(text, kind) {
  if (live.textContent !== text) live.textContent = text;
  live.className = kind;
}

function connected() {
  lastMessage = Date.now();
  offlineSince = null;
  showStatus("Live", "live");
}

function disconnected() {
  if (!offlineSince) offlineSince = new Date();
  showStatus("Disconnected since " + offlineSince.toISOString().slice(11, 19) + " UTC; data may be outdated. Reconnecting.", "disconnected");
}

function connect() {
  clearTimeout(retry);
  if (source) source.close();
  const url = new URL(location.href);
  url.searchParams.set("snapshot", snapshot);
  source = new EventSource(url);
  source.onopen = connected;
  source.addEventListener("heartbeat", connected);
  source.addEventListener("change", (e) => {
    connected();
    snapshot = e.lastEventId;
    applyChange(JSON.parse(e.data));
    performance.mark("changed");
  });
  source.onerror = () => {
    disconnected();
    if (source.readyState === EventSource.CLOSED) retry = setTimeout(connect, 2000);
  };
}

function applyChange(m) {
  for (const [id, html] of Object.entries(m.parts || {})) {
    const part = document.getElementById(id);
    if (!part) return location.reload(); // the server has another version of the page
    const focused = part.contains(document.activeElement) ? document.activeElement : null;
    const key = focused && (focused.id || focused.getAttribute("href"));
    part.innerHTML = html;
    setTabStops(part);
    if (!key) continue;
    const same = document.getElementById(key) || [...part.querySelectorAll("a")].find((a) => a.getAttribute("href") === key);
    if (!same) continue;
    moveTabStop(same);
    same.focus({ preventScroll: true });
  }
  for (const [id, [kind, label]] of Object.entries(m.cells || {})) {
    const cell = document.getElementById(id);
    if (!cell) continue;
    cell.className = kind;
    cell.setAttribute("aria-label", label);
  }
  showLabel({ target: document.activeElement }); // its element may have been replaced
  tick();
}

// One cell of each role is a tab stop. The arrow keys, Home and End move to the others.
function setTabStops(within) {
  const groups = within.matches(".cells") ? [within] : within.querySelectorAll(".cells");
  for (const group of groups) {
    let first = true;
    for (const cell of group.children) {
      cell.tabIndex = first ? 0 : -1;
      first = false;
    }
  }
}

// Makes a cell the tab stop of its role. Does nothing for other elements.
function moveTabStop(to) {
  const group = to.parentElement;
  if (!group.matches(".cells")) return;
  for (const cell of group.children) cell.tabIndex = cell === to ? 0 : -1;
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
  moveTabStop(next);
  next.focus();
});

function showLabel(e) {
  const cursor = document.getElementById("cursor");
  const cell = e.target.closest && e.target.closest(".cells a");
  if (cursor && cell) cursor.textContent = cell.getAttribute("aria-label");
}
document.addEventListener("focusin", showLabel);
document.addEventListener("mouseover", showLabel);

// Formats like duration.HumanDuration of k8s.io/apimachinery, which renders the ages on the server.
function age(seconds) {
  const s = Math.max(0, Math.floor(seconds)), m = Math.floor(s / 60), h = Math.floor(m / 60), d = Math.floor(h / 24);
  const pair = (n, unit, rest, restUnit) => n + unit + (rest ? rest + restUnit : "");
  if (s < 120) return s + "s";
  if (m < 10) return pair(m, "m", s % 60, "s");
  if (m < 180) return m + "m";
  if (h < 8) return pair(h, "h", m % 60, "m");
  if (h < 48) return h + "h";
  if (d < 8) return pair(d, "d", h % 24, "h");
  if (d < 730) return d + "d";
  if (d < 2920) return pair(Math.floor(d / 365), "y", d % 365, "d");
  return Math.floor(d / 365) + "y";
}

function tick() {
  for (const t of document.querySelectorAll("time.age")) {
    const text = age((Date.now() - Date.parse(t.dateTime)) / 1000);
    if (t.textContent !== text) t.textContent = text;
  }
}

setInterval(() => {
  tick();
  if (source && Date.now() - lastMessage > maxSilence) {
    disconnected();
    lastMessage = Date.now();
    connect();
  }
}, 1000);

// A hidden tab closes its connection, because browsers limit the connections to each server.
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) return connect();
  clearTimeout(retry);
  if (source) source.close();
  source = null;
});

setTabStops(document.body);
if (!document.hidden) connect();
