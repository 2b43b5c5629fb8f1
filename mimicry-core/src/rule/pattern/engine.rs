//! How a compiled tree is matched against a value: the fastest of three ways that fits, with memory that all patterns of a process
//! share.
//!
//! A short value is walked with backtracking that visits each state at each place once; a long one by an automaton that is made as
//! it is needed, and if that becomes too large, by all states at once. Each takes time linear in the length of the value.
//!
//! Must never: keep memory for each pattern, or more of it than the limits say.

use std::collections::HashMap;

use regex_automata::nfa::thompson::NFA;
use regex_automata::nfa::thompson::backtrack::{self, BoundedBacktracker};
use regex_automata::nfa::thompson::pikevm::{self, PikeVM};
use regex_automata::{Input, hybrid};

use super::form::{Form, Regex};

/// Octets for the places that were visited.
const VISITED: usize = 32 << 10;
/// Octets of the automaton.
const AUTOMATON: usize = 512 << 10;
/// Octets of whole trees that were compiled for values outside of ASCII.
const WHOLE: usize = 2 << 20;

/// The memory that matching takes. It holds nothing from one match to the next but trees that were compiled.
#[derive(Default)]
pub(super) struct Scratch {
    places: Option<backtrack::Cache>,
    automaton: Option<hybrid::dfa::Cache>,
    states: Option<pikevm::Cache>,
    whole: HashMap<String, NFA>,
    whole_octets: usize,
}

impl std::fmt::Debug for Scratch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Scratch")
    }
}

impl Scratch {
    /// Does a pattern match that literals do not decide.
    pub(super) fn matches(&mut self, form: &Form, regex: &Regex, value: &[u8]) -> bool {
        let nfa = match regex.for_value(value) {
            Some(nfa) => nfa.clone(),
            None => match self.whole(form, regex) {
                Some(nfa) => nfa,
                None => return false, // It compiled at load, or would have been refused there.
            },
        };
        let input = Input::new(value).earliest(true);
        self.walk(&nfa, &input)
            .or_else(|| self.automaton(&nfa, &input))
            .unwrap_or_else(|| self.all_states(nfa, &input))
    }

    fn whole(&mut self, form: &Form, regex: &Regex) -> Option<NFA> {
        if let Some(nfa) = self.whole.get(&form.text) {
            return Some(nfa.clone());
        }
        let nfa = regex.whole(&form.text)?;
        let octets = nfa.memory_usage().saturating_add(form.text.len());
        if self.whole_octets.saturating_add(octets) > WHOLE {
            self.whole.clear();
            self.whole_octets = 0;
        }
        if octets <= WHOLE {
            self.whole_octets = self.whole_octets.saturating_add(octets);
            self.whole.insert(form.text.clone(), nfa.clone());
        }
        Some(nfa)
    }

    fn walk(&mut self, nfa: &NFA, input: &Input<'_>) -> Option<bool> {
        // An estimate of what the machine itself says, so that it need not be made for nothing.
        let bits = nfa.states().len().saturating_mul(input.haystack().len());
        if bits / 8 > VISITED {
            return None;
        }
        let machine = BoundedBacktracker::builder()
            .configure(BoundedBacktracker::config().visited_capacity(VISITED))
            .build_from_nfa(nfa.clone())
            .ok()?;
        let cache = match &mut self.places {
            Some(cache) => {
                cache.reset(&machine);
                cache
            }
            none => none.insert(machine.create_cache()),
        };
        machine.try_is_match(cache, input.clone()).ok()
    }

    fn automaton(&mut self, nfa: &NFA, input: &Input<'_>) -> Option<bool> {
        let config = hybrid::dfa::DFA::config()
            .cache_capacity(AUTOMATON)
            .minimum_cache_clear_count(Some(4))
            .minimum_bytes_per_state(Some(16));
        let machine = hybrid::dfa::Builder::new()
            .configure(config)
            .build_from_nfa(nfa.clone())
            .ok()?;
        let cache = match &mut self.automaton {
            Some(cache) => {
                cache.reset(&machine);
                cache
            }
            none => none.insert(machine.create_cache()),
        };
        let found = machine.try_search_fwd(cache, input).ok()?;
        Some(found.is_some())
    }

    fn all_states(&mut self, nfa: NFA, input: &Input<'_>) -> bool {
        let Ok(machine) = PikeVM::new_from_nfa(nfa) else {
            return false; // It cannot fail for a tree with one pattern.
        };
        let cache = match &mut self.states {
            Some(cache) => {
                cache.reset(&machine);
                cache
            }
            none => none.insert(machine.create_cache()),
        };
        let found = machine.is_match(cache, input.clone());
        // Of a large tree it may be large.
        self.states = None;
        found
    }
}
