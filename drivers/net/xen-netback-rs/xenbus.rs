// SPDX-License-Identifier: GPL-2.0

//! The life of a device: from its appearance on the bus to its removal.

use kernel::{
    device,
    device_id::IdArray,
    driver,
    fixed_vec::FixedVec,
    fmt,
    net::{
        netdevice::{
            self,
            netdev_warn_ratelimited, //
        },
        rtnl,
        trace, //
    },
    new_mutex,
    prelude::*,
    str::{
        BStr,
        CString, //
    },
    sync::{
        aref::ARef,
        Arc,
        Mutex, //
    },
    xen::{
        self,
        xenbus::{
            self,
            Announcement,
            Disposition,
            UeventVariables, //
        },
        xenstore::{
            self,
            Watch,
            STORE, //
        },
        DomId, //
    }, //
};

use crate::{
    budget::Budget,
    control::Control,
    debugfs,
    guest_rx::plan::Headroom,
    interface::{
        Fault,
        Interface, //
    },
    keys,
    lifecycle::{
        self,
        Fate,
        Lifecycle,
        State, //
    },
    negotiate::{
        self,
        Agreement,
        BadKey,
        QueueKeys, //
    },
    params,
    queue::{
        Queue,
        QueueError, //
    }, //
};

/// The module: a driver on the bus.
#[pin_data]
pub(crate) struct Module {
    // Dropped before the directory.
    #[pin]
    _driver: driver::Registration<xenbus::Adapter<Netback>>,
    _debugfs: debugfs::Root,
}

impl kernel::InPlaceModule for Module {
    fn init(module: &'static ThisModule) -> impl PinInit<Self, Error> {
        pin_init::pin_init_scope(move || {
            // A kernel with KASAN does not start on Xen. There the module is loaded for its KUnit suites.
            if !xen::is_domain() && !cfg!(CONFIG_KASAN) {
                return Err(ENODEV);
            }
            params::init();
            let debugfs = debugfs::Root::new()?;
            Ok(try_pin_init!(Self {
                _debugfs: debugfs,
                // Not "vif", which is the C driver's: both can be loaded.
                _driver <- driver::Registration::new(c"xen-netback-rs", module),
            }))
        })
    }
}

/// The driver.
pub(crate) struct Netback;

static ID_TABLE: IdArray<xenbus::DeviceId, (), 1> =
    IdArray::new_without_index([xenbus::DeviceId::new(c"vif")]);

/// The other end of a device, as it stays while a driver is bound.
pub(crate) struct Frontend {
    /// This end.
    pub(crate) xdev: ARef<xenbus::Device>,
    pub(crate) domid: DomId,
    /// The device's number among those of the other end.
    pub(crate) handle: u32,
    /// The other end's directory in xenstore.
    path: CString,
    /// Headroom was offered to it.
    headroom: bool,
    /// The hotplug script, as events for user space name it.
    script: CString,
}

impl Frontend {
    /// Makes all events of the device name the script, and the network device if there is one.
    fn name_in_events(&self, netdev: Option<&netdevice::Registration<Interface>>) -> Result {
        let vif = netdev
            .map(|netdev| CString::try_from_fmt(fmt!("vif={}", netdev.name())))
            .transpose()?;
        let script = CString::try_from(&*self.script)?;
        self.xdev
            .set_uevent_variables(UeventVariables([Some(script), vif]))
    }
}

/// A device and its state. Shared with its watches.
#[pin_data]
pub(crate) struct Backend {
    frontend: Frontend,
    /// Held through every change of state, which may take rtnl.
    #[pin]
    life: Mutex<Life>,
}

struct Life {
    cycle: Lifecycle,
    complaints: Budget,
    /// Of the headroom.
    changes: Budget,
    /// Gone once the driver is unbound, and with it the interface's reference to the backend.
    netdev: Option<netdevice::Registration<Interface>>,
}

/// What the driver keeps for a device.
#[pin_data]
pub(crate) struct Data {
    backend: Arc<Backend>,
    /// Gone once the driver is unbound.
    #[pin]
    watches: Mutex<Option<Watches>>,
}

/// What may change at any time, and what follows from it.
struct Follow {
    backend: Arc<Backend>,
    follow: fn(&Backend),
}

