//! Where decoded octets go: memory, a count, or a writer in pieces.
//!
//! Must never: hold more than one piece for a writer.

use std::io;

/// Where decoded octets go; a decoder is compiled once for each.
pub(super) trait Sink {
    fn octet(&mut self, octet: u8) -> Result<(), Stop>;
    fn octets(&mut self, octets: &[u8]) -> Result<(), Stop>;
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
    pub(super) sink: &'a mut dyn io::Write,
    pub(super) buffer: [u8; BUFFER],
    pub(super) used: usize,
    pub(super) written: u64,
}

impl Buffered<'_> {
    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.sink
            .write_all(self.buffer.get(..self.used).unwrap_or_default())?;
        self.written += self.used as u64;
        self.used = 0;
        Ok(())
    }
}

impl Sink for Buffered<'_> {
    fn octet(&mut self, octet: u8) -> Result<(), Stop> {
        self.octets(&[octet])
    }

    fn octets(&mut self, octets: &[u8]) -> Result<(), Stop> {
        for chunk in octets.chunks(BUFFER) {
            if chunk.len() > BUFFER - self.used {
                self.flush().map_err(Stop::Sink)?;
            }
            if let Some(room) = self.buffer.get_mut(self.used..self.used + chunk.len()) {
                room.copy_from_slice(chunk);
                self.used += chunk.len();
            }
        }
        Ok(())
    }
}
