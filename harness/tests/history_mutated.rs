//! The reader against histories that were valid and then changed at random: what the fuzz target checks for longer and
//! deeper, in a form that every test run has.

use proptest::prelude::*;

use flockwork_harness::history::{History, read, write};

/// Between them they say everything that a header and a record can say.
const VALID: [&str; 5] = [
    concat!(
        r#"{"flockwork_history":1,"model":"runsc","deaths":"free","initial":{"c1":"absent","c2":"paused"}}"#,
        "\n",
        r#"{"process":3,"container":"c1","op":"create","invoke_ns":5,"return_ns":9,"outcome":"ok","status":"created","generation":1,"revision":1}"#,
        "\n",
        r#"{"process":4,"container":"c2","op":"pause","invoke_ns":6,"return_ns":19,"outcome":"refused","reason":"status"}"#,
        "\n",
        r#"{"process":3,"container":"c1","op":"start","invoke_ns":9,"return_ns":null,"outcome":"unknown"}"#,
        "\n",
        r#"{"process":5,"op":"list","invoke_ns":1,"return_ns":2,"outcome":"failed","reason":"io","message":"no \"space\"\n"}"#,
        "\n",
    ),
    concat!(
        r#"{"flockwork_history":1,"model":"oci","deaths":"never","initial":{"c1":"running","c2":"unknown","c3":"stopped","c4":"created"}}"#,
        "\n",
        r#"{"process":0,"container":"c1","op":"kill","invoke_ns":7,"return_ns":7,"outcome":"ok"}"#,
        "\n",
        r#"{"process":1,"container":"c1","op":"state","invoke_ns":7,"return_ns":7,"outcome":"ok","status":"stopped","generation":2}"#,
        "\n",
        r#"{"process":2,"container":"c2","op":"delete","invoke_ns":7,"return_ns":30,"outcome":"unknown"}"#,
        "\n",
        r#"{"process":0,"container":"c3","op":"force-delete","invoke_ns":8,"return_ns":9,"outcome":"ok","generation":4,"revision":9}"#,
        "\n",
        r#"{"process":4294967294,"container":"c4","op":"start","invoke_ns":0,"return_ns":18446744073709551614,"outcome":"failed","reason":"corrupt"}"#,
        "\n",
    ),
    concat!(
        r#"{"flockwork_history":1,"window":{"from_ns":4,"to_ns":40},"initial":{"c1":"unknown"}}"#,
        "\n",
        r#"{"process":1,"container":"c1","op":"load","invoke_ns":2,"return_ns":6,"outcome":"refused","reason":"ambiguous","message":"c1 or c10"}"#,
        "\n",
        r#"{"process":1,"container":"c1","op":"signal","invoke_ns":6,"return_ns":50,"outcome":"failed","reason":"locked"}"#,
        "\n",
        r#"{"process":2,"container":"c1","op":"wait","invoke_ns":6,"return_ns":50,"outcome":"ok","status":"stopped","revision":3}"#,
        "\n",
    ),
    concat!(
        r#"{"flockwork_history":2,"model":"runsc"}"#,
        "\n",
        r#"{"actor":1,"object":"c1","op":"create","invoke_ns":5,"return_ns":9,"outcome":"ok"}"#,
        "\n",
        r#"{"actor":2,"object":"c1","op":"checkpoint","invoke_ns":5,"return_ns":9,"outcome":"failed","reason":"other"}"#,
        "\n",
        r#"{"actor":2,"object":"c1","op":"restore","invoke_ns":10,"return_ns":19,"outcome":"failed","reason":"sandbox"}"#,
        "\n",
    ),
    "{\"flockwork_history\":1}\n",
];

/// Bytes that mean something in some place.
const TOKENS: [&str; 24] = [
    "\"",
    "\\",
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\n",
    "\r\n",
    "\0",
    "-",
    "0",
    "9",
    "1e9",
    ".5",
    "null",
    "true",
    "\"op\":",
    "\"container\":",
    "18446744073709551615",
    "\u{feff}",
    "ü",
    "\\ud800",
];

