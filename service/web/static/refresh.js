// Brings the page up to date in place when Taskbell says that something has changed, unless somebody
// is about to press a button.
const AT_MOST_EVERY = 2000, TRY_AGAIN = 5000, EVERY = 60000;
const LIVE = new URL("../live", document.currentScript.src);

// Whether there is something in the page that would be lost: a form, a selection, what was opened.
function isInUse() {
  const filled = [...document.querySelectorAll("#overview input")];
  return document.activeElement?.closest("form, summary") || !getSelection().isCollapsed
    || document.querySelector("#overview details[open]")
    || filled.some((one) => one.value !== one.defaultValue);
}

async function refresh() {
  const query = new URLSearchParams(location.search);
  query.delete("too_late");
  const answer = await fetch(`${location.pathname}?${query}`, { redirect: "manual" });
  // The session has ended: the form for the token is there.
  if (answer.type === "opaqueredirect") return location.reload();
  if (!answer.ok) throw new Error(answer.statusText);
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  document.getElementById("overview").replaceWith(page.getElementById("overview"));
  refreshSoonIfBusy();
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
  if (document.hidden || isInUse()) return refreshIn(AT_MOST_EVERY);
  try {
    await refresh();
    document.getElementById("stale").hidden = true;
  } catch {
    document.getElementById("stale").hidden = false;
    refreshIn(TRY_AGAIN);
  }
}

function follow() {
  const live = new EventSource(LIVE);
  live.onmessage = () => refreshIn(AT_MOST_EVERY);
  // The browser connects again by itself, unless Taskbell has refused.
  live.onerror = () => {
    refreshIn(TRY_AGAIN);
    if (live.readyState === EventSource.CLOSED) setTimeout(follow, EVERY);
  };
}

if (document.getElementById("overview")) {
  follow();
  refreshSoonIfBusy();
  setInterval(() => refreshIn(0), EVERY);
}
