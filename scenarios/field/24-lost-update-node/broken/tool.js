#!/usr/bin/env node
// Settings in one JSON file:  set KEY VALUE | get KEY
const fs = require("node:fs");
const path = require("node:path");

const [op, key, value] = process.argv.slice(2);
const file = path.join(process.env.TOOL_DIR || ".", "config.json");

function end(code, word) {
  console.log(word);
  process.exit(code);
}

function load() {
  try {
    return JSON.parse(fs.readFileSync(file, "utf8"));
  } catch (error) {
    if (error.code === "ENOENT") return {};
    throw error;
  }
}

function change(update) {
  const settings = load();
  update(settings);
  const own = `${file}.${process.pid}~`;
  fs.writeFileSync(own, JSON.stringify(settings));
  fs.renameSync(own, file); // whole, but made of what was read: what others saved since is undone
}

if (op === "set") {
  change((settings) => (settings[key] = value));
  end(0, value);
} else if (op === "get") {
  const settings = load();
  if (!(key in settings)) end(1, "absent");
  end(0, settings[key]);
}
process.exit(2);
