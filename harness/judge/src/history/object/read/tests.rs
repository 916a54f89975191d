//! Reading histories of objects: what is taken, and what is told of the rest.

use super::*;

fn read_all(text: &str) -> Result<ObjectHistory, String> {
    read(text.as_bytes(), None, Limits::NONE).map_err(|error| error.to_string())
}

const COUNTER: &str = r#"{"flockwork_history":2,"model":"counter","initial":{"x":0}}"#;

fn with_line(header: &str, line: &str) -> Result<ObjectHistory, String> {
    read_all(&format!("{header}\n{line}\n"))
}

#[test]
fn a_history_is_read_with_all_that_it_says() {
    let text = format!(
        "{COUNTER}\n{}\n\n{}\n{}\n",
        r#"{"process":1,"object":"x","op":"add","value":1,"saw":1,"invoke_ns":10,"return_ns":40,"outcome":"ok"}"#,
        r#"{ "actor": "bob", "container": "y", "op": "read", "saw": null, "invoke_ns": 20, "return_ns": 30, "outcome": "ok", "more": {} }"#,
        r#"{"actor":7,"object":"x","op":"read","invoke_ns":50,"return_ns":60,"outcome":"failed","reason":"busy","message":"a \"b\""}"#,
    );
    let history = read_all(&text).expect("well-formed");
    assert_eq!(
        (history.objects.as_slice(), history.actors.as_slice()),
        (&["x", "y"].map(String::from)[..], &["1", "bob", "7"].map(String::from)[..])
    );
    assert_eq!(history.initial, [Value::whole(0), None]);
    let [add, read, failed] = history.calls.as_slice() else { panic!("three calls") };
    assert_eq!((add.op, add.value, add.saw), (Op::Add, Value::whole(1), Value::whole(1)));
    assert_eq!((read.actor, read.object, read.saw), (1, 1, None));
    assert_eq!(
        (failed.outcome, failed.cause, history.message(failed)),
        (Outcome::Failed, Some(Cause::Busy), Some("a \"b\""))
    );
}

