//! The TUN device of a run: made and configured, or found and looked over; deleted again if it was made here.

use std::fs::File;
use std::io;
use std::net::IpAddr;

use ipnet::IpNet;
use rustix::fs::FlockOperation;
use tunsock_config::{Network, Options};
use tunsock_link::{HostSide, LinkEntry, Netlink, OpenError, Tun, TunConfig};

use crate::refusal::Refusal;

/// A device ready for one program. Dropping it deletes the device if [`prepare`] made it.
#[derive(Debug)]
pub(crate) struct Device {
    /// The options with everything settled, for the program's environment.
    pub(crate) settled: Options,
    /// Both ends' addresses.
    pub(crate) network: Network,
    made: Option<String>,
}

impl Drop for Device {
    fn drop(&mut self) {
        if let Some(name) = &self.made {
            match tunsock_link::delete_persistent(name) {
                // Somebody else has deleted it: it is gone, as it should be.
                Ok(()) | Err(OpenError::NoDevice(_)) => {}
                Err(error) => eprintln!("tunsock: device {name} is left behind: {error}"),
            }
        }
    }
}

/// Makes the device that the options ask for, or takes the one of that name that exists. `mtu_given`: the MTU is the
/// user's wish and not the default, so an existing device has to follow it.
pub(crate) fn prepare(options: &Options, mtu_given: bool) -> Result<Device, Refusal> {
    // Two runs that start at once must not choose the same name and nets.
    let _lock = lock()?;
    let mut netlink = Netlink::open().map_err(|error| Refusal::new(error.to_string()))?;
    if let Some(name) = &options.device {
        let link = netlink
            .link(name)
            .map_err(|error| Refusal::new(error.to_string()))?;
        if let Some(link) = link {
            return existing(options, mtu_given, &mut netlink, &link);
        }
    }
    make(options, &mut netlink)
}

fn make(options: &Options, netlink: &mut Netlink) -> Result<Device, Refusal> {
    let slot = netlink
        .free_slot()
        .map_err(|error| Refusal::new(error.to_string()))?;
    let given = options.device.is_some() && !options.addrs.is_empty();
    let (automatic, name) = match slot {
        Some(slot) => (slot.stack_addrs().to_vec(), slot.device()),
        None if given => (Vec::new(), String::new()),
        None => {
            return Err(Refusal::new(
                "all 256 automatic nets (10.83.N.0/24) or device names are taken: choose with --addr and --device",
            ));
        }
    };
    let network = options.network(&automatic)?;
    let name = options.device.clone().unwrap_or(name);
    let config = TunConfig {
        name: name.clone(),
        mtu: options.mtu,
        // What the program's own process asks for counts.
        offload: false,
        host_addrs: network.host_addrs.clone(),
        routes: outside(&network),
        configure: true,
        persist: true,
    };
    // Owned by the user, so that a program without CAP_NET_ADMIN may attach (--isolate).
    let owner = rustix::process::geteuid().as_raw();
    let made = tunsock_link::create_persistent(&config, Some(owner)).map_err(refuse)?;
    Ok(Device {
        settled: options.settled(&made, &network),
        network,
        made: Some(made),
    })
}

