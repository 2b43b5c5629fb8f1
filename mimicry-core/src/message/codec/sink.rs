//! Where decoded octets go: memory, a count, or a writer in pieces.
//!
//! Must never: hold more than one piece for a writer.

use std::io;

/// Where decoded octets go; a decoder is compiled once for each.
pub(super) trait Sink {
    fn octet(&mut self, octet: u8) -> Result<(), Stop>;
    fn octets(&mut self, octets: &[u8]) -> Result<(), Stop>;

    /// The first `length` of these octets.
    #[inline]
    fn first(&mut self, octets: &[u8], length: usize) -> Result<(), Stop> {
        self.octets(octets.get(..length).unwrap_or(octets))
    }
}

#[derive(Debug)]
pub(super) enum Stop {
    Malformed,
    Sink(io::Error),
}

impl Sink for Vec<u8> {
    fn octet(&mut self, octet: u8) -> Result<(), Stop> {
        self.push(octet);
        Ok(())
    }

    fn octets(&mut self, octets: &[u8]) -> Result<(), Stop> {
        self.extend_from_slice(octets);
        Ok(())
    }

    /// A few octets are copied with some behind them, which are taken off again: that takes no call, as a length that is not known
    /// before does.
    #[inline]
    fn first(&mut self, octets: &[u8], length: usize) -> Result<(), Stop> {
        match octets.first_chunk::<32>() {
            Some(chunk) if length <= chunk.len() => {
                let end = self.len() + length;
                self.extend_from_slice(chunk);
                self.truncate(end);
                Ok(())
            }
            _ => self.octets(octets.get(..length).unwrap_or(octets)),
        }
    }
}

pub(super) struct Count(pub(super) u64);

impl Sink for Count {
    fn octet(&mut self, _: u8) -> Result<(), Stop> {
        self.0 += 1;
        Ok(())
    }

    fn octets(&mut self, octets: &[u8]) -> Result<(), Stop> {
        self.0 += octets.len() as u64;
        Ok(())
    }
}

pub(super) const BUFFER: usize = 16 * 1024;

pub(super) struct Buffered<'a> {
    sink: &'a mut dyn io::Write,
    /// Never larger than [`BUFFER`].
    buffer: Vec<u8>,
    pub(super) written: u64,
}

impl<'a> Buffered<'a> {
    pub(super) fn new(sink: &'a mut dyn io::Write) -> Buffered<'a> {
        Buffered {
            sink,
            buffer: Vec::with_capacity(BUFFER),
            written: 0,
        }
    }

    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.sink.write_all(&self.buffer)?;
        self.written += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }
}

impl Sink for Buffered<'_> {
    fn octet(&mut self, octet: u8) -> Result<(), Stop> {
        self.octets(&[octet])
    }

    fn octets(&mut self, octets: &[u8]) -> Result<(), Stop> {
        for chunk in octets.chunks(BUFFER) {
            if chunk.len() > BUFFER - self.buffer.len() {
                self.flush().map_err(Stop::Sink)?;
            }
            self.buffer.extend_from_slice(chunk);
        }
        Ok(())
    }
}
