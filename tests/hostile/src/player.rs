// SPDX-License-Identifier: GPL-2.0

//! Plays rounds of actions on a device.

mod connect;
mod room;

use std::{
    collections::BTreeMap,
    io, thread,
    time::{
        Duration,
        Instant, //
    },
};

use crate::{
    action::{
        Action,
        Claim,
        Frame,
        Layout,
        Packet,
        Ring,
        Round,
        Target,
        Text, //
    },
    exchange::exchange,
    frontend::Frontend,
    ping::Ends,
    queue::{
        Claims,
        Outgoing,
        Slot, //
    },
    random,
    wire::{
        EXTRA_MORE,
        PAGE, //
    },
};

/// How long the backend may take for a state, for a packet and back, and for an answer. A slow machine is
/// no fault.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long the backend may take for a change that it may refuse.
const SHORTLY: Duration = Duration::from_millis(200);
/// Actions after which the backend's state is looked at.
const LOOK: usize = 64;
/// The highest headroom that is granted.
const HIGHEST_HEADROOM: u16 = 455;

/// A number of actions.
#[derive(Clone, Copy, Debug, Default)]
pub struct Done {
    /// All.
    pub actions: u64,
    /// Those which no honest frontend does.
    pub hostile: u64,
}

/// A device on which rounds are played.
pub struct Player<'a> {
    frontend: &'a mut Frontend,
    ends: Ends,
    /// The command that sets a new interface up. With that the device can be made again.
    toolstack: Option<String>,
    /// What is in the frontend's directory besides what the toolstack has put there; None if it is not known
    /// what it says, or whether it is there.
    nodes: BTreeMap<String, Option<String>>,
    /// The rules do not hold any more, because the frontend did not keep its own.
    lied: bool,
    /// A page that may not be written.
    read_only: u32,
    /// The headrooms that may be in use.
    headrooms: Vec<u16>,
    sent: u32,
    /// Packets that are published together, and those on each queue that are not published.
    batch: u32,
    waiting: Vec<u32>,
    /// What was done since the backend was last seen to serve the connection.
    fresh: Done,
    /// What was done so far to a backend that serves the connection. What does nothing, because there is no room
    /// for it or no such queue, does not count, nor does what is only read.
    pub done: Done,
    /// Connections so far.
    pub connections: u64,
    /// Faults that the backend has found so far.
    pub faults: u64,
}

impl<'a> Player<'a> {
    /// Plays on a device in whatever state it is.
    pub fn new(
        frontend: &'a mut Frontend,
        ends: Ends,
        toolstack: Option<String>,
    ) -> Result<Self, String> {
        Ok(Self {
            frontend,
            ends,
            toolstack,
            nodes: random::keys().map(|key| (key, None)).collect(),
            lied: true,
            read_only: 0,
            headrooms: Vec::new(),
            sent: 0,
            batch: 1,
            waiting: Vec::new(),
            fresh: Done::default(),
            done: Done::default(),
            connections: 0,
            faults: 0,
        })
    }

    /// Connects, and has packets go each way. The error tells what the backend has done wrong before: it
    /// has broken a rule while the frontend kept its own, or it does not serve a frontend that comes back.
    pub fn prove(&mut self, layout: Layout) -> Result<(), String> {
        self.reconnect(layout)?;
        let end = Instant::now() + PATIENCE;
        let back =
            exchange(self.frontend, &self.ends, 1, 2, end).map_err(|error| error.to_string())?;
        if back < 2 {
            return Err(format!(
                "of two packets {back} came back to a new connection"
            ));
        }
        self.judge()
    }

    /// Plays a round on the connection that [`prove`](Self::prove) has made, up to `end`.
    pub fn play(&mut self, round: &Round, end: Instant) -> Result<(), String> {
        self.batch = round.batch.into();
        for (number, action) in round.actions.iter().enumerate() {
            let does = self
                .act(action)
                .map_err(|error| format!("action {number}: {error}"))?;
            self.fresh.actions += u64::from(does);
            self.fresh.hostile += u64::from(does && action.is_hostile());
            if number % LOOK == LOOK - 1 {
                self.look(round)?;
                if Instant::now() > end {
                    break;
                }
            }
        }
        // Nobody waits for a connection that is over.
        if round.honest || self.state()? == "4" {
            self.look(round)?;
            self.all_answered()?;
        }
        self.judge()
    }

