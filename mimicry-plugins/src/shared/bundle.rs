//! One archive out of many parts, whatever the container.
//!
//! `Bundle` is what the Zip and Tar plugins share: members go in one after the other, each streamed
//! through the compressor as it is decoded, and one `Vec<u8>` comes out. What differs between the
//! containers stands behind `Container`, one short implementation each.
//!
//! The same members give the same octets. Must never hold a decoded member whole, let the output outgrow
//! its limit, or hand out an archive of which a member is not complete. It does not look at names: they
//! come from `Names`, which makes them safe and unique (a name given twice is an error here, not a loss).
//!
//! Nearly half of the file is tests, among them a second container that shows where the next one goes.
//!
//! Limits: a member of 4 GiB or more is an error, since its zip64 field would have to stand before it.

use std::convert::Infallible;
use std::io::{self, Cursor, Seek, SeekFrom, Write};

use thiserror::Error;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, System, ZipWriter};

/// A format that can hold a bundle, with its settings.
pub trait Container {
    /// The media type of the finished archive, such as `application/zip`.
    fn media_type(&self) -> &'static str;

    /// What its file name ends in, without the dot.
    fn extension(&self) -> &'static str;

    /// Begins an archive that is written to `sink`.
    fn open(&self, sink: Sink) -> Box<dyn Archive>;
}

/// An archive that is being written.
pub trait Archive {
    /// Appends one member. `content` writes the member's octets in chunks of its own choosing; it may be
    /// called more than once and writes the same octets each time, so a container that must know the size
    /// first calls it once to count. After an error the archive is only dropped.
    fn append(&mut self, member: &Member, content: &mut Content) -> io::Result<()>;

    /// Writes what stands after the last member.
    fn finish(self: Box<Self>) -> io::Result<Sink>;
}

/// Writes the octets of a member to where it is told.
pub type Content<'a> = dyn FnMut(&mut dyn Write) -> io::Result<()> + 'a;

/// What the archive says about a member, besides its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member<'a> {
    /// As `Names::member` made it.
    pub name: &'a str,
    /// Do not compress: it would save nothing. Containers that compress as a whole ignore this.
    pub store: bool,
    pub mtime: Timestamp,
}

/// A date and time of day as it stands in a Date header, without its zone: zip knows none, and what the
/// sender's clock showed is what a reader expects to see. Fields out of range are brought into range by
/// the container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timestamp {
    pub year: u16,
    /// 1 to 12.
    pub month: u8,
    /// 1 to 31.
    pub day: u8,
    pub hour: u8,
    pub minute: u8,
    /// 0 to 60.
    pub second: u8,
}

impl Default for Timestamp {
    /// The first day that every container can hold, for a mail without a readable Date.
    fn default() -> Self {
        Timestamp {
            year: 1980,
            month: 1,
            day: 1,
            hour: 0,
            minute: 0,
            second: 0,
        }
    }
}

/// Why there is no archive. `E` is the error of a member's content; where none is read there is none.
#[derive(Debug, Error)]
pub enum Error<E = Infallible> {
    #[error("the archive would be larger than {0} octets")]
    Limit(usize),
    #[error("a member could not be read: {0}")]
    Content(E),
    #[error("the archive could not be written: {0}")]
    Container(io::Error),
}

/// Every compressor is fed in blocks of this size. What deflate makes of an input depends on how it was
/// cut (up to 2 % in size), and so the archive would depend on the decoder's chunks; lines of 57 octets,
/// as base64 has them, also cost it 15 % more time.
const BLOCK_OCTETS: usize = 32 * 1024;

/// An archive in the making, all in memory. An error makes it useless: whoever gets one drops it.
pub struct Bundle {
    archive: Box<dyn Archive>,
    limit: usize,
    broken: bool,
    /// Kept from member to member.
    block: Vec<u8>,
}

impl Bundle {
    /// `limit_octets` holds for the finished archive.
    pub fn new(container: &dyn Container, limit_octets: usize) -> Self {
        Bundle {
            archive: container.open(Sink::new(limit_octets)),
            limit: limit_octets,
            broken: false,
            block: Vec::with_capacity(BLOCK_OCTETS),
        }
    }

