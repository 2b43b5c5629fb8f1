//! The parameters of MAIL and RCPT, made fit for what a next hop can do (its reply to EHLO). What becomes of those of an extension
//! that it lacks is a column of the table in core (`extension.rs`). Three are more than that:
//!
//! **SMTPUTF8.** Without it the next hop takes no mail with an address or a header field in UTF-8; a mail that has none is any other
//! mail, whatever its client asked for. The sender is looked at here, the others where they are known.
//!
//! **BODY.** A next hop without 8BITMIME takes 7 bits only, whatever the client said of the message: the caller is told so.
//!
//! **SIZE.** MAIL goes out at the first RCPT, before the message is there and was edited, so that the true size is not known.
//! To declare less than will come is wrong (RFC 1870 section 6.1), to declare nothing takes from the next hop the chance to
//! refuse for want of room or quota while the recipients are named. So the client's size and some room for what the rules
//! and the trace field add is declared ([`Size::Declared`]), never beyond the next hop's own limit if the mail as it came is within
//! it; and if it is beyond, nothing is declared: a rule may make it smaller, and the next hop judges what comes. A client
//! that declares nothing makes us declare nothing. Where the message is known already (a next hop that is addressed a
//! second time), its true size is given.
//!
//! Must never: change a parameter that the next hop knows, other than SIZE.

use mimicry_core::envelope::Path;
use mimicry_core::extension::{Bearer, Extension, Extensions, Lacking, Parameter};
use mimicry_core::reply::Reply;

/// Parameters for a next hop.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MailParams {
    /// Of MAIL; empty = none.
    pub params: Vec<u8>,
    /// The next hop takes 7 bits only.
    pub needs_7bit: bool,
    /// SMTPUTF8 was asked for and is not there: the header must do without, too.
    pub needs_ascii_header: bool,
}

/// What is known of a mail's size when MAIL goes out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// The client declared none.
    Unknown,
    /// Octets that the client declared, and how many more the rules may make of them.
    Declared { octets: u64, growth: u64 },
    /// Octets of the message as it will be sent.
    Exact(u64),
}

/// Octets that rules and the trace field are taken to add when a size is declared before they have run.
pub const GROWTH: u64 = 16 * 1024;

impl Size {
    /// The SIZE to give to a next hop.
    pub fn to_declare(self, capabilities: &Extensions) -> Option<u64> {
        let limit = capabilities.size()?;
        match self {
            Size::Unknown => None,
            Size::Exact(octets) => Some(octets),
            Size::Declared { octets, growth } if capabilities.takes(octets) => {
                let grown = octets.saturating_add(growth);
                Some(if limit > 0 { grown.min(limit) } else { grown })
            }
            Size::Declared { .. } => None,
        }
    }
}

/// The parameters of MAIL as they came, made fit for a next hop. `sender` = the path that they come with.
pub fn outgoing_mail_params(
    incoming: &[u8],
    sender: &Path,
    capabilities: &Extensions,
    size: Size,
) -> Result<MailParams, Reply> {
    let mut outgoing = MailParams {
        params: Vec::new(),
        needs_7bit: !capabilities.contains(Extension::EightBitMime),
        needs_ascii_header: false,
    };
    let is_needed = !sender.as_bytes().is_ascii();
    let mut size = size;
    for word in words(incoming) {
        let (keyword, value) = keyword_and_value(word);
        let parameter = Parameter::from_keyword(Bearer::Mail, keyword);
        if parameter == Some(Parameter::Body)
            && outgoing.needs_7bit
            && !value.eq_ignore_ascii_case(b"7BIT")
        {
            // It will grow by up to a third, and nobody knows yet by how much.
            size = match size {
                Size::Declared { .. } => Size::Unknown,
                known => known,
            };
        }
        if parameter != Some(Parameter::Size) {
            let passes = passes(parameter, capabilities, is_needed)?;
            outgoing.needs_ascii_header |= !passes && parameter == Some(Parameter::SmtpUtf8);
            if passes {
                push(&mut outgoing.params, word);
            }
        }
    }
    if let Some(size) = size.to_declare(capabilities) {
        push(&mut outgoing.params, format!("SIZE={size}").as_bytes());
    }
    Ok(outgoing)
}