    fn state(&self) -> Result<String, String> {
        let state = self.frontend.read("backend/state");
        Ok(state
            .map_err(|error| error.to_string())?
            .unwrap_or_default())
    }

    /// Comes back when the backend serves this connection no more.
    fn look(&mut self, round: &Round) -> Result<(), String> {
        (0..self.frontend.queues.len()).for_each(|queue| self.publish(queue));
        let state = self.state()?;
        let fresh = std::mem::take(&mut self.fresh);
        if state == "4" || state == "8" {
            self.done.actions += fresh.actions;
            self.done.hostile += fresh.hostile;
            if self.lied {
                // They are of no use any more.
                self.frontend.findings.take();
            }
            return Ok(());
        }
        self.faults += u64::from(state == "5");
        if round.honest {
            return Err(format!("the backend is in state {state} without a reason"));
        }
        self.reconnect(round.layout)
    }

    /// The rules that the backend has broken, unless the frontend has done so before.
    fn judge(&mut self) -> Result<(), String> {
        let broken = self.frontend.findings.take();
        match broken.first() {
            Some(first) if !self.lied => Err(format!("broken rule {first}")),
            _ => Ok(()),
        }
    }

    /// Every packet gets its answer, as long as the connection lasts.
    fn all_answered(&mut self) -> Result<(), String> {
        let end = Instant::now() + PATIENCE;
        for queue in 0..self.frontend.queues.len() {
            while !self.lied {
                self.collect(queue).map_err(|error| error.to_string())?;
                let outstanding = self.frontend.queues[queue].tx_rules.outstanding();
                if outstanding == 0 || self.state()? != "4" {
                    break;
                }
                if Instant::now() > end {
                    return Err(format!(
                        "{outstanding} packets of queue {queue} are not answered"
                    ));
                }
                thread::sleep(Duration::from_millis(5));
            }
        }
        Ok(())
    }

    // Actions.

    /// Does one thing; returns whether it does anything to the backend. The error is of this machine, or of the
    /// connection.
    fn act(&mut self, action: &Action) -> Result<bool, String> {
        match action {
            Action::Reconnect(layout) => self.reconnect(*layout)?,
            Action::Headroom(size) => self.headroom(*size)?,
            Action::Write { key, text } => self.write(key, text)?,
            Action::Vanish => {
                self.lied = true;
                self.nodes.clear();
                let directory = self.frontend.node("");
                self.put(directory.trim_end_matches('/'), None)?;
            }
            Action::Rings(layout) => {
                self.lied = true;
                for (key, value) in self.keys(*layout)? {
                    self.put(&key, Some(&value))?;
                    self.nodes.insert(key, None);
                }
            }
            _ => return self.act_on_rings(action).map_err(|error| error.to_string()),
        }
        Ok(true)
    }

    fn act_on_rings(&mut self, action: &Action) -> io::Result<bool> {
        match action {
            Action::Send(packet) if self.exists(packet.queue) => return self.send(packet),
            Action::Post {
                queue,
                count,
                quiet,
            } if self.exists(*queue) => {
                let queue = usize::from(*queue);
                self.make_rx_room(queue)?;
                return Ok(self.frontend.post(queue, u32::from(*count), *quiet)? > 0);
            }
            Action::Buffer { queue, page } if self.exists(*queue) => {
                self.make_rx_room((*queue).into())?;
                let lie = matches!(page, Target::Another | Target::Ring);
                let page = self.reference(*page, Ring::Rx, *queue)?;
                let port = self.frontend.queues[usize::from(*queue)].rx_port;
                let queue = &mut self.frontend.queues[usize::from(*queue)];
                if !queue.has_room() {
                    return Ok(false);
                }
                self.lied |= lie;
                queue.post_page(page)?;
                if queue.rx.publish() {
                    self.notify(port);
                }
            }
            Action::Collect { queue } => {
                if self.exists(*queue) {
                    self.collect((*queue).into())?;
                }
                return Ok(false);
            }
            Action::Ask { kind, data, page } if self.frontend.port("control", 0).is_some() => {
                let mut data = *data;
                let mut granted = None;
                if let Some(byte) = page {
                    data[0] = self.frontend.grant(&[*byte; PAGE], true)?;
                    granted = Some(data[0]);
                }
                self.frontend
                    .ask(*kind, data, Instant::now() + self.patience())?;
                granted.map(|page| self.frontend.grants.remove(&page));
            }
            Action::Wait(milliseconds) => {
                thread::sleep(Duration::from_millis((*milliseconds).into()));
                return Ok(false);
            }
            Action::Notify { ring, queue, count } => {
                let Some(port) = self.frontend.port(ring.name(), (*queue).into()) else {
                    return Ok(false);
                };
                (0..*count).for_each(|_| self.notify(port));
            }
            Action::Storm { ring, queue } => {
                let Some(port) = self.frontend.port(ring.name(), (*queue).into()) else {
                    return Ok(false);
                };
                self.frontend.storm(port);
            }
            Action::Calm => {
                // What a storm was about may be closed by now.
                let _ = self.frontend.background.stop();
                return Ok(false);
            }
            Action::Rewrite { key, texts } => {
                self.lied = true;
                self.nodes.insert(key.clone(), None);
                self.frontend.rewrite(key, texts.to_vec());
            }
            Action::Revoke {
                ring,
                queue,
                buffer,
            } if self.exists(*queue) => {
                self.lied = true;
                self.frontend.queues[usize::from(*queue)].revoke(ring.name(), (*buffer).into());
            }
            Action::Release => {
                self.lied = true;
                let _ = self.frontend.background.stop();
                self.frontend.release();
            }
            _ => return Ok(self.break_ring(action)),
        }
        Ok(true)
    }

