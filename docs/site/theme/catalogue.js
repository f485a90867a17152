// The search, the filters and the order of the table of all models (models/index.md).
// Without JavaScript the page is the whole table.
"use strict";
(() => {
  const table = document.querySelector(".catalogue table");
  const search = document.querySelector(".catalogue-search");
  if (!table || !search) return;
  const [words, task, permissive, count] = ["[type=search]", "select", "[type=checkbox]", "output"]
    .map((selector) => search.querySelector(selector));
  const rows = [...table.tBodies[0].rows];

  function show() {
    const wanted = words.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const row of rows) {
      const text = (row.dataset.words + " " + row.textContent).toLowerCase();
      row.hidden = !(wanted.every((word) => text.includes(word))
        && (!task.value || row.dataset.task === task.value)
        && (!permissive.checked || row.dataset.permissive === "yes"));
      shown += row.hidden ? 0 : 1;
    }
    count.textContent = `${shown} of ${rows.length} models`;
  }

  function value(row, column) {
    const cell = row.cells[column];
    return cell.dataset.value === undefined ? cell.textContent : Number(cell.dataset.value);
  }

  function sort(column, button) {
    const sign = button.dataset.order === "up" ? -1 : 1;
    for (const other of table.tHead.querySelectorAll("button")) delete other.dataset.order;
    button.dataset.order = sign === 1 ? "up" : "down";
    rows.sort((a, b) => {
      const [x, y] = [value(a, column), value(b, column)];
      return sign * (typeof x === "number" ? x - y : x.localeCompare(y, "en", { numeric: true }));
    });
    table.tBodies[0].append(...rows);
  }

  for (const [column, cell] of [...table.tHead.rows[0].cells].entries()) {
    const button = document.createElement("button");
    button.textContent = cell.textContent;
    button.addEventListener("click", () => sort(column, button));
    cell.replaceChildren(button);
  }
  search.hidden = false;
  search.addEventListener("input", show);
  show();
})();
