//! Tests of the whole: the program as it is built, and the source as it stands.
//!
//! - [`cli`]: the command line, as an administrator uses it · [`demo`]: its first command · [`trying`]: rules held against mails
//! - [`relay`]: mail through the daemon when all is well · [`reply`]: what the next hop says, and what the client hears of it
//! - [`transports`]: next hops by LMTP, over unix sockets, with a login, and those that lack an extension
//! - [`onward`]: what the next hop would mend, refuse or misread
//! - [`rules`]: rules at work · [`banks`]: policy banks · [`hostile`]: MIME that is an attack
//! - [`inbound`]: listeners behind Postfix and load balancers: XFORWARD, PROXY, LMTP, TLS
//! - [`abuse`]: clients that say what no client should · [`leave`]: clients that leave or stall
//! - [`archive`]: what is kept on disk · [`banner`]: the banner as an outsider attacks it
//! - [`upgrade`]: another master takes over · [`undo`]: the way back
//! - [`process`]: master and workers · [`confined`]: mail inside the sandbox · [`service`]: the daemon as an administrator runs it · [`log`]: what it writes down
//! - [`metrics`]: numbers for Prometheus · [`watching`]: status and top
//! - [`said`]: what is refused, by whom, and where it is told
//! - [`load`]: more clients than workers, and many mails · [`short`]: a system that has run short
//! - `dkim`, `pgp` (with the feature): what is signed and encrypted, and for whom
//! - [`loading`]: configurations that are an attack · [`trust`]: files of others, and links of others
//! - [`lines`]: connections to a next hop that serves few, next hops that are away, and names of next hops
//! - [`together`]: recipients that are named in one go
//! - [`ledger`]: mails that only some of their recipients got
//! - `smime`: S/MIME, with the feature of that name
//! - [`smuggle`]: second mails within a mail
//! - [`soak`]: many mails while workers die and the next hop fails
//! - [`memory`]: what a large mail takes · [`endless`]: what a next hop that speaks without end takes
//! - [`memory`]: what a large mail takes
//! - [`names`]: names of files that a sender wrote so that programs read them differently
//! - [`install`]: what is put in place on a machine, and what check says of a machine
//! - [`faults`]: FAULTS.md, which says where each fault is tested
//! - [`notice`]: a text that must be in every mail; what stays of a field that is edited; what explain says of both
//! - [`manual`]: the manual and the samples against the code · [`tour`]: what mimicry-internals(7) says of the source
//! - [`dependencies`]: where they come from, and that CI looks at them
//! - [`settings`]: that each setting has an effect
//! - [`quotes`]: the sentences of the manual that tests quote · [`layering`]: who may use whom · [`circles`]: nobody whom they use
//! - [`harness`]: what the tests share
//!
//! A plugin that breaks is tried in `breaks.rs`, one that tries what no worker may do in `breach.rs`.
//!
//! Must never: need another program, root or the network. Such tests are in `interop/`.

mod abuse;
mod archive;
mod banks;
mod banner;
mod circles;
mod cli;
mod confined;
mod demo;
mod dependencies;
mod dkim;
mod encoded;
mod endless;
mod faults;
mod field;
mod harness;
mod hostile;
mod inbound;
#[path = "bench/inputs.rs"]
#[expect(dead_code, reason = "the rules are for the tests of the plugins")]
mod inputs;
mod install;
mod layering;
mod leave;
mod ledger;
mod lines;
mod load;
mod loading;
mod log;
mod manual;
mod memory;
mod metrics;
mod names;
mod notice;
mod onward;
#[cfg(feature = "pgp")]
mod pgp;
mod process;
mod quotes;
mod recipe;
mod relay;
mod reload;
mod reply;
mod rules;
mod said;
mod service;
mod settings;
mod short;
#[cfg(feature = "smime")]
mod smime;
mod smuggle;
mod soak;
mod threads;
mod together;
mod tour;
mod transports;
mod trust;
mod trying;
mod undo;
mod upgrade;
mod watching;
