// SPDX-License-Identifier: GPL-2.0

//! How a player connects, whatever has happened before.

use std::{
    collections::BTreeMap,
    io,
    path::Path,
    process::Command,
    thread,
    time::{
        Duration,
        Instant, //
    },
};

use super::{
    Player,
    PATIENCE, //
};
use crate::{
    action::Layout,
    exchange::BUFFERS, //
};

/// What ends a wait for a state.
pub(super) enum Came {
    State(usize),
    /// The device is gone.
    Gone,
    Late(String),
}

impl Player<'_> {
    /// The names of the device on the bus and of its interface.
    fn names(&self) -> (String, String) {
        let node = self.frontend.node("backend/");
        let mut parts = node.trim_end_matches('/').rsplit('/');
        let (handle, domain) = (parts.next().unwrap_or(""), parts.next().unwrap_or(""));
        (
            format!("/sys/bus/xen-backend/devices/vif-{domain}-{handle}"),
            format!("/sys/class/net/vif{domain}.{handle}"),
        )
    }

    /// The device is gone, so that it can be made again.
    fn gone(&self) -> bool {
        let (device, interface) = self.names();
        self.toolstack.is_some() && !Path::new(&device).exists() && !Path::new(&interface).exists()
    }

    pub(super) fn wait(&self, states: &[&str], patience: Duration) -> Result<Came, String> {
        let end = Instant::now() + patience;
        let mut pause = 1;
        loop {
            let state = self.state()?;
            if let Some(found) = states.iter().position(|wanted| *wanted == state) {
                return Ok(Came::State(found));
            }
            if self.gone() {
                return Ok(Came::Gone);
            }
            if Instant::now() > end {
                return Ok(Came::Late(state));
            }
            thread::sleep(Duration::from_millis(pause));
            pause = (pause * 2).min(20);
        }
    }

    pub(super) fn put(&mut self, key: &str, value: Option<&str>) -> Result<(), String> {
        self.frontend
            .write(key, value)
            .map_err(|error| format!("writing {key}: {error}"))
    }

    /// Closes whatever there is, and connects with fresh rings; the device is made again if it is gone.
    pub(super) fn reconnect(&mut self, layout: Layout) -> Result<(), String> {
        self.judge()?;
        // What has ended because of an error is over as well.
        let _ = self.frontend.background.stop();
        let end = Instant::now() + 3 * PATIENCE;
        let mut seen = String::new();
        while Instant::now() < end {
            match self.try_connect(layout)? {
                Came::State(_) => return self.begin(layout),
                // Too many complaints keep the backend from connecting for a while.
                Came::Late(state) => seen = state,
                Came::Gone => seen = "none: the device is gone".to_owned(),
            }
            thread::sleep(Duration::from_millis(100));
        }
        Err(format!("the backend does not connect again: state {seen}"))
    }

    fn try_connect(&mut self, layout: Layout) -> Result<Came, String> {
        if self.gone() {
            self.make()?;
        } else {
            self.put("state", Some("6"))?;
            match self.wait(&["6"], PATIENCE)? {
                Came::State(_) => {}
                other => return Ok(other),
            }
            self.frontend.recycle();
            self.put("state", Some("1"))?;
            match self.wait(&["2"], PATIENCE)? {
                Came::State(_) => {}
                other => return Ok(other),
            }
        }
        let keys = self.keys(layout)?;
        let stale = self.nodes.keys().filter(|key| !keys.contains_key(*key));
        for key in stale.cloned().collect::<Vec<_>>() {
            // Nodes of the toolstack's in a guest's directory are not the guest's to remove.
            let _ = self.put(&key, None);
        }
        for (key, value) in &keys {
            if self.nodes.get(key) != Some(&Some(value.clone())) {
                self.put(key, Some(value))?;
            }
        }
        self.nodes = keys
            .into_iter()
            .map(|(key, value)| (key, Some(value)))
            .collect();
        self.put("state", Some("4"))?;
        Ok(match self.wait(&["4", "5"], PATIENCE)? {
            Came::State(1) => Came::Late("5".to_owned()),
            other => other,
        })
    }

    /// Makes the device again, as a toolstack does.
    fn make(&mut self) -> Result<(), String> {
        self.frontend.release();
        let backend = self.frontend.node("backend/");
        self.put("backend", Some(backend.trim_end_matches('/')))?;
        self.put("backend-id", Some("0"))?;
        self.put("state", Some("1"))?;
        self.put("backend/hotplug-status", Some("connected"))?;
        self.put("backend/state", Some("1"))?;
        if !matches!(self.wait_made()?, Came::State(_)) {
            return Err("a device that is attached again does not come up".to_owned());
        }
        let command = self.toolstack.as_deref().unwrap_or("true");
        let done = Command::new("sh").args(["-c", command]).output();
        let done = done.map_err(|error| error.to_string())?;
        match done.status.success() {
            true => Ok(()),
            false => Err(String::from_utf8_lossy(&done.stderr).into_owned()),
        }
    }

    fn wait_made(&self) -> Result<Came, String> {
        let end = Instant::now() + PATIENCE;
        loop {
            if self.state()? == "2" && !self.gone() {
                return Ok(Came::State(0));
            }
            if Instant::now() > end {
                return Ok(Came::Late(self.state()?));
            }
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Fresh rings, and the nodes of a frontend that uses them.
    pub(super) fn keys(&mut self, layout: Layout) -> Result<BTreeMap<String, String>, String> {
        let queues = usize::from(layout.queues);
        let start = if layout.wraps { u32::MAX - 50 } else { 0 };
        let rings = self
            .frontend
            .make_rings(queues, layout.split, layout.control, start)
            .map_err(|error| format!("making rings: {error}"))?;
        let rings = rings
            .into_iter()
            .map(|(key, value)| (key, value.to_string()));
        let mut keys: BTreeMap<_, _> = rings.collect();
        let mut add = |key: &str, value: String| keys.insert(key.to_owned(), value);
        add("request-rx-copy", "1".to_owned());
        add("feature-rx-notify", u8::from(layout.notifies).to_string());
        if queues > 1 {
            add("multi-queue-num-queues", queues.to_string());
        }
        for key in [
            "feature-sg",
            "feature-gso-tcpv4",
            "feature-gso-tcpv6",
            "feature-ipv6-csum-offload",
        ] {
            if layout.offloads {
                add(key, "1".to_owned());
            }
        }
        Ok(keys)
    }

    /// A new connection: the frontend keeps the rules, so the backend has to.
    fn begin(&mut self, layout: Layout) -> Result<(), String> {
        let error = |error: io::Error| error.to_string();
        self.connections += 1;
        self.headrooms.clear();
        self.frontend.expect_headrooms(Vec::new());
        self.frontend.findings.take();
        self.lied = false;
        self.waiting = vec![0; layout.queues.into()];
        self.read_only = self.frontend.grant(&[], false).map_err(error)?;
        for queue in 0..usize::from(layout.queues) {
            self.frontend.post(queue, BUFFERS, false).map_err(error)?;
        }
        Ok(())
    }
}
