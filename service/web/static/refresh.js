// Brings the page up to date in place when Taskbell says that something has changed, unless somebody
// is about to press a button.
const AT_MOST_EVERY = 2000, TRY_AGAIN = 5000, EVERY = 60000, EVERY_FEW = 5000;
const LIVE = new URL("../live", document.currentScript.src);

let served = new Set(); // what came unfolded

// Whether there is something in the page that would be lost: a form, a selection, what was unfolded.
function isInUse() {
  return document.activeElement?.closest("form, summary") || !getSelection().isCollapsed
    || [...document.querySelectorAll("#overview details")].some((one) => one.open !== served.has(one))
    || [...document.querySelectorAll("#overview :is(input, select, textarea)")].some(isFilledIn);
}

function isFilledIn(field) {
  if (field.type === "checkbox") return field.checked !== field.defaultChecked;
  if (field.localName !== "select") return field.value !== field.defaultValue;
  // Without one that is chosen from the start, it is the first.
  const from = [...field.options].findLastIndex((one) => one.defaultSelected);
  return field.selectedIndex !== Math.max(0, from);
}

// Whoever goes from link to link, or has moved a wide table aside, stays where they are.
function replace(fresh) {
  const old = document.getElementById("overview");
  const link = old.contains(document.activeElement) && document.activeElement.getAttribute("href");
  const aside = [...old.querySelectorAll(".wide-table")].map((one) => one.scrollLeft);
  old.replaceWith(fresh);
  fresh.querySelectorAll(".wide-table").forEach((one, at) => { one.scrollLeft = aside[at] ?? 0; });
  if (link) fresh.querySelector(`a[href="${CSS.escape(link)}"]`)?.focus({ preventScroll: true });
  rememberUnfolded();
}

function rememberUnfolded() {
  served = new Set(document.querySelectorAll("#overview details[open]"));
}

async function refresh() {
  const query = new URLSearchParams(location.search);
  query.delete("too_late");
  const answer = await fetch(`${location.pathname}?${query}`, { redirect: "manual" });
  // The session has ended: the form for the token is there.
  if (answer.type === "opaqueredirect") return location.reload();
  if (!answer.ok) throw new Error(answer.statusText);
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  if (isInUse()) return refreshIn(AT_MOST_EVERY); // since it was asked for
  replace(page.getElementById("overview"));
  refreshSoonIfBusy();
}

// By the clock of the server, as it was when the page came.
const AHEAD = Date.parse(document.querySelector("[data-now]").dataset.now) - performance.now();

// "just now" does not stay on a page that stays open.
function grow() {
  for (const one of document.querySelectorAll("time[data-ago]")) {
    const seconds = Math.floor((AHEAD + performance.now() - Date.parse(one.dateTime)) / 1000);
    if (seconds >= 10 && seconds < 60) one.textContent = `${seconds} seconds ago`;
  }
}

// What is being worked out for this page alone is no change that Taskbell tells of.
function refreshSoonIfBusy() {
  if (document.querySelector("#overview[aria-busy]")) refreshIn(AT_MOST_EVERY);
}

let timer = null;

function refreshIn(milliseconds) {
  timer ??= setTimeout(attempt, milliseconds);
}

async function attempt() {
  timer = null;
  if (document.hidden) return; // it is asked again when somebody sees it
  if (isInUse()) return refreshIn(AT_MOST_EVERY);
  try {
    await refresh();
    document.getElementById("stale").hidden = true;
  } catch {
    document.getElementById("stale").hidden = false;
    refreshIn(TRY_AGAIN);
  }
}

let live = null;

// A browser opens six connections to a host, so a page that nobody sees gives its own back.
function follow() {
  if (document.hidden) return;
  live = new EventSource(LIVE);
  live.onmessage = () => refreshIn(AT_MOST_EVERY);
  // The browser connects again by itself, unless Taskbell has refused.
  live.onerror = () => {
    refreshIn(TRY_AGAIN);
    if (live.readyState === EventSource.CLOSED) setTimeout(followAnew, EVERY);
  };
}

function followAnew() {
  live?.close();
  follow();
}

if (document.getElementById("overview")) {
  rememberUnfolded();
  follow();
  refreshSoonIfBusy();
  setInterval(() => refreshIn(0), EVERY);
  setInterval(grow, EVERY_FEW);
  document.addEventListener("visibilitychange", () => {
    followAnew();
    refreshIn(0);
  });
}
