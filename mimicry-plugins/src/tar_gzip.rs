//! TarGzip: the parts that a rule takes go into one tar archive, compressed by gzip.
//!
//! All of the work is shared; this file says what is particular about gzip. Must never: do any of it by itself.

use mimicry_core::plugin::{OptionSpec, Options};

use crate::shared::bundle::{Compression, Container, Tar};
use crate::shared::pack::{self, Pack};

/// The kind.
pub const TAR_GZIP: Pack = Pack {
    name: "tar_gzip",
    summary: "puts the parts into one tar archive, compressed by gzip",
    options: &OPTIONS,
    container,
};

const OPTIONS: [OptionSpec; 2 + pack::SHARED.len()] = pack::with_shared(&[
    pack::name("\"attachments.tar.gz\""),
    pack::level(0, "How hard to compress: 0 stores, 9 takes the most time."),
]);

fn container(options: &Options) -> Box<dyn Container> {
    Box::new(Tar {
        compression: Compression::Gzip,
        level: pack::level_of(options),
    })
}
