// Sorts and filters the table of summaries. The page reads without it.
"use strict";
const table = document.getElementById("summaries");
const body = table.tBodies[0];
const original = [...body.rows];
const filter = document.getElementById("filter");
const all = document.getElementById("all");
let showAll = false;

function show() {
  const wanted = filter.value.trim().toLowerCase();
  for (const row of original) {
    const named = row.cells[0].textContent.toLowerCase().includes(wanted);
    const folded = row.classList.contains("more") && !showAll && wanted === "";
    row.hidden = !named || folded;
  }
}

function sortBy(column, direction) {
  const key = (row) => {
    const text = row.cells[column].dataset.value;
    return text === undefined ? row.cells[column].textContent : Number(text);
  };
  const compare = (a, b) => {
    const [x, y] = [key(a), key(b)];
    if (Number.isNaN(x) || Number.isNaN(y)) return Number.isNaN(x) - Number.isNaN(y);
    const order = typeof x === "string" ? x.localeCompare(y, undefined, { numeric: true }) : x - y;
    return direction * order;
  };
  const rows = direction === 0 ? original : [...original].sort(compare);
  body.append(...rows);
}

// Up, down, and back to the order of declaration.
table.tHead.addEventListener("click", (event) => {
  const heading = event.target.closest("th");
  if (!event.target.closest("button")) return;
  const next = { none: "ascending", ascending: "descending", descending: "none" };
  const state = next[heading.ariaSort ?? "none"];
  for (const other of table.tHead.rows[0].cells) other.ariaSort = null;
  if (state !== "none") heading.ariaSort = state;
  sortBy(heading.cellIndex, { ascending: 1, descending: -1, none: 0 }[state]);
});
filter.addEventListener("input", show);
all?.addEventListener("click", () => {
  showAll = !showAll;
  all.textContent = showAll ? "Show the first elements" : "Show all elements";
  show();
});
