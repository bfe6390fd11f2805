// SPDX-License-Identifier: GPL-2.0

//! The attribute macros of the kernel that the files under test use.

use proc_macro::{
    Delimiter,
    Group,
    TokenStream,
    TokenTree, //
};

/// Leaves the structure as it is, without the marks `#[pin]`: in the models everything stays in place,
/// because it is behind a pointer when it is used.
#[proc_macro_attribute]
pub fn pin_data(_: TokenStream, item: TokenStream) -> TokenStream {
    item.into_iter()
        .map(|tree| match tree {
            TokenTree::Group(body) if body.delimiter() == Delimiter::Brace => {
                TokenTree::Group(Group::new(Delimiter::Brace, without_pin(body.stream())))
            }
            tree => tree,
        })
        .collect()
}

fn without_pin(body: TokenStream) -> TokenStream {
    let mut kept: Vec<TokenTree> = Vec::new();
    for tree in body {
        match &tree {
            TokenTree::Group(group) if group.to_string().replace(' ', "") == "[pin]" => {
                // The hash in front of it.
                kept.pop();
            }
            _ => kept.push(tree),
        }
    }
    kept.into_iter().collect()
}

/// In the models bytes are what can be copied, so there is nothing to derive.
macro_rules! nothing_to_derive {
    ($($function:ident $name:ident,)*) => {
        $(
            #[proc_macro_derive($name)]
            pub fn $function(_: TokenStream) -> TokenStream {
                TokenStream::new()
            }
        )*
    };
}

nothing_to_derive! {
    from_bytes FromBytes,
    into_bytes IntoBytes,
    immutable Immutable,
    known_layout KnownLayout,
}

/// Tests for inside of a kernel do not concern the models.
#[proc_macro_attribute]
pub fn kunit_tests(_: TokenStream, _: TokenStream) -> TokenStream {
    TokenStream::new()
}
