"use strict";
// Tables of more than eight rows: the heads sort, a box filters, and a counter says how many rows are left.
document.addEventListener("DOMContentLoaded", () => {
  const PREFIX = { n: 1e-9, u: 1e-6, m: 1e-3, k: 1e3, K: 1e3, M: 1e6, G: 1e9, T: 1e12, P: 1e15, E: 1e18 };
  const value = (text) => {
    const found = /^\(?\$?(-?[\d,]*\.?\d+)\s*(?:([numkKMGTPE])?([A-Za-z/]+)|%)?/.exec(text.trim());
    if (!found) return null;
    return Number(found[1].replaceAll(",", "")) * (found[2] && found[3] ? PREFIX[found[2]] : 1);
  };
  document.querySelectorAll(".bd-article table").forEach((table, number) => {
    const body = table.tBodies[0];
    if (!body || body.rows.length < 9) {
      for (const head of table.tHead?.querySelectorAll("th") ?? []) {
        if (head.textContent.trim()) continue; // a head without a name is an empty cell, and is read as one
        const cell = document.createElement("td");
        cell.className = head.className;
        head.replaceWith(cell);
      }
      return;
    }
    const box = document.createElement("input");
    Object.assign(box, { type: "search", placeholder: "filter rows", id: `filter-${number}` });
    box.setAttribute("aria-label", "filter the rows of the table");
    const count = document.createElement("output");
    count.setAttribute("for", box.id);
    const tools = document.createElement("div");
    tools.className = "table-tools";
    tools.append(box, count);
    (table.closest(".pst-scrollable-table-container, .table-wrapper") || table).before(tools);
    const rows = [...body.rows];
    const filter = () => {
      const words = box.value.toLowerCase().split(/\s+/).filter(Boolean);
      let shown = 0;
      for (const row of rows) {
        const hit = words.every((word) => row.textContent.toLowerCase().includes(word));
        row.hidden = !hit;
        shown += hit;
      }
      count.textContent = `${shown} of ${rows.length}`;
    };
    box.addEventListener("input", filter);
    filter();
    [...table.tHead.rows[0].cells].forEach((head, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.className = "sorts";
      button.append(...head.childNodes);
      if (!button.textContent.trim()) button.setAttribute("aria-label", `sort by column ${column + 1}`);
      head.append(button);
      button.addEventListener("click", () => {
        const up = head.getAttribute("aria-sort") !== "ascending";
        for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
        head.setAttribute("aria-sort", up ? "ascending" : "descending");
        const key = (row) => row.cells[column].textContent;
        body.append(...[...body.rows].sort((a, b) => {
          const [left, right] = [value(key(a)), value(key(b))];
          const numbers = left !== null && right !== null;
          if (!numbers && (left === null) !== (right === null)) return (left === null) - (right === null);
          const order = numbers ? left - right : key(a).localeCompare(key(b));
          return up ? order : -order;
        }));
      });
    });
  });
});
