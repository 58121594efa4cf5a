//! What the kernel lists of the namespace (rtnetlink(7)).

use netlink_packet_core::{
    NLM_F_DUMP, NLM_F_REQUEST, NetlinkBuffer, NetlinkHeader, NetlinkMessage, NetlinkPayload,
    Parseable as _,
};
use netlink_packet_route::RouteNetlinkMessage;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketType, recv, sendto, socket};

/// Datagrams of the kernel's dumps are at most 32 KB.
const RECV_LEN: usize = 64 * 1024;
/// So many of them are looked at.
const DATAGRAMS: u32 = 16;

/// Everything that `request` asks for; `None` when the kernel does not tell.
pub(crate) fn dump(request: RouteNetlinkMessage) -> Option<Vec<RouteNetlinkMessage>> {
    let netlink = socket(AddressFamily::NETLINK, SocketType::RAW, None).ok()?;
    let mut header = NetlinkHeader::default();
    header.flags = NLM_F_REQUEST | NLM_F_DUMP;
    let mut message = NetlinkMessage::new(header, NetlinkPayload::from(request));
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    let kernel = SocketAddrNetlink::new(0, 0);
    sendto(&netlink, &bytes, SendFlags::empty(), &kernel).ok()?;
    let mut all = Vec::new();
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
                NetlinkPayload::InnerMessage(message) => all.push(message),
                NetlinkPayload::Done(_) => return Some(all),
                _ => return None,
            }
        }
    }
    None
}
