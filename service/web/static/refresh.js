// Brings the page up to date in place, unless somebody is about to press a button.
const EVERY = 5000;

// Whether there is something in the page that would be lost: a form, a selection, what was opened.
function isInUse() {
  const filled = [...document.querySelectorAll("#overview input")];
  return document.activeElement?.closest("form, summary") || !getSelection().isCollapsed
    || document.querySelector("#overview details[open]")
    || filled.some((one) => one.value !== one.defaultValue);
}

async function refresh() {
  if (!document.getElementById("overview") || document.hidden || isInUse()) return;
  const query = new URLSearchParams(location.search);
  query.delete("too_late");
  const answer = await fetch(`${location.pathname}?${query}`, { redirect: "manual" });
  // The session has ended: the form for the token is there.
  if (answer.type === "opaqueredirect") return location.reload();
  if (!answer.ok) throw new Error(answer.statusText);
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  document.getElementById("overview").replaceWith(page.getElementById("overview"));
  document.getElementById("stale").hidden = true;
}

setInterval(() => refresh().catch(() => { document.getElementById("stale").hidden = false; }), EVERY);
