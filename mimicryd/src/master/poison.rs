//! What the master knows of mails that killed workers: the table that the workers ask, and how far the disk has it.
//!
//! Must never: decide anything, see [`blame`](super::blame).

#![forbid(unsafe_code)]

use std::io;
use std::time::Instant;

use crate::prefork::poison::Table;

/// What the master knows of such mails.
#[derive(Debug)]
pub struct Poison {
    pub table: Table,
    pub is_saved: bool,
    pub saved: Option<Instant>,
    pub swept: Option<Instant>,
    pub has_complained: bool,
}

impl Poison {
    pub fn new() -> io::Result<Poison> {
        Ok(Poison {
            table: Table::new()?,
            is_saved: true,
            saved: None,
            swept: None,
            has_complained: false,
        })
    }
}
