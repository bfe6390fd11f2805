// SPDX-License-Identifier: GPL-2.0

//! Packets, honest and not.

use super::{
    Dice,
    FATAL, //
};
use crate::{
    action::{
        Claim,
        Frame,
        Packet,
        Target, //
    },
    wire::{
        EXTRA_GSO,
        EXTRA_HASH,
        EXTRA_INFO,
        EXTRA_XDP,
        MORE_DATA,
        PAGE, //
    },
};

/// Extras that change the addresses which the guest listens to.
const EXTRA_MULTICAST_ADD: u8 = 2;
const EXTRA_MULTICAST_DELETE: u8 = 3;
/// Flags of a packet from the guest: its checksum is blank, it is said to be right.
const BLANK: u16 = 1;
const VALIDATED: u16 = 2;

impl Dice {
    /// A packet as frontends send it.
    pub(super) fn packet(&mut self) -> Packet {
        let queue = self.queue();
        let slots = self.pick(&[1, 1, 1, 1, 2, 3, 18, 19]);
        let mut extras = Vec::new();
        let mut flags = 0;
        let (frame, size) = match self.below(4) {
            0..=1 => (Frame::Ping, self.pick(&[60, 98, 500, 1514])),
            2 => (
                Frame::Noise(self.below(1 << 32)),
                60 + self.below(1400) as u16,
            ),
            _ => {
                flags = BLANK | VALIDATED;
                let size = self.pick(&[60, 400, 1514, 1514, 2000, 4096, 30000, 65535]);
                if size > 1514 {
                    let [low, high] = 1448u16.to_ne_bytes();
                    extras.push([EXTRA_GSO, 0, low, high, 1, 0, 0, 0]);
                }
                (Frame::Tcp, size)
            }
        };
        // What does not fit into the slots needs more of them.
        let slots = slots.max((usize::from(size).div_ceil(PAGE)) as u8);
        if self.once_in(8) {
            let [a, b, c, d] = self.word().to_ne_bytes();
            extras.push([EXTRA_HASH, 0, self.below(4) as u8, 1, a, b, c, d]);
        }
        if self.once_in(16) {
            let kind = self.pick(&[EXTRA_MULTICAST_ADD, EXTRA_MULTICAST_DELETE]);
            let last = self.below(100) as u8;
            return Packet {
                queue,
                frame,
                size: 60,
                slots: 1,
                flags: 0,
                extras: vec![[kind, 0, 1, 0, 0x5e, 0, 0, last]],
                claims: Vec::new(),
            };
        }
        Packet {
            queue,
            frame,
            size,
            slots,
            flags,
            extras,
            claims: Vec::new(),
        }
    }

    /// A packet that is refused, or holds a fault once in a while, and keeps the books right.
    pub(super) fn rude_packet(&mut self) -> Packet {
        let mut packet = self.packet();
        let fatal = self.once_in(FATAL);
        let kind = self.below(8);
        match kind {
            0 => packet.slots = self.pick(&[20, 21]) + u8::from(fatal),
            1 => packet.size = self.below(64) as u16,
            2 => packet.flags = self.below(4) as u16,
            3 => packet.extras = self.extras(fatal),
            _ => {}
        }
        let lies = if kind < 4 { 0 } else { 1 };
        for _ in 0..lies + self.below(3) {
            let slot = self.below(packet.slots.into()) as u8;
            let claim = match self.below(8) {
                0..=4 => Claim::Page(self.target(false)),
                5 => Claim::Id(self.edge() as u16),
                6 if fatal => Claim::Offset(self.pick(&[1, 4000, 4095, 4096, 65535])),
                7 if fatal => Claim::Size(self.edge() as u16),
                // What one slot has less, the first has more: in a large packet, more than a page.
                _ if fatal || usize::from(packet.size) <= PAGE => {
                    Claim::Size(self.below(60) as u16)
                }
                _ => Claim::Page(Target::Number(u32::MAX)),
            };
            packet.claims.push((slot, claim));
        }
        packet
    }

    /// Extras, well-formed or not. None says that another one follows which does not.
    pub(super) fn extras(&mut self, fatal: bool) -> Vec<[u8; 8]> {
        let count = self.pick(&[1, 1, 2, 3, 30]);
        let extra = |dice: &mut Self| {
            let [a, b, c, d] = dice.edge().to_ne_bytes();
            let [e, f, ..] = dice.edge().to_ne_bytes();
            let [low, high] = dice.pick(&[1u16, 536, 1448, 65535]).to_ne_bytes();
            match dice.below(6) {
                0 if fatal => [dice.word() as u8, 0, a, b, c, d, e, f],
                1 if fatal => [EXTRA_GSO, 0, a, b, c, d, e, f],
                0..=2 => [EXTRA_GSO, 0, low, high, dice.pick(&[1, 2]), d, e, f],
                3 => [EXTRA_XDP, 0, a, b, c, d, e, f],
                _ => [EXTRA_HASH, 0, a, b, c, d, e, f],
            }
        };
        (0..count).map(|_| extra(self)).collect()
    }

    /// A packet whose flags say that it goes on, or whose extras say so.
    pub(super) fn chained(&mut self) -> Packet {
        let mut packet = self.packet();
        let goes_on = self.once_in(2);
        match packet.extras.last_mut() {
            Some(extra) if goes_on => extra[1] = self.pick(&[1, 2, 255]),
            _ => {
                let flags = self.pick(&[MORE_DATA, EXTRA_INFO, MORE_DATA | EXTRA_INFO, 0xffff]);
                packet.claims.push((0, Claim::Flags(flags)));
            }
        }
        packet
    }
}
