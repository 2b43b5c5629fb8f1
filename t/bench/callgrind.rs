//! Instructions of a part of this program, counted by callgrind in a process of its own.
//!
//! Must never: give a count where nothing was counted.

use std::process::Command;
use std::{env, fs};

/// Runs this program again with these arguments; what a function of that name does is counted, `*` stands for any octets.
pub fn count(arguments: &[&str], function: &str) -> Result<u64, String> {
    let name: String = arguments
        .iter()
        .flat_map(|argument| argument.chars())
        .filter(char::is_ascii_alphanumeric)
        .take(64)
        .collect();
    let out = env::temp_dir().join(format!(
        "mimicry-instructions-{}-{name}",
        std::process::id()
    ));
    let program = env::current_exe().map_err(|error| error.to_string())?;
    let done = Command::new("valgrind")
        .args(["--quiet", "--tool=callgrind", "--dump-line=no"])
        .arg(format!("--callgrind-out-file={}", out.display()))
        .arg(format!("--toggle-collect={function}"))
        .arg(program)
        .args(arguments)
        .output();
    let text = fs::read_to_string(&out).unwrap_or_default();
    // Of this process's own making.
    let _ = fs::remove_file(&out);
    let done = done.map_err(|error| format!("valgrind: {error}"))?;
    if !done.status.success() {
        return Err(String::from_utf8_lossy(&done.stderr).into_owned());
    }
    let total = text.lines().find_map(|line| line.strip_prefix("totals: "));
    total
        .and_then(|total| total.trim().parse().ok())
        .filter(|count| *count > 0)
        .ok_or_else(|| "callgrind counted nothing".into())
}