    /// Appends a member. `content` writes its octets; it must be able to do so more than once (see
    /// `Archive::append`). An error that it made of a failed write is reported as what it was: `Limit` or
    /// `Container`, never `Content`.
    pub fn add<E>(
        &mut self,
        name: &str,
        store: bool,
        mtime: Timestamp,
        content: &mut dyn FnMut(&mut dyn Write) -> Result<(), E>,
    ) -> Result<(), Error<E>> {
        if self.broken {
            return Err(Error::Container(unusable()));
        }
        let member = Member { name, store, mtime };
        let block = &mut self.block;
        let mut own = None;
        let result = self.archive.append(&member, &mut |out| {
            let mut blocks = Blocks::new(out, block);
            match content(&mut blocks) {
                Ok(()) => blocks.finish(),
                Err(error) => Err(blocks.failed.unwrap_or_else(|| {
                    own = Some(error);
                    io::Error::other("the content failed")
                })),
            }
        });
        self.broken = result.is_err();
        match (result, own) {
            (Ok(()), _) => Ok(()),
            (Err(_), Some(error)) => Err(Error::Content(error)),
            (Err(error), None) => Err(self.explain(error)),
        }
    }

    /// The archive. Without members it is an empty archive, not an error.
    pub fn finish(self) -> Result<Vec<u8>, Error> {
        if self.broken {
            return Err(Error::Container(unusable()));
        }
        let limit = self.limit;
        match self.archive.finish().and_then(Sink::into_octets) {
            Ok(octets) => Ok(octets),
            Err(error) if is_limit(&error) => Err(Error::Limit(limit)),
            Err(error) => Err(Error::Container(error)),
        }
    }

    fn explain<E>(&self, error: io::Error) -> Error<E> {
        if is_limit(&error) {
            Error::Limit(self.limit)
        } else {
            Error::Container(error)
        }
    }
}

impl std::fmt::Debug for Bundle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bundle")
            .field("limit", &self.limit)
            .field("broken", &self.broken)
            .finish_non_exhaustive()
    }
}

/// Zip: each member deflated by itself or stored, UTF-8 names, mode 0644, sizes in the local header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Zip {
    /// 0 (store everything) to 9; more counts as 9.
    pub level: u8,
}

impl Container for Zip {
    fn media_type(&self) -> &'static str {
        "application/zip"
    }

    fn extension(&self) -> &'static str {
        "zip"
    }

    fn open(&self, sink: Sink) -> Box<dyn Archive> {
        Box::new(ZipArchive {
            level: self.level.min(9),
            writer: ZipWriter::new(sink),
        })
    }
}

struct ZipArchive {
    level: u8,
    writer: ZipWriter<Sink>,
}

