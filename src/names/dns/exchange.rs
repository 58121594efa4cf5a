//! Questions to name servers and their answers: servers in turn, time-outs, datagrams and, for what is too long for them, TCP.
//! The order of things and the times are glibc's (res_send).

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use tunsock_stack::Error;

use super::message::{Header, Rcode, answers_to};
use crate::names::resolv_conf::ResolvConf;
use crate::names::socket::{Deadline, Socket};
use crate::runtime::{Level, log};

/// Nobody has given an answer.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) struct Silence {
    /// No server was there to be asked.
    pub(crate) refused: bool,
    /// The last word was SERVFAIL.
    pub(crate) servfail: bool,
}

/// The answers, in the order of the questions. At least one is there.
pub(crate) type Replies = Vec<Option<Vec<u8>>>;

/// How it went with one server.
enum Round {
    Replies(Replies),
    /// An answer was too long for a datagram.
    Truncated,
    Nothing(Silence),
}

/// Asks all questions of one server after the other until one answers.
pub(crate) fn exchange(conf: &ResolvConf, messages: &[&[u8]]) -> Result<Replies, Silence> {
    let mut silence = Silence {
        refused: true,
        servfail: false,
    };
    let count = conf.servers.len();
    let first = if conf.rotate {
        TURN.fetch_add(1, Relaxed) % count.max(1)
    } else {
        0
    };
    for _ in 0..conf.attempts {
        let turns = conf.servers.iter().enumerate().cycle().skip(first);
        for (place, &server) in turns.take(count) {
            let time = patience(conf, place);
            match ask(conf, server, messages, time) {
                Round::Replies(replies) => return Ok(replies),
                Round::Nothing(one) => {
                    silence.refused &= one.refused;
                    silence.servfail = one.servfail;
                }
                Round::Truncated => silence.refused = false,
            }
        }
    }
    if silence.refused {
        warn_of_loopback(conf);
    }
    Err(silence)
}

/// How long the server in this place of the file has, each time around: twice as long as the one before it, and all but the first
/// divide that among as many as there are (glibc's send_dg).
fn patience(conf: &ResolvConf, place: usize) -> Duration {
    let mut seconds = conf.timeout.as_secs() << place.min(8);
    if place > 0 {
        seconds /= conf.servers.len().max(1) as u64;
    }
    Duration::from_secs(seconds.max(1))
}

/// One server: by datagram, and over TCP if that does not do.
fn ask(conf: &ResolvConf, server: SocketAddr, messages: &[&[u8]], time: Duration) -> Round {
    if !conf.use_vc {
        match by_datagrams(conf, server, messages, time) {
            Round::Truncated => {}
            round => return round,
        }
    }
    over_stream(server, messages, time)
}

/// What was asked of one server and what has come back.
struct Ledger<'a> {
    messages: &'a [&'a [u8]],
    replies: Replies,
    /// Answered, be it without a use.
    done: Vec<bool>,
    servfail: bool,
}

/// What a message that arrived means for the whole.
enum Entry {
    /// It is taken, or not an answer to anything asked.
    Taken,
    /// It does not fit a datagram.
    Truncated,
}

impl<'a> Ledger<'a> {
    fn new(messages: &'a [&'a [u8]]) -> Ledger<'a> {
        Ledger {
            messages,
            replies: vec![None; messages.len()],
            done: vec![false; messages.len()],
            servfail: false,
        }
    }

    fn enter(&mut self, reply: &[u8], stream: bool) -> Entry {
        let open = self.messages.iter().zip(&self.done);
        let place = open
            .enumerate()
            .find(|(_, (message, done))| !**done && answers_to(message, reply));
        let (Some((place, _)), Some(header)) = (place, Header::read(reply)) else {
            return Entry::Taken;
        };
        match header.rcode {
            // Another server may know better.
            Rcode::ServFail | Rcode::NotImp | Rcode::Refused => {
                self.servfail = header.rcode == Rcode::ServFail;
            }
            _ if header.truncated && !stream => return Entry::Truncated,
            _ => {
                if let Some(slot) = self.replies.get_mut(place) {
                    *slot = Some(reply.to_vec());
                }
            }
        }
        if let Some(done) = self.done.get_mut(place) {
            *done = true;
        }
        Entry::Taken
    }

    fn all_done(&self) -> bool {
        self.done.iter().all(|done| *done)
    }

    /// The end: what has come, if anything has.
    fn close(self, refused: bool) -> Round {
        if self.replies.iter().any(Option::is_some) {
            return Round::Replies(self.replies);
        }
        Round::Nothing(Silence {
            refused,
            servfail: self.servfail,
        })
    }
}

