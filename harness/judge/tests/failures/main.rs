//! What a model says of failures and of time, in every model: each class of violation has a history that it must be found
//! in, and one that it must not be found in.

use flockwork_judge::check::search::Budget;
use flockwork_judge::history::read::{Limits, read_any};
use flockwork_judge::judge::{AnyJudged, Checker, judge_any};
use flockwork_judge::model::{self, AnyModel, object};
use flockwork_judge::verdict::Verdict;
use flockwork_judge::violation::Class;

/// A model with one operation that is bounded, and what it takes to perform that alone.
struct Kind {
    /// The model without its operations' bounds.
    model: &'static str,
    /// The bounded operation.
    op: &'static str,
    /// What else its rule says, before `fails` and `within`.
    rule: &'static str,
    /// What else the rest of the model says of operations.
    rest: &'static str,
    /// What else a line of it says, where it succeeded.
    line: &'static str,
    /// What else any line of it says.
    always: &'static str,
    /// An operation after it that says something, where it says nothing itself.
    then: &'static str,
}

const KINDS: [Kind; 8] = [
    Kind {
        model: "kind = \"register\"",
        op: "write",
        rule: "",
        rest: "",
        line: "",
        always: ",\"value\":1",
        then: "\"op\":\"read\",\"saw\":1",
    },
    Kind {
        model: "kind = \"counter\"",
        op: "add",
        rule: "",
        rest: "",
        line: ",\"saw\":1",
        always: ",\"value\":1",
        then: "",
    },
    Kind {
        model: "kind = \"set\"",
        op: "add",
        rule: "",
        rest: "",
        line: "",
        always: ",\"value\":\"a\"",
        then: "",
    },
    Kind {
        model: "kind = \"log\"",
        op: "append",
        rule: "",
        rest: "",
        line: ",\"saw\":0",
        always: ",\"value\":1",
        then: "",
    },
    Kind { model: "kind = \"lock\"", op: "acquire", rule: "", rest: "", line: "", always: "", then: "" },
    Kind {
        model: "kind = \"queue\"",
        op: "push",
        rule: "",
        rest: "",
        line: "",
        always: ",\"value\":1",
        then: "\"op\":\"pop\",\"saw\":1",
    },
    Kind {
        model: "kind = \"table\"\nstatuses = [\"open\", \"shut\"]\ninitial = \"shut\"",
        op: "open",
        rule: "from = \"shut\", to = \"open\", ",
        rest: "shut = { from = \"open\", to = \"shut\" }\n",
        line: ",\"status\":\"open\"",
        always: "",
        then: "",
    },
    // Containers, by a table of one's own.
    Kind {
        model: "statuses = [\"created\"]",
        op: "create",
        rule: "from = \"absent\", to = \"created\", refused = \"exists\", ",
        rest: "delete = { from = \"created\", to = \"absent\" }\n",
        line: ",\"status\":\"created\"",
        always: "",
        then: "",
    },
];

impl Kind {
    fn model(&self, bound: &str) -> AnyModel {
        let Self { model, op, rule, rest, .. } = self;
        let text = format!("{model}\n[operations]\n{op} = {{ {rule}{bound} }}\n{rest}");
        if object::is_object_model(&text) {
            return AnyModel::Object(
                object::parse("own.toml", text.clone()).unwrap_or_else(|_| panic!("{text}")),
            );
        }
        AnyModel::Table(model::parse("own.toml", text.clone()).unwrap_or_else(|_| panic!("{text}")))
    }

    /// A history of operations that took so long and ended so; then one that succeeded at once.
    fn history(&self, took_ms: u64, outcome: &str) -> String {
        let Self { op, line, always, .. } = self;
        let end = took_ms * 1_000_000;
        let version = if self.model.starts_with("kind") { 2 } else { 1 };
        let failed = format!(
            "{{\"process\":1,\"container\":\"x\",\"op\":\"{op}\"{always},\"invoke_ns\":0,\"return_ns\":{end},{outcome}}}"
        );
        let fine = format!(
            "{{\"process\":2,\"container\":\"x\",\"op\":\"{op}\"{always}{line},\"invoke_ns\":{},\"return_ns\":{},\"outcome\":\"ok\"}}",
            end + 1,
            end + 2
        );
        let then = match self.then {
            "" => String::new(),
            then => format!(
                "{{\"process\":3,\"object\":\"x\",{then},\"invoke_ns\":{},\"return_ns\":{},\"outcome\":\"ok\"}}\n",
                end + 3,
                end + 4
            ),
        };
        format!("{{\"flockwork_history\":{version}}}\n{failed}\n{fine}\n{then}")
    }

