// Brings the page up to date in place, unless somebody is about to press a button.
const EVERY = 5000;

async function refresh() {
  if (document.hidden || document.activeElement?.closest("form")) return;
  const answer = await fetch("/", { redirect: "error" });
  if (!answer.ok) return;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  document.getElementById("overview").replaceWith(page.getElementById("overview"));
}

setInterval(() => refresh().catch(() => {}), EVERY);
