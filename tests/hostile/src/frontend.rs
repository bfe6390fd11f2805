// SPDX-License-Identifier: GPL-2.0

//! The device: its rings, its ports, its nodes in xenstore.

use std::{
    collections::BTreeMap,
    io,
    sync::Arc,
    time::{
        Duration,
        Instant, //
    },
};

use crate::{
    background::Background,
    control_rules::ControlRules,
    ffi::{
        Events,
        Page,
        Sharer,
        Store, //
    },
    queue::{
        Outgoing,
        Queue,
        Received, //
    },
    ring::Ring,
    rules::{
        check_notified,
        Findings, //
    },
    rx_rules::Asked,
    wire::{
        ControlRequest,
        ControlResponse,
        CONTROL,
        PAGE, //
    },
};

/// How long an event may take after what it announces.
const EVENT_LATE: Duration = Duration::from_secs(3);

/// Requests on the control ring that decide about hashes.
const SET_HASH_FLAGS: u16 = 2;
const SET_HASH_ALGORITHM: u16 = 7;

/// The control ring.
struct Control {
    ring: Ring,
    port: u32,
    rules: ControlRules,
    /// The hash algorithm and the kinds of hashes that the backend has agreed to.
    algorithm: u32,
    flags: u32,
}

/// A network device's frontend.
pub struct Frontend {
    sharer: Sharer,
    events: Arc<Events>,
    store: Arc<Store>,
    /// Its directory in xenstore.
    path: String,
    /// The backend's directory.
    backend: String,
    domain: u32,
    /// Events heard, by port.
    heard: BTreeMap<u32, u64>,
    control: Option<Control>,
    ports: Vec<u32>,
    /// Pages that were granted for no ring and no buffer, by reference.
    pub grants: BTreeMap<u32, Arc<Page>>,
    /// The queues, while there are rings.
    pub queues: Vec<Queue>,
    /// What the frontend asks for.
    pub asked: Asked,
    /// Broken rules.
    pub findings: Findings,
    /// What goes on by itself.
    pub background: Background,
}

/// Waiting for a ring: what was read from it, and whether that was all that there will be.
pub enum Waited {
    /// There is something.
    Changed,
    /// There is nothing by now.
    Late,
}

impl Frontend {
    /// The frontend at `path`, whose backend is in `domain`.
    pub fn open(path: &str, domain: u32, strict: bool) -> io::Result<Self> {
        let store = Arc::new(Store::open()?);
        let backend = store.read(&format!("{path}/backend"))?.unwrap_or_default();
        Ok(Self {
            sharer: Sharer::open(domain)?,
            events: Arc::new(Events::open()?),
            store,
            path: path.to_owned(),
            backend: String::from_utf8_lossy(&backend).into_owned(),
            domain,
            heard: BTreeMap::new(),
            control: None,
            ports: Vec::new(),
            grants: BTreeMap::new(),
            queues: Vec::new(),
            asked: Asked::nothing(strict),
            findings: Findings::default(),
            background: Background::default(),
        })
    }

    /// The absolute path of a node: `key` is relative to the frontend's directory, to the backend's when
    /// it starts with `backend/`, and absolute when it starts with a slash.
    pub fn node(&self, key: &str) -> String {
        match key.strip_prefix("backend/") {
            Some(key) => format!("{}/{key}", self.backend),
            None if key.starts_with('/') => key.to_owned(),
            None => format!("{}/{key}", self.path),
        }
    }

    /// The value of a node.
    pub fn read(&self, key: &str) -> io::Result<Option<String>> {
        let value = self.store.read(&self.node(key))?;
        Ok(value.map(|value| String::from_utf8_lossy(&value).into_owned()))
    }

