// The report's only script: filters, sorts and pages the table of findings. Without it the table shows everything.
"use strict";
document.documentElement.className = "js"; // before the table is laid out: only its first page is
addEventListener("DOMContentLoaded", () => {
  const table = document.getElementById("list");
  if (!table) return;
  const get = (id) => document.getElementById(id);
  const all = Array.from(table.tBodies);
  const boxes = Array.from(document.querySelectorAll("input[name=severity]"));
  const text = new Map();
  let sorted = all, found = all, page = 0, key = "", down = false;

  const words = (body) => {
    if (!text.has(body)) text.set(body, body.textContent.toLowerCase());
    return text.get(body);
  };
  const column = { severity: 0, id: 1, package: 2, fixed: 3, item: 4, decision: 5 };
  const order = ["blocks", "waived", "not-affected", "warns", "informs", "undecided"];
  const keyOf = (body) => {
    if (key === "severity") return Number(body.dataset.s);
    if (key === "decision") return order.indexOf(body.dataset.d);
    const cell = body.rows[0].cells[column[key]];
    return (key === "id" ? cell.firstElementChild : cell).textContent;
  };
  const compare = new Intl.Collator("en", { numeric: true }).compare;

  function sort() {
    if (!key) { sorted = all; return; }
    const keyed = all.map((body, place) => [keyOf(body), place, body]);
    const by = typeof keyed[0][0] === "number" ? (a, b) => a - b : compare;
    keyed.sort((a, b) => (down ? by(b[0], a[0]) : by(a[0], b[0])) || a[1] - b[1]);
    sorted = keyed.map((one) => one[2]);
  }

  function filter() {
    const asked = get("q").value.toLowerCase().split(/\s+/).filter(Boolean);
    const severities = new Set(boxes.filter((one) => one.checked).map((one) => one.value));
    const kind = get("kind").value, decision = get("decision").value, fixed = get("fixed").checked;
    found = sorted.filter((body) => {
      const said = body.dataset;
      return severities.has(said.s) && (!kind || said.k === kind) && (!decision || said.d === decision)
        && (!fixed || said.x) && asked.every((one) => words(body).includes(one));
    });
    page = 0;
    show();
  }

  function show() {
    const size = Number(get("size").value), pages = Math.max(1, Math.ceil(found.length / size));
    page = Math.min(Math.max(page, 0), pages - 1);
    place(found.slice(page * size, (page + 1) * size));
    get("shown").textContent = found.length === all.length
      ? `${all.length.toLocaleString("en")} findings`
      : `${found.length.toLocaleString("en")} of ${all.length.toLocaleString("en")} findings`;
    get("page").textContent = `Page ${page + 1} of ${pages}`;
    get("back").disabled = page === 0;
    get("next").disabled = page === pages - 1;
    get("pages").hidden = found.length <= 50;
  }

  function place(bodies) {
    table.replaceChildren(table.caption, table.tHead, ...bodies);
    for (const body of bodies) {
      const name = body.rows[0].cells[1].firstElementChild;
      if (name.tagName === "BUTTON") continue;
      const button = document.createElement("button");
      button.type = "button";
      button.className = "toggle id";
      button.textContent = name.textContent;
      button.setAttribute("aria-expanded", "false");
      name.replaceWith(button);
    }
  }

  table.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    if (button.classList.contains("toggle")) {
      button.setAttribute("aria-expanded", String(button.closest("tbody").classList.toggle("open")));
      return;
    }
    const cell = button.parentElement;
    down = key === cell.dataset.key ? !down : false;
    key = cell.dataset.key;
    for (const one of table.tHead.rows[0].cells) one.removeAttribute("aria-sort");
    cell.setAttribute("aria-sort", down ? "descending" : "ascending");
    sort();
    filter();
  });
  for (const cell of table.tHead.rows[0].cells) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = cell.textContent;
    cell.replaceChildren(button);
  }
  get("filter").addEventListener("input", filter);
  get("filter").addEventListener("submit", (event) => event.preventDefault());
  get("clear").addEventListener("click", () => { get("filter").reset(); filter(); });
  get("size").addEventListener("change", () => { page = 0; show(); });
  get("back").addEventListener("click", () => { page -= 1; show(); });
  get("next").addEventListener("click", () => { page += 1; show(); });
  // Paper has no pages of a table: what the filter left is printed, up to a limit that is said.
  const most = 2000;
  addEventListener("beforeprint", () => {
    place(found.slice(0, most));
    if (found.length > most) get("shown").textContent += `; the first ${most} are printed`;
  });
  addEventListener("afterprint", show);
  get("filter").hidden = false;
  show();
  document.documentElement.className = "js ready";
});
