// SPDX-License-Identifier: GPL-2.0

//! The frontend as a program: `frontend PATH DOMAIN [strict]` drives the device whose directory in
//! xenstore is PATH, and whose backend is in DOMAIN, by the commands on its standard input. It gives
//! everything back when that ends.

use std::{
    env,
    io::{
        self,
        BufRead,
        Write, //
    },
    process::ExitCode,
};

use xen_frontend::{
    commands,
    frontend::Frontend, //
};

fn main() -> ExitCode {
    match serve(&env::args().skip(1).collect::<Vec<_>>()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("frontend: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve(arguments: &[String]) -> io::Result<()> {
    let (path, domain, strict) = match arguments {
        [path, domain] => (path, domain, false),
        [path, domain, strict] if strict == "strict" => (path, domain, true),
        _ => return Err(io::Error::other("usage: frontend PATH DOMAIN [strict]")),
    };
    let domain = domain
        .parse()
        .map_err(|_| io::Error::other("DOMAIN is a number"))?;
    let mut frontend = Frontend::open(path, domain, strict)?;
    let mut out = io::stdout().lock();
    for line in io::stdin().lock().lines() {
        let answer = commands::execute(&mut frontend, &line?);
        writeln!(out, "{answer}")?;
        out.flush()?;
    }
    Ok(())
}
