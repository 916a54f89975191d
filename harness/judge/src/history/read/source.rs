//! Where a history comes from: a file or standard input, plain or compressed.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

const BUFFER_BYTES: usize = 1 << 18;
/// How a zstd frame begins.
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// Opens a history's text: a file, or standard input where the path is `-`. Decompressed where it begins as zstd does,
/// whatever its name.
pub fn open(path: &Path) -> io::Result<Box<dyn BufRead>> {
    if path.as_os_str() == "-" { decoded(io::stdin()) } else { decoded(File::open(path)?) }
}

/// The text of an input, decompressed where it begins as zstd does.
pub fn decoded(mut input: impl Read + 'static) -> io::Result<Box<dyn BufRead>> {
    let mut start = Vec::new();
    input.by_ref().take(ZSTD_MAGIC.len() as u64).read_to_end(&mut start)?;
    let is_compressed = start == ZSTD_MAGIC;
    let whole = io::Cursor::new(start).chain(input);
    Ok(if is_compressed {
        Box::new(BufReader::with_capacity(BUFFER_BYTES, zstd::Decoder::new(whole)?))
    } else {
        Box::new(BufReader::with_capacity(BUFFER_BYTES, whole))
    })
}
