//! What was promised to single programs: records stay apart (MSG_EOR), receipts come once and in order (MSG_ZEROCOPY), few octets wait
//! unsent (TCP_NOTSENT_LOWAT), and a pace is kept (SO_MAX_PACING_RATE).

use std::net::SocketAddr;

use tunsock_stack::{
    Attribute, Control, Controls, Error, Origin, RecvFlags, SendFlags, SockOpt, SocketId, Stack,
    State,
};

use crate::app::{App, CALL_MAX, Phase, Turn};
use crate::packet::{RST, SYN, Tcp};
use crate::plan::Hostile;
use crate::world::{World, floods};

/// Largest super-segment, octets.
const SUPER: u64 = 65_536;
/// Segments that go before pacing sets in, and some that do not wait for it: probes, and what is under way when it does.
const FREE: u64 = 16;

/// What a program keeps of it.
#[derive(Default)]
pub(crate) struct Promises {
    /// Places in the stream behind which nothing may share a segment with what is before them.
    records: Vec<u64>,
    /// Where the calls with MSG_ZEROCOPY ended in the stream.
    calls: Vec<u64>,
    /// So many of them have had their receipt.
    told: u32,
    /// When the first octets went, by the host's clock, and how many have gone since, repetitions included.
    paced: Option<(u64, u64)>,
}

impl App {
    /// The options for it.
    pub(crate) fn promise_options(&self) -> Vec<SockOpt> {
        let p = &self.plan;
        let mut options = Vec::new();
        options.extend(
            p.zerocopy
                .then_some(SockOpt::Number(Attribute::ZeroCopy, 1)),
        );
        options.extend(p.unsent.map(SockOpt::NotSentLowat));
        options.extend(p.rate.map(SockOpt::MaxPacingRate));
        options
    }

    /// Flags of a write of which the dice say `turn`.
    pub(crate) fn promise_flags(&self, turn: u64) -> SendFlags {
        let mut flags = SendFlags::empty();
        flags.set(
            SendFlags::EOR,
            (turn / 100) % 100 < u64::from(self.plan.records),
        );
        flags.set(SendFlags::ZEROCOPY, self.plan.zerocopy);
        flags
    }

    /// A write took what brings the stream to `self.sent`; `whole`: everything.
    pub(crate) fn promised(&mut self, flags: SendFlags, whole: bool) {
        if flags.contains(SendFlags::EOR) && whole {
            self.promises.records.push(self.sent);
        }
        if flags.contains(SendFlags::ZEROCOPY) {
            self.promises.calls.push(self.sent);
        }
    }

    /// Reads receipts: each call has one, in order, not before its octets are acknowledged, and then at once.
    pub(crate) fn receipts(&mut self, t: &mut Turn<'_>, id: SocketId) -> Result<(), String> {
        if !self.plan.zerocopy || self.phase != Phase::Running {
            return Ok(());
        }
        while let Some((first, last)) = receipt(t.stack, t.clock, id)? {
            let calls = &self.promises.calls;
            if first != self.promises.told || last < first || last as usize >= calls.len() {
                return Err(format!(
                    "a receipt for calls {first} to {last} of {}, {} are told of",
                    calls.len(),
                    self.promises.told
                ));
            }
            self.promises.told = last + 1;
            let open = t.stack.unsent_bytes(id).unwrap_or(0) as u64;
            let acked = self.sent + u64::from(self.shut) - open;
            if !t.lenient && calls[last as usize] > acked {
                return Err(format!(
                    "a receipt for octet {}, acknowledged are {acked}",
                    calls[last as usize]
                ));
            }
        }
        let opening = matches!(
            t.stack.state(id),
            Ok(State::SynSent | State::SynReceived) | Err(_)
        );
        let told = self.promises.told as usize == self.promises.calls.len();
        match !told && !opening && t.stack.unsent_bytes(id) == Ok(0) {
            true => Err(format!(
                "everything is acknowledged, {} of {} calls are told of",
                self.promises.told,
                self.promises.calls.len()
            )),
            false => Ok(()),
        }
    }
}