    /// Writes a node; removes it when there is no value. What the frontend asks for follows from what it
    /// writes.
    pub fn write(&mut self, key: &str, value: Option<&str>) -> io::Result<()> {
        match value {
            Some(value) => self.store.write(&self.node(key), value.as_bytes())?,
            None => self.store.remove(&self.node(key))?,
        }
        let on = value.is_some_and(|value| value.parse::<u32>().is_ok_and(|value| value != 0));
        match key {
            "feature-sg" => self.asked.sg = on,
            "feature-gso-tcpv4" => self.asked.gso_v4 = on,
            "feature-gso-tcpv6" => self.asked.gso_v6 = on,
            "feature-no-csum-offload" => self.asked.blank_v4 = !on,
            "feature-ipv6-csum-offload" => self.asked.blank_v6 = on,
            _ => return Ok(()),
        }
        self.share_asked();
        Ok(())
    }

    /// From now on packets may come with one of these headrooms.
    pub fn expect_headrooms(&mut self, headrooms: Vec<u16>) {
        self.asked.headrooms = headrooms;
        self.share_asked();
    }

    fn share_asked(&mut self) {
        for queue in &mut self.queues {
            queue.rx_rules.asked = self.asked.clone();
        }
    }

    /// Makes fresh rings, whose indices begin at `start`, and ports; returns the keys that tell of them.
    pub fn make_rings(
        &mut self,
        queues: usize,
        split: bool,
        control: bool,
        start: u32,
    ) -> io::Result<Vec<(String, u32)>> {
        self.drop_rings();
        let mut keys = Vec::new();
        for number in 0..queues {
            let tx_port = self.bind()?;
            let rx_port = if split { self.bind()? } else { tx_port };
            let ports = (tx_port, rx_port);
            let queue = Queue::new(&self.sharer, ports, self.asked.clone(), start)?;
            let folder = match queues {
                1 => String::new(),
                _ => format!("queue-{number}/"),
            };
            let mut add = |key, value| keys.push((format!("{folder}{key}"), value));
            add("tx-ring-ref", queue.tx.page().reference());
            add("rx-ring-ref", queue.rx.page().reference());
            if split {
                add("event-channel-tx", tx_port);
                add("event-channel-rx", rx_port);
            } else {
                add("event-channel", tx_port);
            }
            self.queues.push(queue);
        }
        if control {
            let ring = Ring::new(CONTROL, &self.sharer, start)?;
            let port = self.bind()?;
            keys.push(("ctrl-ring-ref".to_owned(), ring.page().reference()));
            keys.push(("event-channel-ctrl".to_owned(), port));
            self.control = Some(Control {
                ring,
                port,
                rules: ControlRules::starting_at(start),
                algorithm: 0,
                flags: 0,
            });
        }
        Ok(keys)
    }

    fn bind(&mut self) -> io::Result<u32> {
        let port = self.events.bind(self.domain)?;
        self.ports.push(port);
        Ok(port)
    }

    /// Gives rings, buffers and ports back. What was asked for is asked for no more.
    pub fn release(&mut self) {
        self.drop_rings();
        self.sharer.keep_none();
    }

    /// The same, but buffers are kept for the next rings: the backend has to be done with them.
    pub fn recycle(&mut self) {
        self.queues.drain(..).for_each(Queue::dissolve);
        self.drop_rings();
    }

    fn drop_rings(&mut self) {
        self.queues.clear();
        self.control = None;
        self.grants.clear();
        self.asked = Asked::nothing(self.asked.strict);
        for port in std::mem::take(&mut self.ports) {
            // One that is closed already is as good.
            let _ = self.events.unbind(port);
        }
        // Events that nobody waited for stay in the driver's list, which has an end.
        while let Ok(Some(_)) = self.events.wait(Duration::ZERO) {}
        self.heard.clear();
    }

    /// Grants a page with `content` for no purpose of its own; returns its reference.
    pub fn grant(&mut self, content: &[u8], writable: bool) -> io::Result<u32> {
        let page = Arc::new(self.sharer.share(writable)?);
        page.write(0, &content[..content.len().min(PAGE)]);
        let reference = page.reference();
        self.grants.insert(reference, page);
        Ok(reference)
    }