fn existing(
    options: &Options,
    mtu_given: bool,
    netlink: &mut Netlink,
    link: &LinkEntry,
) -> Result<Device, Refusal> {
    let name = &link.name;
    if !link.is_tun {
        return Err(Refusal::new(format!(
            "--device: {name} exists and is no TUN device"
        )));
    }
    let addresses = netlink
        .addresses()
        .map_err(|error| Refusal::new(error.to_string()))?;
    let present: Vec<IpNet> = addresses
        .iter()
        .filter(|entry| entry.index == link.index && !link_local(entry.net.addr()))
        .map(|entry| entry.net)
        .collect();
    let mut wanted = options.clone();
    if !mtu_given {
        wanted.mtu = link.mtu;
    }
    if options.addrs.is_empty() && !present.is_empty() {
        wanted.host_addrs = present.iter().map(IpNet::addr).collect();
        wanted.addrs = present.iter().filter_map(beside).collect();
    }
    let slot = netlink
        .free_slot()
        .map_err(|error| Refusal::new(error.to_string()))?;
    if slot.is_none() && wanted.addrs.is_empty() {
        return Err(Refusal::new(
            "all 256 automatic nets (10.83.N.0/24) are taken: choose with --addr",
        ));
    }
    let automatic = slot
        .map(|slot| slot.stack_addrs().to_vec())
        .unwrap_or_default();
    let network = wanted.network(&automatic)?;
    // Attaching and letting go again tells whether the program will be able to.
    let try_out = TunConfig {
        name: name.clone(),
        mtu: wanted.mtu,
        configure: false,
        offload: false,
        ..TunConfig::default()
    };
    drop(Tun::open(&try_out).map_err(refuse)?);
    let complete = link.up
        && link.mtu == wanted.mtu
        && network.host_addrs.iter().all(|host| present.contains(host))
        && outside(&network).is_empty();
    if !complete {
        let host = HostSide {
            device: name,
            mtu: wanted.mtu,
            addrs: &network.host_addrs,
            routes: &outside(&network),
        };
        tunsock_link::configure(&host).map_err(|error| refuse(error.into()))?;
    }
    Ok(Device {
        settled: wanted.settled(name, &network),
        network,
        made: None,
    })
}

/// A stack's address in the net of a kernel's: the lowest other one.
fn beside(host: &IpNet) -> Option<IpNet> {
    let other = host
        .hosts()
        .find(|addr| *addr != host.addr() && *addr != host.network());
    IpNet::new(other?, host.prefix_len()).ok()
}

/// The stack's addresses that lie in the net of no address of the kernel's, which therefore needs a route to them.
fn outside(network: &Network) -> Vec<IpNet> {
    let reached = |addr: &IpNet| {
        network
            .host_addrs
            .iter()
            .any(|host| host.contains(&addr.addr()))
    };
    network
        .addrs
        .iter()
        .filter(|addr| !reached(addr))
        .map(|addr| addr.addr().into())
        .collect()
}

fn link_local(addr: IpAddr) -> bool {
    match addr {
        IpAddr::V4(_) => false,
        IpAddr::V6(addr) => addr.is_unicast_link_local(),
    }
}

/// One run at a time chooses and makes a device. The lock is on /dev/net/tun, which is the same file in every namespace,
/// and goes with the descriptor.
fn lock() -> Result<File, Refusal> {
    let file = File::open(TUN).map_err(|error| refuse_tun(&error))?;
    // Held by others for a moment only. Without the lock the choice may collide, and then it is refused.
    let _ = rustix::fs::flock(&file, FlockOperation::LockExclusive);
    Ok(file)
}

fn refuse_tun(error: &io::Error) -> Refusal {
    let mend = match error.kind() {
        io::ErrorKind::PermissionDenied => {
            "use sudo, or have it made accessible (chmod 666 /dev/net/tun, the usual mode)"
        }
        _ => "load the module (modprobe tun), or start the container with --device=/dev/net/tun",
    };
    Refusal::new(format!("{TUN} cannot be opened ({error}): {mend}"))
}

fn refuse(error: OpenError) -> Refusal {
    match error {
        OpenError::NoTun(errno) => refuse_tun(&errno.into()),
        OpenError::NotPermitted => Refusal::new(
            "no right to make or configure a TUN device (CAP_NET_ADMIN): use sudo, or --isolate, or --device with one \
             that was made for you (ip tuntap add dev NAME mode tun user USER)",
        ),
        OpenError::InUse(name) => Refusal::new(format!(
            "device {name} is in use by another program: choose another --device, or leave the option out"
        )),
        other => Refusal::new(other.to_string()),
    }
}

const TUN: &str = "/dev/net/tun";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_options_and_the_link_mean_the_same_host_addresses() {
        for number in [0, 7, 255] {
            let slot = tunsock_link::Slot(number);
            let network = Options::default().network(&slot.stack_addrs()).unwrap();
            assert_eq!(network.host_addrs, slot.host_addrs());
        }
    }
}
