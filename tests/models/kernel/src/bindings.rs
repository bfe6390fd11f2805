// SPDX-License-Identifier: GPL-2.0

//! What C code and the hypervisor do, as far as the models need it.

// Named as in C.
#![allow(non_camel_case_types)]

use std::{
    cell::RefCell,
    collections::HashMap,
    rc::Rc, //
};

use loom::{
    sync::{
        atomic::{
            fence,
            Ordering, //
        },
        Condvar,
        Mutex, //
    },
    thread, //
};

use crate::prelude::*;

pub unsafe fn virt_mb() {
    fence(Ordering::SeqCst);
}

pub unsafe fn virt_rmb() {
    fence(Ordering::Acquire);
}

pub unsafe fn virt_wmb() {
    fence(Ordering::Release);
}

// The kernel's tasks.

/// A task that may sleep.
pub struct Task {
    runnable: Mutex<bool>,
    changed: Condvar,
}

impl Task {
    pub fn new() -> Rc<Self> {
        Rc::new(Self {
            runnable: Mutex::new(true),
            changed: Condvar::new(),
        })
    }

    /// Makes the task run, before it sleeps or afterwards.
    pub fn wake(&self) {
        *self.runnable.lock().unwrap() = true;
        self.changed.notify_one();
    }

    /// From here on the task sleeps when it gives the processor away. A full barrier, as setting the state
    /// of a task is in the kernel.
    fn prepare(&self) {
        *self.runnable.lock().unwrap() = false;
        fence(Ordering::SeqCst);
    }

    fn sleep(&self) {
        let mut runnable = self.runnable.lock().unwrap();
        while !*runnable {
            runnable = self.changed.wait(runnable).unwrap();
        }
    }

    /// Makes this the task of the current thread.
    pub fn set_current(self: Rc<Self>) {
        MACHINE.with_borrow_mut(|machine| machine.tasks.insert(thread::current().id(), self));
    }

    fn current() -> Rc<Self> {
        MACHINE.with_borrow(|machine| machine.tasks[&thread::current().id()].clone())
    }
}

pub const TASK_IDLE: c_uint = 0x402;

pub struct wait_queue_head(Mutex<Vec<Rc<Task>>>);
pub struct wait_queue_entry(Rc<Task>);

pub unsafe fn __init_waitqueue_head(
    head: *mut wait_queue_head,
    _: *const c_char,
    _: *mut crate::sync::LockClassKey,
) {
    // SAFETY: As in C, the caller passes what is valid.
    unsafe { head.write(wait_queue_head(Mutex::new(Vec::new()))) };
}

pub unsafe fn init_wait(entry: *mut wait_queue_entry) {
    // SAFETY: As in C, the caller passes what is valid.
    unsafe { entry.write(wait_queue_entry(Task::current())) };
}

pub unsafe fn prepare_to_wait(head: *mut wait_queue_head, entry: *mut wait_queue_entry, _: c_int) {
    // SAFETY: As in C, the caller passes what is valid.
    let (head, entry) = unsafe { (&*head, &*entry) };
    let mut queue = head.0.lock().unwrap();
    if !queue.iter().any(|task| Rc::ptr_eq(task, &entry.0)) {
        queue.push(entry.0.clone());
    }
    entry.0.prepare();
}

/// Sleeps, with no end but a wake-up.
pub unsafe fn schedule_timeout(timeout: c_long) -> c_long {
    Task::current().sleep();
    timeout
}

pub unsafe fn finish_wait(head: *mut wait_queue_head, entry: *mut wait_queue_entry) {
    // SAFETY: As in C, the caller passes what is valid.
    let (head, task) = unsafe { (&*head, entry.read().0) };
    head.0
        .lock()
        .unwrap()
        .retain(|other| !Rc::ptr_eq(other, &task));
    task.wake();
}

/// Wakes who is queued. Who sleeps without exclusion, as all here, is taken off the queue by itself.
pub unsafe fn __wake_up(head: *mut wait_queue_head, _: c_uint, _: c_int, _: *mut c_void) {
    // SAFETY: As in C, the caller passes what is valid.
    let head = unsafe { &*head };
    for task in head.0.lock().unwrap().iter() {
        task.wake();
    }
}

pub unsafe fn preempt_disable() {}
pub unsafe fn preempt_enable() {}

// Event channels.

pub struct xenbus_device;
pub struct cpumask;

#[derive(PartialEq, Eq)]
#[repr(C)]
pub enum irqreturn {
    IRQ_HANDLED,
}
pub type irqreturn_t = irqreturn;
pub type irq_handler_t = unsafe extern "C" fn(c_int, *mut c_void) -> irqreturn_t;

pub const XEN_EOI_FLAG_SPURIOUS: c_uint = 1;

/// An event channel between the frontend and the backend.
pub struct Line {
    /// Towards the backend.
    state: Mutex<LineState>,
    changed: Condvar,
    /// An event for the frontend is pending.
    frontend: Mutex<bool>,
    frontend_changed: Condvar,
}