impl Archive for ZipArchive {
    fn append(&mut self, member: &Member, content: &mut Content) -> io::Result<()> {
        // The system is named because the crate would name the one it was built for.
        let options = SimpleFileOptions::default()
            .system(System::Unix)
            .unix_permissions(0o644)
            .last_modified_time(dos_time(member.mtime));
        let options = if member.store || self.level == 0 {
            options.compression_method(CompressionMethod::Stored)
        } else {
            options
                .compression_method(CompressionMethod::Deflated)
                .compression_level(Some(i64::from(self.level)))
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

/// The output of an archive: memory with a limit.
///
/// The write that would pass the limit fails and the octets so far are let go. Later ones are counted and
/// dropped without an error, because a compressor that is dropped flushes into its sink and complains
/// on stderr when it cannot; `into_octets` still says that the limit was passed.
#[derive(Debug)]
pub struct Sink {
    octets: Cursor<Vec<u8>>,
    limit: u64,
    /// Once the limit is passed: where the writer believes to be, and the end it believes to have.
    over: Option<(u64, u64)>,
}

impl Sink {
    fn new(limit: usize) -> Self {
        Sink {
            octets: Cursor::new(Vec::new()),
            limit: u64::try_from(limit).unwrap_or(u64::MAX),
            over: None,
        }
    }

    fn into_octets(self) -> io::Result<Vec<u8>> {
        match self.over {
            Some(_) => Err(LimitPassed.into()),
            None => Ok(self.octets.into_inner()),
        }
    }
}

impl Write for Sink {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        let length = u64::try_from(octets.len()).unwrap_or(u64::MAX);
        if let Some((position, end)) = &mut self.over {
            *position = position.saturating_add(length);
            *end = (*end).max(*position);
            return Ok(octets.len());
        }
        let position = self.octets.position();
        if position.saturating_add(length) <= self.limit {
            return self.octets.write(octets);
        }
        let end = self.octets.get_ref().len();
        self.octets = Cursor::new(Vec::new());
        self.over = Some((position, u64::try_from(end).unwrap_or(u64::MAX)));
        Err(LimitPassed.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for Sink {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let Some((position, end)) = &mut self.over else {
            return self.octets.seek(to);
        };
        let target = match to {
            SeekFrom::Start(offset) => Some(offset),
            SeekFrom::Current(offset) => position.checked_add_signed(offset),
            SeekFrom::End(offset) => end.checked_add_signed(offset),
        };
        *position = target.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(*position)
    }
}

#[derive(Debug, Error)]
#[error("the limit of the archive is passed")]
struct LimitPassed;

impl From<LimitPassed> for io::Error {
    fn from(limit: LimitPassed) -> Self {
        io::Error::new(io::ErrorKind::FileTooLarge, limit)
    }
}

fn is_limit(error: &io::Error) -> bool {
    error
        .get_ref()
        .is_some_and(|inner| inner.is::<LimitPassed>())
}

fn unusable() -> io::Error {
    io::Error::other("an earlier member failed")
}

/// Stands between a content and the archive: gathers what is written into whole blocks, and remembers the
/// archive's error, so that the content can neither hide it nor take it for its own. After an error
/// nothing more is written.
struct Blocks<'a> {
    out: &'a mut dyn Write,
    block: &'a mut Vec<u8>,
    failed: Option<io::Error>,
}

impl<'a> Blocks<'a> {
    fn new(out: &'a mut dyn Write, block: &'a mut Vec<u8>) -> Self {
        block.clear();
        Blocks {
            out,
            block,
            failed: None,
        }
    }

    fn finish(mut self) -> io::Result<()> {
        if self.failed.is_none() {
            self.pass_on();
        }
        self.failed.map_or(Ok(()), Err)
    }

    fn pass_on(&mut self) {
        self.failed = self.out.write_all(self.block).err();
        self.block.clear();
    }
}

impl Write for Blocks<'_> {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        if let Some(error) = &self.failed {
            return Err(error.kind().into());
        }
        let room = BLOCK_OCTETS.saturating_sub(self.block.len());
        let (taken, _) = octets.split_at(octets.len().min(room));
        self.block.extend_from_slice(taken);
        if self.block.len() == BLOCK_OCTETS {
            self.pass_on();
            if let Some(error) = &self.failed {
                return Err(error.kind().into());
            }
        }
        Ok(taken.len())
    }

    /// A flush of the compressor would cost octets and depend on the writer: blocks alone decide.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use proptest::prelude::*;

    use super::*;

    const NOON: Timestamp = Timestamp {
        year: 2026,
        month: 11,
        day: 22,
        hour: 12,
        minute: 34,
        second: 57,
    };
    const PLENTY: usize = 1 << 30;

    type Content<'a> = (&'a str, bool, &'a [u8]);

    fn pack(
        container: &dyn Container,
        limit: usize,
        members: &[Content],
    ) -> Result<Vec<u8>, Error> {
        let mut bundle = Bundle::new(container, limit);
        for (name, store, content) in members {
            let added =
                bundle.add::<io::Error>(name, *store, NOON, &mut |out| out.write_all(content));
            match added {
                Ok(()) => (),
                Err(Error::Limit(limit)) => return Err(Error::Limit(limit)),
                Err(Error::Container(error) | Error::Content(error)) => {
                    return Err(Error::Container(error));
                }
            }
        }
        bundle.finish()
    }

