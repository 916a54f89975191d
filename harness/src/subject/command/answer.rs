//! How a command's answer is read: the first rule that is met says how the operation ended, and what it told.

use std::borrow::Cow;

use flockwork::Status;
use regex::{Captures, Regex};
use serde_json::Value as Json;

use crate::plan::command::{Codes, Ends, Form, Reading, Rule};

/// How much of an output is quoted.
const QUOTED_CHARS: usize = 200;
/// What a rule may capture.
pub const FIELDS: [&str; 4] = ["saw", "value", "status", "reason"];

/// What a command left to read.
#[derive(Clone, Copy, Debug)]
pub struct Output<'a> {
    /// The code that the command exited with.
    pub code: i32,
    /// What it wrote to stdout.
    pub stdout: &'a str,
    /// What it wrote to stderr.
    pub stderr: &'a str,
}

/// What an operation told.
#[derive(Clone, Debug, PartialEq)]
pub struct Told {
    /// What the rules make of the answer.
    pub outcome: Ends,
    /// Why it was refused or failed.
    pub reason: Option<String>,
    /// The status that it told.
    pub status: Option<String>,
    /// The value that it told, where that is another than the one it was given.
    pub value: Option<Json>,
    /// What the answer told, read as the scenario says.
    pub saw: Option<Json>,
    /// Its own words, where it did not succeed.
    pub message: Option<String>,
    /// Whether no rule was met.
    pub is_unmatched: bool,
}

/// A rule that is ready to be asked.
#[derive(Debug)]
pub struct Compiled {
    rule: Rule,
    stdout: Option<Regex>,
    stderr: Option<Regex>,
}

impl Compiled {
    /// Compiles a rule; the error says what is wrong with which expression.
    pub fn new(rule: &Rule) -> Result<Self, String> {
        let regex = |text: &Option<String>| {
            text.as_deref().map(Regex::new).transpose().map_err(|error| {
                format!(
                    "{:?} is not a regular expression: {}",
                    text.as_deref().unwrap_or_default(),
                    last(&error)
                )
            })
        };
        let compiled =
            Self { rule: rule.clone(), stdout: regex(&rule.stdout)?, stderr: regex(&rule.stderr)? };
        let names = |regex: &Option<Regex>| -> Vec<String> {
            regex.iter().flat_map(Regex::capture_names).flatten().map(str::to_owned).collect()
        };
        for name in names(&compiled.stdout).into_iter().chain(names(&compiled.stderr)) {
            if !FIELDS.contains(&name.as_str()) {
                return Err(format!("the group {name:?} means nothing; expected {}", FIELDS.join(", ")));
            }
        }
        Ok(compiled)
    }
}

/// The last line of an error of a regular expression, which says what is wrong; those before it draw it.
fn last(error: &regex::Error) -> String {
    let text = error.to_string();
    text.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned()
}

/// Fields that a rule found, as texts or as JSON.
#[derive(Default)]
struct Found<'o> {
    saw: Option<Cow<'o, str>>,
    value: Option<Cow<'o, str>>,
    status: Option<Cow<'o, str>>,
    reason: Option<Cow<'o, str>>,
}

/// Reads an answer. `form` is what the model wants to be told of a success.
#[must_use]
pub fn read(rules: &[Compiled], form: Form, output: &Output<'_>) -> Told {
    let mut unfit = None;
    for rule in rules {
        match rule.read(form, output) {
            Some(Ok(told)) => return told,
            Some(Err(why)) => unfit = unfit.or(Some(why)),
            None => {}
        }
    }
    let why =
        unfit.map_or_else(|| "no rule fits this answer".to_owned(), |why| format!("no rule fits: {why}"));
    Told {
        outcome: Ends::Failed,
        reason: None,
        status: None,
        value: None,
        saw: None,
        message: Some(format!("{why}: {}", quoted(output))),
        is_unmatched: true,
    }
}

impl Compiled {
    /// What an answer tells by this rule; none where it is not met, an error where what it captured is not what it must be.
    fn read(&self, form: Form, output: &Output<'_>) -> Option<Result<Told, String>> {
        let is_met = match &self.rule.codes {
            Codes::Any => true,
            Codes::Of(codes) => codes.contains(&output.code),
            Codes::NotZero => output.code != 0,
        };
        if !is_met {
            return None;
        }
        let mut found = Found::default();
        for (regex, text) in [(&self.stdout, output.stdout), (&self.stderr, output.stderr)] {
            if let Some(regex) = regex {
                found.take(&regex.captures(text)?);
            }
        }
        if !self.rule.json.is_empty() {
            let json: Json = serde_json::from_str(output.stdout.trim()).ok()?;
            for (field, pointer) in &self.rule.json {
                *found.field(field)? = Some(Cow::Owned(json.pointer(pointer)?.to_string()));
            }
        }
        Some(self.told(form, &found, output))
    }