#[derive(Default)]
struct LineState {
    bound: bool,
    pending: bool,
    /// An event was delivered and not acknowledged, so none is delivered.
    masked: bool,
    /// Acknowledgements, of which that many were without work.
    spurious: usize,
    acknowledged: usize,
}

impl Line {
    fn new() -> Rc<Self> {
        Rc::new(Self {
            state: Mutex::new(LineState::default()),
            changed: Condvar::new(),
            frontend: Mutex::new(false),
            frontend_changed: Condvar::new(),
        })
    }

    /// The frontend notifies the backend.
    pub fn notify_backend(&self) {
        self.state.lock().unwrap().pending = true;
        self.changed.notify_all();
    }

    /// The frontend waits for an event.
    pub fn wait_for_backend(&self) {
        let mut pending = self.frontend.lock().unwrap();
        while !*pending {
            pending = self.frontend_changed.wait(pending).unwrap();
        }
        *pending = false;
    }

    fn notify_frontend(&self) {
        *self.frontend.lock().unwrap() = true;
        self.frontend_changed.notify_all();
    }

    /// Waits until no event is pending and each was acknowledged. One that never is makes the model fail,
    /// because nobody is left to run.
    pub fn settle(&self) {
        let mut state = self.state.lock().unwrap();
        while state.pending || state.masked {
            state = self.changed.wait(state).unwrap();
        }
    }

    /// How many events were acknowledged, and how many of them as spurious.
    pub fn acknowledged(&self) -> (usize, usize) {
        let state = self.state.lock().unwrap();
        (state.acknowledged, state.spurious)
    }

    /// The interrupt: calls the handler for each event, until the channel is unbound.
    fn deliver(&self, irq: c_int, handler: irq_handler_t, data: *mut c_void) {
        loop {
            let mut state = self.state.lock().unwrap();
            while state.bound && (state.masked || !state.pending) {
                state = self.changed.wait(state).unwrap();
            }
            if !state.bound {
                return;
            }
            state.pending = false;
            state.masked = true;
            drop(state);
            // SAFETY: The channel is bound; unbinding waits for this thread.
            unsafe { handler(irq, data) };
        }
    }
}

/// What there is once.
#[derive(Default)]
struct Machine {
    tasks: HashMap<thread::ThreadId, Rc<Task>>,
    /// By interrupt number, from 1.
    lines: Vec<(Rc<Line>, Option<thread::JoinHandle<()>>)>,
}

thread_local! {
    // All threads of a model run on one real thread.
    static MACHINE: RefCell<Machine> = RefCell::default();
}

/// Forgets what an earlier run has left, and returns `lines` event channels, whose ports are numbered
/// from 1.
pub fn power_on(lines: usize) -> Vec<Rc<Line>> {
    let lines: Vec<_> = (0..lines).map(|_| Line::new()).collect();
    MACHINE.set(Machine {
        tasks: HashMap::new(),
        lines: lines.iter().map(|line| (line.clone(), None)).collect(),
    });
    lines
}

/// Nothing is left that belongs to the run which ends.
pub fn power_off() {
    drop(MACHINE.take());
}

fn line(irq: u32) -> Rc<Line> {
    MACHINE.with_borrow(|machine| machine.lines[irq as usize - 1].0.clone())
}

pub unsafe fn bind_interdomain_evtchn_to_irqhandler_lateeoi(
    _: *mut xenbus_device,
    port: u32,
    handler: Option<irq_handler_t>,
    _: c_ulong,
    _: *const c_char,
    data: *mut c_void,
) -> c_int {
    let (irq, line, handler) = (port, line(port), handler.unwrap());
    line.state.lock().unwrap().bound = true;
    let interrupt = thread::spawn(move || line.deliver(irq as c_int, handler, data));
    MACHINE.with_borrow_mut(|machine| machine.lines[irq as usize - 1].1 = Some(interrupt));
    irq as c_int
}

pub unsafe fn unbind_from_irqhandler(irq: u32, _: *mut c_void) {
    let line = line(irq);
    line.state.lock().unwrap().bound = false;
    line.changed.notify_all();
    let interrupt = MACHINE.with_borrow_mut(|machine| machine.lines[irq as usize - 1].1.take());
    interrupt.unwrap().join().unwrap();
}

pub unsafe fn notify_remote_via_irq(irq: c_int) {
    line(irq as u32).notify_frontend();
}

pub unsafe fn xen_irq_lateeoi(irq: u32, flags: c_uint) {
    let line = line(irq);
    let mut state = line.state.lock().unwrap();
    assert!(state.masked, "an event is acknowledged that there was not");
    state.masked = false;
    state.acknowledged += 1;
    if flags == XEN_EOI_FLAG_SPURIOUS {
        state.spurious += 1;
    }
    drop(state);
    line.changed.notify_all();
}

pub unsafe fn irq_set_affinity_and_hint(_: u32, _: *const cpumask) -> c_int {
    0
}

pub unsafe fn irq_update_affinity_hint(_: u32, _: *const cpumask) -> c_int {
    0
}