    fn zip(members: &[Content]) -> Vec<u8> {
        pack(&Zip { level: 6 }, PLENTY, members).unwrap()
    }

    /// Text that deflates to about a third, with no long repetition.
    fn prose(octets: usize) -> Vec<u8> {
        let mut state = 1u32;
        let words = std::iter::repeat_with(|| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            format!("{:x} ", (state >> 16) % 4096)
        });
        words.flat_map(String::into_bytes).take(octets).collect()
    }

    fn u16_at(octets: &[u8], at: usize) -> u16 {
        u16::from_le_bytes([octets[at], octets[at + 1]])
    }

    #[test]
    fn what_goes_in_comes_out() {
        let long = prose(300_000);
        let members: &[Content] = &[
            ("report.pdf", false, b"hello"),
            ("Übersicht 見積書.txt", false, &long),
            ("photo.jpg", true, &long),
            ("empty", false, b""),
            ("empty, stored", true, b""),
        ];
        for level in [0, 1, 6, 9, 255] {
            let octets = pack(&Zip { level }, PLENTY, members).unwrap();
            let mut archive = zip::ZipArchive::new(Cursor::new(&octets)).unwrap();
            assert_eq!(archive.len(), members.len());
            for (index, (name, store, content)) in members.iter().enumerate() {
                let mut file = archive.by_index(index).unwrap();
                assert_eq!(file.name().unwrap(), *name);
                assert_eq!(file.unix_mode().unwrap() & 0o777, 0o644);
                assert_eq!(
                    file.last_modified().unwrap().to_string(),
                    "2026-11-22 12:34:56"
                );
                let stored = file.compression() == CompressionMethod::Stored;
                assert_eq!(stored, *store || level == 0, "{name} at level {level}");
                let mut read = Vec::new();
                file.read_to_end(&mut read).unwrap();
                assert!(read == *content, "{name} at level {level}");
            }
        }
        assert_eq!(
            pack(&Zip { level: 255 }, PLENTY, members).unwrap(),
            pack(&Zip { level: 9 }, PLENTY, members).unwrap()
        );
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
        let mut members: Vec<Content> = names
            .iter()
            .map(|name| (name.as_str(), false, &b"x"[..]))
            .collect();
        members.push(("long", false, &long));
        let octets = zip(&members);
        let mut archive = zip::ZipArchive::new(Cursor::new(&octets)).unwrap();
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

    #[test]
    fn a_date_that_dos_cannot_hold_is_brought_into_range() {
        let t = |year, month, day, hour, minute, second| Timestamp {
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
    fn the_limit_is_exact() {
        let long = prose(100_000);
        let members: &[Content] = &[
            ("a", false, b"hello"),
            ("b", false, &long),
            ("c", true, b"more"),
        ];
        let whole = zip(members);
        assert_eq!(
            pack(&Zip { level: 6 }, whole.len(), members).unwrap(),
            whole
        );
        let near_the_end = whole.len().saturating_sub(300)..whole.len();
        for limit in (0..200).chain(near_the_end).chain([30_000]) {
            let result = pack(&Zip { level: 6 }, limit, members);
            assert!(
                matches!(result, Err(Error::Limit(l)) if l == limit),
                "{limit}: {result:?}"
            );
        }
    }

    #[test]
    fn past_the_limit_the_content_is_told_soon_and_the_memory_let_go() {
        let mut bundle = Bundle::new(&Zip { level: 6 }, 1_000);
        let mut written = 0u64;
        let result = bundle.add("a", true, NOON, &mut |out| {
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

    #[test]
    fn a_content_cannot_hide_that_the_limit_was_passed() {
        let mut bundle = Bundle::new(&Zip { level: 6 }, 1_000);
        let result = bundle.add("a", true, NOON, &mut |out| {
            for _ in 0..10_000 {
                let _ = out.write(&[7; 100]);
            }
            Ok::<(), &str>(())
        });
        assert!(matches!(result, Err(Error::Limit(1_000))), "{result:?}");
        assert!(matches!(bundle.finish(), Err(Error::Container(_))));
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
        let mut bundle = Bundle::new(&Zip { level: 6 }, PLENTY);
        bundle
            .add::<&str>("a", false, NOON, &mut |_| Ok(()))
            .unwrap();
        let result = bundle.add("b", false, NOON, &mut |out| {
            out.write_all(&[7; 100_000]).map_err(|_| "write")?;
            Err("base64")
        });
        assert!(
            matches!(result, Err(Error::Content("base64"))),
            "{result:?}"
        );
        let result = bundle.add::<&str>("c", false, NOON, &mut |_| Ok(()));
        assert!(matches!(result, Err(Error::Container(_))), "{result:?}");
        assert!(matches!(bundle.finish(), Err(Error::Container(_))));
    }

    #[test]
    fn a_name_given_twice_is_an_error() {
        let result = pack(
            &Zip { level: 6 },
            PLENTY,
            &[("a", false, b"1"), ("a", false, b"2")],
        );
        assert!(matches!(result, Err(Error::Container(_))), "{result:?}");
    }

    #[test]
    fn a_bundle_without_members_is_an_empty_archive() {
        assert_eq!(zip(&[]), [b"PK\x05\x06".as_slice(), &[0; 18]].concat());
    }

    /// A container that must know a size before the content, as tar must: it asks for the content twice.
    struct Sized;

    struct SizedArchive(Sink);

    impl Container for Sized {
        fn media_type(&self) -> &'static str {
            "application/x-sized"
        }

        fn extension(&self) -> &'static str {
            "sized"
        }

        fn open(&self, sink: Sink) -> Box<dyn Archive> {
            Box::new(SizedArchive(sink))
        }
    }

    impl Archive for SizedArchive {
        fn append(&mut self, member: &Member, content: &mut super::Content) -> io::Result<()> {
            struct Count(usize);
            impl Write for Count {
                fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
                    self.0 += octets.len();
                    Ok(octets.len())
                }
                fn flush(&mut self) -> io::Result<()> {
                    Ok(())
                }
            }
            let mut count = Count(0);
            content(&mut count)?;
            write!(self.0, "{} {}:", member.name, count.0)?;
            content(&mut self.0)
        }

        fn finish(mut self: Box<Self>) -> io::Result<Sink> {
            self.0.write_all(b"end")?;
            Ok(self.0)
        }
    }

    #[test]
    fn another_container_fits_behind_the_same_bundle() {
        let members: &[Content] = &[("a", false, b"hello"), ("b", true, b""), ("c", false, b"!")];
        assert_eq!(pack(&Sized, 25, members).unwrap(), b"a 5:hellob 0:c 1:!end");
        let long = prose(100_000);
        let octets = pack(&Sized, PLENTY, &[("long", false, &long)]).unwrap();
        assert_eq!(octets, [b"long 100000:", &long[..], b"end"].concat());
        for limit in 0..21 {
            assert!(
                matches!(pack(&Sized, limit, members), Err(Error::Limit(_))),
                "{limit}"
            );
        }
        assert!(pack(&Sized, 21, members).is_ok());
        assert_eq!(
            (Sized.media_type(), Sized.extension()),
            ("application/x-sized", "sized")
        );
        assert_eq!(
            (Zip { level: 6 }.media_type(), Zip { level: 6 }.extension()),
            ("application/zip", "zip")
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]

        #[test]
        fn the_octets_do_not_depend_on_the_chunks(
            content in prop_oneof![(0usize..200_000).prop_map(prose), prop::collection::vec(any::<u8>(), 0..1000)],
            chunk in prop_oneof![1usize..100, 1_000usize..100_000],
            flush in any::<bool>(),
            level in 0u8..=9,
        ) {
            let whole = pack(&Zip { level }, PLENTY, &[("a", false, &content)]).unwrap();
            let mut bundle = Bundle::new(&Zip { level }, PLENTY);
            bundle.add::<io::Error>("a", false, NOON, &mut |out| {
                for chunk in content.chunks(chunk) {
                    out.write_all(chunk)?;
                    if flush {
                        out.flush()?;
                    }
                }
                Ok(())
            }).unwrap();
            prop_assert!(bundle.finish().unwrap() == whole);
        }
    }
}
