//! What holds for every container. Members are read back by the reader halves of the crates.

use std::io::Read;

use ::tar::EntryType;
use proptest::prelude::*;

use super::*;

pub(super) const NOON: Timestamp = Timestamp {
    year: 2026,
    month: 11,
    day: 22,
    hour: 12,
    minute: 34,
    second: 57,
    unix: 1_795_347_297,
};
pub(super) const PLENTY: usize = 1 << 30;

/// Name, whether to store, content.
pub(super) type Part<'a> = (&'a str, bool, &'a [u8]);

fn zip(level: u8) -> Box<dyn Container> {
    Box::new(Zip {
        level,
        password: None,
    })
}

fn tar(compression: Compression, level: u8) -> Box<dyn Container> {
    Box::new(Tar { compression, level })
}

fn all(level: u8) -> [Box<dyn Container>; 3] {
    [
        zip(level),
        tar(Compression::Gzip, level),
        tar(Compression::Bzip2, level),
    ]
}

fn add(bundle: &mut Bundle, (name, store, content): &Part) -> Result<(), Error<io::Error>> {
    let member = Member {
        name,
        size: content.len() as u64,
        store: *store,
        mtime: NOON,
    };
    bundle.add(&member, &mut |out| out.write_all(content))
}

pub(super) fn pack(
    container: &dyn Container,
    limit: usize,
    members: &[Part],
) -> Result<Vec<u8>, Error> {
    let mut bundle = Bundle::new(container, limit);
    for member in members {
        match add(&mut bundle, member) {
            Ok(()) => (),
            Err(Error::Limit(limit)) => return Err(Error::Limit(limit)),
            Err(Error::Container(error) | Error::Content(error)) => {
                return Err(Error::Container(error));
            }
        }
    }
    bundle.finish()
}

/// Text that deflates to about a third, with no long repetition.
pub(super) fn prose(octets: usize) -> Vec<u8> {
    let mut state = 1u32;
    let words = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        format!("{:x} ", (state >> 16) % 4096)
    });
    words.flat_map(String::into_bytes).take(octets).collect()
}

fn unzip(octets: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut archive = ::zip::ZipArchive::new(Cursor::new(octets)).unwrap();
    let length = archive.len();
    let member = |index| {
        let mut file = archive.by_index(index).unwrap();
        assert_eq!(file.unix_mode(), Some(0o100_644));
        let time = file.last_modified().unwrap().to_string();
        assert_eq!(time, "2026-11-22 12:34:56");
        let mut content = Vec::new();
        file.read_to_end(&mut content).unwrap();
        (file.name().unwrap().into_owned(), content)
    };
    (0..length).map(member).collect()
}

fn untar(octets: &[u8]) -> Vec<(String, Vec<u8>)> {
    let reader: Box<dyn Read + '_> = if octets.starts_with(b"BZh") {
        Box::new(bzip2::read::BzDecoder::new(octets))
    } else {
        // No flags, no time.
        assert_eq!(octets[..10], [0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 0xFF]);
        Box::new(flate2::read::GzDecoder::new(octets))
    };
    let mut archive = ::tar::Archive::new(reader);
    let member = |file: io::Result<::tar::Entry<'_, _>>| {
        let mut file = file.unwrap();
        let header = file.header();
        assert_eq!(header.entry_type(), EntryType::Regular);
        assert_eq!(header.mode().unwrap(), 0o644);
        assert_eq!(header.uid().unwrap() + header.gid().unwrap(), 0);
        assert_eq!(header.username_bytes(), Some(&b""[..]));
        assert_eq!(header.groupname_bytes(), Some(&b""[..]));
        assert_eq!(header.mtime().unwrap(), NOON.unix);
        let name = String::from_utf8(file.path_bytes().into_owned()).unwrap();
        let mut content = Vec::new();
        file.read_to_end(&mut content).unwrap();
        (name, content)
    };
    archive.entries().unwrap().map(member).collect()
}

fn read(octets: &[u8]) -> Vec<(String, Vec<u8>)> {
    if octets.starts_with(b"PK") {
        unzip(octets)
    } else {
        untar(octets)
    }
}

