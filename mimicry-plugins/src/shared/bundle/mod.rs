//! One archive out of many parts, whatever the container.
//!
//! `Bundle` is what the Zip and Tar plugins share: members go in one after the other, each streamed through the
//! compressor as it is decoded, and one `Vec<u8>` comes out. What differs between the containers is behind the trait
//! `Container`, one short file each: `zip`, `tar` (over `gzip` or bzip2).
//!
//! The same members give the same octets, unless there is a password. Must never hold a decoded member
//! whole, let the output outgrow its limit, or hand out an archive of which a member is not complete. It
//! does not look at names: they come from `Names`, which makes them safe and unique (a name given twice
//! is an error here, not a loss).

mod gzip;
mod tar;
mod zip;

use std::collections::HashSet;
use std::convert::Infallible;
use std::io::{self, Cursor, Seek, SeekFrom, Write};

use thiserror::Error;

pub use self::tar::{Compression, Tar};
pub use self::zip::Zip;

/// A format that can hold a bundle, with its settings.
pub trait Container: std::fmt::Debug + Send + Sync {
    /// The media type of the finished archive, such as `application/zip`.
    fn media_type(&self) -> &'static str;

    /// What its file name may end in, without the dot; the usual first.
    fn extensions(&self) -> &'static [&'static str];

    /// Can it hold a member that is not compressed (see `Member::store`)?
    fn stores(&self) -> bool {
        true
    }

    /// Is the archive there to keep its members from others?
    fn is_secret(&self) -> bool {
        false
    }

    /// Begins an archive that is written to `sink`.
    fn open(&self, sink: Sink) -> Box<dyn Archive>;
}

/// An archive that is being written.
pub trait Archive {
    /// Appends one member. `content` writes the member's octets and is called once. After an error the
    /// archive is only dropped.
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
    /// Octets of the content.
    pub size: u64,
    /// Do not compress: it would save nothing. Containers that cannot store ignore this.
    pub store: bool,
    pub mtime: Timestamp,
}

/// When a mail was sent: the moment, and the date and time of day as they stand in its Date header. Zip knows
/// no zones, and what the sender's clock showed is what a reader expects to see. Fields out of range are
/// brought into range by the container.
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
    /// Seconds since 1970, UTC.
    pub unix: u64,
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
            unix: 315_532_800,
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
    names: HashSet<String>,
    /// Kept from member to member.
    block: Vec<u8>,
}

impl Bundle {
    #[cfg(test)]
    fn new(container: &dyn Container, limit_octets: usize) -> Self {
        Bundle::with_room(container, limit_octets, 0)
    }

    /// `limit_octets` holds for the finished archive. It is made in memory for so many octets: what becomes of the archive may want more than itself.
    pub fn with_room(container: &dyn Container, limit_octets: usize, room: usize) -> Self {
        Bundle {
            archive: container.open(Sink::with_room(limit_octets, room)),
            limit: limit_octets,
            broken: false,
            names: HashSet::new(),
            block: Vec::with_capacity(BLOCK_OCTETS),
        }
    }

    /// Appends a member. An error that `content` made of a failed write is reported as what it was: `Limit` or
    /// `Container`, never `Content`.
    pub fn add<E>(
        &mut self,
        member: &Member,
        content: &mut dyn FnMut(&mut dyn Write) -> Result<(), E>,
    ) -> Result<(), Error<E>> {
        if self.broken {
            return Err(Error::Container(unusable()));
        }
        if !self.names.insert(member.name.to_owned()) {
            self.broken = true;
            let twice = format!("the name {} is given twice", member.name);
            return Err(Error::Container(io::Error::other(twice)));
        }
        let block = &mut self.block;
        let mut own = None;
        let result = self.archive.append(member, &mut |out| {
            let mut blocks = Blocks::new(out, block);
            match content(&mut blocks) {
                Ok(()) => blocks.finish(member.size),
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
    #[cfg(test)]
    fn new(limit: usize) -> Self {
        Sink::with_room(limit, 0)
    }

    fn with_room(limit: usize, room: usize) -> Self {
        Sink {
            octets: Cursor::new(Vec::with_capacity(room)),
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
    /// Octets passed on so far.
    length: u64,
    failed: Option<io::Error>,
}

impl<'a> Blocks<'a> {
    fn new(out: &'a mut dyn Write, block: &'a mut Vec<u8>) -> Self {
        block.clear();
        Blocks {
            out,
            block,
            length: 0,
            failed: None,
        }
    }

    /// A member's size stands before its content in some containers: a wrong one would be a broken archive.
    fn finish(mut self, size: u64) -> io::Result<()> {
        if self.failed.is_none() {
            self.pass_on();
        }
        match self.failed {
            Some(error) => Err(error),
            None if self.length != size => Err(io::Error::other("a member has another size")),
            None => Ok(()),
        }
    }

    fn pass_on(&mut self) {
        self.failed = self.out.write_all(self.block).err();
        let length = u64::try_from(self.block.len()).unwrap_or(u64::MAX);
        self.length = self.length.saturating_add(length);
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
mod tests;