impl xenstore::Handler for Follow {
    fn changed(&self) {
        (self.follow)(&self.backend);
    }
}

/// The watches of a device.
#[expect(dead_code, reason = "they watch as long as they are kept")]
struct Watches {
    hotplug: Watch<Follow>,
    /// A domain may have a bounded number of watches. Without these an interface works, and what they would tell
    /// counts from the next connection on.
    rate: Option<Watch<Follow>>,
    multicast: Option<Watch<Follow>>,
}

impl Watches {
    fn register(backend: &Arc<Backend>) -> Result<Self> {
        let watch = |dir: &CStr, node: &CStr, follow| {
            let backend = backend.clone();
            Watch::register(join(dir, node)?, Follow { backend, follow })
        };
        let frontend = &backend.frontend;
        let xdev = &frontend.xdev;
        let own = xdev.nodename();
        let watch_if_possible = |dir: &CStr, node: &CStr, follow| {
            watch(dir, node, follow)
                .inspect_err(|error| {
                    xdev.report_error(*error, fmt!("watching {}", node));
                })
                .ok()
        };
        Ok(Self {
            hotplug: watch(own, c"hotplug-status", Backend::check_hotplug)?,
            rate: watch_if_possible(own, c"rate", Backend::follow_rate),
            multicast: watch_if_possible(
                &frontend.path,
                c"request-multicast-control",
                Backend::follow_multicast,
            ),
        })
    }
}

impl xenbus::Driver for Netback {
    type Data = Data;
    const ID_TABLE: xenbus::IdTable = &ID_TABLE;

    fn probe<'a>(xdev: &'a xenbus::Device<device::Core<'_>>) -> impl PinInit<Data, Error> + 'a {
        pin_init::pin_init_scope(move || {
            let backend = Backend::new(xdev)?;
            let watches = Watches::register(&backend).inspect_err(|error| {
                xdev.report_fatal(*error, fmt!("watching hotplug-status"));
                // The interface refers to the backend, so neither goes by itself.
                backend.close();
            })?;
            Ok(try_pin_init!(Data {
                backend,
                watches <- new_mutex!(Some(watches)),
            }))
        })
    }

    fn otherend_changed(
        _xdev: &xenbus::Device<device::Bound>,
        data: Pin<&Data>,
        state: Result<xenbus::State, u32>,
    ) -> Disposition {
        data.backend.frontend_changed(state)
    }

    fn unbind(xdev: &xenbus::Device<device::Core<'_>>, data: Pin<&Data>) {
        // Waits for a running handler, which needs the other lock.
        let watches = data.watches.lock().take();
        drop(watches);
        data.backend.close();
        // The next driver's hotplug script has to write it again. It may never have been written.
        if let Err(ENOMEM) = STORE.remove(xdev.nodename(), c"hotplug-status") {
            xdev.report_error(ENOMEM, fmt!("removing hotplug-status"));
        }
    }
}

impl Backend {
    /// Offers what the driver can do, and creates the network device.
    fn new(xdev: &xenbus::Device<device::Core<'_>>) -> Result<Arc<Self>> {
        let dir = xdev.nodename();
        let queues = params::MAX_QUEUES.get().clamp(1, params::MAX_QUEUES_LIMIT);
        let headroom = params::PROVIDES_XDP_HEADROOM.get();
        keys::offer(dir, queues, headroom).inspect_err(|error| {
            xdev.report_fatal(*error, fmt!("writing the features"));
        })?;
        let script = STORE.read(dir, c"script").inspect_err(|error| {
            xdev.report_fatal(*error, fmt!("reading the hotplug script"));
        })?;

        let handle = handle(xdev)?;
        let name = CString::try_from_fmt(fmt!("vif{}.{}", xdev.otherend_id(), handle))?;
        let backend = Arc::pin_init(
            try_pin_init!(Self {
                frontend: Frontend {
                    xdev: (&**xdev).into(),
                    domid: xdev.otherend_id(),
                    handle,
                    headroom,
                    path: owned(xdev.otherend())?,
                    script: CString::try_from_fmt(fmt!("script={}", BStr::from_bytes(&script)))?,
                },
                life <- new_mutex!(Life {
                    cycle: Lifecycle::new(),
                    complaints: Budget::new(),
                    changes: Budget::new(),
                    netdev: None,
                }),
            }),
            GFP_KERNEL,
        )?;
        // In the range of `u16`.
        let netdev = Interface::register(backend.clone(), xdev.as_ref(), &name, queues as u16)
            .inspect_err(|error| {
                xdev.report_fatal(*error, fmt!("creating the interface {}", &*name));
            })?;
        trace::attach(&netdev, netdev.max_queues());
        backend.life.lock().netdev = Some(netdev);
        backend.announce(Announcement::Online);
        backend.with_life(|cycle, device| cycle.go(State::InitWait, device));
        Ok(backend)
    }

