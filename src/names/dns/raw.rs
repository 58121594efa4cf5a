//! res_query and its kin: questions of any kind, and the answers as they came.

use std::net::SocketAddr;
use std::time::Duration;

use super::exchange::{Silence, exchange};
use super::message::Ask;
use super::{NoUse, exchange_about, judge, search};
use crate::names::resolv_conf::ResolvConf;
use crate::names::{Miss, Status, Why, settings};

/// What a program has set in its `struct __res_state`, resolv.h.
#[derive(Clone, Debug, Default)]
pub(crate) struct State {
    /// nsaddr_list.
    pub(crate) servers: Vec<SocketAddr>,
    /// retrans, seconds.
    pub(crate) timeout: u64,
    /// retry.
    pub(crate) attempts: u32,
    /// RES_USEVC.
    pub(crate) use_vc: bool,
}

/// Somebody who asks, and where each answer is to be left: also one that says that there is nothing.
pub(crate) struct Raw<'a> {
    conf: ResolvConf,
    sink: &'a mut dyn FnMut(&[u8]),
}

impl<'a> Raw<'a> {
    /// By resolv.conf and the options, and by what the program has changed of that.
    pub(crate) fn new(state: Option<State>, sink: &'a mut dyn FnMut(&[u8])) -> Raw<'a> {
        let mut conf = settings::resolv_conf();
        if let Some(state) = state {
            // Servers that are the file's have not been chosen by the program, so `--dns` stands for them.
            let file = settings::file_servers();
            let chosen = |server: &SocketAddr| !file.contains(server);
            if state.servers.iter().any(chosen) {
                conf.servers = state.servers;
            }
            conf.timeout = Duration::from_secs(state.timeout.min(60));
            conf.attempts = state.attempts.min(10);
            conf.use_vc |= state.use_vc;
        }
        Raw { conf, sink }
    }

    /// res_query: this name exactly.
    pub(crate) fn query(&mut self, name: &[u8], ask: Ask) -> Result<(), NoUse> {
        Raw::one(&self.conf, self.sink, name, ask)
    }

    /// res_search: by the rules for searching.
    pub(crate) fn search(&mut self, name: &[u8], ask: Ask) -> Result<(), NoUse> {
        let Raw { conf, sink } = self;
        search(conf, name, |name| Raw::one(conf, *sink, name, ask))
    }

    /// res_send: a message of the program's own making, to whoever answers.
    pub(crate) fn send(&mut self, message: &[u8]) -> Result<(), Silence> {
        for reply in exchange(&self.conf, &[message])?.iter().flatten() {
            (self.sink)(reply);
        }
        Ok(())
    }

    fn one(
        conf: &ResolvConf,
        sink: &mut dyn FnMut(&[u8]),
        name: &[u8],
        ask: Ask,
    ) -> Result<(), NoUse> {
        let replies = exchange_about(conf, name, &[ask])?;
        for reply in replies.iter().flatten() {
            sink(reply);
        }
        judge(&replies)
    }
}

impl NoUse {
    /// No name at all was given.
    pub(crate) const NO_NAME: NoUse = NoUse {
        miss: Miss {
            why: Why::NoRecovery,
            status: Status::NotFound,
        },
        go_on: false,
        servfail: false,
        refused: false,
    };
}