/// The next receipt.
fn receipt(
    stack: &mut Stack,
    clock: tunsock_stack::Instant,
    id: SocketId,
) -> Result<Option<(u32, u32)>, String> {
    let mut controls = Controls::new();
    let got = stack.recv_with(clock, id, &mut [], RecvFlags::ERRQUEUE, Some(&mut controls));
    match got {
        Err(Error::WouldBlock) => return Ok(None),
        Err(error) => return Err(format!("MSG_ERRQUEUE: {error:?}")),
        Ok(_) => {}
    }
    controls
        .iter()
        .find_map(|control| match control {
            Control::Error(e) | Control::Error6(e) if e.origin == Origin::ZeroCopy => {
                Some(Some((e.info, e.data)))
            }
            _ => None,
        })
        .ok_or_else(|| format!("a report that is no receipt: {controls:?}"))
}

impl World {
    /// A program's segments are to be watched from now on.
    pub(crate) fn watch_promises(&mut self, app: usize) {
        let program = &self.apps[app];
        let promised = program.plan.records > 0 || program.plan.rate.is_some();
        let strangers = self.plan.hostile != Hostile::Nobody || floods(&self.plan);
        let Some((local, peer)) = program.tuple.filter(|_| !strangers) else {
            return;
        };
        let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
        match promised {
            true => self.promised.insert((local, peer), app),
            // Those before it over the same ports are no more.
            false => self.promised.remove(&(local, peer)),
        };
    }

    /// When everything that could be sent has been, no more waits than was begun below the mark: a call, and one of the buffers that one
    /// is cut into.
    pub(crate) fn judge_unsent(&self, host: usize) -> Result<(), String> {
        let clock = self.clock(host);
        let stack = &self.hosts[host].stack;
        for (id, app) in &self.hosts[host].apps {
            let Some(most) = self.apps[*app].plan.unsent else {
                continue;
            };
            let unsent = stack
                .tcp_info(clock, *id)
                .map_or(0, |info| info.notsent_bytes);
            if unsent > most.saturating_add(2 * CALL_MAX as u32) {
                return Err(format!(
                    "c{}: {unsent} octets unsent, wanted are {most}",
                    app / 2
                ));
            }
        }
        Ok(())
    }

    /// A segment leaves: it keeps what was promised. `isn`: the initial sequence number of its direction.
    pub(crate) fn judge_promises(
        &mut self,
        host: usize,
        src: SocketAddr,
        dst: SocketAddr,
        t: &Tcp<'_>,
        isn: u32,
    ) -> Result<(), String> {
        let Some(app) = self.promised.get(&(src, dst)).copied() else {
            return Ok(());
        };
        if t.data.is_empty() || t.has(RST) {
            return Ok(());
        }
        let clock = self.clock(host).as_micros();
        let mtu = u64::from(self.plan.hosts[host].mtu);
        let program = &mut self.apps[app];
        let text = t.seq.wrapping_add(u32::from(t.has(SYN)));
        let start = u64::from(text.wrapping_sub(isn.wrapping_add(1)));
        let end = start + t.data.len() as u64;
        let records = &program.promises.records;
        let next = records.partition_point(|at| *at <= start);
        if let Some(at) = records.get(next).filter(|at| **at < end) {
            return Err(format!(
                "octets {start} to {end} in one segment, a record ends at {at}"
            ));
        }
        let Some(rate) = program.plan.rate else {
            return Ok(());
        };
        let (since, octets) = program.promises.paced.get_or_insert((clock, 0));
        *octets += t.data.len() as u64;
        let took = clock - *since;
        let fair = (u128::from(rate) * u128::from(took) / 1_000_000) as u64;
        let most = fair + fair / 50 + FREE * mtu + 3 * SUPER;
        match *octets > most {
            true => Err(format!("{octets} octets in {took} us, the rate is {rate}")),
            false => Ok(()),
        }
    }
}