    /// The ring that a word names: `control`, or `tx` or `rx` of a queue.
    pub fn ring(&self, kind: &str, queue: usize) -> Option<&Ring> {
        match kind {
            "control" => self.control.as_ref().map(|control| &control.ring),
            "tx" => self.queues.get(queue).map(|queue| &queue.tx),
            "rx" => self.queues.get(queue).map(|queue| &queue.rx),
            _ => None,
        }
    }

    /// The same, to be changed.
    pub fn ring_mut(&mut self, kind: &str, queue: usize) -> Option<&mut Ring> {
        match kind {
            "control" => self.control.as_mut().map(|control| &mut control.ring),
            "tx" => self.queues.get_mut(queue).map(|queue| &mut queue.tx),
            "rx" => self.queues.get_mut(queue).map(|queue| &mut queue.rx),
            _ => None,
        }
    }

    /// The port that belongs to a ring.
    pub fn port(&self, kind: &str, queue: usize) -> Option<u32> {
        match kind {
            "control" => self.control.as_ref().map(|control| control.port),
            "tx" => self.queues.get(queue).map(|queue| queue.tx_port),
            "rx" => self.queues.get(queue).map(|queue| queue.rx_port),
            _ => None,
        }
    }

    /// Sends an event.
    pub fn notify(&self, port: u32) -> io::Result<()> {
        self.events.notify(port)
    }

    /// Sends events without end, in the background.
    pub fn storm(&mut self, port: u32) {
        let events = self.events.clone();
        self.background.start(move |_| events.notify(port));
    }

    /// Does `fill`, from [`Ring::filler`], and sends an event, again and again in the background. The ring is of
    /// no other use until that stops, and is to be released then.
    pub fn overfill(&mut self, mut fill: impl FnMut() + Send + 'static, port: u32) {
        let events = self.events.clone();
        self.background.start(move |_| {
            fill();
            events.notify(port)
        });
    }

    /// Writes one of several values after the other to a node, in the background.
    pub fn rewrite(&mut self, key: &str, values: Vec<String>) {
        let (store, node) = (self.store.clone(), self.node(key));
        self.background.start(move |done| {
            let value = &values[(done % values.len() as u64) as usize];
            store.write(&node, value.as_bytes())
        });
    }

    /// Writes one of several values after the other to a place in a page, in the background. The page is
    /// granted at least until that stops.
    pub fn flip(&mut self, page: Arc<Page>, offset: usize, values: Vec<Vec<u8>>) {
        self.background.start(move |done| {
            page.write(offset, &values[(done % values.len() as u64) as usize]);
            Ok(())
        });
    }

    /// Posts up to `count` buffers; returns how many there was room for. Does not notify when it shall be
    /// `quiet`.
    pub fn post(&mut self, queue: usize, count: u32, quiet: bool) -> io::Result<u32> {
        let queue = &mut self.queues[queue];
        let posted = queue.post(count)?;
        if queue.rx.publish() && !quiet {
            self.events.notify(queue.rx_port)?;
        }
        Ok(posted)
    }

    /// Posts `count` buffers at once, or as many as there is room for; the one numbered `bad` of them is said
    /// to be the page `gref`.
    pub fn post_bad(&mut self, queue: usize, count: u32, bad: u32, gref: u32) -> io::Result<u32> {
        let queue = &mut self.queues[queue];
        let count = count.min(queue.rx.room(queue.rx_rules.cons));
        for number in 0..count {
            queue.post_page((number == bad).then_some(gref))?;
        }
        if queue.rx.publish() {
            self.events.notify(queue.rx_port)?;
        }
        Ok(count)
    }