    /// Follows the frontend to its state.
    fn frontend_changed(&self, state: Result<xenbus::State, u32>) -> Disposition {
        let state = state.map_or_else(|unknown| unknown, |state| state as u32);
        let fate = self.with_life(|cycle, device| cycle.frontend_changed(state, device));
        // The script may be done long since.
        self.check_hotplug();
        match fate {
            Some(Fate::Unregister) => Disposition::Unregister,
            _ => Disposition::Keep,
        }
    }

    /// Publishes what waits for the hotplug script, if it is done.
    fn check_hotplug(&self) {
        let status = STORE.read(self.frontend.xdev.nodename(), c"hotplug-status");
        self.with_life(|cycle, device| match status {
            Ok(status) if &*status == b"connected" => cycle.hotplug_connected(device),
            Err(ENOMEM) if cycle.waits_for_hotplug() => {
                device.complain(ENOMEM, fmt!("reading hotplug-status"));
                cycle.fail(device);
            }
            _ => {}
        });
    }

    /// Takes up a changed limit.
    fn follow_rate(&self) {
        self.while_connected(|device| device.follow_rate(), fmt!("reading the limit"));
    }

    /// Takes up whether the guest filters multicast frames.
    fn follow_multicast(&self) {
        self.while_connected(
            |device| device.follow_multicast(),
            fmt!("reading request-multicast-control"),
        );
    }

    /// Disconnects from the frontend, whose view of the device does not change, and removes the
    /// network device.
    fn close(&self) {
        self.announce(Announcement::Offline);
        let netdev = {
            let mut life = self.life.lock();
            let netdev = life.netdev.take();
            if let Some(netdev) = netdev.as_ref().filter(|_| life.cycle.is_connected()) {
                Interface::disconnect(netdev);
            }
            netdev
        };
        drop(netdev);
    }

