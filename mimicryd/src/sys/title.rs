//! What ps shows of this process: the memory of its arguments is overwritten.
//!
//! Known limits: a title is cut to the length of the arguments that the program was started with; and `std::env::args`
//! returns the title afterwards, so arguments must be read before.

use std::fs;
use std::ptr;
use std::sync::OnceLock;

use super::process;

/// Address and length of the arguments; `None` = unknown, titles are then not shown.
static AREA: OnceLock<Option<(usize, usize)>> = OnceLock::new();

/// Shows a title from now on. The first call must come before the process gives up its privileges, since it reads
/// /proc/self. Costs no system call afterwards.
pub fn set(title: &str) {
    let Some((start, room)) = *AREA.get_or_init(find) else {
        return;
    };
    let used = title.len().min(room.saturating_sub(1));
    let start = ptr::with_exposed_provenance_mut::<u8>(start);
    // SAFETY: `find` saw that these `room` octets are the arguments of this process. The kernel mapped them writable for
    // the life of the process; nothing but std's view of the arguments refers to them, and it is read by this only
    // thread at other times. `used` is less than `room`.
    unsafe {
        ptr::copy_nonoverlapping(title.as_ptr(), start, used);
        ptr::write_bytes(start.add(used), 0, room - used);
    }
}

/// Fields 48 and 49 of proc(5). The octets there are compared with what the kernel says the arguments are.
fn find() -> Option<(usize, usize)> {
    let fields = process::stat_fields()?;
    let start: usize = fields.get(45)?.parse().ok()?;
    let end: usize = fields.get(46)?.parse().ok()?;
    let room = end.checked_sub(start)?;
    let arguments = fs::read("/proc/self/cmdline").ok()?;
    if start == 0 || room == 0 || arguments.len() != room {
        return None;
    }
    let area = ptr::with_exposed_provenance::<u8>(start);
    // SAFETY: the kernel says that the arguments of this process begin here and have this length, so the octets are
    // mapped and initialised; they are only read, and by the only thread.
    let there = unsafe { std::slice::from_raw_parts(area, room) };
    (there == arguments).then_some((start, room))
}
