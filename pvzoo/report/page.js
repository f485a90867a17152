"use strict";
const kind = document.getElementById("kind");
const name = document.getElementById("class");
const count = document.getElementById("count");
function filter() {
  let shown = 0;
  for (const one of document.querySelectorAll(".gallery figure")) {
    const has = (list, wanted) => !wanted || (list || "").split(" ").includes(wanted);
    one.hidden = !(has(one.dataset.kinds, kind.value) && has(one.dataset.classes, name.value));
    shown += !one.hidden;
  }
  count.textContent = shown;
}
if (kind) {
  kind.form.hidden = false;
  kind.addEventListener("change", filter);
  name.addEventListener("change", filter);
  filter();
}
