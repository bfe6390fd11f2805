// SPDX-License-Identifier: GPL-2.0

//! The rules which a backend has to keep, and how a broken one is reported.

use std::fmt;

/// What a backend must not do. Frontends stop, drop or assert when it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// Responses are published for requests that were never made: beyond `req_prod`, or backwards.
    ResponseWithoutRequest,
    /// A response to a packet from the guest names a request that is not outstanding.
    UnknownId,
    /// The status of a response to a packet from the guest is none of OKAY, ERROR, DROPPED and NULL.
    TxStatus,
    /// A NULL response stands where no extra was to be answered.
    NullWithoutExtra,
    /// The extras of a packet from the guest are not answered directly after its first slot and
    /// published with it.
    ExtrasApart,
    /// A packet is published in parts.
    PacketCut,
    /// The response to a posted buffer has another id than the request in the same slot.
    RxId,
    /// The status of a filled buffer is neither a length nor ERROR.
    RxStatus,
    /// A filled buffer holds nothing, or more than fits behind its offset.
    RxLength,
    /// A filled buffer has flags which do not exist.
    RxFlags,
    /// The checksum is said to be blank, but the packet is not said to be validated.
    BlankNotValidated,
    /// The checksum is blank in a packet of a protocol for which the frontend did not allow it.
    BlankNotAllowed,
    /// Extras are announced elsewhere than in the first slot of a packet.
    ExtraNotFirst,
    /// An extra is of a kind, or has a content, that the frontend did not ask for.
    ExtraNotAsked,
    /// An extra is malformed, or is there twice.
    ExtraMalformed,
    /// A packet has more slots than every frontend takes, or than this one does.
    TooManySlots,
    /// A packet is laid out over more slots than it needs.
    SlotsWasted,
    /// A packet is shorter than an Ethernet header.
    ShortFrame,
    /// The backend has written to memory outside of what it says that it has filled.
    WroteOutside,
    /// A response on the control ring has another id or type than the request in the same slot.
    ControlMismatch,
    /// The status of a response on the control ring does not exist.
    ControlStatus,
    /// Responses lay on a ring for which the frontend was not woken.
    NotNotified,
}

impl Rule {
    /// Every rule.
    pub const ALL: [Rule; 22] = [
        Rule::ResponseWithoutRequest,
        Rule::UnknownId,
        Rule::TxStatus,
        Rule::NullWithoutExtra,
        Rule::ExtrasApart,
        Rule::PacketCut,
        Rule::RxId,
        Rule::RxStatus,
        Rule::RxLength,
        Rule::RxFlags,
        Rule::BlankNotValidated,
        Rule::BlankNotAllowed,
        Rule::ExtraNotFirst,
        Rule::ExtraNotAsked,
        Rule::ExtraMalformed,
        Rule::TooManySlots,
        Rule::SlotsWasted,
        Rule::ShortFrame,
        Rule::WroteOutside,
        Rule::ControlMismatch,
        Rule::ControlStatus,
        Rule::NotNotified,
    ];
}

/// A rule that a backend has broken, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The rule.
    pub rule: Rule,
    /// What was seen.
    pub detail: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.rule, self.detail)
    }
}

/// The violations found so far.
#[derive(Debug, Default)]
pub struct Findings(Vec<Violation>);

impl Findings {
    /// The most that are kept: what follows adds nothing.
    const MOST: usize = 100;

    /// Notes a violation.
    pub fn add(&mut self, rule: Rule, detail: String) {
        if self.0.len() < Self::MOST {
            self.0.push(Violation { rule, detail });
        }
    }

    /// Notes a violation unless `holds`.
    pub fn check(&mut self, holds: bool, rule: Rule, detail: impl FnOnce() -> String) {
        if !holds {
            self.add(rule, detail());
        }
    }

    /// Hands over what was found.
    pub fn take(&mut self) -> Vec<Violation> {
        std::mem::take(&mut self.0)
    }
}

/// How many responses were published from `cons` to `rsp_prod`, of requests up to `req_prod`. None when
/// that cannot be: nothing can be read from the ring any more.
pub fn published(
    ring: &str,
    cons: u32,
    rsp_prod: u32,
    req_prod: u32,
    findings: &mut Findings,
) -> Option<u32> {
    let responses = rsp_prod.wrapping_sub(cons);
    let outstanding = req_prod.wrapping_sub(cons);
    if responses <= outstanding {
        return Some(responses);
    }
    findings.add(
        Rule::ResponseWithoutRequest,
        format!("{ring}: rsp_prod {rsp_prod}, read up to {cons}, requests up to {req_prod}"),
    );
    None
}

/// Whether a backend that moves `rsp_prod` from `before` to `after` has to notify a frontend which has
/// asked for an event at `rsp_event`.
pub fn must_notify(rsp_event: u32, before: u32, after: u32) -> bool {
    after.wrapping_sub(rsp_event) < after.wrapping_sub(before)
}

/// Checks that a frontend was `woken` which had read up to `cons`, asked for an event at `rsp_event`,
/// and finds responses up to `rsp_prod`.
pub fn check_notified(
    ring: &str,
    rsp_event: u32,
    cons: u32,
    rsp_prod: u32,
    woken: bool,
    findings: &mut Findings,
) {
    findings.check(
        woken || !must_notify(rsp_event, cons, rsp_prod),
        Rule::NotNotified,
        || {
            format!(
                "{ring}: rsp_prod went from {cons} to {rsp_prod}, an event was due at {rsp_event}"
            )
        },
    );
}

#[cfg(test)]
mod tests;
