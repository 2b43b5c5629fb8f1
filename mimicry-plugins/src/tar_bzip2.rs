//! TarBzip2: the parts that a rule takes go into one tar archive, compressed by bzip2.
//!
//! All of the work is shared; this file says what is particular about bzip2. Must never: do any of it by itself.

use mimicry_core::plugin::{OptionSpec, Options};

use crate::shared::bundle::{Compression, Container, Tar};
use crate::shared::pack::{self, Pack};

/// The kind.
pub const TAR_BZIP2: Pack = Pack {
    name: "tar_bzip2",
    summary: "puts the parts into one tar archive, compressed by bzip2",
    options: &OPTIONS,
    container,
};

const OPTIONS: [OptionSpec; 2 + pack::SHARED.len()] = pack::with_shared(&[
    pack::name("\"attachments.tar.bz2\""),
    pack::level(
        1,
        "The size of the blocks that are compressed at once, in steps of 100,000 octets.",
    ),
]);

fn container(options: &Options) -> Box<dyn Container> {
    Box::new(Tar {
        compression: Compression::Bzip2,
        level: pack::level_of(options),
    })
}
