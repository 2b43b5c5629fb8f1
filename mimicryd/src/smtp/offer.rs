//! The extensions that the server offers, and what a client may therefore ask for.
//!
//! Must never name an extension that the session does not speak.

use super::command::{Given, Greeting, Parameter};
use super::xforward::ATTRIBUTES;

/// The extensions that EHLO and LHLO name: ours, as far as the next hop has what it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offer {
    pub pipelining: bool,
    /// Octets of a mail at most.
    pub size: Option<u64>,
    pub eight_bit_mime: bool,
    pub smtputf8: bool,
    pub dsn: bool,
    pub enhanced_status_codes: bool,
    /// For a client whose word about others is believed.
    pub xforward: bool,
    /// AUTH= in MAIL may be given. EHLO does not say so: nobody logs in here.
    pub auth: bool,
    /// It is believed; from others it is as AUTH=<> (RFC 4954 section 5).
    pub believes_auth: bool,
    pub starttls: bool,
}

impl Offer {
    /// All that we can, with mails of up to `size` octets; what needs trust or a certificate the listener decides.
    pub fn ours(size: usize) -> Offer {
        Offer {
            pipelining: true,
            size: u64::try_from(size).ok(),
            eight_bit_mime: true,
            smtputf8: true,
            dsn: true,
            enhanced_status_codes: true,
            xforward: true,
            auth: false,
            believes_auth: false,
            starttls: true,
        }
    }

    /// Without those that are named in upper case.
    pub fn without<'k>(mut self, keywords: impl IntoIterator<Item = &'k str>) -> Offer {
        for keyword in keywords {
            match keyword {
                "PIPELINING" => self.pipelining = false,
                "SIZE" => self.size = None,
                "8BITMIME" => self.eight_bit_mime = false,
                "SMTPUTF8" => self.smtputf8 = false,
                "DSN" => self.dsn = false,
                "ENHANCEDSTATUSCODES" => self.enhanced_status_codes = false,
                "XFORWARD" => self.xforward = false,
                "STARTTLS" => self.starttls = false,
                _ => {}
            }
        }
        self
    }

    /// What stands in the greeting's reply, each on a line of its own.
    pub fn write(self, text: &mut String) {
        let size = self.size.map(|size| format!("SIZE {size}"));
        let xforward = self.xforward.then(|| format!("XFORWARD {ATTRIBUTES}"));
        let lines = [
            self.pipelining.then_some("PIPELINING"),
            size.as_deref(),
            self.eight_bit_mime.then_some("8BITMIME"),
            self.smtputf8.then_some("SMTPUTF8"),
            self.dsn.then_some("DSN"),
            self.enhanced_status_codes.then_some("ENHANCEDSTATUSCODES"),
            xforward.as_deref(),
            self.starttls.then_some("STARTTLS"),
        ];
        for line in lines.into_iter().flatten() {
            text.push('\n');
            text.push_str(line);
        }
    }

    /// What holds behind a greeting: to HELO nothing was offered.
    pub fn to(self, greeting: Option<Greeting>) -> Offer {
        match greeting {
            Some(Greeting::Ehlo | Greeting::Lhlo) => self,
            _ => Offer {
                pipelining: false,
                size: None,
                eight_bit_mime: false,
                smtputf8: false,
                dsn: false,
                enhanced_status_codes: false,
                xforward: false,
                auth: false,
                believes_auth: false,
                starttls: false,
            },
        }
    }

    /// A parameter that was given and not offered.
    pub fn missing(self, given: Given) -> Option<Parameter> {
        given.iter().find(|parameter| match parameter {
            Parameter::Size => self.size.is_none(),
            Parameter::Body => !self.eight_bit_mime,
            Parameter::SmtpUtf8 => !self.smtputf8,
            Parameter::Ret | Parameter::Envid | Parameter::Notify | Parameter::Orcpt => !self.dsn,
            Parameter::Auth => !self.auth,
        })
    }
}
