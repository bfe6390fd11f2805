// SPDX-License-Identifier: GPL-2.0

//! A pair of rings: packets to and from the guest.

use std::{
    collections::{
        BTreeMap,
        VecDeque, //
    },
    io,
    sync::Arc, //
};

use crate::{
    ffi::{
        Page,
        Sharer, //
    },
    ring::Ring,
    rules::Findings,
    rx_rules::{
        self,
        check_frame,
        check_untouched,
        Asked,
        RxRules,
        UNTOUCHED, //
    },
    tx_rules::TxRules,
    wire::{
        RxRequest,
        TxRequest,
        TxResponse,
        EXTRA_INFO,
        EXTRA_MORE,
        MORE_DATA,
        PAGE,
        RX,
        TX, //
    },
};

/// Pages granted to the backend, each made when it is first needed.
struct Buffers {
    sharer: Sharer,
    writable: bool,
    pages: Vec<Option<Arc<Page>>>,
}

impl Buffers {
    fn new(sharer: &Sharer, writable: bool, count: u32) -> Self {
        Self {
            sharer: sharer.clone(),
            writable,
            pages: (0..count).map(|_| None).collect(),
        }
    }

    fn get(&mut self, number: usize) -> io::Result<&Arc<Page>> {
        let page = &mut self.pages[number];
        if page.is_none() {
            *page = Some(Arc::new(self.sharer.any(self.writable)?));
        }
        Ok(page.as_ref().expect("it was made above"))
    }

    fn keep(self) {
        for page in self.pages.into_iter().flatten() {
            self.sharer.keep(page, self.writable);
        }
    }
}

/// One slot of a packet that is to be sent.
#[derive(Clone, Debug, Default)]
pub struct Slot {
    /// What it says about itself, when that is not the truth.
    pub claims: Claims,
    /// Its data.
    pub data: Vec<u8>,
    /// Where the data starts in its page.
    pub offset: u16,
}

/// Fields of a request that are not what they should be.
#[derive(Clone, Debug, Default)]
pub struct Claims {
    /// Another page than that with the data.
    pub gref: Option<u32>,
    /// Another offset.
    pub offset: Option<u16>,
    /// Other flags.
    pub flags: Option<u16>,
    /// Another id. The response is expected to have it.
    pub id: Option<u16>,
    /// Another size.
    pub size: Option<u16>,
}

/// A packet that is to be sent.
#[derive(Clone, Debug, Default)]
pub struct Outgoing {
    /// Its data. The first request tells the size of all.
    pub slots: Vec<Slot>,
    /// Flags of the first request besides those that follow from the rest.
    pub flags: u16,
    /// Extras. The flag that another one follows is set where it has to be.
    pub extras: Vec<[u8; 8]>,
}

impl Outgoing {
    fn requests(&self) -> usize {
        self.slots.len() + self.extras.len()
    }
}

/// What became of a packet that was sent: the status of each slot.
#[derive(Clone, Debug)]
pub struct Sent {
    /// What [`Queue::send`] has returned.
    pub number: u64,
    /// The status of each slot.
    pub statuses: Vec<i16>,
}

/// A packet that was received.
#[derive(Clone, Debug)]
pub struct Received {
    /// How it lay on the ring.
    pub packet: rx_rules::Packet,
    /// Its bytes; nothing when the backend reports an error.
    pub frame: Vec<u8>,
}

/// A pair of rings with their buffers and ports.
pub struct Queue {
    /// Packets from the guest.
    pub tx: Ring,
    /// Packets to the guest.
    pub rx: Ring,
    /// The port for packets from the guest.
    pub tx_port: u32,
    /// The port for packets to the guest; often the same.
    pub rx_port: u32,
    /// What holds for responses to packets from the guest.
    pub tx_rules: TxRules,
    /// What holds for packets to the guest.
    pub rx_rules: RxRules,
    tx_buffers: Buffers,
    rx_buffers: Buffers,
    /// Tx buffers that hold nothing, as ids.
    free: VecDeque<u16>,
    /// The buffers of packets that are not answered, by number.
    busy: BTreeMap<u64, Vec<u16>>,
}