fn by_datagrams(
    conf: &ResolvConf,
    server: SocketAddr,
    messages: &[&[u8]],
    time: Duration,
) -> Round {
    let mut ledger = Ledger::new(messages);
    let mut room = vec![0; ROOM];
    if !conf.single_request {
        match together(server, &mut ledger, &mut room, time) {
            Passed::Over => return ledger.close(false),
            Passed::Silent if ledger.replies.iter().all(Option::is_none) => {
                return ledger.close(false);
            }
            // Some servers answer the first of two questions only: the other is asked alone.
            Passed::Silent => {}
            Passed::Refused => return ledger.close(true),
            Passed::Truncated => return Round::Truncated,
        }
    }
    for place in 0..messages.len() {
        if ledger.done.get(place) != Some(&false) {
            continue;
        }
        // The others count as answered for so long.
        let rest: Vec<bool> = ledger.done.clone();
        ledger.done.fill(true);
        if let Some(done) = ledger.done.get_mut(place) {
            *done = false;
        }
        let passed = together(server, &mut ledger, &mut room, time);
        let answered = ledger.all_done();
        ledger.done = rest;
        if let Some(done) = ledger.done.get_mut(place) {
            *done = answered;
        }
        match passed {
            Passed::Over => {}
            Passed::Silent => return ledger.close(false),
            Passed::Refused => return ledger.close(true),
            Passed::Truncated => return Round::Truncated,
        }
    }
    ledger.close(false)
}

/// How the wait for answers to several questions passed.
enum Passed {
    /// All are answered.
    Over,
    /// Time is up.
    Silent,
    /// The server is not there.
    Refused,
    /// An answer does not fit a datagram.
    Truncated,
}

/// Sends all questions that are not done and waits for their answers.
fn together(
    server: SocketAddr,
    ledger: &mut Ledger<'_>,
    room: &mut [u8],
    time: Duration,
) -> Passed {
    let by = Deadline::after(time);
    let Ok(socket) = Socket::datagram(server) else {
        return Passed::Refused;
    };
    let open = ledger.messages.iter().zip(&ledger.done);
    for (message, _) in open.filter(|(_, done)| !**done) {
        if socket.send(message, by).is_err() {
            return Passed::Refused;
        }
    }
    while !ledger.all_done() {
        let reply = match socket.recv(room, by) {
            Ok(len) => room.get(..len).unwrap_or_default(),
            Err(Error::TimedOut) => return Passed::Silent,
            Err(_) => return Passed::Refused,
        };
        match ledger.enter(reply, false) {
            Entry::Taken => {}
            Entry::Truncated => return Passed::Truncated,
        }
    }
    Passed::Over
}

/// RFC 7766: each message behind its length, all questions at once, answers in any order.
fn over_stream(server: SocketAddr, messages: &[&[u8]], time: Duration) -> Round {
    let mut ledger = Ledger::new(messages);
    let by = Deadline::after(time.saturating_mul(STREAM_TIME));
    let mut asked = Vec::new();
    for message in messages {
        let len = u16::try_from(message.len()).unwrap_or(u16::MAX);
        asked.extend_from_slice(&len.to_be_bytes());
        asked.extend_from_slice(message.get(..usize::from(len)).unwrap_or_default());
    }
    let socket = match Socket::stream(server, by) {
        Ok(socket) => socket,
        Err(error) => return ledger.close(error != Error::TimedOut),
    };
    if socket.send(&asked, by).is_err() {
        return ledger.close(false);
    }
    // More answers than questions are not waited for.
    for _ in 0..messages.len() {
        let mut len = [0; 2];
        if socket.recv_exact(&mut len, by).is_err() {
            break;
        }
        let mut reply = vec![0; usize::from(u16::from_be_bytes(len))];
        if socket.recv_exact(&mut reply, by).is_err() {
            break;
        }
        ledger.enter(&reply, true);
    }
    ledger.close(false)
}

/// The machine's own loopback is not the stack's: a resolver there can't be reached. Said once, when it was needed.
fn warn_of_loopback(conf: &ResolvConf) {
    let own = |server: &SocketAddr| server.ip().to_canonical().is_loopback();
    if let Some(server) = conf.servers.first()
        && conf.servers.iter().all(own)
        && !WARNED.swap(true, Relaxed)
    {
        log(
            Level::Warn,
            format_args!(
                "the name server {} is on the loopback, which is the stack's own here: --dns names another",
                server.ip()
            ),
        );
    }
}

/// The largest message.
const ROOM: usize = 65535;
/// What TCP has more of the time that a datagram has: a handshake and a long answer.
const STREAM_TIME: u32 = 2;

static TURN: AtomicUsize = AtomicUsize::new(0);
static WARNED: AtomicBool = AtomicBool::new(false);
