// SPDX-License-Identifier: GPL-2.0

//! The rules for packets from the guest.

use std::collections::BTreeMap;

use crate::{
    rules::{
        published,
        Findings,
        Rule, //
    },
    wire::{
        TxResponse,
        DROPPED,
        ERROR,
        NULL,
        OKAY,
        TX, //
    },
};

/// A packet whose requests are on the ring.
#[derive(Debug)]
struct Packet {
    /// The id and the status of each slot; None while it is not answered.
    slots: Vec<(u16, Option<i16>)>,
    extras: usize,
}

/// A packet of which every request is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answered {
    /// What [`TxRules::sent`] has returned.
    pub number: u64,
    /// The id and the status of each slot, in the order of the requests.
    pub slots: Vec<(u16, i16)>,
}

/// What is outstanding on a ring.
#[derive(Debug)]
pub struct TxRules {
    /// A packet's responses are published together.
    whole_packets: bool,
    /// Responses are read up to here.
    pub cons: u32,
    /// Requests are made up to here.
    prod: u32,
    packets: BTreeMap<u64, Packet>,
    next: u64,
}

impl TxRules {
    /// The rules of a fresh ring. Not every backend publishes the responses to all slots of a packet
    /// together: `whole_packets` says whether it has to.
    pub fn new(whole_packets: bool) -> Self {
        Self {
            whole_packets,
            cons: 0,
            prod: 0,
            packets: BTreeMap::new(),
            next: 0,
        }
    }

    /// The same of a ring whose indices begin at `start`.
    pub fn starting_at(mut self, start: u32) -> Self {
        (self.cons, self.prod) = (start, start);
        self
    }

    /// The same of a ring that was in use, with unknown requests from `cons` up to `prod`.
    pub fn resuming_at(mut self, cons: u32, prod: u32) -> Self {
        (self.cons, self.prod) = (cons, prod);
        self
    }

    /// A packet is on the ring: its slots have `ids` and `extras` follow the first. Returns its number.
    pub fn sent(&mut self, ids: &[u16], extras: usize) -> u64 {
        let number = self.next;
        self.next += 1;
        let requests = (ids.len() + extras) as u32;
        self.prod = self.prod.wrapping_add(requests);
        let slots = ids.iter().map(|id| (*id, None)).collect();
        self.packets.insert(number, Packet { slots, extras });
        number
    }

    /// Packets that are not answered.
    pub fn outstanding(&self) -> usize {
        self.packets.len()
    }

    /// Reads what is published up to `rsp_prod`: the packets that are answered with that.
    pub fn published(
        &mut self,
        rsp_prod: u32,
        mut response: impl FnMut(u32) -> TxResponse,
        findings: &mut Findings,
    ) -> Vec<Answered> {
        let count = published(TX.name, self.cons, rsp_prod, self.prod, findings).unwrap_or(0);
        // The extras that have to be answered next.
        let mut extras = 0usize;
        for _ in 0..count {
            let TxResponse { id, status } = response(self.cons);
            self.cons = self.cons.wrapping_add(1);
            if status == NULL {
                findings.check(extras > 0, Rule::NullWithoutExtra, || {
                    format!("at {}", self.cons.wrapping_sub(1))
                });
                extras = extras.saturating_sub(1);
                continue;
            }
            findings.check(extras == 0, Rule::ExtrasApart, || {
                format!("a response to {id} stands before {extras} for extras")
            });
            let known = [OKAY, ERROR, DROPPED].contains(&status);
            findings.check(known, Rule::TxStatus, || format!("{status} for {id}"));
            extras = self.answer(id, status, findings);
        }
        findings.check(extras == 0, Rule::ExtrasApart, || {
            format!("{extras} for extras are missing when the first slot's is published")
        });
        self.complete(findings)
    }

    /// One slot is answered. Returns how many extras follow it.
    fn answer(&mut self, id: u16, status: i16, findings: &mut Findings) -> usize {
        // The oldest: an id may be in use again by the time a frontend reads the response.
        for packet in self.packets.values_mut() {
            for (number, slot) in packet.slots.iter_mut().enumerate() {
                if *slot == (id, None) {
                    slot.1 = Some(status);
                    return if number == 0 { packet.extras } else { 0 };
                }
            }
        }
        findings.add(Rule::UnknownId, format!("{id} with status {status}"));
        0
    }

    /// Takes out the packets that are answered.
    fn complete(&mut self, findings: &mut Findings) -> Vec<Answered> {
        let mut done = Vec::new();
        for (number, packet) in &self.packets {
            let answered = packet.slots.iter().filter(|slot| slot.1.is_some()).count();
            if answered == packet.slots.len() {
                let slots = packet.slots.iter();
                done.push(Answered {
                    number: *number,
                    slots: slots
                        .filter_map(|(id, status)| Some((*id, (*status)?)))
                        .collect(),
                });
            } else if answered > 0 && self.whole_packets {
                findings.add(
                    Rule::PacketCut,
                    format!("{answered} of {} slots are answered", packet.slots.len()),
                );
            }
        }
        for packet in &done {
            self.packets.remove(&packet.number);
        }
        done
    }
}
