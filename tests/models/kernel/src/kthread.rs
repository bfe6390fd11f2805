// SPDX-License-Identifier: GPL-2.0

//! Kernel threads.

use std::rc::Rc;

use loom::{
    sync::atomic::{
        AtomicBool,
        Ordering::Relaxed, //
    },
    thread, //
};

use crate::{
    bindings::Task,
    cpu::CpuId,
    error::Result,
    fmt,
    module::ThisModule, //
};

/// The running thread.
pub struct Current(Rc<AtomicBool>);

impl Current {
    pub fn should_stop(&self) -> bool {
        self.0.load(Relaxed)
    }
}

/// The owner of a thread. Dropping it stops the thread and waits for its end.
pub struct JoinHandle<T: 'static> {
    thread: Option<thread::JoinHandle<T>>,
    stop: Rc<AtomicBool>,
    task: Rc<Task>,
}

pub fn spawn<T: 'static>(
    _: &'static ThisModule,
    _: fmt::Arguments,
    f: impl FnOnce(&Current) -> T + 'static,
) -> Result<JoinHandle<T>> {
    let (stop, task) = (Rc::new(AtomicBool::new(false)), Task::new());
    let thread = thread::spawn({
        let (stop, task) = (stop.clone(), task.clone());
        move || {
            task.set_current();
            f(&Current(stop))
        }
    });
    Ok(JoinHandle {
        thread: Some(thread),
        stop,
        task,
    })
}

pub fn spawn_on<T: 'static>(
    _: CpuId,
    module: &'static ThisModule,
    name: fmt::Arguments,
    f: impl FnOnce(&Current) -> T + 'static,
) -> Result<JoinHandle<T>> {
    spawn(module, name, f)
}

impl<T: 'static> Drop for JoinHandle<T> {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
        self.task.wake();
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}