    /// Runs `f`, unless the driver is unbound.
    fn with_life<T>(&self, f: impl FnOnce(&mut Lifecycle, &mut Actions<'_>) -> T) -> Option<T> {
        self.within(&mut self.life.lock(), f)
    }

    /// Runs `f`, unless no frontend is connected; an error is reported as one of `doing`.
    fn while_connected(&self, f: impl FnOnce(&Actions<'_>) -> Result, doing: fmt::Arguments<'_>) {
        self.with_life(|cycle, device| {
            if cycle.is_connected() {
                if let Err(error) = f(device) {
                    device.complain(error, doing);
                }
            }
        });
    }

    fn within<T>(
        &self,
        life: &mut Life,
        f: impl FnOnce(&mut Lifecycle, &mut Actions<'_>) -> T,
    ) -> Option<T> {
        let mut actions = Actions {
            frontend: &self.frontend,
            complaints: &mut life.complaints,
            changes: &mut life.changes,
            netdev: life.netdev.as_ref()?,
        };
        Some(f(&mut life.cycle, &mut actions))
    }

    /// Reports the fault that `take` returns, if any; returns whether that is done, which it is not
    /// while somebody else changes the device's state.
    pub(crate) fn try_report(&self, take: impl FnOnce() -> Option<Fault>) -> bool {
        let Some(mut life) = self.life.try_lock() else {
            return false;
        };
        self.within(&mut life, |cycle, device| {
            if let Some(fault) = take() {
                device.complain(EPROTO, fmt!("guest error: {}", fault.describe()));
                cycle.break_connection(device);
            }
        });
        true
    }

    /// Tells user space about the network device, by the name that it has now. The event is not worth
    /// failing for.
    fn announce(&self, announcement: Announcement) {
        let life = self.life.lock();
        if life.netdev.is_some() {
            let _ = self.frontend.name_in_events(life.netdev.as_ref());
            drop(life);
            let _ = self.frontend.xdev.announce(announcement);
        }
    }
}

/// What the life cycle does with a device.
struct Actions<'a> {
    frontend: &'a Frontend,
    complaints: &'a mut Budget,
    changes: &'a mut Budget,
    netdev: &'a netdevice::Registration<Interface>,
}

impl lifecycle::Device for Actions<'_> {
    fn connect(&mut self) -> bool {
        if !self.complaints.allowed() {
            return false;
        }
        match self.try_connect() {
            Ok(()) => {
                // It may have been renamed. Events are not worth failing for.
                let _ = self.frontend.name_in_events(Some(self.netdev));
                true
            }
            Err(error) => {
                // What was connected of it may have found a fault.
                Interface::disconnect(self.netdev);
                self.report(error);
                false
            }
        }
    }

    fn disconnect(&mut self) {
        Interface::disconnect(self.netdev);
    }

    fn publish(&mut self, state: State) {
        self.switch_state(match state {
            State::Initialising => xenbus::State::Initialising,
            State::InitWait => xenbus::State::InitWait,
            State::Connected => xenbus::State::Connected,
            State::Closing => xenbus::State::Closing,
            State::Closed => xenbus::State::Closed,
        });
    }

    fn refresh(&mut self) {
        // What cannot be read stays as it is.
        if let Ok(headroom) = self.frontend.headroom() {
            let restless = !self.changes.allowed();
            if self.netdev.data().set_headroom(headroom, restless) {
                self.changes.count();
            }
            Interface::settle(self.netdev, rtnl::try_lock);
        }
    }

    fn settle(&mut self) {
        Interface::settle(self.netdev, || Some(rtnl::lock()));
    }

    fn reconfigure(&mut self) {
        self.switch_state(xenbus::State::Reconfigured);
    }

    fn reject(&mut self, frontend: u32) {
        self.complain(EINVAL, fmt!("saw state {} at frontend", frontend));
    }

    fn online(&mut self) -> bool {
        match STORE.read(self.frontend.xdev.nodename(), c"online") {
            Ok(value) => !matches!(&*value, b"" | b"0"),
            // If it does not, the device goes with its directory.
            Err(error) => error == ENOMEM,
        }
    }
}

/// What made it impossible to connect.
enum ConnectError {
    /// A key, in the directory of the given path.
    Key(BadKey, CString),
    /// What a queue's keys, in the directory of the given path, refer to.
    Queue(QueueError, CString),
    /// Anything that is not the frontend's fault.
    Host(Error),
}

impl From<Error> for ConnectError {
    fn from(error: Error) -> Self {
        ConnectError::Host(error)
    }
}

impl Frontend {
    /// The headroom that it asks for at this time.
    fn headroom(&self) -> Result<Headroom> {
        if self.headroom {
            keys::judge(&self.path, |read| negotiate::headroom(read))
        } else {
            Ok(Headroom::default())
        }
    }
}

impl Actions<'_> {
    fn try_connect(&self) -> Result<(), ConnectError> {
        let netdev = self.netdev;
        let xdev = &self.frontend.xdev;
        let path = &self.frontend.path;

        let own = xdev.nodename();
        if let Err(bad) = keys::judge(own, |read| negotiate::mac(read))? {
            return Err(ConnectError::Key(bad, owned(own)?));
        }
        let queues = netdev.max_queues().into();
        let agreement = match keys::judge(path, |read| Agreement::read(read, queues))? {
            Ok(agreement) => agreement,
            Err(bad) => return Err(ConnectError::Key(bad, owned(path)?)),
        };

        let debugfs = debugfs::interface_dir(netdev).ok();
        // In the range of `u16`, as what was offered.
        let count = agreement.queues as u16;
        let control = agreement
            .control
            .map(|keys| Control::connect(self.frontend, netdev, keys, count, debugfs.as_ref()))
            .transpose();
        let control = match control {
            Ok(control) => control,
            Err(error) => return Err(ConnectError::Queue(error, owned(path)?)),
        };

        self.follow_rate()?;
        self.follow_multicast()?;
        let mut queues = FixedVec::new(agreement.queues as usize).map_err(Error::from)?;
        for index in 0..agreement.queues {
            let dir = if agreement.queue_directories() {
                CString::try_from_fmt(fmt!("{}/queue-{}", &**path, index))?
            } else {
                owned(path)?
            };
            let keys = match keys::judge(&dir, |read| QueueKeys::read(read))? {
                Ok(keys) => keys,
                Err(bad) => return Err(ConnectError::Key(bad, dir)),
            };
            // There are as many as the agreement allows.
            let shared = netdev.data().get_ref().queue(index).ok_or(EINVAL)?;
            match Queue::connect(
                self.frontend,
                netdev,
                shared,
                &keys,
                &agreement,
                debugfs.as_ref(),
            ) {
                // Has room for all.
                Ok(queue) => drop(queues.push(queue)),
                Err(error) => return Err(ConnectError::Queue(error, dir)),
            }
        }
        let headroom = self.frontend.headroom()?;
        Interface::connect(netdev, &agreement, headroom, queues, control)?;
        Ok(())
    }