#[test]
fn each_kind_takes_its_values() {
    for (header, line) in [
        (
            r#"{"flockwork_history":2,"model":"register","initial":{"x":{"a":[1]}}}"#,
            r#""op":"cas","value":{"from":1,"to":"a"}"#,
        ),
        (r#"{"flockwork_history":2,"model":"register"}"#, r#""op":"read","saw":null"#),
        (
            r#"{"flockwork_history":2,"model":"set","initial":{"x":[1,"a"]}}"#,
            r#""op":"members","saw":["a",1,2.5]"#,
        ),
        (r#"{"flockwork_history":2,"model":"set"}"#, r#""op":"contains","value":1,"saw":true"#),
        (r#"{"flockwork_history":2,"model":"log"}"#, r#""op":"append","value":{"k":1},"saw":0"#),
        (r#"{"flockwork_history":2,"model":"log"}"#, r#""op":"read","saw":[{"k":1},[2]]"#),
        (r#"{"flockwork_history":2,"model":"lock","lease":"10ms"}"#, r#""op":"try""#),
        (
            r#"{"flockwork_history":2,"model":"queue","order":"any","fails":{"pop":"never"}}"#,
            r#""op":"pop","saw":"a""#,
        ),
    ] {
        let line =
            format!(r#"{{"process":0,"object":"x",{line},"invoke_ns":1,"return_ns":2,"outcome":"ok"}}"#);
        let history = with_line(header, &line).unwrap_or_else(|error| panic!("{line}: {error}"));
        assert_eq!(history.calls.len(), 1);
    }
}

#[test]
fn what_makes_no_sense_is_told_with_its_line() {
    let line = |middle: &str| {
        format!(r#"{{"process":0,"object":"x",{middle},"invoke_ns":1,"return_ns":2,"outcome":"ok"}}"#)
    };
    for (line, expected) in [
        (line(r#""op":"append","value":1"#), "line 2: op: unknown \"append\"; expected one of add, read"),
        (line(r#""op":"add""#), "line 2: add without value"),
        (line(r#""op":"add","value":1.5"#), "line 2: value: expected a whole number"),
        (line(r#""op":"add","value":9223372036854775807"#), "line 2: value: expected a whole number"),
        (line(r#""op":"read","value":3"#), "line 2: read takes no value, found 3"),
        (line(r#""op":"read","saw":"a""#), "line 2: saw: expected a whole number"),
        (line(r#""op":"read","actor":1"#), "line 2: both process and actor"),
        (line(r#""op":"read","reason":"busy""#), "line 2: outcome ok with reason busy"),
        (r#"{"process":0,"object":"x","op":"read","invoke_ns":1,"return_ns":2,"outcome":"unknown","saw":1}"#.into(), "outcome unknown with saw"),
        (r#"{"process":0,"object":"x","op":"read","invoke_ns":3,"return_ns":2,"outcome":"ok"}"#.into(), "return_ns is earlier than"),
        (r#"{"process":0,"object":"x","op":"read","invoke_ns":3,"outcome":"ok"}"#.into(), "without return_ns"),
        (r#"{"process":-1,"object":"x","op":"read","invoke_ns":3,"return_ns":4,"outcome":"ok"}"#.into(), "process: expected a whole number"),
        (r#"{"process":0,"op":"read","invoke_ns":3,"return_ns":4,"outcome":"ok"}"#.into(), "object is missing"),
        (r#"{"process":0,"object":"x","op":"read","invoke_ns":3,"return_ns":4,"outcome":"o"#.into(), "the line is truncated"),
    ] {
        let told = with_line(COUNTER, &line).expect_err(&line);
        assert!(told.contains(expected), "{line}: {told}");
    }
    for (header, expected) in [
        (r#"{"flockwork_history":3,"model":"counter"}"#, "newer than this flockwork"),
        (r#"{"flockwork_history":1,"model":"counter"}"#, "has containers only"),
        (r#"{"flockwork_history":2,"model":"countr"}"#, "the nearest is \"counter\""),
        (r#"{"flockwork_history":2}"#, "model is missing"),
        (r#"{"flockwork_history":2,"model":"counter","window":{"from_ns":1,"to_ns":2}}"#, "must be whole"),
        (r#"{"flockwork_history":2,"model":"counter","order":"any"}"#, "only a queue has one"),
        (r#"{"flockwork_history":2,"model":"lock","initial":{"x":1}}"#, "a lock begins with nothing"),
        (r#"{"flockwork_history":2,"model":"set","initial":{"x":1}}"#, "initial: x: expected a list"),
        (r#"{"flockwork_history":2,"model":"counter","initial":{"x":1,"x":2}}"#, "appears twice"),
        (
            r#"{"flockwork_history":2,"model":"counter","fails":{"push":"never"}}"#,
            "a counter has no operation \"push\"",
        ),
    ] {
        let told = read_all(header).expect_err(header);
        assert!(told.contains(expected), "{header}: {told}");
    }
}

#[test]
fn one_process_has_one_operation_at_a_time() {
    let line = |from: u64, until: u64| {
        format!(
            r#"{{"process":0,"object":"x","op":"read","invoke_ns":{from},"return_ns":{until},"outcome":"ok"}}"#
        )
    };
    let all = |lines: &[String]| read_all(&format!("{COUNTER}\n{}\n", lines.join("\n")));
    assert!(all(&[line(1, 3), line(3, 5), line(0, 1)]).is_ok());
    let told = all(&[line(1, 3), line(2, 5)]).expect_err("they overlap");
    assert!(told.contains("line 3") && told.contains("two operations open"), "{told}");
    let told = all(&[line(10, 13), line(1, 5), line(2, 4)]).expect_err("they overlap");
    assert!(told.contains("two operations open"), "{told}");
}

#[test]
fn what_needs_more_memory_than_there_may_be_is_read_to_its_end() {
    let line = r#"{"process":0,"object":"x","op":"read","invoke_ns":1,"return_ns":1,"outcome":"ok"}"#;
    let text = format!("{COUNTER}\n{}", format!("{line}\n").repeat(100));
    let limits = Limits { memory_bytes: 1000, ..Limits::NONE };
    let told = read(text.as_bytes(), None, limits).expect_err("too large").to_string();
    assert!(told.contains("100 operations need more memory"), "{told}");
    let malformed = format!("{text}oops\n");
    let told = read(malformed.as_bytes(), None, limits).expect_err("malformed").to_string();
    assert!(told.contains("line 102"), "{told}");
}

#[test]
fn a_history_without_lines_is_told() {
    assert!(read_all("").expect_err("empty").contains("the file is empty"));
}

/// A status that is remembered from, where nothing leads: an object that began in it could have come from nowhere.
#[test]
fn a_table_does_not_begin_in_what_nothing_leads_to() {
    let text = "kind = \"table\"\nstatuses = [\"open\", \"shut\"]\n[operations]\n\
                look = { from = \"open\", to = \"same\" }\nback = { from = \"shut\", to = \"remembered\" }\n";
    let model = crate::model::object::parse("own.toml", text.to_owned()).expect("a model");
    let begun = |first: &str| {
        let text = format!("{{\"flockwork_history\":2,\"initial\":{{\"x\":\"{first}\"}}}}\n");
        read(text.as_bytes(), Some(&model), Limits::NONE).map_err(|error| error.to_string())
    };
    assert!(begun("open").is_ok() && begun("unknown").is_ok());
    let told = begun("shut").expect_err("nothing leads there");
    assert!(told.contains("initial: x: shut remembers the status before"), "{told}");
}
