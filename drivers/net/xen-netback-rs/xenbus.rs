// SPDX-License-Identifier: GPL-2.0

//! The life of a device: from its appearance on the bus to its removal.

use kernel::{
    device,
    device_id::IdArray,
    driver,
    fixed_vec::FixedVec,
    fmt,
    net::netdevice,
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
            UeventEnv, //
        },
        xenstore::{
            self,
            Value,
            Watch,
            STORE, //
        },
        DomId, //
    }, //
};

use crate::{
    complaints::Complaints,
    interface::{
        Fault,
        Interface, //
    },
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
    #[pin]
    _driver: driver::Registration<xenbus::Adapter<Netback>>,
}

impl kernel::InPlaceModule for Module {
    fn init(module: &'static ThisModule) -> impl PinInit<Self, Error> {
        pin_init::pin_init_scope(move || {
            if !xen::is_domain() {
                return Err(ENODEV);
            }
            params::sanitise();
            Ok(try_pin_init!(Self {
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
    /// The other end's directory in xenstore.
    path: CString,
}

/// A device and its state. Shared with the watch on its hotplug script.
#[pin_data]
pub(crate) struct Backend {
    frontend: Frontend,
    /// Held through every change of state, which may take rtnl.
    #[pin]
    life: Mutex<Life>,
}

struct Life {
    cycle: Lifecycle,
    complaints: Complaints,
    /// Gone once the driver is unbound, and with it the interface's reference to the backend.
    netdev: Option<netdevice::Registration<Interface>>,
}

/// What the driver keeps for a device.
#[pin_data]
pub(crate) struct Data {
    backend: Arc<Backend>,
    /// Gone once the driver is unbound.
    #[pin]
    hotplug: Mutex<Option<Watch<Hotplug>>>,
}

/// Hears of the hotplug script's result.
struct Hotplug(Arc<Backend>);

impl xenstore::Handler for Hotplug {
    fn changed(&self) {
        self.0.check_hotplug();
    }
}

impl xenbus::Driver for Netback {
    type Data = Data;
    const ID_TABLE: xenbus::IdTable = &ID_TABLE;

    fn probe<'a>(xdev: &'a xenbus::Device<device::Core<'_>>) -> impl PinInit<Data, Error> + 'a {
        pin_init::pin_init_scope(move || {
            let backend = Backend::new(xdev)?;
            let dir = backend.frontend.xdev.nodename();
            let watch = join(dir, c"hotplug-status")
                .and_then(|path| Watch::register(path, Hotplug(backend.clone())))
                // The interface refers to the backend, so neither goes by itself.
                .inspect_err(|_| backend.close())?;
            Ok(try_pin_init!(Data {
                backend,
                hotplug <- new_mutex!(Some(watch)),
            }))
        })
    }

    fn otherend_changed(
        _xdev: &xenbus::Device<device::Bound>,
        data: Pin<&Data>,
        state: Option<xenbus::State>,
    ) -> Disposition {
        data.backend.frontend_changed(state)
    }

    fn unbind(xdev: &xenbus::Device<device::Core<'_>>, data: Pin<&Data>) {
        // Waits for a running handler, which needs the other lock.
        let watch = data.hotplug.lock().take();
        drop(watch);
        data.backend.close();
        // The next driver's hotplug script has to write it again. It may never have been written.
        let _ = STORE.remove(xdev.nodename(), c"hotplug-status");
    }

    fn uevent(xdev: &xenbus::Device, env: &mut UeventEnv<'_>) -> Result {
        match STORE.read(xdev.nodename(), c"script") {
            Ok(script) => env.add(fmt!("script={}", BStr::from_bytes(&script))),
            // The event is not about a device that is in use.
            Err(_) => Ok(()),
        }
    }
}

impl Backend {
    /// Offers what the driver can do, and creates the network device.
    fn new(xdev: &xenbus::Device<device::Core<'_>>) -> Result<Arc<Self>> {
        let dir = xdev.nodename();
        let queues = params::MAX_QUEUES.get().clamp(1, u16::MAX.into());
        offer(dir, queues).inspect_err(|error| {
            xdev.report_fatal(*error, fmt!("writing the features"));
        })?;
        STORE.read(dir, c"script").inspect_err(|error| {
            xdev.report_fatal(*error, fmt!("reading the hotplug script"));
        })?;

        let name = interface_name(xdev)?;
        let backend = Arc::pin_init(
            try_pin_init!(Self {
                frontend: Frontend {
                    xdev: (&**xdev).into(),
                    domid: xdev.otherend_id(),
                    path: CString::try_from_fmt(fmt!("{}", xdev.otherend()))?,
                },
                life <- new_mutex!(Life {
                    cycle: Lifecycle::new(),
                    complaints: Complaints::new(),
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
        backend.life.lock().netdev = Some(netdev);
        backend.announce(Announcement::Online);
        backend.with_life(|cycle, device| cycle.go(State::InitWait, device));
        Ok(backend)
    }

    /// Follows the frontend to its state.
    fn frontend_changed(&self, state: Option<xenbus::State>) -> Disposition {
        let fate = self.with_life(|cycle, device| match state {
            Some(state) => cycle.frontend_changed(state as u32, device),
            None => cycle.frontend_changed(u32::MAX, device),
        });
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
        if status.is_ok_and(|status| &*status == b"connected") {
            self.with_life(|cycle, device| cycle.hotplug_connected(device));
        }
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

    fn within<T>(
        &self,
        life: &mut Life,
        f: impl FnOnce(&mut Lifecycle, &mut Actions<'_>) -> T,
    ) -> Option<T> {
        let mut actions = Actions {
            frontend: &self.frontend,
            complaints: &mut life.complaints,
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

    /// Tells user space about the network device. The event is not worth failing for.
    fn announce(&self, announcement: Announcement) {
        let variable = match &self.life.lock().netdev {
            Some(netdev) => CString::try_from_fmt(fmt!("vif={}", netdev.name())),
            None => return,
        };
        if let Ok(variable) = variable {
            let _ = self.frontend.xdev.announce(announcement, &variable);
        }
    }
}

/// What the life cycle does with a device.
struct Actions<'a> {
    frontend: &'a Frontend,
    complaints: &'a mut Complaints,
    netdev: &'a netdevice::Registration<Interface>,
}

impl lifecycle::Device for Actions<'_> {
    fn connect(&mut self) -> bool {
        if !self.complaints.allowed() {
            return false;
        }
        match self.try_connect() {
            Ok(()) => true,
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
        self.frontend.xdev.switch_state(match state {
            State::Initialising => xenbus::State::Initialising,
            State::InitWait => xenbus::State::InitWait,
            State::Connected => xenbus::State::Connected,
            State::Closing => xenbus::State::Closing,
            State::Closed => xenbus::State::Closed,
        });
    }

    fn reconfigure(&mut self) {
        self.frontend.xdev.switch_state(xenbus::State::Reconfigured);
    }

    fn reject(&mut self, frontend: u32) {
        self.complain(EINVAL, fmt!("saw state {} at frontend", frontend));
    }

    fn online(&mut self) -> bool {
        let value = STORE.read(self.frontend.xdev.nodename(), c"online");
        value.is_ok_and(|value| !matches!(&*value, b"" | b"0"))
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

impl Actions<'_> {
    fn try_connect(&self) -> Result<(), ConnectError> {
        let netdev = self.netdev;
        let xdev = &self.frontend.xdev;
        let path = &self.frontend.path;

        let own = xdev.nodename();
        if let Err(bad) = negotiate::mac(|key| read(own, key)) {
            return Err(ConnectError::Key(bad, owned(own)?));
        }
        let agreement = match Agreement::read(|key| read(path, key), netdev.max_queues().into()) {
            Ok(agreement) => agreement,
            Err(bad) => return Err(ConnectError::Key(bad, owned(path)?)),
        };

        let mut queues = FixedVec::new(agreement.queues as usize).map_err(Error::from)?;
        for index in 0..agreement.queues {
            let dir = if agreement.queue_directories() {
                CString::try_from_fmt(fmt!("{}/queue-{}", &**path, index))?
            } else {
                owned(path)?
            };
            let keys = match QueueKeys::read(|key| read(&dir, key)) {
                Ok(keys) => keys,
                Err(bad) => return Err(ConnectError::Key(bad, dir)),
            };
            // There are as many as the agreement allows.
            let shared = netdev.data().get_ref().queue(index).ok_or(EINVAL)?;
            match Queue::connect(self.frontend, netdev, shared, &keys, &agreement) {
                // Has room for all.
                Ok(queue) => drop(queues.push(queue)),
                Err(error) => return Err(ConnectError::Queue(error, dir)),
            }
        }
        Interface::connect(netdev, &agreement, queues)?;
        Ok(())
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

/// Writes what a frontend may use.
fn offer(dir: &CStr, queues: u32) -> Result {
    xenstore::transaction(|store| {
        for (key, value) in [
            (c"feature-sg", 1),
            (c"feature-gso-tcpv4", 1),
            (c"feature-gso-tcpv6", 1),
            (c"feature-ipv6-csum-offload", 1),
            (c"feature-rx-copy", 1),
            (c"feature-rx-flip", 0),
            (
                c"feature-split-event-channels",
                u32::from(params::SEPARATE_TX_RX_IRQ.get()),
            ),
            (c"multi-queue-max-queues", queues),
        ] {
            store.write(dir, key, fmt!("{}", value))?;
        }
        Ok(())
    })
}

/// `vifX.Y`: the frontend's domain, and the device's number in it.
fn interface_name(xdev: &xenbus::Device<device::Core<'_>>) -> Result<CString> {
    let dir = xdev.nodename();
    let handle = negotiate::handle(|key| read(dir, key)).map_err(|bad| {
        xdev.report_fatal(
            EINVAL,
            fmt!("{}/{} {}", dir, bad.key, bad.problem.describe()),
        );
        EINVAL
    })?;
    CString::try_from_fmt(fmt!("vif{}.{}", xdev.otherend_id(), handle))
}

fn read(dir: &CStr, key: &'static str) -> Option<Value> {
    let key = CString::try_from_fmt(fmt!("{}", key)).ok()?;
    STORE.read(dir, &key).ok()
}

fn owned(path: &CStr) -> Result<CString> {
    CString::try_from_fmt(fmt!("{}", path))
}

fn join(dir: &CStr, node: &CStr) -> Result<CString> {
    CString::try_from_fmt(fmt!("{}/{}", dir, node))
}