    /// Takes up the limit that the toolstack sets. What it says wrongly limits nothing.
    fn follow_rate(&self) -> Result {
        let rate = keys::judge(self.frontend.xdev.nodename(), |read| negotiate::rate(read))?;
        let limit = rate.unwrap_or_else(|bad| {
            netdev_warn_ratelimited!(
                self.netdev,
                "{} {}, so traffic is not limited\n",
                bad.key,
                bad.problem.describe()
            );
            None
        });
        self.netdev.data().set_rate(limit);
        Ok(())
    }

    /// Takes up whether the guest filters multicast frames.
    fn follow_multicast(&self) -> Result {
        let enabled = keys::judge(&self.frontend.path, |read| {
            negotiate::multicast_control(read)
        })?;
        self.netdev.data().filter.enable(enabled);
        Ok(())
    }

    /// Shows a state to the frontend, which waits for it; tells if it could not be shown.
    fn switch_state(&mut self, state: xenbus::State) {
        if let Err(error) = self.frontend.xdev.switch_state(state) {
            self.complain(error, fmt!("publishing the state {:?}", state));
        }
    }

    /// Reports an error once, in the log and in xenstore.
    fn report(&mut self, error: ConnectError) {
        match error {
            ConnectError::Key(bad, dir) => {
                let problem = bad.problem.describe();
                self.complain(EINVAL, fmt!("{}/{} {}", &*dir, bad.key, problem))
            }
            // The bus has reported what it could not map.
            ConnectError::Queue(QueueError::Ring(_, ENXIO), _) => self.complaints.count(),
            ConnectError::Queue(QueueError::Ring(key, error), dir) => {
                self.complain(error, fmt!("using the ring of {}/{}", &*dir, key))
            }
            ConnectError::Queue(QueueError::Port(key, error), dir) => {
                self.complain(error, fmt!("binding the port of {}/{}", &*dir, key))
            }
            ConnectError::Queue(QueueError::Host(error), _) | ConnectError::Host(error) => {
                self.complain(error, fmt!("connecting to the frontend"))
            }
        }
    }

    /// Reports an error, unless there were too many.
    fn complain(&mut self, error: Error, message: fmt::Arguments<'_>) {
        if self.complaints.allowed() {
            self.complaints.count();
            self.frontend.xdev.report_error(error, message);
        }
    }
}

/// The device's number among those of its frontend.
fn handle(xdev: &xenbus::Device<device::Core<'_>>) -> Result<u32> {
    let dir = xdev.nodename();
    keys::judge(dir, |read| negotiate::handle(read))?.map_err(|bad| {
        xdev.report_fatal(
            EINVAL,
            fmt!("{}/{} {}", dir, bad.key, bad.problem.describe()),
        );
        EINVAL
    })
}

fn owned(path: &CStr) -> Result<CString> {
    CString::try_from_fmt(fmt!("{}", path))
}

fn join(dir: &CStr, node: &CStr) -> Result<CString> {
    CString::try_from_fmt(fmt!("{}/{}", dir, node))
}
