//! The plugins of mimicry. Adding one = one file here, one line in [`REGISTRY`], one section in
//! `man/mimicry-plugins.7`, one commented sample in `etc/mimicry.toml`; a test fails if any of these is missing.
//!
//! A plugin must never import another plugin (only [`shared`]) or the daemon.

#![forbid(unsafe_code)]

use mimicry_core::registry::Registry;

mod arc_seal;
mod archive;
mod banner;
mod disclaim;
mod dkim_sign;
mod header;
mod ignore_mail;
mod keep;
mod message_instance;
mod pgp_encrypt;
mod pgp_sign;
mod remove;
pub mod shared;
mod smime_encrypt;
mod smime_sign;
mod tar_bzip2;
mod tar_gzip;
mod zip;

/// All plugins, in documentation order.
pub const REGISTRY: Registry = Registry(&[
    &ignore_mail::IgnoreMail,
    &keep::Keep,
    &disclaim::Disclaim,
    &zip::ZIP,
    &tar_gzip::TAR_GZIP,
    &tar_bzip2::TAR_BZIP2,
    &remove::Remove,
    &archive::Archive,
    &header::Header,
    &banner::Banner,
    &pgp_sign::PgpSign,
    &pgp_encrypt::PgpEncrypt,
    &smime_sign::SmimeSign,
    &smime_encrypt::SmimeEncrypt,
    &dkim_sign::DkimSign,
    &arc_seal::ArcSeal,
    &message_instance::MessageInstance,
]);
