//! Zip: UTF-8 names, mode 0644, sizes in the local header, zip64 only for what needs it.
//!
//! With a password the content of each member is encrypted by AES-256 (WinZip's AE-1, and AE-2 below 20 octets). Names,
//! sizes, times and, in AE-1, the checksums stay readable, and the salts make every archive different.
//!
//! Must never: encrypt with the old cipher of zip, or show the password.

use std::io;

use mimicry_core::plugin::Secret;
use zip::write::SimpleFileOptions;
use zip::{AesMode, CompressionMethod, System, ZipWriter};

use super::{Archive, Container, Content, Member, Sink, Timestamp};

/// Each member deflated by itself or stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zip {
    /// 0 (store everything) to 9; more counts as 9.
    pub level: u8,
    /// Encrypts the content of each member.
    pub password: Option<Secret>,
}

impl Container for Zip {
    fn media_type(&self) -> &'static str {
        "application/zip"
    }

    fn extensions(&self) -> &'static [&'static str] {
        &["zip"]
    }

    fn is_secret(&self) -> bool {
        self.password.is_some()
    }

    fn open(&self, sink: Sink) -> Box<dyn Archive> {
        Box::new(ZipArchive {
            level: self.level.min(9),
            password: self.password.clone(),
            writer: ZipWriter::new(sink),
        })
    }
}

/// From here on a member may pass 4 GiB, deflated or not: what does not compress grows by less than a thousandth.
const NEEDS_ZIP64: u64 = u32::MAX as u64 / 1000 * 999;

struct ZipArchive {
    level: u8,
    password: Option<Secret>,
    writer: ZipWriter<Sink>,
}

impl Archive for ZipArchive {
    fn append(&mut self, member: &Member, content: &mut Content) -> io::Result<()> {
        // The system is named because the crate would name the one it was built for.
        let options = SimpleFileOptions::default()
            .system(System::Unix)
            .unix_permissions(0o644)
            .large_file(member.size >= NEEDS_ZIP64)
            .last_modified_time(dos_time(member.mtime));
        let options = if member.store || self.level == 0 {
            options.compression_method(CompressionMethod::Stored)
        } else {
            options
                .compression_method(CompressionMethod::Deflated)
                .compression_level(Some(i64::from(self.level)))
        };
        let options = match &self.password {
            Some(password) => options.with_aes_encryption(AesMode::Aes256, password.reveal()),
            None => options,
        };
        self.writer
            .start_file(member.name, options)
            .map_err(zip_error)?;
        content(&mut self.writer)
    }

    fn finish(self: Box<Self>) -> io::Result<Sink> {
        self.writer.finish().map_err(zip_error)
    }
}

/// The crate's own conversion wraps the error, and `is_limit` would no longer know it.
fn zip_error(error: zip::result::ZipError) -> io::Error {
    match error {
        zip::result::ZipError::Io(error) => error,
        other => io::Error::other(other),
    }
}