/// The parameters of RCPT as they came, made fit for a next hop.
pub fn outgoing_rcpt_params(incoming: &[u8], capabilities: &Extensions) -> Result<Vec<u8>, Reply> {
    let mut params = Vec::with_capacity(incoming.len());
    for word in words(incoming) {
        let (keyword, _) = keyword_and_value(word);
        if passes(
            Parameter::from_keyword(Bearer::Rcpt, keyword),
            capabilities,
            false,
        )? {
            push(&mut params, word);
        }
    }
    Ok(params)
}

/// Does a parameter go out? `Err` is what the transaction is refused with. One that we do not know does: nobody asked us about it.
fn passes(
    parameter: Option<Parameter>,
    capabilities: &Extensions,
    is_needed: bool,
) -> Result<bool, Reply> {
    let Some(extension) = parameter.map(Parameter::extension) else {
        return Ok(true);
    };
    match (capabilities.contains(extension), extension.row().lacking) {
        (true, _) => Ok(true),
        (false, Lacking::NeededOrDropped(own)) if is_needed => Err(own.reply()),
        (false, _) => Ok(false),
    }
}

fn words(params: &[u8]) -> impl Iterator<Item = &[u8]> {
    params
        .split(|octet| *octet == b' ')
        .filter(|word| !word.is_empty())
}

/// A value that is missing is empty.
fn keyword_and_value(word: &[u8]) -> (&[u8], &[u8]) {
    let (keyword, value) = match memchr::memchr(b'=', word) {
        Some(sign) => word.split_at_checked(sign).unwrap_or((word, b"")),
        None => (word, &b""[..]),
    };
    (keyword, value.strip_prefix(b"=").unwrap_or(value))
}

fn push(params: &mut Vec<u8>, word: &[u8]) {
    if !params.is_empty() {
        params.push(b' ');
    }
    params.extend_from_slice(word);
}

#[cfg(test)]
mod tests {
    use mimicry_core::reply::Own;

    use super::*;

    fn offered(text: &str) -> Extensions {
        Extensions::from_lines(text.split('|').map(str::as_bytes))
    }

    #[test]
    fn parameters_of_mail() {
        let full = "mx|SIZE 1000|8BITMIME|SMTPUTF8|DSN|AUTH PLAIN";
        let verbatim = "body=8bitmime SMTPUTF8 RET=HDRS ENVID=a+2Bb AUTH=<>";
        for (offer, incoming, size, expected) in [
            (full, verbatim, None, Ok::<_, &str>((verbatim, false))),
            (full, "SIZE=5", None, Ok(("", false))),
            (full, "SIZE=5", Some(9), Ok(("SIZE=9", false))),
            (
                full,
                "size=5  RET=FULL ",
                Some(9),
                Ok(("RET=FULL SIZE=9", false)),
            ),
            (full, "X-NEW=1", Some(9), Ok(("X-NEW=1 SIZE=9", false))),
            (full, "", None, Ok(("", false))),
            ("mx", "SIZE=5", Some(9), Ok(("", true))),
            (
                "mx",
                "RET=HDRS ENVID=x AUTH=<> X=1",
                None,
                Ok(("X=1", true)),
            ),
            ("mx", "BODY=8BITMIME", None, Ok(("", true))),
            ("mx|SIZE", "BODY=8BITMIME", Some(9), Ok(("SIZE=9", true))),
            ("mx", "BODY=7bit", None, Ok(("", true))),
            ("mx|8BITMIME", "BODY=7BIT", None, Ok(("BODY=7BIT", false))),
            // T197: the sender decides.
            ("mx|8BITMIME", "SMTPUTF8", None, Ok(("", false))),
            (
                "mx|8BITMIME",
                "AUTHX=1 RETURN=2",
                None,
                Ok(("AUTHX=1 RETURN=2", false)),
            ),
        ] {
            let size = size.map_or(Size::Unknown, Size::Exact);
            let sender = Path::new("a@b");
            let outgoing =
                outgoing_mail_params(incoming.as_bytes(), &sender, &offered(offer), size);
            match (outgoing, expected) {
                (Ok(outgoing), Ok((params, needs_7bit))) => {
                    assert_eq!(
                        outgoing.params.escape_ascii().to_string(),
                        params,
                        "{incoming}"
                    );
                    assert_eq!(outgoing.needs_7bit, needs_7bit, "{incoming}");
                }
                (Err(reply), Err(start)) => {
                    assert!(reply.to_string().starts_with(start), "{reply}")
                }
                (outgoing, _) => panic!("{incoming}: {outgoing:?}"),
            }
        }
    }

