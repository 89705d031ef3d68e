// The rule editor: faults and suggestions while one types. Without it the buttons do the same.
const form = document.getElementById("editor");
const text = document.getElementById("text");
const gutter = document.getElementById("gutter");
const faults = document.getElementById("faults");
const list = document.getElementById("suggestions");
const CHECK_AFTER = 500;
const SUGGEST_AFTER = 150;
let marked = new Map();
let isLeaving = false;
let checks = 0;
let wishes = 0;
let checking;
let suggesting;

async function ask(what, more = {}) {
  const body = new URLSearchParams({ file: form.elements.file.value, text: text.value, ...more });
  const answer = await fetch(`${form.getAttribute("action")}/${what}`, { method: "POST", body });
  if (answer.status === 401) throw new Error("You are signed out. Sign in in another tab; your text stays here.");
  if (!answer.ok) throw new Error("Taskbell cannot check at the moment. Your text stays here.");
  return answer.json();
}

function tell(error) {
  const away = document.getElementById("away");
  away.textContent = error instanceof TypeError ? "Taskbell does not answer. Your text stays here." : error.message;
  away.hidden = false;
}

function element(name, content, more = {}) {
  const made = Object.assign(document.createElement(name), more);
  made.append(...[content].flat());
  return made;
}

// Faults

function faultLine(one) {
  const state = element("span", one.is_error ? "error" : "warning", { className: `state ${one.is_error ? "failed" : "held"}` });
  const where = `ine ${one.line}, column ${one.column}`;
  const place = one.is_here ? element("a", `L${where}`, { href: "#text" }) : element("b", `${one.file}, l${where}`);
  if (one.is_here) Object.assign(place.dataset, { line: one.line, column: one.column });
  const parts = [state, " ", place, ": ", element("bdi", one.message)];
  if (one.hint) parts.push(" ", element("bdi", one.hint, { className: "faint" }));
  if (one.source) parts.push(element("pre", one.source));
  return element("li", parts);
}

function showFaults({ summary, faults: found }) {
  faults.hidden = false;
  document.getElementById("away").hidden = true;
  const title = faults.querySelector("h2");
  // What has not changed is not read aloud again.
  if (title.textContent !== summary) title.textContent = summary;
  faults.querySelector("ol").replaceChildren(...found.map(faultLine));
  marked = new Map();
  for (const one of found) {
    if (one.is_here) marked.set(one.line, one.is_error || marked.get(one.line) || false);
  }
  number();
}

async function check() {
  const mine = ++checks;
  try {
    const found = await ask("check");
    if (mine === checks) showFaults(found);
  } catch (error) {
    if (mine === checks) tell(error);
  }
}

// The numbers of the lines; few elements, as a file may have thousands of lines.
function number() {
  const count = text.value.split("\n").length;
  const parts = [];
  let plain = "";
  for (let line = 1; line <= count; line += 1) {
    if (marked.has(line)) {
      parts.push(plain, element("span", String(line), { className: marked.get(line) ? "error" : "" }));
      plain = "\n";
    } else {
      plain += `${line}\n`;
    }
  }
  gutter.replaceChildren(...parts, plain);
  gutter.scrollTop = text.scrollTop;
}

function lineHeight() {
  return parseFloat(getComputedStyle(text).lineHeight);
}

function goTo(line, column) {
  const lines = text.value.split("\n");
  const before = lines.slice(0, line - 1).reduce((sum, one) => sum + one.length + 1, 0);
  const within = Array.from(lines[line - 1] || "").slice(0, column - 1).join("").length;
  text.focus();
  text.setSelectionRange(before + within, before + within);
  text.scrollTop = Math.max(0, (line - 6) * lineHeight());
}

// Suggestions

function cursor() {
  const lines = text.value.slice(0, text.selectionStart).split("\n");
  const before = lines[lines.length - 1];
  return { line: lines.length - 1, column: Array.from(before).length, before };
}

function close() {
  wishes += 1;
  list.hidden = true;
  list.replaceChildren();
  text.removeAttribute("aria-activedescendant");
}

function choose(option) {
  for (const one of list.children) one.setAttribute("aria-selected", String(one === option));
  text.setAttribute("aria-activedescendant", option.id);
  option.scrollIntoView({ block: "nearest" });
}