impl Queue {
    /// Empty rings whose indices begin at `start`.
    pub fn new(sharer: &Sharer, ports: (u32, u32), asked: Asked, start: u32) -> io::Result<Self> {
        let mut rx_rules = RxRules::new(asked);
        rx_rules.cons = start;
        Ok(Self {
            tx: Ring::new(TX, sharer, start)?,
            rx: Ring::new(RX, sharer, start)?,
            tx_port: ports.0,
            rx_port: ports.1,
            tx_rules: TxRules::new(rx_rules.asked.strict).starting_at(start),
            rx_rules,
            tx_buffers: Buffers::new(sharer, false, TX.entries),
            rx_buffers: Buffers::new(sharer, true, RX.entries),
            free: (0..TX.entries as u16).collect(),
            busy: BTreeMap::new(),
        })
    }

    /// Whether there is room on the ring for a packet.
    pub fn has_slots(&self, packet: &Outgoing) -> bool {
        packet.requests() <= self.tx.room(self.tx_rules.cons) as usize
    }

    /// Whether there is room on the ring, and there are buffers, for a packet.
    pub fn fits(&self, packet: &Outgoing) -> bool {
        self.has_slots(packet) && packet.slots.len() <= self.free.len()
    }

    /// Writes a packet that [`fits`](Self::fits) to the ring, without publishing it; returns its number.
    pub fn send(&mut self, packet: &Outgoing) -> io::Result<u64> {
        let total: usize = packet.slots.iter().map(|slot| slot.data.len()).sum();
        let mut requests = Vec::new();
        let mut buffers = Vec::new();
        for (number, slot) in packet.slots.iter().enumerate() {
            let buffer = self.free.pop_front().expect("the packet fits");
            buffers.push(buffer);
            let page = self.tx_buffers.get(usize::from(buffer))?;
            page.write(usize::from(slot.offset), &slot.data);
            let mut flags = 0;
            if number + 1 < packet.slots.len() {
                flags |= MORE_DATA;
            }
            if number == 0 {
                flags |= packet.flags;
                if !packet.extras.is_empty() {
                    flags |= EXTRA_INFO;
                }
            }
            let size = if number == 0 { total } else { slot.data.len() };
            let claims = &slot.claims;
            requests.push(TxRequest {
                gref: claims.gref.unwrap_or(page.reference()),
                offset: claims.offset.unwrap_or(slot.offset),
                flags: claims.flags.unwrap_or(flags),
                id: claims.id.unwrap_or(buffer),
                size: claims.size.unwrap_or(size as u16),
            });
        }
        for (number, request) in requests.iter().enumerate() {
            self.tx.put(&request.encode());
            if number == 0 {
                self.put_extras(&packet.extras);
            }
        }
        let ids: Vec<u16> = requests.iter().map(|request| request.id).collect();
        let number = self.tx_rules.sent(&ids, packet.extras.len());
        self.busy.insert(number, buffers);
        Ok(number)
    }

    fn put_extras(&mut self, extras: &[[u8; 8]]) {
        for (number, extra) in extras.iter().enumerate() {
            let mut entry = [0; 12];
            entry[..8].copy_from_slice(extra);
            if number + 1 < extras.len() {
                entry[1] |= EXTRA_MORE;
            }
            self.tx.put(&entry);
        }
    }

    /// Reads the responses to packets which were sent.
    pub fn sent(&mut self, findings: &mut Findings) -> Vec<Sent> {
        let Self { tx, tx_rules, .. } = self;
        let answered = tx_rules.published(
            tx.responses(),
            |index| TxResponse::decode(tx.response(index)),
            findings,
        );
        let sent = answered.into_iter().map(|packet| {
            self.free
                .extend(self.busy.remove(&packet.number).unwrap_or_default());
            Sent {
                number: packet.number,
                statuses: packet.slots.iter().map(|slot| slot.1).collect(),
            }
        });
        sent.collect()
    }

    /// Writes up to `count` requests for packets to the ring, without publishing them; returns how many
    /// there was room for.
    pub fn post(&mut self, count: u32) -> io::Result<u32> {
        let count = count.min(self.rx.room(self.rx_rules.cons));
        for _ in 0..count {
            self.post_page(None)?;
        }
        Ok(count)
    }