    /// What happens to a ring without its books; returns whether it does.
    fn break_ring(&mut self, action: &Action) -> bool {
        let (Action::Entry { ring, queue, .. }
        | Action::Scribble { ring, queue, .. }
        | Action::Index { ring, queue, .. }
        | Action::Flip { ring, queue, .. }) = action
        else {
            return false;
        };
        let (kind, number) = (ring.name(), usize::from(*queue));
        // What the backend does not look at yet, it would only see when it is wrong.
        if self.exists(*queue) {
            self.publish(number);
        }
        let Some(page) = self
            .frontend
            .ring(kind, number)
            .map(|ring| ring.page().clone())
        else {
            return false;
        };
        self.lied = true;
        match action {
            Action::Entry { bytes, .. } => {
                let entry = ring.kind().entry;
                let cons = self.frontend.cons(kind, number);
                if let Some(ring) = self.frontend.ring_mut(kind, number) {
                    if ring.room(cons) == 0 {
                        return false;
                    }
                    ring.put(&bytes[..entry]);
                    ring.publish();
                }
                if let Some(port) = self.frontend.port(kind, number) {
                    self.notify(port);
                }
            }
            Action::Scribble { at, word, .. } => page.set_word((*at).into(), *word),
            Action::Index { which, by, .. } => {
                let at = usize::from(*which) * 4;
                page.set_word(at, page.word(at).wrapping_add_signed(*by));
            }
            Action::Flip { at, words, .. } => {
                let words = words.iter().map(|word| word.to_ne_bytes().to_vec());
                self.frontend.flip(page, (*at).into(), words.collect());
            }
            _ => {}
        }
        true
    }

    fn exists(&self, queue: u8) -> bool {
        usize::from(queue) < self.frontend.queues.len()
    }

    fn notify(&self, port: u32) {
        // The other end may have closed it.
        let _ = self.frontend.notify(port);
    }

    /// The number of a page; none for the one that belongs there.
    fn reference(&mut self, target: Target, ring: Ring, queue: u8) -> io::Result<Option<u32>> {
        let queue = &mut self.frontend.queues[usize::from(queue)];
        Ok(Some(match target {
            Target::Right => return Ok(None),
            Target::ReadOnly => self.read_only,
            Target::Ring => queue.tx.page().reference(),
            Target::Another => queue.buffer(ring.name(), 0)?.reference(),
            Target::Number(number) => number,
            Target::Revoked => {
                let revoked = self.frontend.grant(&[], true)?;
                self.frontend.grants.remove(&revoked);
                revoked
            }
        }))
    }

