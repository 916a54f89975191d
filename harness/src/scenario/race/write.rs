//! A race as a scenario.

use std::fmt::Write;
use std::path::Path;

use super::Race;
use super::words::{POWER_LOSS, compared, show_busy};
use crate::plan::StrategyPlan;
use crate::plan::race::{ForkServer, Mode, Sleeps, Threads};
use crate::plan::rounds::OciPlan;
use crate::words::units::show_exact_ns;

impl Race {
    /// A scenario of it.
    #[must_use]
    pub fn to_toml(&self, about: &str, expect: &[String]) -> String {
        let mut text = format!("about = {}\nkind = \"race\"\n\n", quoted(about));
        if let Some(oci) = &self.oci {
            write_subject(&mut text, oci);
        }
        text.push_str("[race]\n");
        let mut key =
            |name: &str, value: String| writeln!(text, "{name} = {value}").expect("a String takes all");
        let list = |texts: &[String]| {
            format!("[{}]", texts.iter().map(|text| quoted(text)).collect::<Vec<_>>().join(", "))
        };
        let processes: Vec<String> = self.processes.iter().map(|commands| list(commands)).collect();
        key("processes", format!("[{}]", processes.join(", ")));
        let paths: Vec<String> = self.state.iter().map(|path| path.display().to_string()).collect();
        if self.oci.is_none() {
            key("state", list(&paths));
        }
        if self.in_place {
            key("in_place", "true".into());
        }
        if self.own_state {
            key("own_state", "true".into());
        }
        if self.folder != Path::new(".") {
            key("cwd", quoted(&self.folder.display().to_string()));
        }
        for (name, texts) in
            [("setup", &self.setup), ("then", &self.then), ("ignore", &self.ignore), ("mask", &self.masks)]
        {
            if !texts.is_empty() {
                key(name, list(texts));
            }
        }
        if let Some(observe) = &self.observe {
            key("observe", quoted(observe));
        }
        let busy: Vec<String> = self.busy.iter().map(show_busy).collect();
        if !busy.is_empty() {
            key("busy", list(&busy));
        }
        if let Some(mut compare) = self.compare {
            let compared = compared(&mut compare).into_iter();
            let words: Vec<String> =
                compared.filter(|(_, is)| **is).map(|(word, _)| word.to_owned()).collect();
            key("compare", list(&words));
        }
        let faults = self.fault_words();
        if !faults.is_empty() {
            key("faults", list(&faults));
        }
        self.disk.iter().for_each(|disk| key("disk", quoted(disk)));
        if self.strict {
            key("strict", "true".into());
        }
        match &self.mode {
            Mode::Auto => {}
            Mode::Free => key("free", "true".into()),
            Mode::Perturbed(range) => {
                let (least, most) = (show_exact_ns(*range.start()), show_exact_ns(*range.end()));
                key("perturb", quoted(&format!("{least}..{most}")));
            }
        }
        self.write_strategy(&mut key);
        if self.allow_uncontrolled {
            key("allow_uncontrolled", "true".into());
        }
        if self.fork_server == ForkServer::Auto {
            key("fork_server", quoted(self.fork_server.as_str()));
        }
        if self.threads == Threads::Explore {
            key("threads", quoted(self.threads.as_str()));
        }
        if self.sleeps == Sleeps::Real {
            key("sleeps", quoted(self.sleeps.as_str()));
        }
        let executions =
            self.budget.executions.map(|count| format!(", executions = {count}")).unwrap_or_default();
        key("budget", format!("{{ time = {}{executions} }}", quoted(&show_exact_ns(self.budget.time_ns))));
        key("time_limit", quoted(&show_exact_ns(self.time_limit_ns)));
        if !self.environment.is_empty() {
            key("env", {
                let pairs = self
                    .environment
                    .iter()
                    .map(|(name, value)| format!("{} = {}", quoted(name), quoted(value)));
                format!("{{ {} }}", pairs.collect::<Vec<_>>().join(", "))
            });
        }
        if !expect.is_empty() {
            writeln!(text, "\n[expect]\nviolations = {}", list(expect)).expect("a String takes all");
        }
        text
    }

    fn write_strategy(&self, key: &mut impl FnMut(&str, String)) {
        match &self.strategy {
            None | Some(StrategyPlan::Replay(_)) => {}
            Some(StrategyPlan::Exhaustive { preemptions }) => {
                key("strategy", quoted("exhaustive"));
                if let Some(preemptions) = preemptions {
                    key("preemptions", preemptions.to_string());
                }
            }
            Some(StrategyPlan::Random) => key("strategy", quoted("random")),
            Some(StrategyPlan::Pos) => key("strategy", quoted("pos")),
            Some(StrategyPlan::Pct { depth }) => {
                key("strategy", quoted("pct"));
                key("depth", depth.to_string());
            }
        }
    }
}

impl Race {
    /// What may go wrong, as scenarios spell it.
    fn fault_words(&self) -> Vec<String> {
        let met = self.faults.iter().map(ToString::to_string);
        met.chain(self.power.then(|| POWER_LOSS.to_owned())).collect()
    }
}

/// The runtime whose operations they are.
fn write_subject(text: &mut String, oci: &OciPlan) {
    let mut key = |name: &str, value: String| writeln!(text, "{name} = {value}").expect("a String takes all");
    key("[subject]\nname", quoted("oci"));
    key("runtime", quoted(oci.runtime.as_str()));
    if let Some(path) = &oci.path {
        key("path", quoted(&path.display().to_string()));
    }
    if !oci.flags.is_empty() {
        let flags: Vec<String> = oci.flags.iter().map(|flag| quoted(flag)).collect();
        key("flags", format!("[{}]", flags.join(", ")));
    }
    text.push('\n');
}

/// A text as TOML spells it, on one line.
fn quoted(text: &str) -> String {
    let plain = toml::Value::String(text.to_owned()).to_string();
    if plain.contains('\n') { serde_json::Value::String(text.to_owned()).to_string() } else { plain }
}
