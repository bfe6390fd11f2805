// SPDX-License-Identifier: GPL-2.0

//! Rounds that follow from a seed.
//!
//! A round has one of three tempers. An honest one breaks no rule, so all rules hold for the backend, too. A rude
//! one sends what the backend has to refuse or to report, but keeps its books: the rules for responses
//! still hold. A wild one does anything.
//!
//! Most of what is done, the backend survives. What ends a connection costs a new one, which takes as long as some
//! hundred other actions: it is rare.

mod packets;

use oorandom::Rand64;

use crate::{
    action::{
        Action,
        Claim,
        Layout,
        Ring,
        Round,
        Target,
        Text,
        World, //
    },
    wire::{
        EXTRA_GSO,
        EXTRA_HASH,
        RING_HEADER, //
    },
};

/// The most actions of a round. The shortest has one.
pub const LONGEST: u64 = 8000;

/// One of so many actions of a wild round ends a connection.
const FATAL: u64 = 3000;

/// The most queues of a round, whatever is offered.
pub const MOST_QUEUES: u8 = 4;

/// The grants of other frontends in the same domain have lower numbers.
const NO_GRANT: u32 = 1 << 20;

/// The nodes of one queue. The others are in [`KEYS`].
const QUEUE_KEYS: [&str; 5] = [
    "tx-ring-ref",
    "rx-ring-ref",
    "event-channel",
    "event-channel-tx",
    "event-channel-rx",
];
const KEYS: [&str; 15] = [
    "request-rx-copy",
    "feature-rx-notify",
    "feature-sg",
    "feature-gso-tcpv4",
    "feature-gso-tcpv6",
    "feature-no-csum-offload",
    "feature-ipv6-csum-offload",
    "multi-queue-num-queues",
    "ctrl-ring-ref",
    "event-channel-ctrl",
    "xdp-headroom",
    "request-multicast-control",
    "mac",
    "handle",
    "mtu",
];
const TEXTS: [&str; 12] = [
    "",
    "0",
    "1",
    "2",
    "7",
    "256",
    "257",
    "-1",
    "4294967295",
    "4294967296",
    "seven",
    "1 2\n",
];

