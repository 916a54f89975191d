// The timeline of a history: draws what is visible, of as many operations as there are.
(() => {
  "use strict";
  const began = performance.now();
  const holder = document.getElementById("timeline");
  if (!holder) return;
  const about = JSON.parse(document.getElementById("timeline-about").textContent);
  const canvas = holder.querySelector("canvas");
  const details = document.getElementById("timeline-details");
  const place = document.getElementById("timeline-place");
  const OUTCOMES = ["ok", "refused", "failed", "unknown"];
  const LANE = 26, LEFT = 84, STRIP = 18, SHOWN_MAX = 40;
  const TOP = 24 + (about.locks.length ? about.locks.length * STRIP + 4 : 0);

  // ---- the operations, a block of columns a lane
  let bytes, at;
  const open = (id) => {
    const raw = atob(document.getElementById(id).textContent.trim());
    bytes = new Uint8Array(raw.length);
    for (let i = 0; i < raw.length; i++) bytes[i] = raw.charCodeAt(i);
    at = 0;
  };
  open("timeline-data");
  const varint = () => {
    let value = 0, unit = 1, byte;
    do { byte = bytes[at++]; value += (byte & 127) * unit; unit *= 128; } while (byte > 127);
    return value;
  };
  const unzigzag = (number) => number % 2 ? -(number + 1) / 2 : number / 2;
  const lanes = about.lanes.map((lane) => {
    const n = varint();
    const from = new Float64Array(n), to = new Float64Array(n), kind = new Uint8Array(n);
    const extra = new Uint8Array(n), container = new Uint16Array(n), life = new Uint32Array(n);
    const revision = new Uint32Array(n), message = new Uint32Array(n);
    const bad = new Uint32Array(n + 1), lost = new Uint32Array(n + 1), refused = new Uint32Array(n + 1);
    let time = 0, lived = 0, saved = 0;
    for (let i = 0; i < n; i++) {
      time += varint(); from[i] = time;
      const length = varint();
      to[i] = length === 0 ? about.end : time + length - 1;
      const flags = bytes[at++];
      kind[i] = flags & 127;
      if (about.containers.length > 1) container[i] = varint();
      if (flags & 128) {
        extra[i] = bytes[at++]; lived += unzigzag(varint()); life[i] = lived; saved += unzigzag(varint()); revision[i] = saved;
        if (extra[i] & 128) message[i] = varint();
      }
      const outcome = kind[i] & 3;
      bad[i + 1] = bad[i] + (outcome === 2 ? 1 : 0);
      lost[i + 1] = lost[i] + (outcome === 3 ? 1 : 0);
      refused[i + 1] = refused[i] + (outcome === 1 ? 1 : 0);
    }
    return { name: lane, n, from, to, kind, extra, container, life, revision, message, bad, lost, refused };
  });
  // ---- who held which lock, a row a lock: by when it began
  open("timeline-holds");
  const locks = about.locks.map((name) => {
    const n = varint();
    const from = new Float64Array(n), to = new Float64Array(n), last = new Float64Array(n), lane = new Uint32Array(n), flags = new Uint8Array(n);
    let time = 0, alone = -1, any = -1;
    for (let i = 0; i < n; i++) {
      time += varint(); from[i] = time;
      const length = varint(), who = varint();
      to[i] = length === 0 ? about.end : time + length - 1;
      lane[i] = who >> 2;
      // 1: shared, 2: nobody saw the end, so it accuses nobody, 4: two held it at once and one of them alone.
      flags[i] = who & 3;
      if ((flags[i] & 1 ? alone : any) > time) flags[i] |= 4;
      if (!(flags[i] & 2)) { any = Math.max(any, to[i]); if (!(flags[i] & 1)) alone = Math.max(alone, to[i]); }
      last[i] = Math.max(to[i], i ? last[i - 1] : 0);
    }
    return { name, n, from, to, last, lane, flags };
  });
  const firstHold = (lock, time) => {
    let low = 0, high = lock.n;
    while (low < high) { const mid = (low + high) >> 1; if (lock.last[mid] < time) low = mid + 1; else high = mid; }
    return low;
  };
  const who = (lane) => lanes[lane] ? lanes[lane].name : "somebody";
  const decisive = new Set();
  about.findings.forEach((finding) => finding.records.forEach(([l, i]) => decisive.add(l + ":" + i)));

  // ---- what is looked at
  let view = { from: 0, to: about.end || 1 }, scroll = 0, focus = null, finding = -1;
  const span = () => view.to - view.from;
  const rows = () => Math.min(lanes.length, SHOWN_MAX);
  const firstAtOrAfter = (lane, time) => {
    let low = 0, high = lane.n;
    while (low < high) { const mid = (low + high) >> 1; if (lane.to[mid] < time) low = mid + 1; else high = mid; }
    return low;
  };
  const firstFrom = (lane, time) => {
    let low = 0, high = lane.n;
    while (low < high) { const mid = (low + high) >> 1; if (lane.from[mid] < time) low = mid + 1; else high = mid; }
    return low;
  };
  const clampView = (from, to) => {
    const least = 20, all = about.end || 1;
    let width = Math.min(Math.max(to - from, least), all * 1.04 + least);
    let start = Math.min(Math.max(from, -0.02 * all - least / 4), Math.max(all * 1.02 - width + least / 4, -0.02 * all));
    view = { from: start, to: start + width };
  };
  const shown = (time) => (time / 1e6).toFixed(span() < 1e5 ? 4 : 3) + " ms";

  // ---- drawing
  const colours = () => {
    const style = getComputedStyle(document.documentElement);
    const get = (name) => style.getPropertyValue(name).trim();
    return { text: get("--text"), faint: get("--faint"), rule: get("--rule"), panel: get("--panel"), ground: get("--ground"),
      ok: get("--op-ok"), refused: get("--op-refused"), failed: get("--bad"), unknown: get("--op-unknown"), mark: get("--mark"), lock: get("--lock") };
  };
  let stripes = null;
  const striped = (context, c) => {
    const tile = document.createElement("canvas"); tile.width = tile.height = 6;
    const t = tile.getContext("2d");
    t.strokeStyle = c.unknown; t.lineWidth = 2; t.beginPath(); t.moveTo(-1, 7); t.lineTo(7, -1); t.stroke();
    return context.createPattern(tile, "repeat");
  };
  const draw = () => {
    const ratio = window.devicePixelRatio || 1, width = holder.clientWidth, height = TOP + rows() * LANE + 4;
    if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
      canvas.width = Math.round(width * ratio); canvas.height = Math.round(height * ratio);
      canvas.style.height = height + "px";
    }
    const context = canvas.getContext("2d"), c = colours();
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.fillStyle = c.ground; context.fillRect(0, 0, width, height);
    const wide = width - LEFT, x = (time) => LEFT + (time - view.from) / span() * wide;
    stripes = stripes || striped(context, c);
    context.font = "12px system-ui, sans-serif"; context.textBaseline = "middle";
    axis(context, c, x, wide, height);
    for (let row = 0; row < rows(); row++) {
      const lane = lanes[row + scroll]; if (!lane) break;
      const y = TOP + row * LANE;
      context.fillStyle = row % 2 ? c.ground : c.panel; context.fillRect(0, y, width, LANE);
      context.fillStyle = c.text; context.fillText(lane.name, 6, y + LANE / 2, LEFT - 10);
    }
    locks.forEach((lock, row) => {
      context.fillStyle = c.faint; context.fillText("lock " + lock.name, 6, 24 + row * STRIP + STRIP / 2, LEFT - 10);
    });
    axisLines(context, c, x, wide, height);
    context.save(); context.beginPath(); context.rect(LEFT, 0, wide, height); context.clip();
    about.marks.forEach((mark) => {
      if (mark.at < view.from || mark.at > view.to) return;
      context.strokeStyle = c.unknown; context.setLineDash([3, 3]); context.beginPath();
      context.moveTo(x(mark.at), TOP); context.lineTo(x(mark.at), height); context.stroke(); context.setLineDash([]);
      context.fillStyle = c.unknown; context.fillText("✕", x(mark.at) - 4, TOP - 6);
    });
    locks.forEach((lock, row) => drawLock(context, c, lock, 24 + row * STRIP, x, wide));
    for (let row = 0; row < rows(); row++) {
      const lane = lanes[row + scroll]; if (!lane) break;
      drawLane(context, c, lane, row + scroll, TOP + row * LANE, x, wide);
    }
    context.restore();
    context.strokeStyle = c.rule; context.strokeRect(LEFT + 0.5, TOP + 0.5, wide - 1, height - TOP - 1);
    const inView = countIn();
    place.textContent = `${shown(view.from < 0 ? 0 : view.from)} to ${shown(Math.min(view.to, about.end))}: ` +
      `${inView.toLocaleString("en")} of ${about.total.toLocaleString("en")} operations in view` +
      (lanes.length > rows() ? `; processes ${scroll + 1} to ${scroll + rows()} of ${lanes.length}` : "");
  };
  const countIn = () => lanes.reduce((sum, lane) => sum + Math.max(0, firstFrom(lane, view.to) - firstAtOrAfter(lane, view.from)), 0);
  const tick = (wide) => {
    const rough = span() / Math.max(2, wide / 110), power = 10 ** Math.floor(Math.log10(rough));
    const unit = [1, 2, 5, 10].find((m) => m * power >= rough) * power;
    return unit;
  };
  const axis = (context, c, x, wide) => {
    const unit = tick(wide); context.fillStyle = c.faint;
    for (let t = Math.max(0, Math.ceil(view.from / unit) * unit); t <= view.to; t += unit) {
      const label = t % 1e6 === 0 || unit >= 1e5 ? (t / 1e6).toFixed(unit >= 1e6 ? 0 : 1) + " ms" : (t / 1e6).toFixed(4) + " ms";
      if (x(t) < LEFT + wide - 46) context.fillText(label, x(t) + 3, TOP / 2);
    }
  };
  const axisLines = (context, c, x, wide, height) => {
    const unit = tick(wide); context.strokeStyle = c.rule; context.beginPath();
    for (let t = Math.max(0, Math.ceil(view.from / unit) * unit); t <= view.to; t += unit) {
      context.moveTo(Math.round(x(t)) + 0.5, 8); context.lineTo(Math.round(x(t)) + 0.5, height);
    }
    context.stroke();
  };
  // Height and filling say the outcome too: colour alone never does.
  const bar = (context, c, outcome, left, y, width) => {
    if (outcome === 0) { context.fillStyle = c.ok; context.fillRect(left, y + 6, width, LANE - 12); }
    else if (outcome === 1) {
      context.fillStyle = c.refused;
      if (width < 3) context.fillRect(left, y + 10, width, LANE - 20);
      else { context.strokeStyle = c.refused; context.lineWidth = 1.5; context.strokeRect(left + 0.75, y + 9.75, width - 1.5, LANE - 19.5); }
    } else if (outcome === 2) { context.fillStyle = c.failed; context.fillRect(left, y + 2, width, LANE - 4); }
    else {
      context.fillStyle = stripes; context.fillRect(left, y + 2, width, LANE - 4);
      context.strokeStyle = c.unknown; context.lineWidth = 1; context.strokeRect(left + 0.5, y + 2.5, Math.max(width - 1, 1), LANE - 5);
    }
  };
  const drawLane = (context, c, lane, number, y, x, wide) => {
    const first = firstAtOrAfter(lane, view.from), end = firstFrom(lane, view.to);
    if (end - first > wide * 1.5) drawDense(context, c, lane, y, x, wide);
    else for (let i = first; i < end; i++) {
      const left = Math.max(x(lane.from[i]), LEFT - 4), right = Math.min(x(lane.to[i]), LEFT + wide + 4), width = Math.max(right - left, 1);
      const outcome = lane.kind[i] & 3;
      bar(context, c, outcome, left, y, width);
      if (width > 40) {
        const name = about.operations[lane.kind[i] >> 2];
        context.fillStyle = outcome === 0 || outcome === 2 ? c.ground : c.text;
        context.fillText(outcome === 2 ? "! " + name : outcome === 3 ? "? " + name : name, left + 4, y + LANE / 2, width - 6);
      }
    }
    decisive.forEach((key) => {
      const [l, i] = key.split(":").map(Number);
      if (l !== number || lane.to[i] < view.from || lane.from[i] > view.to) return;
      const left = x(lane.from[i]), width = Math.max(x(lane.to[i]) - left, 3);
      context.strokeStyle = c.mark; context.lineWidth = 2.5; context.strokeRect(left - 1.5, y + 1.5, width + 3, LANE - 3);
      context.fillStyle = c.mark; context.beginPath(); context.moveTo(left - 5, y); context.lineTo(left + 5, y); context.lineTo(left, y + 6); context.fill();
    });
    if (focus && focus[0] === number) {
      const i = focus[1], left = x(lane.from[i]), width = Math.max(x(lane.to[i]) - left, 3);
      context.strokeStyle = c.text; context.lineWidth = 2; context.setLineDash([4, 2]); context.strokeRect(left - 3, y + 0.5, width + 6, LANE - 1); context.setLineDash([]);
    }
  };
  // Alone: filled; shared: hollow; two at once: as tall as the row, and in the colour of what failed.
  const drawLock = (context, c, lock, y, x, wide) => {
    let drawn = LEFT - 1;
    for (let i = firstHold(lock, view.from); i < lock.n && lock.from[i] <= view.to; i++) {
      const left = Math.max(x(lock.from[i]), LEFT - 4), right = Math.min(x(lock.to[i]), LEFT + wide + 4), width = Math.max(right - left, 1);
      const clash = lock.flags[i] & 4, shared = lock.flags[i] & 1;
      // What lies below one point is drawn once.
      if (right <= drawn && !clash) continue;
      drawn = Math.max(drawn, Math.ceil(left));
      const top = clash ? y + 1 : y + 4, tall = clash ? STRIP - 2 : STRIP - 8;
      context.fillStyle = clash ? c.failed : c.lock;
      if (shared && width >= 3 && !clash) { context.strokeStyle = c.lock; context.lineWidth = 1.5; context.strokeRect(left + 0.75, top + 0.75, width - 1.5, tall - 1.5); }
      else context.fillRect(left, top, width, tall);
      if (width > 24) {
        context.fillStyle = shared && !clash ? c.text : c.ground; context.font = "10px system-ui, sans-serif";
        context.fillText(who(lock.lane[i]) + (lock.flags[i] & 2 ? " …" : ""), left + 3, y + STRIP / 2 + 0.5, width - 5); context.font = "12px system-ui, sans-serif";
      }
    }
  };
  // More operations than points: each point shows the gravest outcome below it.
  const drawDense = (context, c, lane, y, x, wide) => {
    const step = span() / wide;
    let low = firstAtOrAfter(lane, view.from);
    for (let p = 0; p < wide; p++) {
      const until = view.from + (p + 1) * step;
      let high = low;
      if (high < lane.n && lane.from[high] < until) {
        let a = low, b = lane.n;
        while (a < b) { const mid = (a + b) >> 1; if (lane.from[mid] < until) a = mid + 1; else b = mid; }
        high = a;
        const outcome = lane.bad[high] > lane.bad[low] ? 2 : lane.lost[high] > lane.lost[low] ? 3 :
          lane.refused[high] - lane.refused[low] === high - low ? 1 : 0;
        bar(context, c, outcome, LEFT + p, y, 1);
        low = Math.max(low, high - 1);
      }
    }
  };

  // ---- words
  const sayHold = (lock, i) => `lock of ${lock.name}: ${who(lock.lane[i])} held it${lock.flags[i] & 1 ? ", shared," : ""} from ${(lock.from[i] / 1e6).toFixed(6)} ms for ` +
    `${((lock.to[i] - lock.from[i]) / 1e3).toFixed(1)} µs${lock.flags[i] & 2 ? " at most: nobody saw it let go" : ""}${lock.flags[i] & 4 ? "; another held it at the same time" : ""}`;
  // What an operation had of its container's lock, and who had it as it began.
  const sayLock = (l, i) => {
    const lane = lanes[l], lock = locks.find((it) => it.name === about.containers[lane.container[i]]), words = [];
    if (!lock) return words;
    for (let h = firstHold(lock, lane.from[i]); h < lock.n && lock.from[h] <= lane.to[i]; h++) {
      if (lock.lane[h] === l && lock.from[h] >= lane.from[i]) words.push(`held the lock for ${((lock.to[h] - lock.from[h]) / 1e3).toFixed(1)} µs`);
      else if (lock.from[h] <= lane.from[i] && lock.to[h] >= lane.from[i]) words.push(`${who(lock.lane[h])} held the lock as it began`);
      if (words.length > 2) break;
    }
    return words;
  };
  const say = (l, i) => {
    const lane = lanes[l], k = lane.kind[i], outcome = OUTCOMES[k & 3], e = lane.extra[i];
    const parts = [`${lane.name} ${about.operations[k >> 2]} ${about.containers[lane.container[i]] || ""}`.trim() + `: ${outcome}`];
    const reason = about.reasons[(e & 15) - 1], status = about.statuses[((e >> 4) & 7) - 1];
    if (reason) parts[0] += ` (${reason})`;
    if (status) parts.push(status);
    if (lane.life[i]) parts.push(`life ${lane.life[i]}`);
    if (lane.revision[i]) parts.push(`save ${lane.revision[i] - 1}`);
    const open = lane.to[i] === about.end && (k & 3) === 3;
    parts.push(`${(lane.from[i] / 1e6).toFixed(6)} ms, ${open ? "open" : "took " + ((lane.to[i] - lane.from[i]) / 1e3).toFixed(1) + " µs"}`);
    parts.push(...sayLock(l, i));
    if (lane.message[i]) parts.push("“" + about.messages[lane.message[i] - 1] + "”");
    if (decisive.has(l + ":" + i)) parts.push("the violation rests on it");
    return parts.join(", ");
  };
  const point = (l, i) => { focus = [l, i]; details.textContent = say(l, i); };
  const goTo = (l, i) => {
    point(l, i);
    const lane = lanes[l], width = span();
    if (lane.from[i] < view.from || lane.to[i] > view.to) clampView(lane.from[i] - width / 2, lane.from[i] + width / 2);
    if (l < scroll || l >= scroll + rows()) scroll = Math.max(0, Math.min(l, lanes.length - rows()));
    later();
  };
  const showFinding = (number) => {
    if (!about.findings.length) return;
    finding = (number + about.findings.length) % about.findings.length;
    const it = about.findings[finding];
    // Enough around it to see who else was there.
    const room = Math.max(it.to - it.from, 200000);
    clampView(it.from - room, it.to + room);
    const first = it.records[0];
    if (first) { point(first[0], first[1]); if (first[0] >= rows()) scroll = Math.max(0, Math.min(first[0] - 2, lanes.length - rows())); }
    details.textContent = `Violation ${finding + 1} of ${about.findings.length}: ${it.class}: ${it.message}`;
    later();
  };

  // ---- hands
  let waiting = false;
  const later = () => { if (!waiting) { waiting = true; requestAnimationFrame(() => { waiting = false; draw(); }); } };
  const zoom = (factor, around = view.from + span() / 2) => {
    clampView(around - (around - view.from) * factor, around + (view.to - around) * factor); later();
  };
  const pan = (share) => { clampView(view.from + span() * share, view.to + span() * share); later(); };
  const whole = () => { clampView(0, about.end); later(); };
  const timeAt = (event) => { const box = canvas.getBoundingClientRect(); return view.from + (event.clientX - box.left - LEFT) / (box.width - LEFT) * span(); };
  const hitLock = (event) => {
    const box = canvas.getBoundingClientRect(), lock = locks[Math.floor((event.clientY - box.top - 24) / STRIP)];
    if (!lock) return "";
    const near = span() / box.width * 2, time = timeAt(event), i = firstHold(lock, time - near);
    return i < lock.n && lock.from[i] <= time + near ? sayHold(lock, i) : "";
  };
  const hit = (event) => {
    const box = canvas.getBoundingClientRect(), row = Math.floor((event.clientY - box.top - TOP) / LANE), lane = lanes[row + scroll];
    if (!lane || row < 0 || row >= rows()) return null;
    const near = span() / box.width * 3, time = timeAt(event), i = firstAtOrAfter(lane, time - near);
    return i < lane.n && lane.from[i] <= time + near ? [row + scroll, i] : null;
  };
  canvas.addEventListener("wheel", (event) => {
    if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) { event.preventDefault(); pan((event.deltaX || event.deltaY) / 800); return; }
    if (!event.ctrlKey && document.activeElement !== canvas) return;
    event.preventDefault(); zoom(Math.exp(event.deltaY / 400), timeAt(event));
  }, { passive: false });
  let drag = null;
  canvas.addEventListener("pointerdown", (event) => { drag = { x: event.clientX, moved: false, view: { ...view } }; canvas.setPointerCapture(event.pointerId); });
  canvas.addEventListener("pointermove", (event) => {
    if (drag) {
      const moved = event.clientX - drag.x;
      if (Math.abs(moved) > 3) drag.moved = true;
      const shift = moved / (canvas.clientWidth - LEFT) * (drag.view.to - drag.view.from);
      clampView(drag.view.from - shift, drag.view.to - shift); later();
    } else { const found = hit(event); canvas.title = found ? say(found[0], found[1]) : hitLock(event); }
  });
  canvas.addEventListener("pointerup", (event) => {
    if (drag && !drag.moved) { const found = hit(event); if (found) { point(found[0], found[1]); later(); } else { const held = hitLock(event); if (held) details.textContent = held; } }
    drag = null;
  });
  canvas.addEventListener("pointercancel", () => { drag = null; });
  canvas.addEventListener("dblclick", (event) => zoom(0.4, timeAt(event)));
  const keys = {
    ArrowLeft: () => pan(-0.2), ArrowRight: () => pan(0.2), "+": () => zoom(0.5), "=": () => zoom(0.5), "-": () => zoom(2),
    Home: whole, "0": whole, n: () => showFinding(finding + 1), p: () => showFinding(finding - 1),
    ArrowUp: () => lane(-1), ArrowDown: () => lane(1), ",": () => step(-1), ".": () => step(1),
    PageUp: () => { scroll = Math.max(0, scroll - rows()); later(); },
    PageDown: () => { scroll = Math.max(0, Math.min(lanes.length - rows(), scroll + rows())); later(); },
  };
  const lane = (by) => {
    const [l, i] = focus || [scroll - by, 0], next = Math.min(Math.max(l + by, 0), lanes.length - 1);
    if (!lanes[next].n) { scroll = Math.max(0, Math.min(next, lanes.length - rows())); focus = [next, 0]; return; }
    const time = focus && lanes[l].n ? lanes[l].from[i] : view.from;
    goTo(next, Math.min(firstAtOrAfter(lanes[next], time), lanes[next].n - 1));
  };
  const step = (by) => {
    if (!focus) { lane(1); return; }
    goTo(focus[0], Math.min(Math.max(focus[1] + by, 0), lanes[focus[0]].n - 1));
  };
  canvas.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || !keys[event.key]) return;
    event.preventDefault(); keys[event.key]();
  });
  const actions = { in: () => zoom(0.5), out: () => zoom(2), left: () => pan(-0.3), right: () => pan(0.3), whole, next: () => showFinding(finding + 1), previous: () => showFinding(finding - 1) };
  document.querySelectorAll("[data-timeline]").forEach((button) => button.addEventListener("click", () => actions[button.dataset.timeline]()));
  document.querySelectorAll("[data-finding]").forEach((link) => link.addEventListener("click", () => {
    showFinding(Number(link.dataset.finding)); holder.scrollIntoView({ block: "center" }); canvas.focus({ preventScroll: true });
  }));
  new ResizeObserver(later).observe(holder);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { stripes = null; later(); });
  matchMedia("print").addEventListener("change", () => { stripes = null; draw(); });
  if (about.findings.length) { const words = details.textContent; showFinding(0); if (!details.textContent) details.textContent = words; } else whole();
  draw();
  holder.dataset.ready = String(Math.round(performance.now() - began));
  // For whoever drives the page: tests do.
  window.flockwork = {
    say, lanes: lanes.map((lane) => lane.n), view: () => ({ ...view }), total: about.total, drawn: lanes.reduce((sum, it) => sum + it.n, 0), finding: () => finding,
    decisiveInView: () => [...decisive].every((key) => { const [l, i] = key.split(":").map(Number); return lanes[l].from[i] >= view.from && lanes[l].from[i] <= view.to; }),
    redraw: () => { const start = performance.now(); draw(); return performance.now() - start; },
    holds: () => locks.map((lock) => ({ name: lock.name, count: lock.n, clashes: lock.flags.reduce((sum, it) => sum + (it & 4 ? 1 : 0), 0) })),
    count: (outcome) => lanes.reduce((sum, it) => { for (let i = 0; i < it.n; i++) if ((it.kind[i] & 3) === outcome) sum++; return sum; }, 0),
  };
})();