    /// T197: SMTPUTF8 is needed by an address in UTF-8, and by a header that nobody knows yet.
    #[test]
    fn t197_smtputf8_for_a_next_hop_that_lacks_it() {
        for (offer, sender, expected) in [
            ("mx|SMTPUTF8", "ä@b", Ok(("SMTPUTF8", false))),
            ("mx|SMTPUTF8", "a@b", Ok(("SMTPUTF8", false))),
            ("mx", "a@b", Ok(("", true))),
            ("mx", "", Ok(("", true))),
            ("mx", "ä@b", Err(Own::NoUtf8.reply())),
        ] {
            let capabilities = offered(offer);
            let outgoing = outgoing_mail_params(
                b"SMTPUTF8",
                &Path::new(sender),
                &capabilities,
                Size::Unknown,
            );
            let found = outgoing.map(|outgoing| (outgoing.params, outgoing.needs_ascii_header));
            let expected = expected.map(|(params, needs)| (params.as_bytes().to_vec(), needs));
            assert_eq!(found, expected, "{offer} {sender}");
        }
        let plain = outgoing_mail_params(b"", &Path::new("a@b"), &offered("mx"), Size::Unknown);
        assert!(!plain.unwrap().needs_ascii_header);
    }

    /// The client's size is not that of a mail that must be converted.
    #[test]
    fn t67_a_mail_that_will_grow_declares_no_size() {
        for (incoming, expected) in [
            ("BODY=8BITMIME", ""),
            ("BODY=7BIT", "SIZE=600"),
            ("", "SIZE=600"),
        ] {
            let outgoing = outgoing_mail_params(
                incoming.as_bytes(),
                &Path::new("a@b"),
                &offered("mx|SIZE"),
                declared(500),
            );
            assert_eq!(outgoing.unwrap().params, expected.as_bytes(), "{incoming}");
        }
    }

    #[test]
    fn t66_parameters_of_rcpt() {
        for (offer, incoming, expected) in [
            (
                "mx|DSN",
                "NOTIFY=NEVER ORCPT=rfc822;a+2Bb@c",
                "NOTIFY=NEVER ORCPT=rfc822;a+2Bb@c",
            ),
            ("mx", "notify=NEVER ORCPT=rfc822;a", ""),
            ("mx", "X=1 NOTIFY=NEVER", "X=1"),
            ("mx", "", ""),
        ] {
            let params = outgoing_rcpt_params(incoming.as_bytes(), &offered(offer));
            assert_eq!(params.unwrap().escape_ascii().to_string(), expected);
        }
    }

    #[test]
    fn sizes_to_declare() {
        for (offer, size, expected) in [
            ("mx|SIZE 1000", Size::Unknown, None),
            ("mx|SIZE 1000", declared(500), Some(600)),
            ("mx|SIZE 1000", declared(950), Some(1000)),
            ("mx|SIZE 1000", declared(1000), Some(1000)),
            ("mx|SIZE 1000", declared(1001), None),
            ("mx|SIZE", declared(5000), Some(5100)),
            ("mx|SIZE", declared(u64::MAX), Some(u64::MAX)),
            ("mx", declared(5000), None),
            ("mx|SIZE 1000", Size::Exact(5), Some(5)),
            ("mx|SIZE 1000", Size::Exact(2000), Some(2000)),
            ("mx", Size::Exact(5), None),
        ] {
            assert_eq!(
                size.to_declare(&offered(offer)),
                expected,
                "{offer} {size:?}"
            );
        }
    }

    fn declared(octets: u64) -> Size {
        Size::Declared {
            octets,
            growth: 100,
        }
    }
}