    fn told(&self, form: Form, found: &Found<'_>, output: &Output<'_>) -> Result<Told, String> {
        let rule = &self.rule;
        let is_json = |field: &str| rule.json.iter().any(|(known, _)| known == field);
        let value = |field: &str, text: &Option<Cow<'_, str>>| match text {
            None => Ok(None),
            Some(text) if is_json(field) => Ok(serde_json::from_str(text).ok()),
            Some(text) => understand(text, rule.reading).map(Some),
        };
        let word = |field: &str, text: &Option<Cow<'_, str>>| {
            let unquoted = |text: &str| serde_json::from_str(text).unwrap_or_else(|_| text.to_owned());
            text.as_deref().map(|text| if is_json(field) { unquoted(text) } else { text.to_owned() })
        };
        let saw = match rule.saw.clone() {
            _ if form == Form::Nothing || form == Form::Status || rule.outcome != Ends::Ok => None,
            Some(saw) => Some(saw),
            None => value("saw", &found.saw)?,
        };
        fits(form, saw.as_ref())?;
        let status = rule.status.clone().or_else(|| word("status", &found.status));
        if let Some(status) = status.as_deref().filter(|status| status.parse::<Status>().is_err()) {
            let known = Status::ALL.map(Status::as_str).join(", ");
            return Err(format!("status is {status:?}, and must be one of {known}"));
        }
        let is_ok = rule.outcome == Ends::Ok;
        Ok(Told {
            outcome: rule.outcome,
            reason: rule.reason.clone().or_else(|| word("reason", &found.reason)),
            status: status.filter(|_| form == Form::Status),
            value: value("value", &found.value)?,
            saw,
            message: (!is_ok).then(|| quoted(output)),
            is_unmatched: false,
        })
    }
}

impl<'o> Found<'o> {
    fn field(&mut self, name: &str) -> Option<&mut Option<Cow<'o, str>>> {
        match name {
            "saw" => Some(&mut self.saw),
            "value" => Some(&mut self.value),
            "status" => Some(&mut self.status),
            "reason" => Some(&mut self.reason),
            _ => None,
        }
    }

    fn take(&mut self, captures: &Captures<'o>) {
        for name in FIELDS {
            if let (Some(text), Some(field)) = (captures.name(name), self.field(name)) {
                *field = Some(Cow::Borrowed(text.as_str()));
            }
        }
    }
}

/// A text as a value.
fn understand(text: &str, reading: Reading) -> Result<Json, String> {
    let auto = |text: &str| match serde_json::from_str::<Json>(text) {
        // A text in quotes is more likely the text itself than JSON.
        Ok(Json::String(_)) | Err(_) => Json::from(text),
        Ok(json) => json,
    };
    Ok(match reading {
        Reading::Auto => auto(text.trim()),
        Reading::Text => Json::from(text),
        Reading::Json => {
            serde_json::from_str(text).map_err(|error| format!("{text:?} is not JSON: {error}"))?
        }
        Reading::Lines => text.lines().map(str::trim).filter(|line| !line.is_empty()).map(auto).collect(),
        Reading::Words => text.split_whitespace().map(auto).collect(),
    })
}

/// Whether what was told is what the model wants; the error says what it must be.
fn fits(form: Form, saw: Option<&Json>) -> Result<(), String> {
    let Some(saw) = saw else { return Ok(()) };
    let (fits, expected) = match form {
        Form::Any | Form::Nothing | Form::Status => (true, ""),
        Form::Whole => (saw.is_i64(), "a whole number"),
        Form::Truth => (saw.is_boolean(), "true or false"),
        Form::List => (saw.is_array(), "a list"),
    };
    if fits { Ok(()) } else { Err(format!("saw is {saw}, and must be {expected}")) }
}

