//! The pure half of mimicry: octets in, decisions and octets out.
//!
//! A mail comes as [`mail::Mail`] (origin, envelope, message). [`policy::Memo::classes`] says which recipients get the
//! same mail, and [`engine::judge`] what the rules do with it for each class: the plan, and the resulting mail. Rules
//! come from [`config::load`], plugins from outside through a [`registry::Registry`].
//!
//! Must never: open a socket, fork, read the environment or the clock, or end the process.

#![forbid(unsafe_code)]

pub mod config;
pub mod domain;
pub mod engine;
pub mod envelope;
pub mod extension;
pub mod find;
pub mod known;
pub mod mail;
pub mod message;
pub mod near;
pub mod observer;
pub mod origin;
pub mod plugin;
pub mod policy;
pub mod printable;
pub mod reason;
pub mod registry;
pub mod reply;
pub mod rule;
pub mod seals;
pub mod settings;
pub mod units;
pub mod words;