    /// Sends packets, waiting for room, until `end`; returns the number of each that got onto the ring.
    /// Their statuses are added to `done`.
    pub fn send(
        &mut self,
        queue: usize,
        packets: &[Outgoing],
        end: Instant,
        done: &mut BTreeMap<u64, Vec<i16>>,
    ) -> io::Result<Vec<u64>> {
        let mut numbers = Vec::new();
        for packet in packets {
            while !self.queues[queue].fits(packet) {
                self.publish(queue)?;
                if let Waited::Late = self.wait_answers(queue, end, done)? {
                    return Ok(numbers);
                }
            }
            numbers.push(self.queues[queue].send(packet)?);
        }
        self.publish(queue)?;
        Ok(numbers)
    }

    /// Publishes the packets that were written to the ring.
    pub fn publish(&mut self, queue: usize) -> io::Result<()> {
        let queue = &mut self.queues[queue];
        if queue.tx.publish() {
            self.events.notify(queue.tx_port)?;
        }
        Ok(())
    }

    /// Waits until packets of these numbers are answered, until `end` at most; the statuses are added to
    /// `done`.
    pub fn answers(
        &mut self,
        queue: usize,
        numbers: &[u64],
        end: Instant,
        done: &mut BTreeMap<u64, Vec<i16>>,
    ) -> io::Result<()> {
        while !numbers.iter().all(|number| done.contains_key(number)) {
            if let Waited::Late = self.wait_answers(queue, end, done)? {
                break;
            }
        }
        Ok(())
    }

    /// Waits for an answer to packets that were sent, and reads what is there.
    fn wait_answers(
        &mut self,
        queue: usize,
        end: Instant,
        done: &mut BTreeMap<u64, Vec<i16>>,
    ) -> io::Result<Waited> {
        let waited = self.wait_rings(&[("tx", queue)], end)?;
        let sent = self.queues[queue].sent(&mut self.findings);
        let found = !sent.is_empty();
        done.extend(sent.into_iter().map(|sent| (sent.number, sent.statuses)));
        // Whoever publishes nonsense will not publish anything better.
        Ok(if found { Waited::Changed } else { waited })
    }

    /// Receives until there are `count` packets from the queues, or until `end`: the number of its queue
    /// with each. Posts as many buffers as are used when `refill` is set.
    pub fn receive(
        &mut self,
        queues: &[usize],
        count: usize,
        end: Instant,
        refill: bool,
    ) -> io::Result<Vec<(usize, Received)>> {
        let rings: Vec<(&str, usize)> = queues.iter().map(|queue| ("rx", *queue)).collect();
        let mut all = Vec::new();
        while all.len() < count {
            let late = matches!(self.wait_rings(&rings, end)?, Waited::Late);
            let before = all.len();
            for number in queues {
                let received = self.queues[*number].received(&mut self.findings)?;
                let slots: usize = received.iter().map(|one| one.packet.slots()).sum();
                all.extend(received.into_iter().map(|one| (*number, one)));
                if refill && slots > 0 {
                    self.post(*number, slots as u32, false)?;
                }
            }
            if late || (all.len() == before && Instant::now() >= end) {
                break;
            }
        }
        Ok(all)
    }

    /// Receives `count` packets, or those that come until `end`, with as few buffers as it may: they are posted
    /// one by one, and `window` at most are not answered.
    pub fn trickle(
        &mut self,
        queue: usize,
        count: usize,
        window: usize,
        end: Instant,
    ) -> io::Result<Vec<Received>> {
        let mut all = Vec::new();
        let mut posted = 0;
        while all.len() < count {
            let received = self.queues[queue].received(&mut self.findings)?;
            if !received.is_empty() {
                all.extend(received);
            } else if self.queues[queue].rx_rules.outstanding() < window {
                self.post(queue, 1, false)?;
                posted += 1;
                // Sometimes the backend comes to see this buffer alone, sometimes several.
                for _ in 0..posted % 5 {
                    std::thread::yield_now();
                }
            } else if let Waited::Late = self.wait_rings(&[("rx", queue)], end)? {
                break;
            }
        }
        Ok(all)
    }

