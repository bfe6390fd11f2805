// SPDX-License-Identifier: GPL-2.0

//! A network frontend in user space, of which every word can be chosen.
//!
//! Left to itself it is a *reference frontend*: it negotiates, posts buffers, sends and receives
//! frames as the protocol says, and holds every response of the backend against the rules which the
//! strictest known frontends rely on ([`rules`]). A rule that does not hold is reported by name.
//!
//! Everything it does can also be done wrongly: any word of a request, any index, any grant and any
//! xenstore node is open to whoever drives it.
//!
//! It can be left to break the protocol at random: a seed makes rounds of actions ([`random`]), which
//! [`player`] plays; each has to end with a connection that works.
//!
//! It runs wherever Xen's libraries and devices for grants, event channels and xenstore are, so in
//! dom0 as well as in a guest. All unsafe code is in `ffi.rs`.

pub mod action;
pub mod control_rules;
pub mod ping;
pub mod random;
pub mod rules;
pub mod rx_rules;
pub mod tx_rules;
pub mod wire;

#[cfg(feature = "xen")]
pub mod background;
#[cfg(feature = "xen")]
pub mod commands;
#[cfg(feature = "xen")]
pub mod exchange;
#[cfg(feature = "xen")]
#[allow(unsafe_code)]
pub mod ffi;
#[cfg(feature = "xen")]
pub mod frontend;
#[cfg(feature = "xen")]
pub mod json;
#[cfg(feature = "xen")]
pub mod player;
#[cfg(feature = "xen")]
pub mod queue;
#[cfg(feature = "xen")]
pub mod ring;
#[cfg(feature = "xen")]
pub mod rounds;