    /// Writes a request for packets to the ring, which has room, without publishing it; it names another
    /// page than its own if there is a `claim`.
    pub fn post_page(&mut self, claim: Option<u32>) -> io::Result<()> {
        let index = self.rx.next();
        let page = self.rx_buffers.get((index % RX.entries) as usize)?;
        page.write(0, &[UNTOUCHED; PAGE]);
        // An id that says more than the slot: it tells an old response from a new one.
        let id = index as u16;
        let gref = claim.unwrap_or(page.reference());
        self.rx.put(&RxRequest { id, gref }.encode());
        self.rx_rules.posted(id);
        Ok(())
    }

    /// Whether there is room on the ring for a request for packets.
    pub fn has_room(&self) -> bool {
        self.rx.room(self.rx_rules.cons) > 0
    }

    /// Gives the rings back, and keeps the buffers for those that are made next.
    pub fn dissolve(self) {
        self.tx_buffers.keep();
        self.rx_buffers.keep();
    }

    /// Goes on from what the backend says is answered. That is of use to a frontend which cannot trust its own
    /// books any more, because it did not keep them. When what the backend says cannot be, either, everything is
    /// taken for answered.
    pub fn resume(&mut self) {
        let answered = |ring: &Ring| {
            let outstanding = ring.next().wrapping_sub(ring.responses());
            let possible = outstanding <= ring.kind().entries;
            ring.next()
                .wrapping_sub(if possible { outstanding } else { 0 })
        };
        self.tx_rules = TxRules::new(false).resuming_at(answered(&self.tx), self.tx.next());
        self.rx_rules = RxRules::new(self.rx_rules.asked.clone());
        self.rx_rules.cons = answered(&self.rx);
        let posted = self.rx.next().wrapping_sub(self.rx_rules.cons);
        for ahead in 0..posted {
            self.rx_rules
                .posted(self.rx_rules.cons.wrapping_add(ahead) as u16);
        }
        self.free = (0..TX.entries as u16).collect();
        self.busy.clear();
    }

    /// Reads the packets that have come.
    pub fn received(&mut self, findings: &mut Findings) -> io::Result<Vec<Received>> {
        let Self { rx, rx_rules, .. } = self;
        let packets = rx_rules.published(rx.responses(), |index| rx.response(index), findings);
        packets
            .into_iter()
            .map(|packet| self.content(packet, findings))
            .collect()
    }

    /// Takes a packet's bytes out of its buffers.
    fn content(
        &mut self,
        packet: rx_rules::Packet,
        findings: &mut Findings,
    ) -> io::Result<Received> {
        let mut frame = Vec::new();
        let extras = packet.extras.iter().map(|extra| (extra.0, 0..0));
        // What a buffer holds whose copy has failed is not known.
        let filled = packet.pieces.iter().filter(|piece| piece.len.is_some());
        let pieces = filled.map(|piece| (piece.index, piece.range()));
        for (index, range) in pieces.chain(extras) {
            let page = self.rx_buffers.get((index % RX.entries) as usize)?;
            let bytes = page.array::<PAGE>(0);
            frame.extend_from_slice(&bytes[range.clone()]);
            check_untouched(&bytes, range, findings);
        }
        if packet.len().is_none() {
            frame.clear();
        }
        check_frame(&self.rx_rules.asked, &packet, &frame, findings);
        Ok(Received { packet, frame })
    }

    /// The page of a buffer, by what it is called: `tx` or `rx` and its number.
    pub fn buffer(&mut self, kind: &str, number: usize) -> io::Result<&Arc<Page>> {
        match kind {
            "tx" if number < TX.entries as usize => self.tx_buffers.get(number),
            "rx" if number < RX.entries as usize => self.rx_buffers.get(number),
            _ => Err(io::Error::new(
                io::ErrorKind::NotFound,
                format!("no buffer {kind} {number}"),
            )),
        }
    }

    /// Revokes the grant of a buffer. The next use of it makes another page.
    pub fn revoke(&mut self, kind: &str, number: usize) {
        let buffers = if kind == "tx" {
            &mut self.tx_buffers
        } else {
            &mut self.rx_buffers
        };
        if let Some(page) = buffers.pages.get_mut(number) {
            *page = None;
        }
    }
}