    /// Asks something on the control ring, and waits for the answer until `end`.
    pub fn ask(
        &mut self,
        kind: u16,
        data: [u32; 3],
        end: Instant,
    ) -> io::Result<Option<ControlResponse>> {
        let Some(control) = &mut self.control else {
            return Err(io::Error::new(
                io::ErrorKind::NotFound,
                "there is no control ring",
            ));
        };
        let id = control.ring.next() as u16;
        control
            .ring
            .put(&ControlRequest { id, kind, data }.encode());
        control.rules.asked(id, kind);
        if control.ring.publish() {
            self.events.notify(control.port)?;
        }
        self.wait_rings(&[("control", 0)], end)?;
        let Self {
            control, findings, ..
        } = self;
        let Some(control) = control else {
            return Ok(None);
        };
        let Control { ring, rules, .. } = control;
        let answers = rules.published(
            ring.responses(),
            |index| ControlResponse::decode(ring.response(index)),
            findings,
        );
        let answer = answers.into_iter().find(|answer| answer.id == id);
        if answer.is_some_and(|answer| answer.status == 0) {
            match kind {
                SET_HASH_ALGORITHM => control.algorithm = data[0],
                SET_HASH_FLAGS => control.flags = data[0],
                _ => {}
            }
            // What was sent before a change may still come.
            let agreed = if control.algorithm != 0 {
                control.flags
            } else {
                0
            };
            self.asked.hashes |= agreed;
            self.share_asked();
        }
        Ok(answer)
    }

    /// Waits until one of the rings has responses, until `end` at most. Finds fault with a backend that
    /// has put some there without telling.
    pub fn wait_rings(&mut self, rings: &[(&str, usize)], end: Instant) -> io::Result<Waited> {
        loop {
            if rings
                .iter()
                .any(|(kind, queue)| self.poll_ring(kind, *queue))
            {
                return Ok(Waited::Changed);
            }
            let left = end.saturating_duration_since(Instant::now());
            if self.listen(left)? {
                continue;
            }
            let late: Vec<_> = rings
                .iter()
                .filter(|(kind, queue)| self.poll_ring(kind, *queue))
                .collect();
            if late.is_empty() {
                return Ok(Waited::Late);
            }
            // It has come at the last moment; then its event is under way.
            let woken = self.listen(EVENT_LATE)?;
            for (kind, queue) in late {
                let cons = self.cons(kind, *queue);
                let Some(ring) = self.ring(kind, *queue) else {
                    continue;
                };
                let (event, prod) = (ring.rsp_event(), ring.responses());
                check_notified(kind, event, cons, prod, woken, &mut self.findings);
            }
            return Ok(Waited::Changed);
        }
    }

    /// Responses of a ring are read up to here.
    pub fn cons(&self, kind: &str, queue: usize) -> u32 {
        match kind {
            "control" => self
                .control
                .as_ref()
                .map_or(0, |control| control.rules.cons),
            "tx" => self.queues[queue].tx_rules.cons,
            _ => self.queues[queue].rx_rules.cons,
        }
    }

    /// Asks for an event at the next response of a ring; returns whether there is one already.
    fn poll_ring(&mut self, kind: &str, queue: usize) -> bool {
        let cons = self.cons(kind, queue);
        let ring = self.ring_mut(kind, queue);
        ring.is_some_and(|ring| ring.ask_event(cons) != cons)
    }

    /// Hears events for so long, or until there was one; returns whether there was.
    pub fn listen(&mut self, timeout: Duration) -> io::Result<bool> {
        let Some(port) = self.events.wait(timeout)? else {
            return Ok(false);
        };
        *self.heard.entry(port).or_default() += 1;
        Ok(true)
    }

    /// Events heard on a port.
    pub fn heard(&self, port: u32) -> u64 {
        self.heard.get(&port).copied().unwrap_or(0)
    }
}
