//! The states of one TCP connection as they follow from its packets (RFC 9293 3.3.2).

use std::fmt;

use super::segment::Segment;

/// A state, spelt as in RFC 9293.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Closed,
    Listen,
    SynSent,
    SynReceived,
    Established,
    FinWait1,
    FinWait2,
    CloseWait,
    Closing,
    LastAck,
    TimeWait,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            State::Closed => "CLOSED",
            State::Listen => "LISTEN",
            State::SynSent => "SYN-SENT",
            State::SynReceived => "SYN-RECEIVED",
            State::Established => "ESTABLISHED",
            State::FinWait1 => "FIN-WAIT-1",
            State::FinWait2 => "FIN-WAIT-2",
            State::CloseWait => "CLOSE-WAIT",
            State::Closing => "CLOSING",
            State::LastAck => "LAST-ACK",
            State::TimeWait => "TIME-WAIT",
        })
    }
}

/// Which way a packet went, seen from the stack.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Out,
    In,
}

/// Follows the stack's end of a connection.
#[derive(Debug)]
pub(crate) struct Follower {
    pub(crate) state: State,
    /// The sequence number after the stack's FIN, once it is sent.
    fin_end: Option<u32>,
}

impl Follower {
    /// `state`: LISTEN for a server, CLOSED for a client.
    pub(crate) fn new(state: State) -> Follower {
        Follower {
            state,
            fin_end: None,
        }
    }

    /// The states that a packet leads through, in order; empty when it changes nothing.
    pub(crate) fn packet(&mut self, way: Way, segment: &Segment) -> Vec<State> {
        let mut passed = Vec::new();
        if segment.rst {
            // RFC 9293 3.10.7.4: a connection goes, a listener stays.
            if self.state != State::Listen {
                self.enter(State::Closed, &mut passed);
            }
            return passed;
        }
        match way {
            Way::Out => self.sent(segment, &mut passed),
            Way::In => self.received(segment, &mut passed),
        }
        passed
    }

    fn enter(&mut self, state: State, passed: &mut Vec<State>) {
        if self.state != state {
            self.state = state;
            passed.push(state);
        }
    }

    fn sent(&mut self, segment: &Segment, passed: &mut Vec<State>) {
        if segment.syn && !segment.has_ack && self.state == State::Closed {
            self.enter(State::SynSent, passed);
        }
        if segment.fin {
            self.fin_end = Some(segment.end());
            match self.state {
                State::Established | State::SynReceived => self.enter(State::FinWait1, passed),
                State::CloseWait => self.enter(State::LastAck, passed),
                _ => {}
            }
        }
    }

    fn received(&mut self, segment: &Segment, passed: &mut Vec<State>) {
        match (self.state, segment.syn, segment.has_ack) {
            (State::Listen | State::SynSent, true, false) => self.enter(State::SynReceived, passed),
            (State::SynSent, true, true) => self.enter(State::Established, passed),
            (State::SynReceived, _, true) => self.enter(State::Established, passed),
            _ => {}
        }
        let fin_acked = segment.has_ack && self.fin_end == Some(segment.ack);
        match self.state {
            State::FinWait1 if fin_acked => self.enter(State::FinWait2, passed),
            State::Closing if fin_acked => self.enter(State::TimeWait, passed),
            State::LastAck if fin_acked => self.enter(State::Closed, passed),
            _ => {}
        }
        if segment.fin {
            match self.state {
                State::Established => self.enter(State::CloseWait, passed),
                State::FinWait1 => self.enter(State::Closing, passed),
                State::FinWait2 => self.enter(State::TimeWait, passed),
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    fn segment(flags: &str, seq: u32, ack: u32) -> Segment {
        let nobody = (IpAddr::from([0, 0, 0, 0]), 0);
        Segment {
            src: nobody,
            dst: nobody,
            seq,
            ack,
            syn: flags.contains('S'),
            fin: flags.contains('F'),
            rst: flags.contains('R'),
            has_ack: flags.contains('A'),
            window: 0,
            options: Vec::new(),
            payload: Vec::new(),
        }
    }

    fn walk(start: State, packets: &[(Way, &str, u32, u32)]) -> Vec<State> {
        let mut follower = Follower::new(start);
        packets
            .iter()
            .flat_map(|&(way, flags, seq, ack)| follower.packet(way, &segment(flags, seq, ack)))
            .collect()
    }

    #[test]
    fn a_server_whose_client_closes_first() {
        use State::*;
        use Way::*;
        let states = walk(
            Listen,
            &[
                (In, "S", 9, 0),
                (Out, "SA", 99, 10),
                (In, "A", 10, 100),
                (In, "FA", 10, 100),
                (Out, "A", 100, 11),
                (Out, "FA", 100, 11),
                (In, "A", 11, 101),
            ],
        );
        assert_eq!(
            states,
            [SynReceived, Established, CloseWait, LastAck, Closed]
        );
    }

    #[test]
    fn a_client_that_closes_first() {
        use State::*;
        use Way::*;
        let open = [
            (Out, "S", 9, 0),
            (In, "SA", 99, 10),
            (Out, "A", 10, 100),
            (Out, "FA", 10, 100),
        ];
        let mut apart = open.to_vec();
        apart.extend([(In, "A", 100, 11), (In, "FA", 100, 11)]);
        assert_eq!(
            walk(Closed, &apart),
            [SynSent, Established, FinWait1, FinWait2, TimeWait]
        );
        // ACK and FIN in one segment; both closing at once.
        let mut together = open.to_vec();
        together.push((In, "FA", 100, 11));
        assert_eq!(
            walk(Closed, &together),
            [SynSent, Established, FinWait1, FinWait2, TimeWait]
        );
        let mut crossed = open.to_vec();
        crossed.extend([(In, "FA", 100, 10), (In, "A", 101, 11)]);
        assert_eq!(
            walk(Closed, &crossed),
            [SynSent, Established, FinWait1, Closing, TimeWait]
        );
    }

    #[test]
    fn a_reset_ends_a_connection_and_no_listener() {
        use State::*;
        use Way::*;
        assert_eq!(
            walk(Closed, &[(Out, "S", 9, 0), (In, "RA", 0, 10)]),
            [SynSent, Closed]
        );
        assert_eq!(walk(Listen, &[(Out, "RA", 0, 10)]), []);
    }
}
