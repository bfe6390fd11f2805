// SPDX-License-Identifier: GPL-2.0

//! The states of a backend device, and how it follows its frontend.
//!
//! Frontends wait for particular states and some stop at any other, so the way from one state to
//! the next is part of the protocol: see [`step`].
//!
//! C header: [`include/xen/interface/io/xenbus.h`](srctree/include/xen/interface/io/xenbus.h)

/// The states of a backend; the numbers are those in xenstore.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Initialising = 1,
    InitWait = 2,
    Connected = 4,
    Closing = 5,
    Closed = 6,
}

/// What the life cycle does with the device.
pub(crate) trait Device {
    /// Connects to the frontend and starts to watch for the hotplug script, which has to end in
    /// [`Lifecycle::hotplug_connected`].
    ///
    /// Returns whether it succeeded; if not, the error has been reported and nothing is left
    /// connected.
    fn connect(&mut self) -> bool;

    /// Undoes [`connect`](Self::connect).
    fn disconnect(&mut self);

    /// Shows `state` to the frontend and the toolstack.
    fn publish(&mut self, state: State);

    /// Takes up the details that the frontend may change while connected, and tells the host what follows.
    ///
    /// Must not wait for what a frontend in this kernel may hold while it is in `Reconfiguring`.
    fn refresh(&mut self);

    /// Tells the host what it could not be told at once. May wait for others in the host.
    fn settle(&mut self);

    /// Answers a frontend that changes its details: publishes the state `Reconfigured`.
    fn reconfigure(&mut self);

    /// Reports that the frontend went to a state which it must not be in.
    fn reject(&mut self, frontend: u32);

    /// Whether the toolstack wants to keep the device.
    fn online(&mut self) -> bool;
}

/// What becomes of a device after its frontend has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Fate {
    Keep,
    Unregister,
}

/// The one thing to do next on the way to a goal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Switch(State),
    /// Connect; then `Connected`, or `Closing` if it failed.
    Connect,
    /// Disconnect; then `Closing`.
    Disconnect,
}

/// Returns the next step, or [`None`] at the goal.
///
/// The way out of `Connected` always leads through `Closing` and `Closed`, and the way back through
/// `InitWait`.
fn step(from: State, goal: State) -> Option<Step> {
    use State::*;

    let step = match (from, goal) {
        // No way leads back to the start.
        (_, Initialising) => return None,
        (InitWait, InitWait) | (Connected, Connected) => return None,
        (Closing, Closing) | (Closed, Closed) => return None,

        (Initialising, Closed) => Step::Switch(Closed),
        (Initialising, InitWait | Connected | Closing) => Step::Switch(InitWait),

        (InitWait, Connected) => Step::Connect,
        (InitWait, Closing | Closed) => Step::Switch(Closing),

        (Connected, InitWait | Closing | Closed) => Step::Disconnect,

        (Closing, InitWait | Connected | Closed) => Step::Switch(Closed),

        (Closed, InitWait | Connected) => Step::Switch(InitWait),
        (Closed, Closing) => Step::Switch(Closing),
    };
    Some(step)
}

/// Where a device is in its life.
///
/// # Invariants
///
/// The device is connected if and only if `state` is [`State::Connected`].
#[derive(Debug)]
pub(crate) struct Lifecycle {
    state: State,
    /// Xenstore shows something else than `state`. `Reconfigured` stands for `Connected`.
    stale: bool,
    /// Nothing is published until the hotplug script has put the interface in its place.
    hotplug_pending: bool,
    /// The connection cannot be used any more; `Closing` is published for as long as it exists.
    broken: bool,
}

impl Lifecycle {
    pub(crate) const fn new() -> Self {
        Self {
            state: State::Initialising,
            stale: false,
            hotplug_pending: false,
            broken: false,
        }
    }

    pub(crate) fn is_connected(&self) -> bool {
        self.state == State::Connected
    }

    /// Whether something is not published before the hotplug script is done.
    pub(crate) fn waits_for_hotplug(&self) -> bool {
        self.hotplug_pending
    }

    /// Leads the device to `goal`, or to [`State::Closing`] if it cannot be connected.
    pub(crate) fn go(&mut self, goal: State, device: &mut impl Device) {
        while let Some(step) = step(self.state, goal) {
            match step {
                Step::Switch(state) => self.enter(state, device),
                Step::Connect if device.connect() => {
                    self.hotplug_pending = true;
                    self.enter(State::Connected, device);
                }
                Step::Connect => {
                    self.hotplug_pending = false;
                    self.enter(State::Closing, device);
                    // The goal is given up: to try again is up to the frontend.
                    return;
                }
                Step::Disconnect => {
                    device.disconnect();
                    self.enter(State::Closing, device);
                }
            }
        }
        self.publish(device);
    }

    /// Shows that the connection is broken, which has been reported. It is undone when the frontend
    /// closes or starts anew.
    pub(crate) fn break_connection(&mut self, device: &mut impl Device) {
        if self.is_connected() {
            self.broken = true;
            self.hotplug_pending = false;
            self.stale = true;
            self.publish(device);
        }
    }

    /// Gives up a connection after an error which has been reported; the frontend may start anew.
    pub(crate) fn fail(&mut self, device: &mut impl Device) {
        self.hotplug_pending = false;
        self.go(State::Closing, device);
    }

    /// The hotplug script is done: the state which was reached meanwhile is published.
    ///
    /// Does nothing if nothing waits for the script.
    pub(crate) fn hotplug_connected(&mut self, device: &mut impl Device) {
        if self.hotplug_pending {
            self.hotplug_pending = false;
            self.publish(device);
        }
    }

    /// Follows the frontend to its state, a number as in xenstore.
    pub(crate) fn frontend_changed(&mut self, frontend: u32, device: &mut impl Device) -> Fate {
        match frontend {
            // The directory is gone.
            0 => {
                self.go(State::Closed, device);
                return Fate::Unregister;
            }
            1 => self.go(State::InitWait, device),
            // Not all is there yet.
            3 => {}
            4 => {
                // A frontend may have written the details only after it went to `Reconfiguring`.
                if self.is_connected() {
                    device.refresh();
                    device.settle();
                }
                self.go(State::Connected, device);
            }
            5 => self.go(State::Closing, device),
            6 => {
                self.go(State::Closed, device);
                if !device.online() {
                    return Fate::Unregister;
                }
            }
            7 => {
                if self.is_connected() {
                    device.refresh();
                }
                device.reconfigure();
                // Of a connection it stays shown: netfront waits for it to come back without looking at what was
                // shown in between, and for `Connected` it would need a lock that it holds while it waits.
                self.stale |= self.broken || !self.is_connected();
            }
            _ => {
                device.reject(frontend);
                self.fail(device);
            }
        }
        Fate::Keep
    }

    fn enter(&mut self, state: State, device: &mut impl Device) {
        // INVARIANT: Every caller has connected or disconnected before, if the state asks for it.
        self.state = state;
        self.broken = false;
        self.stale = true;
        self.publish(device);
    }

    fn publish(&mut self, device: &mut impl Device) {
        if self.stale && !self.hotplug_pending {
            self.stale = false;
            device.publish(if self.broken {
                State::Closing
            } else {
                self.state
            });
        }
    }
}