#[test]
fn what_goes_in_comes_out() {
    let long = prose(300_000);
    let ascii = format!("{}.txt", "n".repeat(150));
    let hundred = "n".repeat(100);
    let wide = "見".repeat(66);
    let members: &[Part] = &[
        ("report.pdf", false, b"hello"),
        ("Übersicht 見積書.txt", false, &long),
        ("photo.jpg", true, &long),
        (&ascii, false, &long[..512]),
        (&hundred, false, &long[..511]),
        (&wide, true, &long[..513]),
        ("empty", false, b""),
        ("empty, stored", true, b""),
    ];
    for level in [0, 1, 6, 9, 255] {
        for container in all(level) {
            let octets = pack(&*container, PLENTY, members).unwrap();
            let found = read(&octets);
            assert_eq!(found.len(), members.len(), "{container:?}");
            for ((name, _, content), (found_name, found)) in members.iter().zip(&found) {
                assert_eq!(found_name, name, "{container:?}");
                assert!(found == content, "{name} in {container:?}");
            }
            let again = pack(&*container, PLENTY, members).unwrap();
            assert!(octets == again, "{container:?}");
        }
    }
    for (most, more) in all(9).iter().zip(&all(255)) {
        let [most, more] = [most, more].map(|one| pack(&**one, PLENTY, members).unwrap());
        assert!(most == more);
    }
}

#[test]
fn what_is_stored_is_not_compressed_and_what_is_not_is() {
    let long = prose(300_000);
    let length = |container: &dyn Container, store| {
        let members: [Part; 2] = [("a", store, &long), ("b", false, &long)];
        pack(container, PLENTY, &members).unwrap().len()
    };
    for container in all(6) {
        let (stored, whole) = (length(&*container, true), length(&*container, false));
        if container.stores() {
            assert!(
                stored > 300_000 + whole / 2 - 1000,
                "{container:?}: {stored}"
            );
            assert!(stored < 302_000 + whole / 2, "{container:?}: {stored}");
        } else {
            assert_eq!(stored, whole, "{container:?}");
        }
        assert!(whole < 400_000, "{container:?}: {whole}");
    }
}

#[test]
fn a_moment_that_tar_cannot_hold_is_the_last() {
    for (unix, expected) in [(0, 0), (1 << 33, (1 << 33) - 1), (u64::MAX, (1 << 33) - 1)] {
        let mut bundle = Bundle::new(&*tar(Compression::Gzip, 6), PLENTY);
        let member = Member {
            name: "a",
            size: 0,
            store: false,
            mtime: Timestamp { unix, ..NOON },
        };
        bundle.add::<io::Error>(&member, &mut |_| Ok(())).unwrap();
        let octets = bundle.finish().unwrap();
        let mut archive = ::tar::Archive::new(flate2::read::GzDecoder::new(&octets[..]));
        let entry = archive.entries().unwrap().next().unwrap().unwrap();
        assert_eq!(entry.header().mtime().unwrap(), expected);
    }
}

#[test]
fn the_limit_is_exact() {
    let long = prose(100_000);
    let members: &[Part] = &[
        ("a", false, b"hello"),
        ("b", false, &long),
        ("c", true, b"more"),
    ];
    for container in all(6) {
        let whole = pack(&*container, PLENTY, members).unwrap();
        let exact = pack(&*container, whole.len(), members).unwrap();
        assert!(exact == whole, "{container:?}");
        let near_the_end = whole.len().saturating_sub(30)..whole.len();
        for limit in (0..60).chain(near_the_end).chain([10_000]) {
            let result = pack(&*container, limit, members);
            assert!(
                matches!(result, Err(Error::Limit(l)) if l == limit),
                "{container:?} {limit}: {result:?}"
            );
        }
    }
}

#[test]
fn past_the_limit_the_content_is_told_soon_and_the_memory_let_go() {
    let mut bundle = Bundle::new(&*zip(6), 1_000);
    let mut written = 0u64;
    let member = Member {
        name: "a",
        size: u64::MAX,
        store: true,
        mtime: NOON,
    };
    let result = bundle.add(&member, &mut |out| {
        loop {
            out.write_all(&[7; 100])?;
            written += 100;
        }
        #[expect(unreachable_code, reason = "gives the closure its error type")]
        Ok::<(), io::Error>(())
    });
    assert!(matches!(result, Err(Error::Limit(1_000))), "{result:?}");
    assert!(written <= BLOCK_OCTETS as u64);
}

/// Octets that none of the compressors makes smaller.
fn noise(octets: usize) -> Vec<u8> {
    let mut state = 1u32;
    let next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    std::iter::repeat_with(next).take(octets).collect()
}