/// What a command said, for a person.
#[must_use]
pub fn quoted(output: &Output<'_>) -> String {
    let cut = |text: &str| {
        let text = text.trim();
        match text.char_indices().nth(QUOTED_CHARS) {
            Some((end, _)) => format!("{:?}…", &text[..end]),
            None => format!("{text:?}"),
        }
    };
    let mut words = format!("exit code {}", output.code);
    for (name, text) in [("stdout", output.stdout), ("stderr", output.stderr)] {
        if !text.trim().is_empty() {
            words = format!("{words}, {name} {}", cut(text));
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn rule(outcome: Ends) -> Rule {
        Rule {
            codes: Codes::Any,
            stdout: None,
            stderr: None,
            json: Vec::new(),
            outcome,
            reason: None,
            status: None,
            saw: None,
            reading: Reading::Auto,
        }
    }

    fn told(rules: &[Rule], form: Form, code: i32, stdout: &str, stderr: &str) -> Told {
        let rules: Vec<Compiled> =
            rules.iter().map(|rule| Compiled::new(rule).expect("well-formed")).collect();
        read(&rules, form, &Output { code, stdout, stderr })
    }

    #[test]
    fn the_first_rule_that_is_met_says_how_it_ended() {
        let rules = [
            Rule { codes: Codes::Of(vec![0]), stdout: Some(r"^(?<saw>\d+)$".into()), ..rule(Ends::Ok) },
            Rule {
                stderr: Some("(?<reason>exists|absent)".into()),
                codes: Codes::NotZero,
                ..rule(Ends::Refused)
            },
            Rule { codes: Codes::Of(vec![75]), reason: Some("busy".into()), ..rule(Ends::Failed) },
        ];
        assert_eq!(told(&rules, Form::Whole, 0, "17\n".trim(), "").saw, Some(json!(17)));
        let refused = told(&rules, Form::Whole, 1, "", "it exists");
        assert_eq!((refused.outcome, refused.reason.as_deref()), (Ends::Refused, Some("exists")));
        assert_eq!(told(&rules, Form::Whole, 75, "", "").reason.as_deref(), Some("busy"));
    }

    #[test]
    fn what_no_rule_fits_has_failed_and_is_quoted() {
        let rules = [Rule { codes: Codes::Of(vec![0]), stdout: Some("(?<saw>.*)".into()), ..rule(Ends::Ok) }];
        let told = told(&rules, Form::Whole, 0, "many", "");
        assert!(told.is_unmatched && told.outcome == Ends::Failed);
        let message = told.message.expect("quoted");
        assert!(message.contains(r#"saw is "many", and must be a whole number"#), "{message}");
        assert!(message.ends_with(r#"exit code 0, stdout "many""#), "{message}");
    }

    #[test]
    fn json_is_pointed_into_and_texts_are_read_as_they_are_told_to() {
        let pointers = vec![("saw".to_owned(), "/a/1".to_owned()), ("status".to_owned(), "/s".to_owned())];
        let rules = [Rule { json: pointers, ..rule(Ends::Ok) }];
        let one = told(&rules, Form::Any, 0, r#"{"a":[0,"x"],"s":"running"}"#, "");
        assert_eq!(one.saw, Some(json!("x")));
        assert_eq!(
            told(&rules, Form::Status, 0, r#"{"a":[0,1],"s":"running"}"#, "").status.as_deref(),
            Some("running")
        );
        assert!(told(&rules, Form::Status, 0, r#"{"a":[0,1],"s":"up"}"#, "").is_unmatched);
        for no in ["", "{}", r#"{"a":[]}"#] {
            assert!(told(&rules, Form::Any, 0, no, "").is_unmatched, "{no}");
        }
        let all = |reading, text: &str| {
            let rules = [Rule { stdout: Some("(?s)^(?<saw>.*)$".into()), reading, ..rule(Ends::Ok) }];
            told(&rules, Form::Any, 0, text, "").saw
        };
        assert_eq!(all(Reading::Lines, "1\na b\n\n"), Some(json!([1, "a b"])));
        assert_eq!(all(Reading::Words, "1 a\n true"), Some(json!([1, "a", true])));
        assert_eq!(all(Reading::Text, "1"), Some(json!("1")));
        assert_eq!(all(Reading::Auto, "1.5\n"), Some(json!(1.5)));
        assert_eq!(all(Reading::Json, "nothing"), None);
    }

    #[test]
    fn a_bad_expression_is_told() {
        let bad = Rule { stdout: Some("(".into()), ..rule(Ends::Ok) };
        assert!(Compiled::new(&bad).unwrap_err().contains("unclosed group"));
        let group = Rule { stdout: Some("(?<seen>.)".into()), ..rule(Ends::Ok) };
        assert!(Compiled::new(&group).unwrap_err().contains("expected saw"));
    }
}
