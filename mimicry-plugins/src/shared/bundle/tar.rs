//! Tar (POSIX.1-2001), compressed as a whole by gzip or bzip2.
//!
//! A name of ASCII with at most 100 octets stands in the ustar header, any other in a PAX record. Owner 0 without a
//! name, mode 0644. Bzip2 cannot store, so there every member is compressed.
//!
//! Must never: write anything that depends on this machine: its users, its clock, its umask.

use std::io::{self, Write};

use bzip2::write::BzEncoder;
use tar::{Builder, EntryType, Header};

use super::gzip::Gzip;
use super::{Archive, Container, Content, Member, Sink};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tar {
    pub compression: Compression,
    /// 0 to 9, of bzip2 1 to 9; what lies outside counts as the nearest.
    pub level: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    Gzip,
    Bzip2,
}

impl Container for Tar {
    fn media_type(&self) -> &'static str {
        match self.compression {
            Compression::Gzip => "application/gzip",
            Compression::Bzip2 => "application/x-bzip2",
        }
    }

    fn extensions(&self) -> &'static [&'static str] {
        match self.compression {
            Compression::Gzip => &["tar.gz", "tgz"],
            Compression::Bzip2 => &["tar.bz2", "tbz2", "tbz"],
        }
    }

    fn stores(&self) -> bool {
        self.compression == Compression::Gzip
    }

    fn open(&self, sink: Sink) -> Box<dyn Archive> {
        let stream = match self.compression {
            Compression::Gzip => Stream::Gzip(Gzip::new(sink, self.level)),
            Compression::Bzip2 => {
                let level = bzip2::Compression::new(u32::from(self.level.clamp(1, 9)));
                Stream::Bzip2(BzEncoder::new(sink, level))
            }
        };
        Box::new(TarArchive(Builder::new(stream)))
    }
}

struct TarArchive(Builder<Stream>);

impl Archive for TarArchive {
    fn append(&mut self, member: &Member, content: &mut Content) -> io::Result<()> {
        if !member.name.is_ascii() || member.name.len() > NAME_OCTETS {
            self.0
                .append_pax_extensions([("path", member.name.as_bytes())])?;
        }
        let mut header = Header::new_ustar();
        header.set_entry_type(EntryType::Regular);
        header.set_path(short(member.name))?;
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_size(member.size);
        header.set_mtime(member.mtime.unix.min(LAST_MOMENT));
        header.set_cksum();
        let stream = self.0.get_mut();
        stream.write_all(header.as_bytes())?;
        stream.store(member.store)?;
        content(stream)?;
        stream.store(false)?;
        let behind = usize::try_from(member.size % BLOCK as u64).unwrap_or(0);
        let padding = [0; BLOCK];
        match behind {
            0 => Ok(()),
            _ => stream.write_all(padding.get(behind..).unwrap_or_default()),
        }
    }

    fn finish(self: Box<Self>) -> io::Result<Sink> {
        match self.0.into_inner()? {
            Stream::Gzip(gzip) => gzip.finish(),
            Stream::Bzip2(bzip2) => bzip2.finish(),
        }
    }
}

const BLOCK: usize = 512;
/// Of the ustar header's name.
const NAME_OCTETS: usize = 100;
/// The last one that eleven octal digits hold.
const LAST_MOMENT: u64 = (1 << 33) - 1;

/// The name for a reader that knows no PAX records.
fn short(name: &str) -> String {
    name.chars()
        .map(|c| if c.is_ascii() { c } else { '_' })
        .take(NAME_OCTETS)
        .collect()
}

enum Stream {
    Gzip(Gzip),
    Bzip2(BzEncoder<Sink>),
}

impl Stream {
    fn store(&mut self, storing: bool) -> io::Result<()> {
        match self {
            Stream::Gzip(gzip) => gzip.store(storing),
            Stream::Bzip2(_) => Ok(()),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Gzip(gzip) => gzip.write(octets),
            Stream::Bzip2(bzip2) => bzip2.write(octets),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
