//! What the options and the machine's files say about names.

use std::ffi::OsStr;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use ipnet::IpNet;
use tunsock_config::Options;

use super::nsswitch::{Step, steps};
use super::resolv_conf::{ResolvConf, SERVERS_MAX, Surroundings};
use crate::runtime;

/// The hosts file: the one that `--hosts` names, else /etc/hosts. Options that can't be read are said by the first socket.
pub(super) fn hosts_file() -> PathBuf {
    options().hosts.unwrap_or_else(|| "/etc/hosts".into())
}

/// Where names are looked for.
pub(super) fn order() -> Vec<Step> {
    let text = std::fs::read("/etc/nsswitch.conf").unwrap_or_default();
    steps(&String::from_utf8_lossy(&text))
}

/// The servers of /etc/resolv.conf, whatever the options say.
pub(super) fn file_servers() -> Vec<SocketAddr> {
    let text = std::fs::read("/etc/resolv.conf").unwrap_or_default();
    ResolvConf::parse(&text, Surroundings::default()).servers
}

/// How DNS is asked: /etc/resolv.conf, with the servers of `--dns` if there are any. Read anew for each question.
pub(super) fn resolv_conf() -> ResolvConf {
    // No unit test asks the machine's own servers.
    if cfg!(test) {
        return ResolvConf::default();
    }
    let text = std::fs::read("/etc/resolv.conf").unwrap_or_default();
    let host_name = host_name();
    let variable = std::env::var_os::<&str>;
    let (local_domain, options) = (variable("LOCALDOMAIN"), variable("RES_OPTIONS"));
    let around = Surroundings {
        host_name: &host_name,
        local_domain: local_domain.as_deref().map(OsStr::as_bytes),
        options: options.as_deref().map(OsStr::as_bytes),
    };
    let mut conf = ResolvConf::parse(&text, around);
    let given = self::options().dns;
    if !given.is_empty() {
        conf.servers = given;
        conf.servers.truncate(SERVERS_MAX);
    }
    conf
}

/// What the user calls by a name without dots: the file that HOSTALIASES names has lines `ALIAS NAME` (hostname(7)).
pub(super) fn host_alias(name: &[u8]) -> Option<Vec<u8>> {
    let text = std::fs::read(std::env::var_os("HOSTALIASES")?).ok()?;
    text.split(|&byte| byte == b'\n').find_map(|line| {
        let mut words = line
            .split(u8::is_ascii_whitespace)
            .filter(|word| !word.is_empty());
        let known = words.next()?.eq_ignore_ascii_case(name);
        words.next().filter(|_| known).map(<[u8]>::to_vec)
    })
}

/// The machine's name, gethostname(2).
pub(super) fn host_name() -> Vec<u8> {
    rustix::system::uname().nodename().to_bytes().to_vec()
}

/// The stack's addresses: its own when it is there, else what the options say it will have. `None`: they are still to be chosen.
pub(super) fn addrs() -> Option<Vec<IpNet>> {
    if let Some(runtime) = runtime::get()
        && let Ok(addrs) = runtime.with(|stack, _| Ok(stack.addrs().to_vec()))
    {
        return Some(addrs);
    }
    Some(options().addrs).filter(|addrs| !addrs.is_empty())
}

/// Whether the stack has an address of a family besides the loopback one (AI_ADDRCONFIG).
pub(crate) fn has_family(v4: bool) -> bool {
    let counts = |ip: IpAddr| ip.is_ipv4() == v4 && !ip.is_loopback();
    match addrs() {
        Some(addrs) => addrs.iter().any(|net| counts(net.addr())),
        // RFC 8200 5: no IPv6 over a link of less than 1280 bytes.
        None => v4 || options().mtu >= 1280,
    }
}

fn options() -> Options {
    Options::from_env(std::env::vars_os())
        .map(|(options, _)| options)
        .unwrap_or_default()
}
