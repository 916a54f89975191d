#!/usr/bin/env node
// Settings in one JSON file, each version under a name of its own:  set KEY VALUE | get KEY
const fs = require("node:fs");
const path = require("node:path");

const [op, key, value] = process.argv.slice(2);
const folder = process.env.TOOL_DIR || ".";
const version = (n) => path.join(folder, `config.${n}.json`);

function end(code, word) {
  console.log(word);
  process.exit(code);
}

// The newest version and its number. Versions are never removed and never changed.
function load() {
  const numbers = fs.readdirSync(folder).map((name) => Number(/^config\.(\d+)\.json$/.exec(name)?.[1] ?? 0));
  const newest = Math.max(0, ...numbers);
  return [newest, newest === 0 ? {} : JSON.parse(fs.readFileSync(version(newest), "utf8"))];
}

function change(update) {
  for (;;) {
    const [newest, settings] = load();
    update(settings);
    const own = path.join(folder, `own.${process.pid}~`);
    fs.writeFileSync(own, JSON.stringify(settings));
    try {
      fs.linkSync(own, version(newest + 1)); // fails where somebody else made the next version: then read again
      return;
    } catch (error) {
      if (error.code !== "EEXIST") throw error;
    } finally {
      fs.unlinkSync(own);
    }
  }
}

if (op === "set") {
  change((settings) => (settings[key] = value));
  end(0, value);
} else if (op === "get") {
  const [, settings] = load();
  if (!(key in settings)) end(1, "absent");
  end(0, settings[key]);
}
process.exit(2);
