//! Where the pid file and the control socket are for a user who is not root and named neither: below `$XDG_RUNTIME_DIR`, which belongs
//! to that user. The defaults are below `/run`, where only root may make anything.
//!
//! Must never: move what the configuration names otherwise.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use mimicry_core::settings::Daemon;

use crate::sys::privileges;

/// The directory of the defaults.
const USUAL: &str = "/run/mimicry";

/// The user's own directory for what lives as long as a login.
fn own() -> Option<PathBuf> {
    let directory = env::var_os("XDG_RUNTIME_DIR");
    below(directory.filter(|_| !privileges::is_root()))
}

fn below(runtime: Option<OsString>) -> Option<PathBuf> {
    let directory = PathBuf::from(runtime?);
    directory.is_absolute().then(|| directory.join("mimicry"))
}

/// For a daemon that starts.
pub fn take(daemon: &mut Daemon) {
    let Some(own) = own() else {
        return;
    };
    for path in [&mut daemon.pid_file, &mut daemon.control] {
        if let Some(moved) = moved(path, &own) {
            *path = moved;
        }
    }
}

/// Where whoever asks finds the daemon: this user's own, if there is one, else the system's.
pub fn control(path: PathBuf) -> PathBuf {
    let moved = own().and_then(|own| moved(&path, &own));
    moved.filter(|moved| moved.exists()).unwrap_or(path)
}

fn moved(path: &Path, own: &Path) -> Option<PathBuf> {
    Some(own.join(path.strip_prefix(USUAL).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_defaults_are_moved() {
        let own = Path::new("/run/user/7/mimicry");
        for (path, expected) in [
            ("/run/mimicry/control", Some("/run/user/7/mimicry/control")),
            (
                "/run/mimicry/mimicryd.pid",
                Some("/run/user/7/mimicry/mimicryd.pid"),
            ),
            ("/run/mimicry2/control", None),
            ("/tmp/control", None),
        ] {
            assert_eq!(
                moved(Path::new(path), own).as_deref(),
                expected.map(Path::new)
            );
        }
        for (runtime, expected) in [
            (Some("/run/user/7"), Some("/run/user/7/mimicry")),
            (Some("run"), None),
            (Some(""), None),
            (None, None),
        ] {
            assert_eq!(
                below(runtime.map(OsString::from)),
                expected.map(PathBuf::from)
            );
        }
    }

    #[test]
    fn the_defaults_are_where_they_are_looked_for() {
        for name in ["pid_file", "control"] {
            let setting = mimicry_core::settings::find("daemon", name);
            let default = setting.and_then(|setting| setting.default).unwrap();
            assert!(
                default.trim_matches('"').starts_with(&format!("{USUAL}/")),
                "{default}"
            );
        }
    }
}
