//! The keys of our seals on disk: made once, renewed by age, read before workers are forked.
//!
//! They stand in the spool (`seal.keys`), where the master makes them; or in a file that several machines share, which
//! is the administrator's: it is read and never written. A key of our own older than [`RENEWED`] gets a successor at
//! the next start or reload; the old one is accepted for a while ([`mimicry_core::seals`]).
//!
//! The workers' user may own the spool, so nothing in it is believed for its name alone: a link is not followed, and a file that
//! is not ours, or that others may read, is not taken.
//!
//! Must never: show a key, give the file to anybody, or replace one that cannot be read.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use mimicry_core::config::Config;
use mimicry_core::seals::{SECRET, SealKeys};

use crate::files::{self, Access};
use crate::poison;
use crate::sys::entry::Entry;

/// The file in the spool.
const FILE: &str = "seal.keys";
/// Octets of it that are read.
const MAX: u64 = 16 * 1024;
/// Seconds after which a key gets a successor: 90 days.
const RENEWED: i64 = 90 * 24 * 3600;

/// Where the keys of a configuration stand.
pub fn path(config: &Config) -> PathBuf {
    let shared = config.daemon.seal_key_file.clone();
    shared.unwrap_or_else(|| config.daemon.spool.join(FILE))
}

/// For the master, at that time: its own keys are made or renewed where that is due. `kept` are those in force, which stay when
/// the spool cannot hold any. An error refuses the configuration: a file that it names and that is wrong.
pub fn prepare(config: &Config, now: i64, kept: &SealKeys) -> Result<SealKeys, String> {
    if !config.banks.needs_seal_keys() {
        return Ok(kept.clone());
    }
    let path = path(config);
    let fault = |what: &dyn std::fmt::Display| format!("{}: {what}", path.display());
    if config.daemon.seal_key_file.is_some() {
        return shared(&path).map_err(|wrong| format!("seal_key_file {}", fault(&wrong)));
    }
    match own(&path, now) {
        Ok((keys, None)) => Ok(keys),
        Ok((keys, Some(error))) => {
            let what = fault(&error);
            log::warn!("no new key of banners can be kept in {what}; the old one stays in use");
            Ok(keys)
        }
        Err(error) => {
            let what = fault(&error);
            log::warn!(
                "the keys of banners cannot be kept in {what}; after a restart, banners made before it are not known and stay in answers"
            );
            match kept.is_empty() {
                true => random(now).map_err(|error| fault(&error)),
                false => Ok(kept.clone()),
            }
        }
    }
}

/// For whoever only looks: what is there. `Ok(None)` = nothing, or nothing that this user may read.
pub fn look(config: &Config) -> Result<Option<SealKeys>, String> {
    let path = path(config);
    let found = match config.daemon.seal_key_file {
        Some(_) => shared(&path),
        None => Entry::of(&path).and_then(|place| held(&place)),
    };
    match found {
        Ok(keys) => Ok(Some(keys)),
        Err(error)
            if matches!(
                error.kind(),
                ErrorKind::NotFound | ErrorKind::PermissionDenied
            ) =>
        {
            Ok(None)
        }
        Err(error) => Err(format!("{}: {error}", path.display())),
    }
}

/// The keys that several machines share, in a file that is guarded as every secret.
fn shared(path: &Path) -> io::Result<SealKeys> {
    parse(files::read(path, MAX, Access::Owner)?)
}

/// The keys in the spool, made or renewed; with them, why a new one could not be written.
fn own(path: &Path, now: i64) -> io::Result<(SealKeys, Option<io::Error>)> {
    let directory = path.parent().unwrap_or(Path::new("."));
    Entry::of(directory)?.make_directory(0o755, None)?;
    let place = Entry::of(path)?;
    let _ = place.sweep(now.saturating_sub(poison::OLD));
    let keys = match held(&place) {
        Ok(keys) => keys,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let keys = random(now)?;
            return match write(&place, &keys, false) {
                Ok(()) => Ok((keys, None)),
                // Another master was quicker.
                Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok((held(&place)?, None)),
                Err(error) => Err(error),
            };
        }
        Err(error) => return Err(error),
    };
    let is_old = |made: i64| now.saturating_sub(made) >= RENEWED;
    if !keys.newest().is_some_and(is_old) {
        return Ok((keys, None));
    }
    let renewed = keys.with(now, secret()?);
    match write(&place, &renewed, true) {
        Ok(()) => Ok((renewed, None)),
        Err(error) => Ok((keys, Some(error))),
    }
}

