//! Pages in a real browser: Chromium, driven headless. Where there is none, each test says so and is skipped.

mod cases;
mod driver;
mod pages;
mod speed;