#[derive(Clone, Debug)]
enum Change {
    Put(prop::sample::Index, &'static str),
    Flip(prop::sample::Index, u8),
    Drop(prop::sample::Index, usize),
    Repeat(prop::sample::Index, usize),
    Swap(prop::sample::Index, prop::sample::Index),
}

impl Change {
    fn apply(&self, bytes: &mut Vec<u8>) {
        let end = |at: usize, length: usize| (at + length).min(bytes.len());
        match *self {
            _ if bytes.is_empty() => {}
            Self::Put(at, token) => {
                let at = at.index(bytes.len());
                bytes.splice(at..at, token.bytes());
            }
            Self::Flip(at, mask) => {
                let at = at.index(bytes.len());
                bytes[at] ^= mask;
            }
            Self::Drop(at, length) => {
                let at = at.index(bytes.len());
                let end = end(at, length);
                bytes.drain(at..end);
            }
            Self::Repeat(at, length) => {
                let at = at.index(bytes.len());
                let part = bytes[at..end(at, length)].to_vec();
                bytes.splice(at..at, part);
            }
            Self::Swap(one, other) => {
                let mut lines: Vec<_> =
                    bytes.split_inclusive(|&byte| byte == b'\n').map(<[u8]>::to_vec).collect();
                let (one, other) = (one.index(lines.len()), other.index(lines.len()));
                lines.swap(one, other);
                *bytes = lines.concat();
            }
        }
    }
}

fn change() -> impl Strategy<Value = Change> {
    let at = any::<prop::sample::Index>;
    prop_oneof![
        (at(), prop::sample::select(TOKENS.to_vec())).prop_map(|(at, token)| Change::Put(at, token)),
        (at(), any::<u8>()).prop_map(|(at, mask)| Change::Flip(at, mask)),
        (at(), 1..60_usize).prop_map(|(at, length)| Change::Drop(at, length)),
        (at(), 1..200_usize).prop_map(|(at, length)| Change::Repeat(at, length)),
        (at(), at()).prop_map(|(one, other)| Change::Swap(one, other)),
    ]
}

fn read_any(bytes: Vec<u8>) -> Result<History, read::ReadError> {
    read::read(read::decoded(std::io::Cursor::new(bytes))?)
}

fn round_trips(history: &History) {
    let mut written = Vec::new();
    write::write(history, &mut written).expect("memory takes it");
    let again = read_any(written).expect("what was accepted is accepted again");
    assert_eq!(again, *history);
}

/// How many are tried: as many as proptest is told to, and some thousands by itself.
fn cases() -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(4096)
}

#[test]
fn the_histories_to_be_changed_are_valid() {
    for valid in VALID {
        round_trips(&read_any(valid.into()).unwrap_or_else(|error| panic!("{error}\n{valid}")));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases()))]

    #[test]
    fn whatever_is_changed_is_read_or_refused_with_its_line(
        valid in prop::sample::select(VALID.to_vec()),
        changes in prop::collection::vec(change(), 1..5),
        compressed in prop::bool::weighted(0.2),
        damage in prop::option::weighted(0.5, change()),
    ) {
        let mut bytes = valid.as_bytes().to_vec();
        for change in &changes {
            change.apply(&mut bytes);
        }
        if compressed {
            bytes = zstd::encode_all(bytes.as_slice(), 1).expect("memory takes it");
            if let Some(damage) = damage {
                damage.apply(&mut bytes);
            }
        }
        match read_any(bytes) {
            Ok(history) => round_trips(&history),
            Err(error) => {
                let told = error.to_string();
                prop_assert!(told.starts_with("line ") || told.starts_with("cannot read"), "{}", told);
                prop_assert!(told.len() < 1000, "{}", told);
            }
        }
    }
}