#[test]
fn a_content_cannot_hide_that_the_limit_was_passed() {
    let noise = noise(2_000_000);
    for container in all(6) {
        let mut bundle = Bundle::new(&*container, 1_000);
        let member = Member {
            name: "a",
            size: noise.len() as u64,
            store: true,
            mtime: NOON,
        };
        let result = bundle.add(&member, &mut |out| {
            for chunk in noise.chunks(100) {
                let _ = out.write(chunk);
            }
            Ok::<(), &str>(())
        });
        assert!(matches!(result, Err(Error::Limit(1_000))), "{result:?}");
        assert!(matches!(bundle.finish(), Err(Error::Container(_))));
    }
}

/// A compressor that flushes when it is dropped must find nothing to complain of.
#[test]
fn past_the_limit_a_sink_takes_and_forgets() {
    let mut sink = Sink::new(10);
    sink.write_all(&[1; 8]).unwrap();
    assert!(is_limit(&sink.write_all(&[2; 8]).unwrap_err()));
    assert_eq!(sink.stream_position().unwrap(), 8);
    sink.write_all(&[3; 8]).unwrap();
    assert_eq!(sink.seek(SeekFrom::Start(2)).unwrap(), 2);
    assert_eq!(sink.seek(SeekFrom::Current(-1)).unwrap(), 1);
    sink.write_all(&[4; 8]).unwrap();
    assert_eq!(sink.seek(SeekFrom::End(0)).unwrap(), 16);
    assert!(sink.seek(SeekFrom::Current(-17)).is_err());
    assert!(sink.octets.get_ref().is_empty());
    assert!(is_limit(&sink.into_octets().unwrap_err()));
}

#[test]
fn a_failed_content_is_its_own_error_and_ends_the_bundle() {
    for container in all(6) {
        let mut bundle = Bundle::new(&*container, PLENTY);
        let member = |name, size| Member {
            name,
            size,
            store: false,
            mtime: NOON,
        };
        bundle
            .add::<&str>(&member("a", 0), &mut |_| Ok(()))
            .unwrap();
        let result = bundle.add(&member("b", 100_000), &mut |out| {
            out.write_all(&[7; 100_000]).map_err(|_| "write")?;
            Err("base64")
        });
        assert!(
            matches!(result, Err(Error::Content("base64"))),
            "{result:?}"
        );
        let result = bundle.add::<&str>(&member("c", 0), &mut |_| Ok(()));
        assert!(matches!(result, Err(Error::Container(_))), "{result:?}");
        assert!(matches!(bundle.finish(), Err(Error::Container(_))));
    }
}

#[test]
fn a_name_given_twice_is_an_error_and_so_is_another_size() {
    for container in all(6) {
        let twice = pack(
            &*container,
            PLENTY,
            &[("a", false, b"1"), ("a", false, b"2")],
        );
        assert!(matches!(twice, Err(Error::Container(_))), "{twice:?}");
        for size in [4, 6] {
            let mut bundle = Bundle::new(&*container, PLENTY);
            let member = Member {
                name: "a",
                size,
                store: false,
                mtime: NOON,
            };
            let other = bundle.add(&member, &mut |out| out.write_all(b"hello"));
            assert!(matches!(other, Err(Error::Container(_))), "{other:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn the_octets_do_not_depend_on_the_chunks(
        content in prop_oneof![(0usize..200_000).prop_map(prose), prop::collection::vec(any::<u8>(), 0..1000)],
        chunk in prop_oneof![1usize..100, 1_000usize..100_000],
        flush in any::<bool>(),
        store in any::<bool>(),
        level in 0u8..=9,
        kind in 0usize..3,
    ) {
        let container = all(level).into_iter().nth(kind).unwrap();
        let whole = pack(&*container, PLENTY, &[("a", store, &content)]).unwrap();
        let mut bundle = Bundle::new(&*container, PLENTY);
        let member = Member { name: "a", size: content.len() as u64, store, mtime: NOON };
        bundle.add::<io::Error>(&member, &mut |out| {
            for chunk in content.chunks(chunk) {
                out.write_all(chunk)?;
                if flush {
                    out.flush()?;
                }
            }
            Ok(())
        }).unwrap();
        prop_assert!(bundle.finish().unwrap() == whole);
        prop_assert!(read(&whole)[0].1 == content);
    }
}
