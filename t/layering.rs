//! The import rules of the house, read off the sources: who may speak to whom.

use std::collections::{BTreeMap, BTreeSet};
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

/// Folders none of whose files imports, by whatever way, a file that imports it.
const WITHOUT_CIRCLES: &[&str] = &["mimicryd/src/smtp", "mimicryd/src/relay"];

#[test]
fn no_file_imports_itself_through_others() {
    for folder in WITHOUT_CIRCLES {
        let files: Vec<PathBuf> = fs::read_dir(root().join(folder))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
            .collect();
        let name = |file: &Path| file.file_stem().unwrap().to_str().unwrap().to_string();
        let names: Vec<String> = files.iter().map(|file| name(file)).collect();
        let mut imports: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for file in &files {
            let source = fs::read_to_string(file).unwrap();
            let found = imported(folder, program(file, &source), &name(file), &names);
            imports.insert(name(file), found);
        }
        assert!(imports.values().any(|found| !found.is_empty()), "{folder}");
        let circles: Vec<&String> = names
            .iter()
            .filter(|name| reaches_itself(name, &imports))
            .collect();
        assert!(circles.is_empty(), "{folder}: {circles:?} of {imports:#?}");
    }
}

/// The files of its folder that a file imports: `mod` is for what its `mod.rs` hands out of the others.
fn imported(folder: &str, source: &str, own: &str, names: &[String]) -> Vec<String> {
    let code: Vec<&str> = source
        .lines()
        .map(|line| line.split("//").next().unwrap())
        .collect();
    let code = code.join("\n");
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    let mut found = Vec::new();
    // In mod.rs the others stand beside, elsewhere above.
    let prefixes = match own {
        "mod" => names.iter().map(|name| format!("{name}::")).collect(),
        _ => {
            let module = folder.rsplit('/').next().unwrap();
            vec!["super::".to_string(), format!("crate::{module}::")]
        }
    };
    for prefix in prefixes {
        for (at, _) in code.match_indices(&prefix) {
            if code[..at].ends_with(|c: char| is_name(c) || c == ':') {
                continue;
            }
            if own == "mod" {
                found.push(prefix.trim_end_matches(':').to_string());
                continue;
            }
            let rest = &code[at + prefix.len()..];
            let list = match rest.strip_prefix('{') {
                Some(list) => list.split('}').next().unwrap().split(',').collect(),
                None => vec![rest],
            };
            for one in list {
                let first: String = one
                    .trim_start()
                    .chars()
                    .take_while(|c| is_name(*c))
                    .collect();
                // Two steps up is another folder.
                if !matches!(first.as_str(), "" | "super") {
                    let is_file = names.contains(&first);
                    found.push(if is_file { first } else { "mod".into() });
                }
            }
        }
    }
    found
}

fn reaches_itself(name: &str, imports: &BTreeMap<String, Vec<String>>) -> bool {
    let mut seen = BTreeSet::new();
    let mut stack: Vec<&String> = imports[name].iter().collect();
    while let Some(next) = stack.pop() {
        if next == name {
            return true;
        }
        if seen.insert(next) {
            stack.extend(imports.get(next).into_iter().flatten());
        }
    }
    false
}

#[test]
fn a_circle_is_found() {
    let names = ["a", "b", "c", "mod"].map(String::from);
    let imports =
        |of_mod: &str, of_a: &str| {
            let sources = [
                ("mod", of_mod),
                ("a", of_a),
                ("b", "use super::c::C;"),
                ("c", ""),
            ];
            BTreeMap::from(sources.map(|(own, source)| {
                (own.to_string(), imported("src/folder", source, own, &names))
            }))
        };
    for (of_mod, of_a, is_circle) in [
        ("pub use a::A;", "use super::b::B; // super::A", false),
        ("pub use a::A;", "use super::{b::B, A};", true),
        ("pub use b::B;", "use super::{B, c};", false),
        ("", "fn f() { super::a::g() }", true),
        ("", "use super::super::a;", false),
        ("", "use crate::folder::a;", true),
        ("", "use crate::other::a;", false),
    ] {
        assert_eq!(
            reaches_itself("a", &imports(of_mod, of_a)),
            is_circle,
            "{of_mod} {of_a}"
        );
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
