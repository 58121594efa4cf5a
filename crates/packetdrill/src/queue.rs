//! The queue above `tun0`: scripts stop the device with one that has no room (`tc qdisc … limit 0`).

use netlink_packet_core::{
    NLM_F_DUMP, NLM_F_REQUEST, NetlinkBuffer, NetlinkHeader, NetlinkMessage, NetlinkPayload,
    Nla as _, Parseable as _,
};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::tc::{TcAttribute, TcMessage, TcOption};
use rustix::fd::OwnedFd;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketType, netdevice, recv, sendto, socket,
};

/// Datagrams of the kernel's dumps are at most 32 KB.
const RECV_LEN: usize = 64 * 1024;
/// So many of them are looked at.
const DATAGRAMS: u32 = 16;

/// Whether the queue above the device `name` has room for any packet: not when it is one of packets or octets (tc-bfifo(8)) and its
/// limit is 0.
pub(crate) fn has_room(name: &str) -> bool {
    limit(name) != Some(0)
}

/// The limit of the first queue of the device; `None` when it has none that is known here.
fn limit(name: &str) -> Option<u32> {
    let device = socket(AddressFamily::INET, SocketType::DGRAM, None).ok()?;
    let index = i32::try_from(netdevice::name_to_index(device, name).ok()?).ok()?;
    let netlink = socket(AddressFamily::NETLINK, SocketType::RAW, None).ok()?;
    ask(&netlink, index)?;
    let mut buf = vec![0; RECV_LEN];
    for _ in 0..DATAGRAMS {
        let (len, _) = recv(&netlink, &mut buf[..], RecvFlags::empty()).ok()?;
        let mut rest = buf.get(..len)?;
        while !rest.is_empty() {
            let len = NetlinkHeader::parse(&NetlinkBuffer::new_checked(rest).ok()?)
                .ok()?
                .length;
            let message = rest.get(..len as usize)?;
            rest = rest
                .get((len as usize).next_multiple_of(4)..)
                .unwrap_or_default();
            match NetlinkMessage::<RouteNetlinkMessage>::deserialize(message)
                .ok()?
                .payload
            {
                NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewQueueDiscipline(queue))
                    if queue.header.index == index =>
                {
                    return limit_of(&queue);
                }
                NetlinkPayload::InnerMessage(_) => {}
                _ => return None,
            }
        }
    }
    None
}

/// Asks for the queues.
fn ask(netlink: &OwnedFd, index: i32) -> Option<()> {
    let mut header = NetlinkHeader::default();
    header.flags = NLM_F_REQUEST | NLM_F_DUMP;
    let request = RouteNetlinkMessage::GetQueueDiscipline(TcMessage::with_index(index));
    let mut message = NetlinkMessage::new(header, NetlinkPayload::from(request));
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    let kernel = SocketAddrNetlink::new(0, 0);
    sendto(netlink, &bytes, SendFlags::empty(), &kernel).ok()?;
    Some(())
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
