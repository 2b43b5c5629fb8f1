//! Gzip (RFC 1952) with a switch: content that is compressed already is written as stored blocks in the same stream.
//!
//! flate2's own writer cannot change its level on the way. Here a compressor is flushed to the end of an octet and
//! another one continues after it; for a reader it is one deflate stream.
//!
//! Must never: write a name, a time or a comment into the header.

use std::io::{self, Write};

use flate2::{Compress, Compression, Crc, FlushCompress, Status};

use super::Sink;

/// Octets that come out of the compressor at once.
const OUT_OCTETS: usize = 32 * 1024;

pub(super) struct Gzip {
    sink: Sink,
    level: u8,
    storing: bool,
    compress: Compress,
    crc: Crc,
    out: Vec<u8>,
}

impl Gzip {
    /// `level` is 0 (store everything) to 9; more counts as 9.
    pub(super) fn new(mut sink: Sink, level: u8) -> Self {
        // Deflate; no flags, no time, no extra flags, unknown system. A sink that is too small for them says so at the end.
        let _ = sink.write_all(&[0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 0xFF]);
        let level = level.min(9);
        Gzip {
            sink,
            level,
            storing: false,
            compress: compressor(level),
            crc: Crc::new(),
            out: vec![0; OUT_OCTETS],
        }
    }

    /// Whether what follows is compressed.
    pub(super) fn store(&mut self, storing: bool) -> io::Result<()> {
        if storing == self.storing || self.level == 0 {
            return Ok(());
        }
        self.run(&[], FlushCompress::Sync)?;
        self.storing = storing;
        self.compress = compressor(if storing { 0 } else { self.level });
        Ok(())
    }

    pub(super) fn finish(mut self) -> io::Result<Sink> {
        self.run(&[], FlushCompress::Finish)?;
        self.sink.write_all(&self.crc.sum().to_le_bytes())?;
        self.sink.write_all(&self.crc.amount().to_le_bytes())?;
        Ok(self.sink)
    }

    fn run(&mut self, mut input: &[u8], flush: FlushCompress) -> io::Result<()> {
        loop {
            let (read, written) = (self.compress.total_in(), self.compress.total_out());
            let status = self.compress.compress(input, &mut self.out, flush)?;
            let step = |from: u64, to: u64| usize::try_from(to.saturating_sub(from)).unwrap_or(0);
            let read = step(read, self.compress.total_in());
            let written = step(written, self.compress.total_out());
            self.sink
                .write_all(self.out.get(..written).unwrap_or_default())?;
            input = input.get(read..).unwrap_or_default();
            // A full buffer may hide that there is more to come.
            let at_rest = input.is_empty() && written < self.out.len();
            if status == Status::StreamEnd || (at_rest && !matches!(flush, FlushCompress::Finish)) {
                return Ok(());
            }
        }
    }
}

impl Write for Gzip {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.run(octets, FlushCompress::None)?;
        self.crc.update(octets);
        Ok(octets.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Deflate without a header of its own.
fn compressor(level: u8) -> Compress {
    Compress::new(Compression::new(u32::from(level)), false)
}
