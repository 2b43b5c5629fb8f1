//! What a rule for "the attachments" leaves alone: parts that mail programs use and people do not open. An invitation is an answer
//! form, a signature and a key are checked by programs, winmail.dat is unpacked by Outlook.
//!
//! They are known by type and, where the type says nothing, by name. A part that some program could take for something
//! else is not left alone.
//!
//! Must never: leave a part alone because only one of its names is harmless.

use mimicry_core::message::Part;

/// Types of such parts.
const TYPES: &[&str] = &[
    "text/calendar",
    "text/x-vcalendar",
    "application/ics",
    "application/pgp-signature",
    "application/pgp-keys",
    "application/pgp-encrypted",
    "application/pkcs7-signature",
    "application/x-pkcs7-signature",
    "application/ms-tnef",
    "application/vnd.ms-tnef",
];

/// Types by which programs know nothing of a part, and look at its name.
const GENERIC: &[&str] = &[
    "application/octet-stream",
    "application/binary",
    "application/download",
    "application/force-download",
    "application/unknown",
    "application/x-download",
    "application/x-unknown",
    "application/applefile",
    "text/plain",
];

/// Ends of the names of such parts, in lower case.
const ENDS: &[&str] = &[".ics", ".vcs", ".ifb", ".p7s", ".asc", ".sig"];

/// Whole names of such parts, in lower case.
const NAMES: &[&str] = &[
    "winmail.dat",
    "win.dat",
    "openpgp_signature",
    "pgp-signature",
    "signature",
];

/// Is it such a part, to every program.
pub fn is_left_alone(part: Part<'_>) -> bool {
    let types = part.media_types();
    let is_one_of = |list: &[&str]| types.iter().all(|own| list.contains(&own.as_str()));
    let names = part.names();
    let is_known = |name: &str| {
        let name = name.trim().to_lowercase();
        NAMES.contains(&name.as_str()) || ENDS.iter().any(|end| name.ends_with(end))
    };
    // A name without an extension says nothing that the type does not say.
    let says_nothing = |name: &str| !name.contains('.');
    if is_one_of(TYPES) {
        return names.is_empty() && names.unread().is_none()
            || names.every(|name| is_known(name) || says_nothing(name));
    }
    is_one_of(GENERIC) && names.every(is_known)
}

#[cfg(test)]
mod tests {
    use mimicry_core::message::{Limits, Message};

    use super::*;

    fn of(header: &str) -> bool {
        let mail = format!("{header}\n\nx\n").replace('\n', "\r\n");
        let message = Message::scan(mail.into_bytes(), &Limits::default());
        is_left_alone(message.root())
    }

    #[test]
    fn by_type_and_by_name() {
        for (header, expected) in [
            ("Content-Type: text/calendar; method=REQUEST", true),
            ("Content-Type: text/calendar; name=invite.ics", true),
            ("Content-Type: text/calendar; name=invite", true),
            ("Content-Type: text/calendar; name=setup.exe", false),
            (
                "Content-Type: application/pgp-keys; name=\"OpenPGP_0x12.asc\"",
                true,
            ),
            (
                "Content-Type: application/x-pkcs7-signature; name=smime.p7s",
                true,
            ),
            ("Content-Type: application/ms-tnef; name=WINMAIL.DAT", true),
            (
                "Content-Type: application/octet-stream; name=invite.ics",
                true,
            ),
            (
                "Content-Type: application/octet-stream; name=Invite.ICS",
                true,
            ),
            (
                "Content-Type: application/octet-stream; name=smime.p7s",
                true,
            ),
            (
                "Content-Type: application/octet-stream; name=signature.asc",
                true,
            ),
            (
                "Content-Type: application/octet-stream; name=winmail.dat",
                true,
            ),
            (
                "Content-Type: application/octet-stream\nContent-Disposition: attachment; filename=\"winmail.dat\"",
                true,
            ),
            ("Content-Type: text/plain; name=invite.ics", true),
            ("Content-Type: text/html; name=invite.ics", false),
            ("Content-Type: application/pdf; name=signature.asc", false),
            ("Content-Type: application/octet-stream", false),
            (
                "Content-Type: application/octet-stream; name=data.dat",
                false,
            ),
            (
                "Content-Type: application/octet-stream; name=invite.ics.exe",
                false,
            ),
            (
                "Content-Type: application/octet-stream; name=invite.ics\nContent-Disposition: attachment; filename=setup.exe",
                false,
            ),
            (
                "Content-Type: text/calendar; name=invite.ics\nContent-Disposition: attachment; filename=setup.exe",
                false,
            ),
            (
                "Content-Type: text/calendar\nContent-Type: application/x-msdownload",
                false,
            ),
            (
                "Content-Type: application/pkcs7-mime; name=smime.p7m",
                false,
            ),
        ] {
            assert_eq!(of(header), expected, "{header}");
        }
    }
}
