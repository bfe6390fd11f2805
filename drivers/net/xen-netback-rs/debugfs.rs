// SPDX-License-Identifier: GPL-2.0

//! What debugfs shows of connected interfaces: a directory for each, with a file for every queue,
//! and one for the control ring.
//!
//! The files are there as long as the connection. Reading one changes nothing and waits for nobody.

use kernel::{
    debugfs::{
        self,
        Dir,
        File, //
    },
    fmt,
    net::{
        napi::Napi,
        netdevice::Device,
        rtnl, //
    },
    prelude::*,
    str::CString,
    sync::{
        aref::ARef,
        Arc, //
    },
    time,
    uaccess::UserSliceReader,
    xen::{
        netif,
        ring::{
            self,
            Observer, //
        }, //
    }, //
};

use crate::{
    guest_rx::byte_queue,
    guest_tx::poll::Poller,
    interface::Interface,
    shared::Shared,
    LocalModule, //
};

/// Where tools look, as long as no other driver has the name, and the name that is used then.
const NAMES: [&CStr; 2] = [c"xen-netback", c"xen-netback-rs"];

/// The directory that the interfaces are in.
static ROOT: rtnl::Protected<Option<Dir>> = rtnl::Protected::new(None);

/// Keeps the directory of the module.
pub(crate) struct Root(());

impl Root {
    /// Creates the directory. There must not be another one.
    pub(crate) fn new() -> Result<Self> {
        let [name, other] = NAMES;
        let name = if Dir::exists_at_root(name) {
            other
        } else {
            name
        };
        let dir = Dir::new(name)?;
        *ROOT.get_mut(&mut rtnl::lock()) = Some(dir);
        Ok(Self(()))
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        let dir = ROOT.get_mut(&mut rtnl::lock()).take();
        drop(dir);
    }
}

/// Creates the directory of an interface.
pub(crate) fn interface_dir(dev: &Device<Interface>) -> Result<Dir> {
    let root = ROOT.get(&rtnl::lock()).clone();
    let name = CString::try_from_fmt(fmt!("{}", dev.name()))?;
    root.ok_or(ENODEV)?.subdir(&name)
}

/// What the file of a queue shows.
pub(crate) struct QueueView {
    pub(crate) dev: ARef<Device<Interface>>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) napi: Arc<Napi<Poller>>,
    pub(crate) tx_ring: Observer,
    pub(crate) rx_ring: Observer,
}

impl QueueView {
    /// Creates the file.
    pub(crate) fn publish(self, dir: &Dir) -> Result<File<Self>> {
        let name = CString::try_from_fmt(fmt!("io_ring_q{}", self.shared.index))?;
        File::read_write::<LocalModule>(dir, &name, self)
    }
}

/// What the file of the control ring shows.
pub(crate) struct ControlView(pub(crate) ARef<Device<Interface>>);

impl ControlView {
    /// Creates the file.
    pub(crate) fn publish(self, dir: &Dir) -> Result<File<Self>> {
        File::read_only::<LocalModule>(dir, c"ctrl", self)
    }
}

impl debugfs::Writer for ControlView {
    fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.data().settings())
    }
}

/// Shows the indices of a ring, each with its distance to `rsp_prod`. `taken` is the position of this end:
/// between two batches every request that was taken is answered.
fn write_ring(f: &mut fmt::Formatter<'_>, ring: ring::Indices, taken: u32) -> fmt::Result {
    let base = ring.rsp_prod;
    // CAST: The other end's index may be anything; a distance is shown as C does.
    let delta = |index: u32| index.wrapping_sub(base) as i32;
    writeln!(
        f,
        "req prod {} ({}) cons {} ({}) event {} ({})",
        ring.req_prod,
        delta(ring.req_prod),
        taken,
        delta(taken),
        ring.req_event,
        delta(ring.req_event),
    )?;
    writeln!(
        f,
        "rsp prod {} (base) pvt {} ({}) event {} ({})",
        base,
        taken,
        delta(taken),
        ring.rsp_event,
        delta(ring.rsp_event),
    )
}

/// The lines of the C driver, for the tools that know them. What comes of mapping the guest's memory is
/// 0 here.
impl debugfs::Writer for QueueView {
    fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shared = &self.shared;
        let tx = self.tx_ring.indices();
        let rx = self.rx_ring.indices();
        let usage = shared.backlog.lock().usage();
        let stopped = self
            .dev
            .tx_queue(shared.index)
            .is_some_and(|queue| queue.is_stopped());

        writeln!(f, "Queue {}", shared.index)?;
        writeln!(f, "TX: nr_ents {}", ring::slots::<netif::Tx>())?;
        write_ring(f, tx, shared.tx_position.get())?;
        writeln!(f, "pending prod 0 pending cons 0 nr_pending_reqs 0")?;
        writeln!(f, "dealloc prod 0 dealloc cons 0 dealloc_queue 0\n")?;

        writeln!(f, "RX: nr_ents {}", ring::slots::<netif::Rx>())?;
        write_ring(f, rx, shared.rx_position.get())?;

        writeln!(
            f,
            "\nNAPI state: {:x} NAPI weight: {} TX queue len 0",
            self.napi.state(),
            self.napi.weight(),
        )?;
        let credit = self.dev.data().rate.state();
        writeln!(
            f,
            "Credit timer_pending: {}, credit: {}, usec: {}",
            u8::from(credit.exhausted),
            credit.bytes,
            credit.usec,
        )?;
        writeln!(
            f,
            "remaining: {}, expires: 0, now: {}",
            credit.remaining,
            time::jiffies()
        )?;
        writeln!(
            f,
            "\nRx internal queue: len {} max {} pkts {} {}",
            usage.bytes,
            byte_queue::LIMIT,
            usage.packets,
            if stopped { "stopped" } else { "running" },
        )
    }
}

/// Takes the command `kick`: both directions look at their rings, as after an event.
impl debugfs::Reader for QueueView {
    fn read_from_slice(&self, reader: &mut UserSliceReader) -> Result {
        let mut command = [0; 31];
        let len = reader.len();
        let command = command.get_mut(..len).ok_or(ENOSPC)?;
        reader.read_slice(command)?;
        if command.trim_ascii() != b"kick" {
            return Err(EINVAL);
        }
        self.napi.schedule_from_thread();
        self.shared.wait.wake();
        Ok(())
    }
}
