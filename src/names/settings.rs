//! What the options say about names.

use std::path::PathBuf;

use libc::c_int;
use tunsock_config::Options;

/// The hosts file: the one that `--hosts` names, else /etc/hosts. Options that can't be read are said by the first socket.
pub(super) fn hosts_file() -> PathBuf {
    options().hosts.unwrap_or_else(|| "/etc/hosts".into())
}

/// Whether the stack has addresses of a family (AI_ADDRCONFIG). Without `--addr` it has both.
pub(crate) fn has_family(family: c_int) -> bool {
    let addrs = options().addrs;
    addrs.is_empty()
        || addrs
            .iter()
            .any(|net| net.addr().is_ipv4() == (family == libc::AF_INET))
}

fn options() -> Options {
    Options::from_env(std::env::vars_os())
        .map(|(options, _)| options)
        .unwrap_or_default()
}
