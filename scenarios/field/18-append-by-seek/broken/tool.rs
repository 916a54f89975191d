//! A log of lines:  log WORD | show
use std::fs::{File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Opens the log so that what is written comes after all that is there: but only what is there by now.
fn open_at_end(path: &Path) -> io::Result<File> {
    let mut file = OpenOptions::new().create(true).write(true).truncate(false).open(path)?;
    file.seek(SeekFrom::End(0))?;
    Ok(file)
}

fn run(arguments: &[&str], path: &Path) -> io::Result<u8> {
    match arguments {
        ["log", word] => {
            open_at_end(path)?.write_all(format!("{word}\n").as_bytes())?;
            println!("logged");
            Ok(0)
        }
        ["show"] => {
            print!("{}", std::fs::read_to_string(path).unwrap_or_default());
            Ok(0)
        }
        _ => Ok(2),
    }
}

fn main() -> ExitCode {
    let folder = std::env::var_os("TOOL_DIR").map_or_else(|| PathBuf::from("."), PathBuf::from);
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match run(&arguments, &folder.join("log")) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            println!("failed: {error}");
            ExitCode::from(4)
        }
    }
}
