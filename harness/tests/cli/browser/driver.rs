//! Drives Chromium by the W3C's `WebDriver`, through chromedriver: one session at a time, on a port of its own.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tempfile::TempDir;

/// A browser with one page.
pub struct Browser {
    driver: Child,
    port: u16,
    session: String,
    profile: TempDir,
}

/// Longer than any page takes, on a machine that does other things as well.
const PATIENCE: Duration = Duration::from_secs(120);

impl Browser {
    /// Starts one; `None` where it is not installed.
    pub fn start() -> Option<Self> {
        let profile = tempfile::tempdir().unwrap();
        // Folders that the browser makes for itself, and does not always remove, go with ours.
        let mut driver = Command::new("chromedriver")
            .args(["--port=0", "--log-level=SEVERE"])
            .env("TMPDIR", profile.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let port = port_of(&mut driver);
        let mut browser = Self { driver, port, session: String::new(), profile };
        let flags = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--disable-dev-shm-usage",
            "--hide-scrollbars",
        ];
        let folder = format!("--user-data-dir={}", browser.profile.path().display());
        let flags: Vec<String> = flags.map(str::to_owned).into_iter().chain([folder]).collect();
        let wanted = json!({"capabilities": {"alwaysMatch": {
            "browserName": "chrome",
            "goog:chromeOptions": {"args": flags},
            "goog:loggingPrefs": {"browser": "ALL"},
        }}});
        let answer = browser.ask("POST", "/session", &wanted);
        answer["sessionId"].as_str().expect("a session").clone_into(&mut browser.session);
        Some(browser)
    }

    /// Opens a file.
    pub fn open(&self, path: &Path) {
        let path = path.canonicalize().unwrap();
        self.tell("url", &json!({"url": format!("file://{}", path.display())}));
    }

    /// Sets the size of the page's window.
    pub fn resize(&self, width: u32, height: u32) {
        let device = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        self.command("Emulation.setDeviceMetricsOverride", &device);
    }

    /// Shows the page as it goes onto paper, or as it is on a screen.
    pub fn print_view(&self, is_paper: bool) {
        let media = if is_paper { "print" } else { "" };
        self.command("Emulation.setEmulatedMedia", &json!({"media": media}));
    }

    /// Shows the page to somebody who likes it dark.
    pub fn in_the_dark(&self, is_dark: bool) {
        let value = if is_dark { "dark" } else { "light" };
        let features = json!([{"name": "prefers-color-scheme", "value": value}]);
        self.command("Emulation.setEmulatedMedia", &json!({"features": features}));
    }

    /// The page as a PDF.
    pub fn paper(&self) -> Vec<u8> {
        let pdf = self.command("Page.printToPDF", &json!({"printBackground": true}));
        STANDARD.decode(pdf["data"].as_str().unwrap()).unwrap()
    }

    fn command(&self, name: &str, params: &Value) -> Value {
        self.tell("goog/cdp/execute", &json!({"cmd": name, "params": params}))
    }

    /// Evaluates an expression in the page.
    pub fn value(&self, expression: &str) -> Value {
        self.tell("execute/sync", &json!({"script": format!("return ({expression});"), "args": []}))
    }

    /// Runs statements in the page.
    pub fn run(&self, script: &str) {
        self.tell("execute/sync", &json!({"script": script, "args": []}));
    }

    /// Presses keys where the focus is.
    pub fn press(&self, keys: &str) {
        let strokes: Vec<Value> = keys
            .chars()
            .flat_map(|key| {
                [json!({"type": "keyDown", "value": key}), json!({"type": "keyUp", "value": key})]
            })
            .collect();
        let actions = json!({"actions": [{"type": "key", "id": "keys", "actions": strokes}]});
        self.tell("actions", &actions);
    }

    /// Turns the wheel over an element, with Ctrl held, as a zoom is.
    pub fn zoom_by_wheel(&self, selector: &str, by: i32) {
        self.run(&format!(
            "const it = document.querySelector({selector:?}), box = it.getBoundingClientRect();
             it.dispatchEvent(new WheelEvent('wheel', {{deltaY: {by}, ctrlKey: true, bubbles: true, cancelable: true,
             clientX: box.left + box.width / 2, clientY: box.top + box.height / 2}}));"
        ));
    }

    /// What the page wrote to its console since it was asked last.
    pub fn console(&self) -> Vec<String> {
        let log = self.tell("se/log", &json!({"type": "browser"}));
        let entries = log.as_array().cloned().unwrap_or_default();
        entries.iter().map(|entry| entry["message"].as_str().unwrap_or_default().to_owned()).collect()
    }

    /// A picture of the whole page, into a file.
    pub fn picture(&self, path: &Path, width: u32) {
        self.resize(width, 900);
        let height = self.value("document.documentElement.scrollHeight").as_u64().unwrap_or(900);
        self.resize(width, height.min(6_000) as u32);
        // What observes the size is called in between.
        self.run("");
        let method = format!("/session/{}/screenshot", self.session);
        let picture = self.ask("GET", &method, &Value::Null);
        fs::write(path, STANDARD.decode(picture.as_str().unwrap()).unwrap()).unwrap();
    }

    fn tell(&self, command: &str, body: &Value) -> Value {
        self.ask("POST", &format!("/session/{}/{command}", self.session), body)
    }

    /// One request, one answer, one connection.
    fn ask(&self, method: &str, path: &str, body: &Value) -> Value {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).expect("chromedriver listens");
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
             Connection: close\r\n\r\n{body}",
            body.len()
        )
        .unwrap();
        // The connection may stay open: the head says how much comes.
        let mut answer = BufReader::new(stream);
        let (mut head, mut length) = (String::new(), 0);
        loop {
            let mut line = String::new();
            answer.read_line(&mut line).expect("chromedriver answers");
            if line.trim_end().is_empty() {
                break;
            }
            if let Some((name, value)) =
                line.split_once(':').filter(|(name, _)| name.eq_ignore_ascii_case("content-length"))
            {
                length = value.trim().parse().unwrap_or_else(|error| panic!("{name}: {error}"));
            }
            head.push_str(&line);
        }
        let mut body = vec![0; length];
        answer.read_exact(&mut body).expect("as much as the head says");
        let value: Value = serde_json::from_slice(&body).unwrap_or_else(|error| panic!("{error}: {head}"));
        assert!(head.starts_with("HTTP/1.1 200"), "{method} {path}: {}", value["value"]["message"]);
        value["value"].clone()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The session is closed whatever became of the test, else the browser would stay. Nothing here may panic.
        if let Ok(mut stream) = TcpStream::connect(("127.0.0.1", self.port)) {
            let _ = stream.set_read_timeout(Some(PATIENCE));
            let _ = write!(stream, "DELETE /session/{} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", self.session);
            let _ = stream.read(&mut [0; 256]);
        }
        // Its children end with it; a session that was not closed ends so as well.
        let pid = nix::unistd::Pid::from_raw(self.driver.id().cast_signed());
        let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM);
        let _ = self.driver.wait();
    }
}

/// The port that the driver chose; it says so when it listens.
fn port_of(driver: &mut Child) -> u16 {
    let mut lines = BufReader::new(driver.stdout.take().expect("it is piped")).lines();
    let port = lines.by_ref().map_while(Result::ok).find_map(|line| {
        let (_, rest) = line.split_once("successfully on port ")?;
        rest.trim_end_matches('.').parse().ok()
    });
    // It must be able to go on writing.
    std::thread::spawn(move || lines.for_each(drop));
    port.expect("chromedriver says on which port it listens")
}
