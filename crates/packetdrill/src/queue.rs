//! The queue above `tun0`: scripts stop the device with one that has no room (`tc qdisc … limit 0`).

use netlink_packet_core::Nla as _;
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::tc::{TcAttribute, TcMessage, TcOption};
use rustix::net::{AddressFamily, SocketType, netdevice, socket};

use crate::device::NAME;
use crate::netlink;

/// Whether the queue above the device `name` has room for any packet: not when it is one of packets or octets (tc-bfifo(8)) and its
/// limit is 0.
pub(crate) fn has_room(name: &str) -> bool {
    limit(name) != Some(0)
}

/// Whether a command of a script makes the queue above the device one that paces (tc-fq(8)).
pub(crate) fn asks_for_fq(command: &str) -> bool {
    command.lines().any(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        words.starts_with(&["tc", "qdisc"]) && words.ends_with(&["dev", NAME, "root", "fq"])
    })
}

/// The limit of the first queue of the device; `None` when it has none that is known here.
fn limit(name: &str) -> Option<u32> {
    let device = socket(AddressFamily::INET, SocketType::DGRAM, None).ok()?;
    let index = i32::try_from(netdevice::name_to_index(device, name).ok()?).ok()?;
    let request = RouteNetlinkMessage::GetQueueDiscipline(TcMessage::with_index(index));
    let queue = netlink::dump(request)?
        .into_iter()
        .find_map(|message| match message {
            RouteNetlinkMessage::NewQueueDiscipline(queue) if queue.header.index == index => {
                Some(queue)
            }
            _ => None,
        });
    limit_of(&queue?)
}

/// `struct tc_fifo_qopt` of linux/pkt_sched.h: the limit alone.
fn limit_of(queue: &TcMessage) -> Option<u32> {
    let fifo = queue.attributes.iter().any(|attribute| {
        matches!(attribute, TcAttribute::Kind(kind) if kind == "pfifo" || kind == "bfifo")
    });
    let options = queue
        .attributes
        .iter()
        .find_map(|attribute| match attribute {
            TcAttribute::Options(options) => options.first(),
            _ => None,
        });
    let Some(TcOption::Other(option)) = options.filter(|_| fifo) else {
        return None;
    };
    let mut value = vec![0; option.value_len()];
    option.emit_value(&mut value);
    let limit = value.first_chunk::<4>()?;
    Some(u32::from_ne_bytes(*limit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pacing_queue_is_recognized_in_a_command() {
        assert!(asks_for_fq(
            "x=1\ntc qdisc replace dev tun0 root fq\nsysctl y"
        ));
        for other in [
            "tc qdisc add dev tun0 root pfifo",
            "tc qdisc replace dev tun1 root fq",
            "",
        ] {
            assert!(!asks_for_fq(other), "{other}");
        }
    }
}
