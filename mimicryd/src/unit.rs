//! What the unit of systemd grants: the directories that the daemon can write to under it, and the drop-in that grants more.
//!
//! The files of the unit are read, not asked for: `mimicryd check` may be run where systemd does not run.
//!
//! Must never: change anything.

use std::fs;
use std::path::{Path, PathBuf};

/// Where units and their drop-ins are; what comes first counts more.
const PLACES: [&str; 5] = [
    "/etc/systemd/system",
    "/run/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
];

const UNIT: &str = "mimicryd.service";

/// The settings that name directories, and what their names are below.
const OWN: [(&str, &str); 4] = [
    ("RuntimeDirectory", "/run"),
    ("StateDirectory", "/var/lib"),
    ("CacheDirectory", "/var/cache"),
    ("LogsDirectory", "/var/log"),
];

/// What the drop-in is written by.
pub const EDIT: &str = "systemctl edit mimicryd";

/// Those of the directories that the daemon cannot write to if systemd starts it; `None` = there is no unit.
pub fn out_of_reach(directories: &[PathBuf]) -> Option<Vec<PathBuf>> {
    texts(&PLACES.map(Path::new)).map(|texts| beyond(&texts, directories))
}

/// The lines that grant them.
pub fn drop_in(directories: &[PathBuf]) -> String {
    let mut text = String::from("[Service]\n");
    for directory in directories {
        text.push_str(&format!("ReadWritePaths={}\n", quoted(directory)));
    }
    text
}

/// The unit and its drop-ins, in the order in which they count.
fn texts(places: &[&Path]) -> Option<Vec<String>> {
    let unit = places
        .iter()
        .find_map(|place| fs::read_to_string(place.join(UNIT)).ok())?;
    let mut drop_ins: Vec<PathBuf> = Vec::new();
    for place in places {
        let entries = fs::read_dir(place.join(format!("{UNIT}.d")));
        for path in entries
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path())
        {
            let is_one = path.extension().is_some_and(|end| end == "conf");
            // One of the same name before hides it.
            let is_hidden = drop_ins
                .iter()
                .any(|one| one.file_name() == path.file_name());
            if is_one && !is_hidden {
                drop_ins.push(path);
            }
        }
    }
    drop_ins.sort_by_key(|path| path.file_name().map(ToOwned::to_owned));
    let more = drop_ins
        .iter()
        .filter_map(|path| fs::read_to_string(path).ok());
    Some(std::iter::once(unit).chain(more).collect())
}

fn beyond(texts: &[String], directories: &[PathBuf]) -> Vec<PathBuf> {
    let mut granted: Vec<(&str, PathBuf)> = Vec::new();
    let mut is_strict = false;
    for line in texts.iter().flat_map(|text| text.lines()) {
        let Some((key, value)) = line.split_once('=') else {
            continue;
        };
        let (key, value) = (key.trim(), value.trim());
        if key == "ProtectSystem" {
            is_strict = value == "strict";
        }
        let below = OWN
            .iter()
            .find(|(own, _)| *own == key)
            .map(|(_, below)| *below);
        let below = below.or_else(|| (key == "ReadWritePaths").then_some("/"));
        let Some(below) = below else {
            continue;
        };
        // An empty value takes back what was granted before.
        if value.is_empty() {
            granted.retain(|(by, _)| *by != key);
        }
        for word in value.split_whitespace() {
            let word = word.trim_matches('"').trim_start_matches(['-', '+']);
            granted.push((key, Path::new(below).join(word.trim_start_matches('/'))));
        }
    }
    let is_beyond = |directory: &&PathBuf| {
        is_strict && !granted.iter().any(|(_, path)| directory.starts_with(path))
    };
    directories.iter().filter(is_beyond).cloned().collect()
}

/// As a unit has it: a percent sign begins a specifier, and a blank a new word.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string().replace('%', "%%");
    match text.contains(char::is_whitespace) {
        true => format!("\"{text}\""),
        false => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHIPPED: &str = include_str!("../../etc/systemd/mimicryd.service");

    #[test]
    fn what_the_unit_does_not_grant_is_found() {
        let paths = |names: &[&str]| names.iter().map(PathBuf::from).collect::<Vec<_>>();
        for (more, directories, missing) in [
            (
                "",
                &[
                    "/var/spool/mimicry",
                    "/var/lib/mimicry/x",
                    "/var/log/mimicry",
                ][..],
                &[][..],
            ),
            (
                "",
                &["/srv/archive", "/var/spool/mimicry2"],
                &["/srv/archive", "/var/spool/mimicry2"],
            ),
            (
                "[Service]\nReadWritePaths=/srv/a -/srv/b\n",
                &["/srv/a/b", "/srv/b", "/srv/c"],
                &["/srv/c"],
            ),
            ("ReadWritePaths=\"/srv/a b\"", &["/srv"], &["/srv"]),
            (
                "ReadWritePaths=",
                &["/var/spool/mimicry", "/var/lib/mimicry"],
                &["/var/spool/mimicry"],
            ),
            ("ProtectSystem=full", &["/srv/archive"], &[]),
        ] {
            let texts = [SHIPPED.to_string(), more.to_string()];
            assert_eq!(
                beyond(&texts, &paths(directories)),
                paths(missing),
                "{more:?}"
            );
        }
        let text = drop_in(&paths(&["/srv/a", "/srv/50% b"]));
        assert_eq!(
            text,
            "[Service]\nReadWritePaths=/srv/a\nReadWritePaths=\"/srv/50%% b\"\n"
        );
    }

    #[test]
    fn drop_ins_of_all_places_count_and_the_first_of_a_name() {
        let place = tempfile::tempdir().unwrap();
        let (etc, usr) = (place.path().join("etc"), place.path().join("usr"));
        assert_eq!(texts(&[&etc, &usr]), None);
        for (directory, name, text) in [
            (&usr, "mimicryd.service", "unit"),
            (&usr, "mimicryd.service.d/b.conf", "hidden"),
            (&etc, "mimicryd.service.d/b.conf", "second"),
            (&etc, "mimicryd.service.d/a.conf", "first"),
            (&etc, "mimicryd.service.d/a.txt", "none"),
        ] {
            let path = directory.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let found = texts(&[&etc, &usr]).unwrap();
        assert_eq!(found, ["unit", "first", "second"]);
    }
}
