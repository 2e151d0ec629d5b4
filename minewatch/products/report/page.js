"use strict";
// Tables: a click on a heading sorts by it, another one turns the order.
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  table.querySelectorAll("thead th[aria-sort]").forEach((head) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = head.textContent;
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      const falling = head.getAttribute("aria-sort") === "ascending";
      const column = head.cellIndex;
      const value = (row) => row.cells[column].dataset.value;
      const rows = [...body.rows].sort((a, b) => {
        const [x, y] = [value(a), value(b)];
        const numbers = x !== "" && y !== "" && !isNaN(x) && !isNaN(y);
        return numbers ? x - y : x < y ? -1 : x > y ? 1 : 0;
      });
      body.append(...(falling ? rows.reverse() : rows));
      table.querySelectorAll("th[aria-sort]").forEach((other) => other.setAttribute("aria-sort", "none"));
      head.setAttribute("aria-sort", falling ? "descending" : "ascending");
    });
  });
}
// Pairs of images: copies of both lie on each other, a slider shows more of one or of the other.
for (const pair of document.querySelectorAll(".pair")) {
  const [before, after] = ["before", "after"].map((name) => pair.querySelector("." + name + " svg"));
  if (!before || !after) continue;
  const box = document.createElement("div"), stack = document.createElement("div"), line = document.createElement("div");
  const top = after.cloneNode(true), names = document.createElement("div"), label = document.createElement("label");
  const slider = document.createElement("input");
  box.className = "swipe"; stack.className = "stack"; line.className = "line"; names.className = "names";
  top.classList.add("top");
  top.setAttribute("aria-hidden", "true");
  for (const name of ["before", "after"]) {
    const word = document.createElement("span");
    word.textContent = pair.dataset[name];
    names.append(word);
  }
  slider.type = "range"; slider.min = 0; slider.max = 100; slider.value = 50;
  label.textContent = pair.dataset.swipe;
  label.append(slider);
  stack.append(before.cloneNode(true), top, line);
  box.append(names, stack, label);
  const move = () => {
    top.style.clipPath = "inset(0 0 0 " + slider.value + "%)";
    line.style.left = slider.value + "%";
  };
  const drag = (event) => {
    if (event.buttons !== 1 && event.type !== "pointerdown") return;
    const area = stack.getBoundingClientRect();
    slider.value = Math.round((100 * (event.clientX - area.left)) / area.width);
    move();
  };
  slider.addEventListener("input", move);
  stack.addEventListener("pointerdown", drag);
  stack.addEventListener("pointermove", drag);
  move();
  pair.append(box);
}
// A link into a folded part opens it.
for (const link of document.querySelectorAll('a[href^="#"]')) {
  link.addEventListener("click", () => {
    const part = document.getElementById(link.getAttribute("href").slice(1));
    if (part && part.tagName === "DETAILS") part.open = true;
  });
}
// Nothing stays folded on paper.
addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((part) => (part.open = true)));
