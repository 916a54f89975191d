//! `flockwork completions` and `flockwork man`: references made from the command line's own definition.

use clap::{Command, CommandFactory};
use clap_complete::Shell;
use clap_mangen::Man;

use super::args::Cli;
use super::failure::Failure;
use super::output::print_data;
use crate::report::exit::Exit;

/// Writes completions for a shell.
pub fn completions(shell: Shell) -> Result<Exit, Failure> {
    // By way of memory: the generator panics where stdout has been closed.
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "flockwork", &mut script);
    print_data(&String::from_utf8_lossy(&script))?;
    Ok(Exit::AsExpected)
}

/// Writes the manual page: the program, then each command.
pub fn man() -> Result<Exit, Failure> {
    let page = page().map_err(|error| Failure::new(Exit::HarnessFailed, error.to_string()))?;
    print_data(&page)?;
    Ok(Exit::AsExpected)
}

fn page() -> std::io::Result<String> {
    let mut command = Cli::command();
    command.build();
    let mut page = Vec::new();
    let whole = Man::new(command.clone());
    whole.render_title(&mut page)?;
    whole.render_name_section(&mut page)?;
    whole.render_synopsis_section(&mut page)?;
    whole.render_description_section(&mut page)?;
    whole.render_options_section(&mut page)?;
    for command in command.get_subcommands().filter(|command| !command.is_hide_set()) {
        page.extend(section(command)?.into_bytes());
    }
    whole.render_extra_section(&mut page)?;
    whole.render_version_section(&mut page)?;
    Ok(String::from_utf8_lossy(&page).into_owned())
}

/// One command as a section: its own sections become subsections. Flags that all commands share are told once.
fn section(command: &Command) -> std::io::Result<String> {
    let own = command.clone().mut_args(|arg| {
        let is_shared = arg.is_global_set();
        arg.hide(is_shared)
    });
    let own = Man::new(own);
    let mut text = Vec::new();
    own.render_synopsis_section(&mut text)?;
    own.render_description_section(&mut text)?;
    own.render_options_section(&mut text)?;
    let text = String::from_utf8_lossy(&text).replace("\n.SH ", "\n.SS ");
    let text = text.strip_prefix(".SH ").map_or(text.clone(), |rest| format!(".SS {rest}"));
    // Each rendering begins with roff's preamble, which the page has already.
    let text = text.lines().filter(|line| !line.starts_with(".ie") && !line.starts_with(".el"));
    let body: Vec<&str> = text.collect();
    Ok(format!(".SH \"COMMAND {}\"\n{}\n", command.get_name().to_uppercase(), body.join("\n")))
}