/// DOS time: 1980 to 2107 in steps of two seconds.
fn dos_time(time: Timestamp) -> zip::DateTime {
    let clamped = match time.year {
        ..1980 => Timestamp::default(),
        1980..=2107 => Timestamp {
            month: time.month.clamp(1, 12),
            hour: time.hour.min(23),
            minute: time.minute.min(59),
            second: time.second.min(59),
            ..time
        },
        2108.. => Timestamp {
            year: 2107,
            month: 12,
            day: 31,
            hour: 23,
            minute: 59,
            second: 59,
            ..time
        },
    };
    // The crate knows the lengths of the months: 31 June becomes the 30th.
    (1..=clamped.day.clamp(1, 31))
        .rev()
        .find_map(|day| {
            zip::DateTime::from_date_and_time(
                clamped.year,
                clamped.month,
                day,
                clamped.hour,
                clamped.minute,
                clamped.second,
            )
            .ok()
        })
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Read};

    use super::super::tests::{NOON, PLENTY, Part, pack, prose};
    use super::*;

    const PLAIN: Zip = Zip {
        level: 6,
        password: None,
    };

    fn zip(members: &[Part]) -> Vec<u8> {
        pack(&PLAIN, PLENTY, members).unwrap()
    }

    fn u16_at(octets: &[u8], at: usize) -> u16 {
        u16::from_le_bytes([octets[at], octets[at + 1]])
    }

    /// APPNOTE 4.3.7 and 4.3.12, field by field.
    #[test]
    fn the_octets_of_a_small_archive() {
        let octets = zip(&[("ü", true, b"hello")]);
        let mut expected = Vec::new();
        // Version 1.0 suffices, UTF-8 flag and no data descriptor, stored, time, date, CRC, sizes.
        let common: &[u8] = &[
            10, 0, 0, 8, 0, 0, 0x5C, 0x64, 0x76, 0x5D, 0x86, 0xA6, 0x10, 0x36, 5, 0, 0, 0, 5, 0, 0,
            0, 2, 0, 0, 0,
        ];
        expected.extend(b"PK\x03\x04");
        expected.extend(common);
        expected.extend("ühello".as_bytes());
        let central_at = expected.len() as u8;
        expected.extend(b"PK\x01\x02\x0A\x03");
        expected.extend(common);
        expected.extend([0; 6]);
        expected.extend([0, 0, 0xA4, 0x81]);
        expected.extend([0; 4]);
        expected.extend("ü".as_bytes());
        let central_size = expected.len() as u8 - central_at;
        expected.extend(b"PK\x05\x06\0\0\0\0\x01\0\x01\0");
        expected.extend([central_size, 0, 0, 0, central_at, 0, 0, 0, 0, 0]);
        assert_eq!(octets, expected);
    }

    #[test]
    fn no_data_descriptor_no_extra_field_no_zip64() {
        let long = prose(300_000);
        let names: Vec<String> = (0..10_000).map(|i| format!("{i}.txt")).collect();
        let mut members: Vec<Part> = names
            .iter()
            .map(|name| (name.as_str(), false, &b"x"[..]))
            .collect();
        members.push(("long", false, &long));
        let octets = zip(&members);
        let mut archive = ::zip::ZipArchive::new(Cursor::new(&octets)).unwrap();
        for index in 0..archive.len() {
            let file = archive.by_index_raw(index).unwrap();
            let local = usize::try_from(file.header_start()).unwrap();
            let central = usize::try_from(file.central_header_start()).unwrap();
            assert_eq!(u16_at(&octets, local + 6) & 0x0008, 0, "flags of {index}");
            assert_eq!(
                u16_at(&octets, local + 28),
                0,
                "local extra field of {index}"
            );
            assert_eq!(
                u16_at(&octets, central + 30),
                0,
                "central extra field of {index}"
            );
        }
        assert!(
            !octets
                .windows(4)
                .any(|four| four == b"PK\x06\x06" || four == b"PK\x06\x07")
        );
    }

    /// APPNOTE 4.5.3: the field stands where the sizes of a member may need it, and nowhere else.
    #[test]
    fn zip64_for_a_member_of_four_gigabytes_alone() {
        for (size, expected) in [
            (5, 0),
            (4 << 30, 20),
            (NEEDS_ZIP64, 20),
            (NEEDS_ZIP64 - 1, 0),
        ] {
            let mut archive = PLAIN.open(Sink::new(PLENTY));
            let member = Member {
                name: "a",
                size,
                store: true,
                mtime: NOON,
            };
            archive
                .append(&member, &mut |out| out.write_all(b"hello"))
                .unwrap();
            let octets = archive.finish().unwrap().into_octets().unwrap();
            assert_eq!(u16_at(&octets, 28), expected, "{size}");
        }
    }

    #[test]
    fn a_date_that_dos_cannot_hold_is_brought_into_range() {
        let t = |year, month, day, hour, minute, second| Timestamp {
            unix: 0,
            year,
            month,
            day,
            hour,
            minute,
            second,
        };
        #[rustfmt::skip]
        let table: &[(Timestamp, &str)] = &[
            (Timestamp::default(), "1980-01-01 00:00:00"),
            (t(2026, 11, 22, 12, 34, 56), "2026-11-22 12:34:56"),
            (t(2026, 11, 22, 12, 34, 57), "2026-11-22 12:34:56"),
            (t(2016, 12, 31, 23, 59, 60), "2016-12-31 23:59:58"),
            (t(1979, 12, 31, 23, 59, 59), "1980-01-01 00:00:00"),
            (t(0, 0, 0, 0, 0, 0), "1980-01-01 00:00:00"),
            (t(1980, 1, 1, 0, 0, 1), "1980-01-01 00:00:00"),
            (t(2107, 12, 31, 23, 59, 59), "2107-12-31 23:59:58"),
            (t(2108, 1, 1, 0, 0, 0), "2107-12-31 23:59:58"),
            (t(9999, 99, 99, 99, 99, 99), "2107-12-31 23:59:58"),
            (t(2026, 0, 0, 24, 60, 61), "2026-01-01 23:59:58"),
            (t(2026, 13, 32, 0, 0, 0), "2026-12-31 00:00:00"),
            (t(2026, 2, 31, 0, 0, 0), "2026-02-28 00:00:00"),
            (t(2024, 2, 30, 0, 0, 0), "2024-02-29 00:00:00"),
            (t(2026, 6, 31, 0, 0, 0), "2026-06-30 00:00:00"),
        ];
        for (time, expected) in table {
            assert_eq!(dos_time(*time).to_string(), *expected, "{time:?}");
        }
    }

    #[test]
    fn a_bundle_without_members_is_an_empty_archive() {
        assert_eq!(zip(&[]), [b"PK\x05\x06".as_slice(), &[0; 18]].concat());
    }

    #[test]
    fn with_a_password_no_content_can_be_read_without_it() {
        let password = "correct horse";
        let long = prose(100_000);
        let members: &[Part] = &[
            ("a.txt", false, &long),
            ("b.txt", true, b"hello, hello, hello, hello"),
            ("short", false, b"hello"),
            ("empty", false, b""),
        ];
        let secret = Zip {
            level: 6,
            password: Some(Secret::new(password)),
        };
        assert!(secret.is_secret() && !PLAIN.is_secret());
        assert!(!format!("{secret:?}").contains(password));
        let octets = pack(&secret, PLENTY, members).unwrap();
        assert!(memchr::memmem::find(&octets, b"hello").is_none());
        let mut archive = ::zip::ZipArchive::new(Cursor::new(&octets)).unwrap();
        for (index, (name, _, content)) in members.iter().enumerate() {
            let raw = archive.by_index_raw(index).unwrap();
            let local = usize::try_from(raw.header_start()).unwrap();
            drop(raw);
            // Encrypted, no data descriptor, UTF-8 only where needed; method 99: AES, not the old cipher.
            assert_eq!(u16_at(&octets, local + 6) & 0x0009, 1, "{name}");
            assert_eq!(u16_at(&octets, local + 8), 99, "{name}");
            assert!(archive.by_index(index).is_err(), "{name}");
            assert!(archive.by_index_decrypt(index, b"wrong").is_err(), "{name}");
            let mut file = archive
                .by_index_decrypt(index, password.as_bytes())
                .unwrap();
            let mut read = Vec::new();
            file.read_to_end(&mut read).unwrap();
            assert!(read == *content, "{name}");
        }
        assert_ne!(
            octets,
            pack(&secret, PLENTY, members).unwrap(),
            "a salt was used twice"
        );
    }
}