/// The nodes of frontends, with the most queues that a round has.
pub fn keys() -> impl Iterator<Item = String> {
    let queues = (0..MOST_QUEUES).flat_map(|queue| {
        QUEUE_KEYS
            .iter()
            .map(move |key| format!("queue-{queue}/{key}"))
    });
    let plain = KEYS.iter().chain(&QUEUE_KEYS).map(|key| (*key).to_owned());
    plain.chain(queues)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Temper {
    Honest,
    Rude,
    Wild,
}

/// The round of this number.
pub fn round(seed: u64, number: u64, world: World) -> Round {
    let mut dice = Dice {
        random: Rand64::new((u128::from(seed) << 64) | u128::from(number)),
        world,
        layout: Layout {
            queues: 1,
            split: false,
            control: false,
            offloads: false,
            notifies: true,
            wraps: false,
        },
        temper: Temper::Honest,
    };
    dice.temper = match dice.below(16) {
        0 => Temper::Honest,
        1..=6 => Temper::Rude,
        _ => Temper::Wild,
    };
    dice.layout = dice.new_layout();
    let layout = dice.layout;
    let batch = dice.pick(&[1, 2, 8, 30]);
    let length = 1 + dice.below(LONGEST) as usize;
    let mut actions = Vec::new();
    while actions.len() < length {
        dice.some(&mut actions);
    }
    actions.truncate(length);
    Round {
        honest: dice.temper == Temper::Honest,
        layout,
        batch,
        actions,
    }
}

struct Dice {
    random: Rand64,
    world: World,
    /// What is connected by now.
    layout: Layout,
    temper: Temper,
}

impl Dice {
    /// A number from 0 on, not `end`.
    fn below(&mut self, end: u64) -> u64 {
        self.random.rand_range(0..end)
    }

    /// Once in so many times.
    fn once_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize]
    }

    fn word(&mut self) -> u32 {
        self.random.rand_u64() as u32
    }

    /// A word, often one at which something ends.
    fn edge(&mut self) -> u32 {
        match self.below(3) {
            0 => self.word(),
            1 => self.below(300) as u32,
            _ => self.pick(&[0, 1, 255, 256, 4095, 4096, 65535, 65536, 1 << 31, u32::MAX]),
        }
    }

    fn new_layout(&mut self) -> Layout {
        Layout {
            queues: 1 + self.below(self.world.queues.min(MOST_QUEUES).into()) as u8,
            split: self.once_in(2),
            control: self.once_in(2),
            offloads: !self.once_in(4),
            notifies: !self.once_in(8),
            wraps: self.once_in(2),
        }
    }

    fn queue(&mut self) -> u8 {
        self.below(self.layout.queues.into()) as u8
    }

    fn ring(&mut self) -> Ring {
        match self.below(8) {
            0 if self.layout.control => Ring::Control,
            0..=4 => Ring::Tx,
            _ => Ring::Rx,
        }
    }

    /// Adds the next action, or a few that belong together.
    fn some(&mut self, actions: &mut Vec<Action>) {
        match (self.temper, self.below(FATAL)) {
            (Temper::Wild, 0) => self.fatal(actions),
            (Temper::Honest, _) => self.honest(actions),
            (temper, _) => match (temper, self.below(16)) {
                (_, 0..=2) => self.honest(actions),
                (Temper::Wild, 3..=6) => self.odd(actions),
                _ => self.rude(actions),
            },
        }
    }

    fn honest(&mut self, actions: &mut Vec<Action>) {
        let queue = self.queue();
        let action = match self.below(48) {
            0..=23 => Action::Send(self.packet()),
            24..=33 => Action::Post {
                queue,
                count: self.pick(&[1, 1, 1, 1, 2, 2, 3, 8]),
                quiet: false,
            },
            34..=44 => Action::Collect { queue },
            45 if self.layout.control => self.question(),
            46 if self.once_in(8) => Action::Headroom(self.pick(&[0, 1, 256, 455])),
            47 if self.once_in(16) => {
                self.layout = self.new_layout();
                Action::Reconnect(self.layout)
            }
            _ if self.once_in(4) => Action::Wait(self.below(4) as u8),
            _ => Action::Collect { queue },
        };
        actions.push(action);
    }

    /// A question that the control ring knows.
    fn question(&mut self) -> Action {
        let kind = 1 + self.below(7) as u16;
        let (data, page) = match kind {
            2 => ([self.below(16) as u32, 0, 0], None),
            3 => ([0, 40, 0], Some(self.word() as u8)),
            5 => ([1 + self.below(128) as u32, 0, 0], None),
            // The whole page says the same queue.
            6 => ([0, 1 + self.below(8) as u32, 0], Some(0)),
            7 => ([self.below(2) as u32, 0, 0], None),
            _ => ([0; 3], None),
        };
        Action::Ask { kind, data, page }
    }

    /// What is refused, or a fault, and keeps the books right.
    fn rude(&mut self, actions: &mut Vec<Action>) {
        let queue = self.queue();
        let action = match self.below(32) {
            0..=19 => Action::Send(self.rude_packet()),
            20..=23 => Action::Buffer {
                queue,
                page: self.target(true),
            },
            24..=28 => Action::Notify {
                ring: self.ring(),
                queue,
                count: self.pick(&[1, 2, 50]),
            },
            29 if self.layout.control => Action::Ask {
                kind: self.edge() as u16,
                data: [self.edge() | NO_GRANT, self.edge(), self.edge()],
                page: Some(self.word() as u8).filter(|_| self.once_in(2)),
            },
            30 if self.once_in(64) => Action::Headroom(self.edge() as u16),
            31 if self.once_in(4) => {
                let on = Action::Storm {
                    ring: self.ring(),
                    queue,
                };
                actions.push(on);
                for _ in 0..self.below(8) {
                    self.honest(actions);
                }
                Action::Calm
            }
            _ => Action::Post {
                queue,
                count: self.pick(&[1, 1, 1, 1, 1, 3, 5, 60]),
                quiet: true,
            },
        };
        actions.push(action);
    }

    /// A page for a request; `written` if the backend writes to it.
    fn target(&mut self, written: bool) -> Target {
        match self.below(8) {
            0..=1 if written => Target::ReadOnly,
            0 => Target::Right,
            1 => Target::Another,
            2 => Target::Ring,
            3 if !written || self.world.alone => Target::Revoked,
            4 if self.world.alone => Target::Number(self.edge()),
            5 => Target::Number(u32::MAX - self.below(8) as u32),
            _ => Target::Number(self.word() | NO_GRANT),
        }
    }

    /// What the books do not know of, and the backend survives most of the time.
    fn odd(&mut self, actions: &mut Vec<Action>) {
        let queue = self.queue();
        let ring = self.ring();
        let action = match self.below(64) {
            0..=31 => {
                let (at, word) = self.place(ring);
                Action::Scribble {
                    ring,
                    queue,
                    at,
                    word,
                }
            }
            32..=45 => Action::Index {
                ring,
                queue,
                which: if self.once_in(16) {
                    2
                } else {
                    self.pick(&[1, 3])
                },
                by: self.distance(),
            },
            46 => {
                let (at, first) = self.place(ring);
                let words = [first, self.word_at(ring, at.into())];
                actions.push(Action::Flip {
                    ring,
                    queue,
                    at,
                    words,
                });
                self.then_calm(actions)
            }
            47 if self.once_in(4) => {
                actions.push(Action::Rewrite {
                    key: self.key(),
                    texts: [self.pick(&TEXTS).to_owned(), self.pick(&TEXTS).to_owned()],
                });
                self.then_calm(actions)
            }
            51..=54 => Action::Write {
                key: self.key(),
                text: self.text(),
            },
            55..=58 if ring != Ring::Tx => self.entry(ring),
            59..=63 if self.world.alone => Action::Revoke {
                ring: self.pick(&[Ring::Tx, Ring::Rx]),
                queue,
                buffer: self.below(64) as u8,
            },
            _ => Action::Send(self.rude_packet()),
        };
        actions.push(action);
    }

    /// A few honest actions, and then the end of what goes on without end.
    fn then_calm(&mut self, actions: &mut Vec<Action>) -> Action {
        for _ in 0..4 + self.below(16) {
            self.honest(actions);
        }
        Action::Calm
    }

    /// How far an index is off.
    fn distance(&mut self) -> i32 {
        match self.below(6) {
            0 => self.edge() as i32,
            1 => -(self.below(300) as i32),
            _ => self.below(20) as i32,
        }
    }

    fn entry(&mut self, ring: Ring) -> Action {
        let mut bytes = [0; 16];
        bytes.fill_with(|| self.edge() as u8);
        if ring == Ring::Rx && !self.world.alone {
            // No page of others.
            bytes[6] = 0xff;
        }
        Action::Entry {
            ring,
            queue: self.queue(),
            bytes,
        }
    }

    /// What ends most connections.
    fn fatal(&mut self, actions: &mut Vec<Action>) {
        let queue = self.queue();
        let ring = self.ring();
        let action = match self.below(16) {
            0..=2 => self.entry(Ring::Tx),
            3..=5 => Action::Index {
                ring,
                queue,
                which: 0,
                by: self.distance(),
            },
            6..=8 => self.states(actions),
            9..=11 => {
                let chained = self.chained();
                actions.push(Action::Send(chained));
                Action::Collect { queue }
            }
            12 if self.world.alone => {
                self.layout = self.new_layout();
                Action::Rings(self.layout)
            }
            13 if self.world.alone => Action::Release,
            14 if self.world.toolstack => Action::Vanish,
            _ => {
                let mut packet = self.packet();
                match self.below(5) {
                    0 => packet.extras = self.extras(true),
                    // Segments of no size, and of no known kind.
                    1 => packet.extras = vec![[EXTRA_GSO, 0, 0, 0, 1, 0, 0, 0]],
                    2 => packet.extras = vec![[EXTRA_GSO, 0, 100, 0, 9, 0, 0, 0]],
                    3 => packet.slots = 22 + self.below(4) as u8,
                    _ => {
                        let offset = self.pick(&[4000, 4095, 65535]);
                        packet.claims.push((0, Claim::Offset(offset)));
                    }
                }
                Action::Send(packet)
            }
        };
        actions.push(action);
    }

    /// A place in the entries of a ring, and a word for it.
    fn place(&mut self, ring: Ring) -> (u16, u32) {
        let kind = ring.kind();
        // What is in use is mostly near the beginning.
        let entries = self.pick(&[8, 64, u64::from(kind.entries)]);
        let entry = self.below(entries) as usize;
        let words = match ring {
            // The others say where a packet lies, and most of what they can say is fatal.
            Ring::Tx if !self.once_in(32) => 1,
            _ => kind.entry as u64 / 4,
        };
        let at = RING_HEADER + entry * kind.entry + 4 * self.below(words) as usize;
        (at as u16, self.word_at(ring, at))
    }

    /// A word for a place in the entries of a ring.
    fn word_at(&mut self, ring: Ring, at: usize) -> u32 {
        let word = self.edge();
        match (ring, (at - RING_HEADER) % ring.kind().entry) {
            // No other frontend's page.
            (Ring::Rx, 4) if !self.world.alone => word | NO_GRANT,
            // In an extra there is its type, and most are fatal.
            (Ring::Tx, 0) if !self.once_in(32) => (word << 16) | u32::from(EXTRA_HASH),
            _ => word,
        }
    }

    fn key(&mut self) -> String {
        match self.below(4) {
            0 => self.pick(&QUEUE_KEYS).to_owned(),
            1 => format!("queue-{}/{}", self.queue(), self.pick(&QUEUE_KEYS)),
            _ => self.pick(&KEYS).to_owned(),
        }
    }

    fn text(&mut self) -> Text {
        match self.below(10) {
            0..=3 => Text::Is(self.pick(&TEXTS).to_owned()),
            4 => Text::Is((self.word() | NO_GRANT).to_string()),
            5 => Text::Is("9".repeat(self.pick(&[20, 300, 2000]))),
            6 => Text::Page(Target::Right),
            7 => Text::Page(self.target(true)),
            8 => Text::Port(self.ring()),
            _ => Text::Missing,
        }
    }

    /// States in any order; or the way back to a connection, with some nodes that are wrong.
    fn states(&mut self, actions: &mut Vec<Action>) -> Action {
        let state = |text: &str| Action::Write {
            key: "state".to_owned(),
            text: Text::Is(text.to_owned()),
        };
        if self.once_in(2) {
            for text in ["5", "6", "1"] {
                if !self.once_in(8) {
                    actions.push(state(text));
                    actions.push(Action::Wait(self.below(20) as u8));
                }
            }
            for _ in 0..self.below(3) {
                actions.push(Action::Write {
                    key: self.key(),
                    text: self.text(),
                });
            }
            return state("4");
        }
        // In these the backend gives the device up, or takes it for gone.
        let last = match self.world.toolstack && self.once_in(8) {
            true => self.pick(&["0", "", "x"]),
            false => self.pick(&["1", "2", "3", "4", "5", "6", "7", "7", "8", "9", "12"]),
        };
        state(last)
    }
}

#[cfg(test)]
mod tests;
