// SPDX-License-Identifier: GPL-2.0

//! Module parameters that are visible, and may be writable, in sysfs.
//!
//! The `params` of the `module!` macro never appear in sysfs. A `perm` key there would replace this
//! module.
//!
//! C header: [`include/linux/moduleparam.h`](srctree/include/linux/moduleparam.h)

use crate::{
    bindings,
    error::{
        from_result,
        to_result, //
    },
    prelude::*,
    sync::atomic::{
        ordering::Relaxed,
        Atomic, //
    }, //
};

pub use kernel::module_param::*;

/// A type that a parameter can have.
///
/// # Safety
///
/// `OPS` must read and write values of this type, with every value written being valid.
pub unsafe trait Value: Copy + 'static {
    /// What holds the value.
    type Cell: Sync + 'static;

    /// The C functions that convert from and to text.
    const OPS: *const bindings::kernel_param_ops;
}

// SAFETY: `param_ops_uint` is for `unsigned int`.
unsafe impl Value for u32 {
    type Cell = Atomic<u32>;
    const OPS: *const bindings::kernel_param_ops = &raw const bindings::param_ops_uint;
}

// SAFETY: `param_ops_bool` is for `bool`, of which it stores 0 or 1.
unsafe impl Value for bool {
    type Cell = Atomic<bool>;
    const OPS: *const bindings::kernel_param_ops = &raw const bindings::param_ops_bool;
}

/// A parameter, declared by [`module_params!`](crate::module_params).
///
/// Its value may change at any time through sysfs.
#[repr(transparent)]
pub struct Param<T: Value>(T::Cell);

impl Param<u32> {
    /// A parameter with the value `default`.
    pub const fn new(default: u32) -> Self {
        Self(Atomic::new(default))
    }

    /// The value at this moment.
    #[inline]
    pub fn get(&self) -> u32 {
        self.0.load(Relaxed)
    }

    /// Replaces the value, as if it had been given to the module.
    pub fn set(&self, value: u32) {
        self.0.store(value, Relaxed);
    }
}

impl Param<bool> {
    /// A parameter with the value `default`.
    pub const fn new(default: bool) -> Self {
        Self(Atomic::new(default))
    }

    /// The value at this moment.
    #[inline]
    pub fn get(&self) -> bool {
        self.0.load(Relaxed)
    }
}

/// What a number that is given to a parameter is replaced with, if it is out of range.
///
/// Named by [`module_params!`](crate::module_params) for a parameter of the type `u32`.
#[doc(hidden)]
pub trait Correct {
    /// The value to be stored for `value`. May sleep.
    fn correct(value: u32) -> u32;
}

/// The C functions that convert from and to text, with a correction in between.
#[doc(hidden)]
pub const fn corrected<C: Correct + 'static>() -> *const bindings::kernel_param_ops {
    const {
        &bindings::kernel_param_ops {
            flags: 0,
            set: Some(set_corrected::<C>),
            get: Some(bindings::param_get_uint),
            free: None,
        }
    }
}

/// # Safety
///
/// Called by C only, with a string, and a parameter whose value is an `Atomic<u32>`.
unsafe extern "C" fn set_corrected<C: Correct>(
    text: *const c_char,
    param: *const bindings::kernel_param,
) -> c_int {
    from_result(|| {
        let mut value = 0;
        // SAFETY: C passes a string.
        to_result(unsafe { bindings::kstrtouint(text, 0, &mut value) })?;

        // SAFETY: C passes a valid parameter; an entry has this variant of the union.
        let cell = unsafe { (*param).__bindgen_anon_1.arg }.cast::<Atomic<u32>>();
        // SAFETY: By this function's contract. Parameters live as long as the module.
        unsafe { &*cell }.store(C::correct(value), Relaxed);
        Ok(0)
    })
}

/// An entry of the module's parameter table.
#[doc(hidden)]
#[repr(transparent)]
pub struct Entry(bindings::kernel_param);

// SAFETY: The table is constant.
unsafe impl Sync for Entry {}

impl Entry {
    /// # Safety
    ///
    /// The operations must be for values of the type `T`.
    #[doc(hidden)]
    pub const unsafe fn new<T: Value>(
        name: &'static crate::str::CStr,
        param: &'static Param<T>,
        mode: u16,
        ops: *const bindings::kernel_param_ops,
    ) -> Self {
        Self(bindings::kernel_param {
            name: crate::str::as_char_ptr_in_const_context(name),
            mod_: (&raw const bindings::__this_module).cast_mut(),
            ops,
            perm: mode,
            level: -1,
            flags: 0,
            __bindgen_anon_1: bindings::kernel_param__bindgen_ty_1 {
                arg: core::ptr::from_ref(param).cast_mut().cast(),
            },
        })
    }
}

/// Turns a string into what `.modinfo` holds.
#[doc(hidden)]
pub const fn modinfo_bytes<const N: usize>(text: &str) -> [u8; N] {
    let text = text.as_bytes();
    let mut bytes = [0; N];
    let mut i = 0;
    while i < N {
        bytes[i] = text[i];
        i += 1;
    }
    bytes
}

/// Declares the parameters of a module.
///
/// Each has the form `STATIC("name", mode): type = default, "description";` with the type `u32` or
/// `bool` and the mode of its file in sysfs. The static is a [`Param`](crate::module_param::Param).
///
/// For a number, the description may be followed by `corrected by function`: what is given to the module, or
/// written to the file, goes through the function, which returns what to store instead.
#[macro_export]
macro_rules! module_params {
    ($(
        $(#[$attr:meta])*
        $static:ident($name:literal, $mode:literal): $type:tt = $default:expr, $description:literal
            $(, corrected by $correct:path)?;
    )*) => { $(
        $(#[$attr])*
        pub(crate) static $static: $crate::module_param::Param<$type> =
            $crate::module_param::Param::<$type>::new($default);

        const _: () = {
            #[link_section = "__param"]
            #[used(compiler)]
            static ENTRY: $crate::module_param::Entry = {
                let name = match $crate::str::CStr::from_bytes_with_nul(concat!($name, "\0").as_bytes()) {
                    Ok(name) => name,
                    Err(_) => panic!("parameter name with a zero byte"),
                };
                let ops = $crate::module_params!(@ops $type $(, $correct)?);
                // SAFETY: The operations are those of the type, with or without a correction.
                unsafe { $crate::module_param::Entry::new(name, &$static, $mode, ops) }
            };

            const TYPE: &str =
                concat!("parmtype=", $name, ":", $crate::module_params!(@type $type), "\0");
            #[link_section = ".modinfo"]
            #[used(compiler)]
            static PARMTYPE: [u8; TYPE.len()] = $crate::module_param::modinfo_bytes(TYPE);

            const TEXT: &str = concat!("parm=", $name, ":", $description, "\0");
            #[link_section = ".modinfo"]
            #[used(compiler)]
            static PARM: [u8; TEXT.len()] = $crate::module_param::modinfo_bytes(TEXT);
        };
    )* };
    (@ops $type:tt) => { <$type as $crate::module_param::Value>::OPS };
    (@ops u32, $correct:path) => {{
        struct Correction;
        impl $crate::module_param::Correct for Correction {
            fn correct(value: u32) -> u32 {
                $correct(value)
            }
        }
        $crate::module_param::corrected::<Correction>()
    }};
    (@type u32) => { "uint" };
    (@type bool) => { "bool" };
}