fn random(now: i64) -> io::Result<SealKeys> {
    Ok(SealKeys::default().with(now, secret()?))
}

fn secret() -> io::Result<[u8; SECRET]> {
    let mut secret = [0; SECRET];
    getrandom::fill(&mut secret).map_err(|error| io::Error::other(error.to_string()))?;
    Ok(secret)
}

/// The keys in the spool, which may belong to the workers' user.
fn held(place: &Entry) -> io::Result<SealKeys> {
    parse(files::read_held(place, MAX, Access::Owner)?)
}

fn parse(octets: Vec<u8>) -> io::Result<SealKeys> {
    let invalid = |what: String| io::Error::new(ErrorKind::InvalidData, what);
    let text = String::from_utf8(octets).map_err(|_| invalid("it is no text".into()))?;
    SealKeys::parse(&text).map_err(|bad| invalid(bad.to_string()))
}

fn write(place: &Entry, keys: &SealKeys, over: bool) -> io::Result<()> {
    let head = "# The keys that mimicry seals its banners with; see mimicryd(8). Nobody else may read them.\n";
    place.write_whole(format!("{head}{}", keys.reveal()).as_bytes(), 0o600, over)
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    use super::*;

    const NOW: i64 = 2_000_000_000;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o7777
    }

    // T184
    #[test]
    fn keys_are_made_once_kept_and_renewed() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("spool").join(FILE);
        let (first, error) = own(&path, NOW).unwrap();
        assert!(error.is_none());
        assert_eq!(mode(&path), 0o600);
        assert_eq!(own(&path, NOW + 1).unwrap().0, first);
        assert_eq!(own(&path, NOW + RENEWED - 1).unwrap().0, first);
        let (second, _) = own(&path, NOW + RENEWED).unwrap();
        assert_eq!(second.newest(), Some(NOW + RENEWED));
        assert_eq!(own(&path, NOW + RENEWED + 1).unwrap().0, second);
        assert_eq!(mode(&path), 0o600);
        let seal = first.seal(NOW, &[b"x"]).unwrap();
        assert!(second.holds(NOW + RENEWED, &seal, &[b"x"]));
        let (third, _) = own(&path, NOW + 3 * RENEWED).unwrap();
        assert!(!third.holds(NOW + 3 * RENEWED, &seal, &[b"x"]));
        // Nothing half-made stays behind.
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
        assert!(!fs::read_to_string(&path).unwrap().contains("SealKeys"));
    }

    // T184
    #[test]
    fn what_is_not_certainly_ours_is_not_taken() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join(FILE);
        own(&path, NOW).unwrap();
        for (mode, taken) in [
            (0o600, true),
            (0o400, true),
            (0o640, false),
            (0o604, false),
            (0o620, false),
        ] {
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            assert_eq!(own(&path, NOW).is_ok(), taken, "{mode:o}");
            assert_eq!(shared(&path).is_ok(), taken, "{mode:o}");
        }
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        let link = place.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert!(own(&link, NOW).is_err());
        nix::unistd::mkfifo(&place.path().join("fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert!(own(&place.path().join("fifo"), NOW).is_err());
        // A file that cannot be read is not replaced, nor is its content shown.
        fs::write(&path, "1 secret").unwrap();
        let error = own(&path, NOW).unwrap_err().to_string();
        assert!(!error.contains("secret"), "{error}");
        assert_eq!(fs::read(&path).unwrap(), b"1 secret");
        assert!(own(Path::new("/proc/none/seal.keys"), NOW).is_err());
    }
}