    fn judged(&self, bound: &str, took_ms: u64, outcome: &str) -> (Verdict, Vec<(Class, String)>) {
        let (model, history) = (self.model(bound), self.history(took_ms, outcome));
        let history = read_any(history.as_bytes(), Some(&model), Limits::NONE)
            .unwrap_or_else(|error| panic!("{error}\n{history}"));
        let judged = judge_any(&history, &model, Checker::Auto, Budget::default()).expect("it fits");
        let verdict = judged.ruling().verdict();
        let violations = match judged {
            AnyJudged::Object(judged) => judged.failures.violations,
            AnyJudged::Table(judged) => judged.failures.broken.violations,
        };
        (verdict, violations.into_iter().map(|violation| (violation.class, violation.message)).collect())
    }

    fn must_break(&self, class: Class, bound: &str, took_ms: u64, outcome: &str, words: &str) {
        let (verdict, violations) = self.judged(bound, took_ms, outcome);
        let told = format!("{} {bound} {outcome}: {violations:?}", self.model);
        assert_eq!(verdict, Verdict::Violation, "{told}");
        let [(of, message)] = violations.as_slice() else { panic!("{told}") };
        assert_eq!(*of, class, "{told}");
        assert!(message.contains(words) && message.contains(self.op), "{told}");
    }

    fn must_hold(&self, bound: &str, took_ms: u64, outcome: &str) {
        let (verdict, violations) = self.judged(bound, took_ms, outcome);
        assert_eq!(
            (verdict, violations.len()),
            (Verdict::Clean, 0),
            "{} {bound} {outcome}: {violations:?}",
            self.model
        );
    }
}

const IO: &str = "\"outcome\":\"failed\",\"reason\":\"io\"";
const LOCKED: &str = "\"outcome\":\"failed\",\"reason\":\"locked\"";
const CORRUPT: &str = "\"outcome\":\"failed\",\"reason\":\"corrupt\"";

#[test]
fn what_must_never_fail_is_a_violation_where_it_does() {
    for kind in &KINDS {
        let words = "never fails";
        kind.must_break(Class::UnexpectedFailure, "fails = \"never\"", 1, IO, words);
        kind.must_break(Class::UnexpectedFailure, "fails = \"never\"", 1, LOCKED, words);
        kind.must_hold("fails = \"any\"", 1, IO);
        kind.must_hold("", 1, IO);
    }
}

#[test]
fn what_may_fail_only_as_busy_is_a_violation_where_it_fails_otherwise() {
    for kind in &KINDS {
        kind.must_break(Class::UnexpectedFailure, "fails = \"busy\"", 1, IO, "fails only if it is busy");
        kind.must_hold("fails = \"busy\"", 1, LOCKED);
    }
}

#[test]
fn corrupt_data_is_a_violation_whatever_may_fail() {
    for kind in &KINDS {
        for bound in ["", "fails = \"any\"", "fails = \"busy\"", "fails = \"never\""] {
            kind.must_break(Class::TornRead, bound, 1, CORRUPT, "corrupt");
        }
    }
}

#[test]
fn what_answers_later_than_it_may_is_a_violation() {
    for kind in &KINDS {
        for outcome in [IO, "\"outcome\":\"failed\",\"reason\":\"other\""] {
            kind.must_break(Class::Starvation, "within = \"5ms\"", 6, outcome, "it took 6.0ms");
            kind.must_hold("within = \"5ms\"", 5, outcome);
        }
        // What never answered may have been killed in time.
        kind.must_hold("within = \"5ms\"", 6, "\"outcome\":\"unknown\"");
    }
}
