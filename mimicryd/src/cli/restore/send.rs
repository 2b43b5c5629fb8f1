//! Hands a mail to the next hop again, by the same lines as a worker does.
//!
//! Must never: say that somebody has it before the next hop has said so.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use mimicry_core::config::Config;
use mimicry_core::envelope::Path as Address;
use mimicry_core::mail::Mail;
use mimicry_core::message::Limits;
use mimicry_core::message::seven_bit::to_7bit;
use mimicry_core::origin::Origin;
use mimicry_core::policy::Memo;
use mimicry_core::reply::{Own, Reply};
use mimicry_core::settings::endpoint::{Address as Place, NextHop};

use crate::lookup;
use crate::prefork::hops::Hops;
use crate::relay::{Answer, Keys, Line, Opening, Outgoing, Pool, Remembered, Route, Size, Watch};

/// What became of it for one recipient.
#[derive(Clone, Debug)]
pub struct Sent {
    pub recipient: usize,
    pub next_hop: String,
    pub reply: Reply,
    pub is_done: bool,
}

/// A mail with the lines that are put on top of it.
#[derive(Clone, Copy)]
pub struct Parcel<'p> {
    pub mail: &'p Mail,
    pub above: &'p [u8],
}

/// To each class of its recipients by that class's next hop. What became of one class is told before the next one is served: whoever ends
/// the command while it waits does not make those forgotten who have the mail.
pub fn send(
    config: &Config,
    hostname: &str,
    parcel: Parcel<'_>,
    tell: &mut dyn FnMut(&Sent),
) -> Result<(), String> {
    let mut hops = Hops::new(None, Instant::now());
    let next_hops = config.banks.next_hops();
    let known = hops
        .of(next_hops.iter())
        .map_err(|error| format!("no shared memory: {error}"))?;
    for (next_hop, hop) in &known {
        let NextHop::Server {
            address: Place::Tcp { host, port },
            ..
        } = next_hop
        else {
            continue;
        };
        if hop.addresses().is_none()
            && let Ok(found) = lookup::by_system(host, *port)
        {
            hop.found(&found);
        }
    }
    let relays = config.relays();
    let keys = Arc::new(Keys::load(&relays)?);
    let routes: Vec<Rc<Route>> = relays
        .iter()
        .filter_map(|relay| Route::of(relay, hostname))
        .map(Rc::new)
        .collect();
    let mut pool = Pool::new(keys, Remembered::default(), known);
    let memo = Memo::default();
    for class in memo.classes(&config.banks, parcel.mail) {
        let next_hop = config.banks.effective(&class.choice.applied).next_hop;
        let route = routes
            .iter()
            .find(|route| Some(&route.next_hop) == next_hop.as_ref());
        let Some(route) = route else {
            return Err("the configuration names no next hop".into());
        };
        let sent = to_class(&mut pool, route, parcel, &class.recipients);
        sent.iter().for_each(&mut *tell);
    }
    pool.close();
    Ok(())
}

/// One transaction.
fn to_class(pool: &mut Pool, route: &Route, parcel: Parcel<'_>, recipients: &[usize]) -> Vec<Sent> {
    let all = |answer: &Answer, of: &[usize]| {
        let sent = |recipient: &usize| Sent {
            recipient: *recipient,
            next_hop: route.next_hop.to_string(),
            reply: answer.reply.clone(),
            is_done: answer.is_done(),
        };
        of.iter().map(sent).collect::<Vec<Sent>>()
    };
    let outgoing = Outgoing {
        above: parcel.above,
        message: parcel.mail.message.raw(),
    };
    let envelope = &parcel.mail.envelope;
    // Eight bits go out as they came, where the next hop takes them.
    let params: &[u8] = if outgoing.is_ascii() {
        b""
    } else {
        b"BODY=8BITMIME"
    };
    let opening = Opening {
        origin: &Origin::default(),
        sender: &envelope.sender,
        params,
        recipients: &[],
        size: Size::Exact(outgoing.octets() as u64),
        is_promised: false,
        limit: None,
        has_line: false,
    };
    let mut line: Line = match pool.begin(route, &opening) {
        Ok(line) => line,
        Err(answer) => return all(&answer, recipients),
    };
    let seven = (line.needs_7bit && !outgoing.is_ascii())
        .then(|| to_7bit(&parcel.mail.message, &Limits::default()));
    let outgoing = match &seven {
        None => outgoing,
        Some(Ok(message)) => Outgoing {
            message: message.raw(),
            ..outgoing
        },
        Some(Err(_)) => {
            let answer = Answer::own(Own::NoEightBit.reply());
            pool.give(line);
            return all(&answer, recipients);
        }
    };
    let mut sent = Vec::new();
    let mut taken: Vec<usize> = Vec::new();
    for recipient in recipients {
        let nobody = Address::default();
        let path = envelope
            .recipients
            .get(*recipient)
            .map_or(&nobody, |one| &one.path);
        let answer = line.rcpt(path, b"");
        match answer.is_done() {
            true => taken.push(*recipient),
            false => sent.append(&mut all(&answer, &[*recipient])),
        }
    }
    if !taken.is_empty() {
        let answers = line.data(outgoing, &mut || Watch::Stays);
        for (at, recipient) in taken.iter().enumerate() {
            if let Some(answer) = answers.of(at) {
                sent.append(&mut all(answer, &[*recipient]));
            }
        }
    }
    pool.give(line);
    sent
}
