// Walks through an interleaving: a row a step, and the files before and after the step that is looked at.
(() => {
  "use strict";
  document.querySelectorAll("[data-walk]").forEach((walk) => {
    const kept = walk.querySelector("script");
    const data = kept ? JSON.parse(kept.textContent) : { first: undefined, changes: [] };
    const rows = [...walk.querySelectorAll("tbody tr")];
    const [before, after] = walk.querySelectorAll("[data-files]");
    const words = walk.querySelector("[data-step]");
    const moments = [data.first];
    data.changes.forEach((change) => {
      const next = { ...moments[moments.length - 1] };
      Object.entries(change).forEach(([path, entry]) => { if (entry === null) delete next[path]; else next[path] = entry; });
      moments.push(next);
    });
    const same = (one, other) => JSON.stringify(one) === JSON.stringify(other);
    const shown = (entry) => {
      if (entry.is === "file") return entry.bytes === 0 ? "(empty)" : entry.text + (entry.cut ? ` … (${entry.bytes} bytes)` : "");
      return entry.is === "folder" ? "(folder)" : entry.is === "link" ? "→ " + entry.target : "(cannot be read)";
    };
    const list = (holder, files, other, word) => {
      holder.textContent = "";
      const paths = [...new Set([...Object.keys(files || {}), ...Object.keys(other || {})])].sort();
      if (!files) { holder.textContent = "not recorded"; return; }
      if (!paths.length) { holder.textContent = "nothing there"; return; }
      paths.forEach((path) => {
        const entry = files[path], item = document.createElement("div"), name = document.createElement("div"), body = document.createElement("pre");
        const isChanged = other && !same(entry, other[path]);
        item.className = isChanged ? "changed" : "";
        name.className = "name"; name.textContent = path + (isChanged ? (entry ? (other[path] ? " (changed)" : ` (${word})`) : " (not there)") : "");
        body.textContent = entry ? shown(entry) : "";
        item.append(name); if (entry && entry.is !== "folder") item.append(body);
        holder.append(item);
      });
    };
    let current = 0;
    const go = (number, focus) => {
      current = Math.min(Math.max(number, 0), rows.length - 1);
      rows.forEach((row, i) => { row.setAttribute("aria-current", i === current ? "step" : "false"); row.tabIndex = i === current ? 0 : -1; });
      // The table scrolls to the step; the page stays where it is, unless the step was asked for in the table itself.
      const box = rows[current].closest(".wide"), row = rows[current].getBoundingClientRect(), frame = box.getBoundingClientRect();
      const head = walk.querySelector("thead").getBoundingClientRect().height;
      if (row.top < frame.top + head || row.bottom > frame.bottom) box.scrollTop += row.top - frame.top - (frame.height - row.height) / 2;
      if (focus) { rows[current].focus({ preventScroll: true }); rows[current].scrollIntoView({ block: "nearest" }); }
      if (!words) return;
      words.textContent = `Step ${current + 1} of ${rows.length}`;
      list(before, moments[current], moments[current + 1], "goes away");
      list(after, moments[current + 1], moments[current], "new");
    };
    walk.querySelector("tbody").addEventListener("keydown", (event) => {
      const to = { ArrowDown: current + 1, j: current + 1, ArrowUp: current - 1, k: current - 1, Home: 0, End: rows.length - 1 }[event.key];
      if (to === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault(); go(to, true);
    });
    rows.forEach((row, i) => row.addEventListener("click", () => go(i, true)));
    walk.querySelectorAll("[data-go]").forEach((button) => button.addEventListener("click", () => go(current + Number(button.dataset.go), false)));
    const marked = rows.findIndex((row) => row.classList.contains("decisive"));
    go(marked < 0 ? 0 : marked, false);
  });
})();
