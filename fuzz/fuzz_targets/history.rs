//! The reader of histories against arbitrary bytes: it never panics or hangs, and what it accepts, it reads the same
//! after it was written again.
#![no_main]

use flockwork_judge::history::{read, write};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    // Compressed input as well: whatever begins as zstd does.
    let Ok(input) = read::decoded(std::io::Cursor::new(bytes.to_vec())) else { return };
    let Ok(history) = read::read(input) else { return };
    let mut written = Vec::new();
    write::write(&history, &mut written).expect("memory takes it");
    let again = read::read(written.as_slice()).expect("what was accepted is accepted again");
    assert_eq!(again, history);
    let mut twice = Vec::new();
    write::write(&again, &mut twice).expect("memory takes it");
    assert_eq!(written, twice);
});
