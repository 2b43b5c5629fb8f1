//! The import rules of the house, read off the sources: who may speak to whom.

use std::fs;
use std::path::{Path, PathBuf};

/// A place in the tree, and what none of its lines may hold outside of comments.
struct Never {
    place: &'static str,
    except: &'static [&'static str],
    words: &'static [&'static str],
    why: &'static str,
}

const NEVER: &[Never] = &[
    Never {
        place: "mimicry-core/src",
        except: &[],
        words: &[
            "std::net::Tcp",
            "std::net::Udp",
            "std::os::unix::net",
            "std::process",
            "std::env",
            "std::thread",
            "nix::",
            "Instant",
            "SystemTime",
            "mimicry_plugins",
            "mimicryd::",
            "lettre",
        ],
        why: "core has no sockets, no fork, no environment, no clock and no process exit",
    },
    Never {
        place: "mimicry-core/src/message",
        except: &[],
        words: &[
            "crate::rule",
            "crate::plugin",
            "crate::engine",
            "crate::config",
            "crate::policy",
            "crate::registry",
        ],
        why: "the message knows no rules",
    },
    Never {
        place: "mimicry-core/src/rule",
        except: &[],
        words: &[
            "crate::settings",
            "crate::policy",
            "crate::config",
            "crate::registry",
            "crate::engine",
        ],
        why: "a rule does not know where it is written",
    },
    Never {
        place: "mimicry-core/src/settings",
        except: &[],
        words: &[
            "crate::policy",
            "crate::config",
            "crate::registry",
            "crate::engine",
        ],
        why: "what a setting is stands below banks and the file",
    },
    Never {
        place: "mimicry-core/src/policy",
        except: &[],
        words: &["crate::config", "crate::registry", "crate::engine"],
        why: "policy banks do not know the file that they came from",
    },
    Never {
        place: "mimicry-plugins/src",
        except: &[],
        words: &["mimicryd::", "std::net", "std::process", "std::env"],
        why: "a plugin knows the contract and nothing of the daemon",
    },
    Never {
        place: "mimicry-plugins/src",
        except: &["mimicry-plugins/src/shared/store"],
        words: &["nix::", "std::fs", "File::"],
        why: "only the store has effects on disk",
    },
    Never {
        place: "mimicry-plugins/src/shared",
        except: &[],
        words: &[
            "crate::archive",
            "crate::remove",
            "crate::disclaim",
            "crate::zip",
            "crate::tar_gzip",
            "crate::tar_bzip2",
            "crate::keep",
            "crate::ignore_mail",
        ],
        why: "what plugins share knows none of them",
    },
    Never {
        place: "mimicryd/src/smtp",
        except: &[],
        words: &[
            "crate::relay",
            "std::net::Tcp",
            "std::os::unix::net",
            "std::io::Read",
            "std::io::Write",
            "nix::",
        ],
        why: "the SMTP server is a state machine without I/O and does not know the relay",
    },
    Never {
        place: "mimicryd/src/prefork",
        except: &[],
        words: &[
            "crate::master",
            "crate::worker",
            "crate::daemon",
            "crate::cli",
        ],
        why: "the ground floor of master and worker knows neither",
    },
    Never {
        place: "mimicryd/src/worker",
        except: &[],
        words: &["crate::master", "crate::daemon", "crate::cli"],
        why: "worker and master do not know each other: both know prefork",
    },
    Never {
        place: "mimicryd/src/relay",
        except: &[],
        words: &["crate::smtp", "crate::worker", "crate::master"],
        why: "the relay does not know who asks it",
    },
    Never {
        place: "mimicryd/src",
        except: &[],
        words: &["Reply::new", "Reply::own"],
        why: "every reply of our own is a row of the table in mimicry-core/src/reply.rs",
    },
    Never {
        place: "mimicryd/src",
        except: &[],
        words: &["plan_class"],
        why: "engine::judge is the only way from a mail to plans",
    },
    Never {
        place: "",
        except: &["mimicry-core/src/extension.rs", "t/"],
        words: &[
            "\"PIPELINING\"",
            "b\"PIPELINING\"",
            "\"SMTPUTF8\"",
            "b\"SMTPUTF8\"",
            "\"DSN\"",
            "b\"DSN\"",
            "\"ENHANCEDSTATUSCODES\"",
            "b\"ENHANCEDSTATUSCODES\"",
        ],
        why: "every SMTP extension is a row of the table in mimicry-core/src/extension.rs",
    },
    Never {
        place: "mimicryd/src/master",
        except: &[],
        words: &["crate::worker", "crate::daemon", "crate::cli"],
        why: "master and worker do not know each other: both know prefork",
    },
    Never {
        place: "mimicryd/src/master",
        except: &[],
        words: &[
            "mimicry_core::message",
            "mimicry_core::engine",
            "crate::smtp",
            "crate::relay",
            "lettre",
            "mailparse",
        ],
        why: "the master parses no mail",
    },
    Never {
        place: "",
        except: &["mimicryd/src/sys", "t/layering.rs"],
        words: &["unsafe {", "unsafe fn", "unsafe impl", "unsafe extern"],
        why: "all unsafe code of the project stands in mimicryd/src/sys",
    },
];

