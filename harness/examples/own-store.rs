//! A store of one's own under test: a counter in a file that loses counts, and the same with a lock around it.
//!
//! It runs from `cargo test --example own-store` (`test = true` and `harness = false` in `Cargo.toml`) and from
//! `cargo run --example own-store`.

use std::fs::{self, File};
use std::io;

use flockwork_harness::own::{self, Answer, Call};
use flockwork_harness::violation::Class;

fn perform(call: &Call) -> Answer {
    add(call).map_or_else(Answer::failed, Answer::saw)
}

#[expect(
    clippy::disallowed_methods,
    reason = "this store is somebody else's, who takes a lock as anybody does"
)]
fn add(call: &Call) -> io::Result<i64> {
    let file = call.state.join(&call.object);
    let lock = File::create(call.state.join("lock"))?;
    if call.store == "fixed" {
        lock.lock()?;
    }
    let sum = fs::read_to_string(&file).map_or(0, |text| text.parse().unwrap_or(0));
    let sum = sum + call.value.as_i64().unwrap_or(0);
    fs::write(&file, sum.to_string())?;
    Ok(sum)
}

fn main() {
    own::main(perform, |own| {
        let both: &[&[&str]] = &[&["add x 1"], &["add x 1"]];
        own.store("broken").check("counter", both).assert_broken(Class::NotLinearizable);
        own.store("fixed").check("counter", both).assert_clean();
        println!("the counter without a lock loses counts, and the one with a lock does not");
    });
}