    /// Sends a packet; returns whether there was room for it.
    fn send(&mut self, packet: &Packet) -> io::Result<bool> {
        let Packet {
            queue,
            frame,
            size,
            slots,
            flags,
            extras,
            claims,
        } = packet;
        self.sent = self.sent.wrapping_add(1);
        let size = usize::from(*size);
        let mut frame = match frame {
            Frame::Ping => self.ends.ping(self.sent, size),
            Frame::Tcp => self.ends.tcp(size),
            Frame::Noise(seed) => {
                let mut frame = [self.ends.host_mac, self.ends.mac].concat();
                frame.extend([0x88, 0xb5]);
                let bytes = (0u64..).map(|at| (seed.wrapping_mul(at + 1) >> 7) as u8);
                frame.extend(bytes.take(size));
                frame
            }
        };
        frame.truncate(size);
        let mut packet = Outgoing {
            slots: cut(&frame, (*slots).into()),
            flags: *flags,
            extras: extras.clone(),
        };
        // These slots are packets of their own, and these extras end elsewhere.
        let mut lie = *slots > 1 && extras.iter().any(|extra| [2, 3].contains(&extra[0]));
        lie |= extras
            .last()
            .is_some_and(|extra| extra[1] & EXTRA_MORE != 0);
        for (slot, claim) in claims {
            let page = match claim {
                Claim::Page(target) => self.reference(*target, Ring::Tx, *queue)?,
                _ => None,
            };
            let Some(slot) = packet.slots.get_mut(usize::from(*slot)) else {
                continue;
            };
            let Claims {
                gref,
                offset,
                flags,
                id,
                size,
            } = &mut slot.claims;
            match claim {
                Claim::Page(_) => *gref = page,
                Claim::Offset(value) => *offset = Some(*value),
                Claim::Size(value) => *size = Some(*value),
                Claim::Id(value) => *id = Some(*value),
                Claim::Flags(value) => {
                    *flags = Some(*value);
                    lie = true;
                }
            }
        }
        let queue = usize::from(*queue);
        if !self.make_tx_room(queue, &packet)? {
            return Ok(false);
        }
        self.lied |= lie;
        self.frontend.queues[queue].send(&packet)?;
        if let Some(waiting) = self.waiting.get_mut(queue) {
            *waiting += 1;
            if *waiting < self.batch {
                return Ok(true);
            }
        }
        self.publish(queue);
        Ok(true)
    }

    fn write(&mut self, key: &str, text: &Text) -> Result<(), String> {
        self.lied = true;
        let value = match text {
            Text::Is(text) => Some(text.clone()),
            Text::Missing => None,
            Text::Port(ring) => {
                let port = self.frontend.port(ring.name(), 0);
                Some(port.unwrap_or(0).to_string())
            }
            Text::Page(target) if self.exists(0) => {
                let page = self.reference(*target, Ring::Tx, 0);
                let page = page.map_err(|error| error.to_string())?;
                let own = || self.frontend.queues[0].rx.page().reference();
                Some(page.unwrap_or_else(own).to_string())
            }
            Text::Page(_) => Some("0".to_owned()),
        };
        if key != "state" {
            self.nodes.insert(key.to_owned(), None);
        }
        // Where a node cannot be, or not with that, nothing is written.
        let _ = self.frontend.write(key, value.as_deref());
        Ok(())
    }

    fn headroom(&mut self, size: u16) -> Result<(), String> {
        // What was sent before the change may still come, and what is granted may be less.
        self.headrooms.extend([size, size.min(HIGHEST_HEADROOM)]);
        self.frontend.expect_headrooms(self.headrooms.clone());
        self.put("xdp-headroom", Some(&size.to_string()))?;
        self.nodes.insert("xdp-headroom".to_owned(), None);
        self.put("state", Some("7"))?;
        self.wait(&["8", "5"], SHORTLY)?;
        self.put("state", Some("4"))
    }
}

/// Cuts a frame into slots, most of which are small.
fn cut(frame: &[u8], slots: usize) -> Vec<Slot> {
    let slots = slots.max(1);
    let others = slots - 1;
    let each = match others {
        0 => 0,
        _ => (frame.len().saturating_sub(60) / slots).clamp(0, PAGE),
    };
    let first = frame.len().saturating_sub(each * others).min(PAGE);
    let mut rest = frame;
    let mut pieces = Vec::new();
    for number in 0..slots {
        let wanted = match number {
            0 => first,
            last if last == others => rest.len(),
            _ => each,
        };
        let (data, left) = rest.split_at(wanted.min(rest.len()).min(PAGE));
        rest = left;
        pieces.push(Slot {
            data: data.to_vec(),
            ..Slot::default()
        });
    }
    pieces
}