function chosen() {
  return list.querySelector("[aria-selected=true]");
}

// By the browser's own command, so that it can be undone.
function insert(what, instead = 0) {
  text.setSelectionRange(text.selectionStart - instead, text.selectionEnd);
  if (!document.execCommand("insertText", false, what)) text.setRangeText(what, text.selectionStart, text.selectionEnd, "end");
}

function take(option) {
  const { insert: what, begun } = option.dataset;
  const written = Array.from(cursor().before);
  insert(what, written.slice(written.length - Number(begun)).join("").length);
  close();
}

function offer(found, begun, at, isAsked) {
  const said = found.length === 1 ? "1 suggestion." : `${found.length || "No"} suggestions.`;
  document.getElementById("count").textContent = found.length || isAsked ? said : "";
  if (!found.length) return close();
  list.replaceChildren(...found.map((one, place) => {
    const made = element("li", [one.label, ...(one.about ? [element("small", one.about)] : [])], { id: `suggestion-${place}`, role: "option" });
    made.setAttribute("aria-selected", "false");
    Object.assign(made.dataset, { insert: one.insert, begun });
    return made;
  }));
  list.hidden = false;
  list.style.top = `${(at.line + 1) * lineHeight() - text.scrollTop + 12}px`;
  const left = `${gutter.offsetWidth - text.scrollLeft}px + ${at.column - begun}ch`;
  list.style.left = `clamp(0px, ${left}, 100% - ${list.offsetWidth}px)`;
  if (isAsked) choose(list.firstElementChild);
  return undefined;
}

async function suggest(isAsked) {
  clearTimeout(suggesting);
  const mine = ++wishes;
  const at = cursor();
  try {
    const { suggestions, begun } = await ask("suggestions", { line: at.line, column: at.column });
    if (mine === wishes) offer(suggestions, begun, at, isAsked);
  } catch (error) {
    if (mine === wishes && isAsked) tell(error);
  }
}

function onKey(event) {
  const active = chosen();
  // The list closes before the focus moves, so that Tab leads to the next field and not into it.
  if (event.key === "Tab") return close();
  if (event.code === "Space" && event.ctrlKey) suggest(true);
  else if (event.key === "Escape" && !list.hidden) close();
  else if (event.key === "ArrowDown" && !list.hidden) choose((active && active.nextElementSibling) || list.firstElementChild);
  else if (event.key === "ArrowUp" && !list.hidden) choose((active && active.previousElementSibling) || list.lastElementChild);
  else if (event.key === "Enter" && active) take(active);
  else if (event.key === "Enter" && !event.ctrlKey && !event.isComposing) insert(`\n${/^[ ]*/.exec(cursor().before)[0]}`);
  else return undefined;
  return event.preventDefault();
}

text.addEventListener("input", (event) => {
  number();
  clearTimeout(checking);
  checking = setTimeout(check, CHECK_AFTER);
  clearTimeout(suggesting);
  close();
  if (/[\w.]$/.test(event.data || "")) suggesting = setTimeout(suggest, SUGGEST_AFTER, false);
});
text.addEventListener("keydown", onKey);
text.addEventListener("scroll", () => { gutter.scrollTop = text.scrollTop; close(); });
text.addEventListener("blur", close);
text.addEventListener("click", close);
list.addEventListener("mousedown", (event) => {
  event.preventDefault();
  const option = event.target.closest("[role=option]");
  if (option) take(option);
});
faults.addEventListener("click", (event) => {
  const link = event.target.closest("a[data-line]");
  if (!link) return;
  event.preventDefault();
  goTo(Number(link.dataset.line), Number(link.dataset.column));
});
// Enter in the search would press the first button of the form.
document.getElementById("q").addEventListener("keydown", (event) => {
  if (event.key !== "Enter") return;
  event.preventDefault();
  form.requestSubmit(form.querySelector("button[value=try]"));
});
form.addEventListener("submit", (event) => { isLeaving = !event.submitter || !("leaves" in event.submitter.dataset); });
addEventListener("beforeunload", (event) => {
  const isUnsaved = "unsaved" in form.dataset || text.value !== text.defaultValue;
  if (isUnsaved && !isLeaving) event.preventDefault();
});

document.getElementById("keys").hidden = false;
number();
check();
