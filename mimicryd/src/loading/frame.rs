//! What a child said, as octets on a pipe: a sign, then fields, each behind its length.
//!
//! Must never: trust a length.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use super::answer::{ReadFile, Rejected, Said, Snapshot};
use crate::files::Owner;

const SOUND: u8 = b'+';
const REJECTED: u8 = b'-';

/// Three fields for each file, or the four of a rejection.
pub(super) fn write(said: &Said) -> Vec<u8> {
    let mut out = Vec::new();
    match said {
        Ok(Snapshot(files)) => {
            out.push(SOUND);
            for file in files {
                let Owner { mode, user, group } = file.owner;
                let is_secret = u32::from(file.is_secret);
                let facts = [mode, user, group, is_secret].map(u32::to_be_bytes);
                field(&mut out, file.path.as_os_str().as_bytes());
                field(&mut out, &facts.concat());
                field(&mut out, &file.content);
            }
        }
        Err(rejected) => {
            out.push(REJECTED);
            let Rejected {
                line,
                plain,
                coloured,
                summary,
            } = rejected;
            for text in [line, plain, coloured, summary] {
                field(&mut out, text.as_bytes());
            }
        }
    }
    out
}

/// `None` = it is cut off.
pub(super) fn read(octets: &[u8]) -> Option<Said> {
    let (sign, mut rest) = octets.split_first()?;
    let mut fields = Vec::new();
    while !rest.is_empty() {
        let (length, behind) = rest.split_first_chunk()?;
        let length = usize::try_from(u64::from_be_bytes(*length)).ok()?;
        fields.push(behind.get(..length)?);
        rest = behind.get(length..)?;
    }
    match *sign {
        SOUND => {
            let file = |three: &[&[u8]]| match three {
                [path, facts, content] => {
                    let mut facts = facts.as_chunks().0.iter();
                    let mut fact = || facts.next().map(|octets| u32::from_be_bytes(*octets));
                    Some(ReadFile {
                        path: PathBuf::from(OsString::from_vec(path.to_vec())),
                        owner: Owner {
                            mode: fact()?,
                            user: fact()?,
                            group: fact()?,
                        },
                        is_secret: fact()? != 0,
                        content: content.to_vec(),
                    })
                }
                _ => None,
            };
            let files: Option<Vec<_>> = fields.chunks(3).map(file).collect();
            files.map(|files| Ok(Snapshot(files)))
        }
        REJECTED => {
            let text = |field: &[u8]| String::from_utf8_lossy(field).into_owned();
            match fields.as_slice() {
                [line, plain, coloured, summary] => Some(Err(Rejected {
                    line: text(line),
                    plain: text(plain),
                    coloured: text(coloured),
                    summary: text(summary),
                })),
                _ => None,
            }
        }
        _ => None,
    }
}

fn field(out: &mut Vec<u8>, octets: &[u8]) {
    out.extend_from_slice(&(octets.len() as u64).to_be_bytes());
    out.extend_from_slice(octets);
}

#[cfg(test)]
mod tests {
    use super::*;

    // T183
    #[test]
    fn what_is_said_arrives_whole_or_not_at_all() {
        let file = |path: &[u8], content: &[u8], mode: u32| ReadFile {
            path: PathBuf::from(OsString::from_vec(path.to_vec())),
            content: content.to_vec(),
            owner: Owner {
                mode,
                user: 7,
                group: u32::MAX,
            },
            is_secret: mode == 0o600,
        };
        let files = vec![
            file(b"/etc/m.toml", b"a = 1\n", 0o644),
            file(b"\xff", b"", 0o600),
        ];
        let rejected = Rejected {
            line: "m.toml:1:1: wrong".into(),
            plain: "error".into(),
            coloured: String::new(),
            summary: "m.toml: 1 mistake".into(),
        };
        for said in [Ok(Snapshot(files)), Ok(Snapshot(vec![])), Err(rejected)] {
            let octets = write(&said);
            let again = read(&octets).map(|said| format!("{said:?}"));
            assert_eq!(again, Some(format!("{said:?}")));
            if octets.len() > 1 {
                assert!(read(&octets[..octets.len() - 1]).is_none());
            }
        }
        for octets in [&b""[..], b"?", b"+\0\0\0\0\0\0\0\x05a", b"-", b"+\xff"] {
            assert!(read(octets).is_none(), "{}", octets.escape_ascii());
        }
        assert!(read(&[b"+".as_slice(), &u64::MAX.to_be_bytes()].concat()).is_none());
    }
}