#[test]
fn nobody_imports_what_the_design_forbids() {
    let root = root();
    let mut found = Vec::new();
    for never in NEVER {
        for file in sources(&root.join(never.place)) {
            let name = file.strip_prefix(&root).unwrap().display().to_string();
            if never.except.iter().any(|except| name.starts_with(except)) {
                continue;
            }
            let source = fs::read_to_string(&file).unwrap();
            for (number, line) in program(&file, &source).lines().enumerate() {
                let code = line.split("//").next().unwrap();
                for word in never.words.iter().filter(|word| holds(code, word)) {
                    found.push(format!("{name}:{}: {word}: {}", number + 1, never.why));
                }
            }
        }
    }
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

/// A word that begins within another is none: `unix::fs` is not of the crate nix.
fn holds(code: &str, word: &str) -> bool {
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    code.match_indices(word)
        .any(|(at, _)| !code[..at].ends_with(is_name))
}

#[test]
fn a_word_is_found_where_it_begins() {
    assert!(holds("use nix::unistd;", "nix::") && holds("    nix::poll()", "nix::"));
    assert!(!holds("use std::os::unix::fs::PermissionsExt;", "nix::"));
    assert!(holds(
        "std::os::unix::net::UnixStream",
        "std::os::unix::net"
    ));
}

/// Every file of plugins in the crate's root is a plugin: it imports `crate::shared` and no other.
#[test]
fn a_plugin_imports_no_other_plugin() {
    let root = root();
    let mut found = Vec::new();
    for entry in fs::read_dir(root.join("mimicry-plugins/src")).unwrap() {
        let file = entry.unwrap().path();
        if file.extension().is_none_or(|extension| extension != "rs") || file.ends_with("lib.rs") {
            continue;
        }
        for line in fs::read_to_string(&file)
            .unwrap()
            .lines()
            .filter(|line| line.trim_start().starts_with("use crate::"))
        {
            if !line.contains("use crate::shared") {
                found.push(format!("{}: {line}", file.display()));
            }
        }
    }
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

/// The words of the glossary that are types, and the file that defines each: the only one in the workspace.
const WORDS: &[(&str, &str)] = &[
    ("Class", "mimicryd/src/worker/delivery.rs"),
    ("Fault", "mimicry-core/src/plugin.rs"),
    ("Job", "mimicry-core/src/plugin.rs"),
    ("Line", "mimicryd/src/relay/pool.rs"),
    ("Mail", "mimicry-core/src/mail.rs"),
    ("Place", "mimicry-core/src/message/place.rs"),
    ("State", "mimicryd/src/prefork/scoreboard.rs"),
    ("Verdict", "mimicry-core/src/plugin.rs"),
];

#[test]
fn a_word_of_the_glossary_names_one_type() {
    let root = root();
    let mut found: Vec<(&str, String)> = Vec::new();
    for krate in ["mimicry-core/src", "mimicry-plugins/src", "mimicryd/src"] {
        for file in sources(&root.join(krate)) {
            let source = fs::read_to_string(&file).unwrap();
            let name = file.strip_prefix(&root).unwrap().display().to_string();
            for line in program(&file, &source).lines() {
                found.extend(defined(line).map(|word| (word, name.clone())));
            }
        }
    }
    let known = WORDS
        .iter()
        .map(|(word, file)| (*word, (*file).to_string()));
    let mut expected: Vec<(&str, String)> = known.collect();
    found.sort();
    expected.sort();
    assert_eq!(found, expected);
}

/// The word of the glossary that a line defines as a type.
fn defined(line: &str) -> Option<&'static str> {
    let mut words = line.split_whitespace();
    words.find(|word| ["struct", "enum", "trait", "type", "union"].contains(word))?;
    let name = words.next()?;
    let end = name.find(|c: char| !c.is_alphanumeric() && c != '_');
    let name = &name[..end.unwrap_or(name.len())];
    let mut all = WORDS.iter().map(|(word, _)| *word);
    all.find(|word| *word == name)
}

#[test]
fn a_definition_is_seen() {
    for (line, word) in [
        ("pub struct Line<'a> {", Some("Line")),
        ("    enum Fault {", Some("Fault")),
        ("pub(super) type Verdict = Result<(), ()>;", Some("Verdict")),
        ("pub trait Job {", Some("Job")),
        ("struct Mail(Vec<u8>);", Some("Mail")),
        ("struct MailLine {", None),
        ("    type Item = Mail;", None),
        ("impl Class {", None),
    ] {
        assert_eq!(defined(line), word, "{line}");
    }
}

/// The words of the rules above must be able to match: a rule about a folder that is not there guards nothing.
#[test]
fn every_guarded_place_exists() {
    for never in NEVER {
        assert!(
            !sources(&root().join(never.place)).is_empty(),
            "{} has no sources",
            never.place
        );
    }
}

#[test]
fn core_and_plugins_forbid_unsafe_code() {
    for crate_root in ["mimicry-core/src/lib.rs", "mimicry-plugins/src/lib.rs"] {
        let source = fs::read_to_string(root().join(crate_root)).unwrap();
        assert!(source.contains("#![forbid(unsafe_code)]"), "{crate_root}");
    }
}

pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_path_buf()
}

/// The source without its tests, which may look at the world.
pub fn program<'s>(file: &Path, source: &'s str) -> &'s str {
    if file.ends_with("tests.rs") || file.components().any(|part| part.as_os_str() == "tests") {
        return "";
    }
    source.split("#[cfg(test)]\nmod tests {").next().unwrap()
}

/// All Rust sources below a folder, the build's own folders left out.
pub fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut stack = vec![folder.to_path_buf()];
    while let Some(folder) = stack.pop() {
        let Ok(entries) = fs::read_dir(folder) else {
            continue;
        };
        for path in entries.map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                if !path.ends_with("target") && !path.ends_with(".git") {
                    stack.push(path);
                }
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    found
}
