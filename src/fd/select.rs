//! select and pselect over ours and the kernel's.

use std::time::Duration;

use libc::{c_int, c_short, c_ulong};
use rustix::io::Errno;
use smallvec::SmallVec;

use super::poll::{Mixed, select_bits};
use super::{Fail, FdResult};
use crate::runtime::critical::Critical;

/// An fd_set of any size, as its words: bit `fd % c_ulong::BITS` of word `fd / c_ulong::BITS`. At least `nfds` bits long.
pub(crate) type FdBits = [c_ulong];

/// pselect(2): the number of bits set. `None` timeout: for ever. The caller rewrites select's timeval. `None`: no descriptor of ours
/// in it. Sets are left alone on an error.
pub(crate) fn select(
    nfds: c_int,
    readfds: Option<&mut FdBits>,
    writefds: Option<&mut FdBits>,
    exceptfds: Option<&mut FdBits>,
    timeout: Option<Duration>,
    sigmask: Option<&libc::sigset_t>,
) -> Option<FdResult<c_int>> {
    let _inside = Critical::enter();
    let Ok(count) = usize::try_from(nfds) else {
        return Some(Err(Fail::Os(Errno::INVAL)));
    };
    let sets = [
        (READ, readfds.as_deref()),
        (WRITE, writefds.as_deref()),
        (EXCEPT, exceptfds.as_deref()),
    ];
    let asked: SmallVec<[(c_int, c_short); 16]> = (0..count.div_ceil(WORD))
        .filter(|&word| sets.iter().any(|(_, set)| word_of(*set, word) != 0))
        .flat_map(|word| word * WORD..((word + 1) * WORD).min(count))
        .filter_map(|number| {
            let events = sets
                .iter()
                .filter(|(_, set)| word_of(*set, number / WORD) >> (number % WORD) & 1 != 0)
                .fold(0, |events, (question, _)| events | question);
            (events != 0).then(|| c_int::try_from(number).ok().map(|fd| (fd, events)))?
        })
        .collect();
    let mut mixed = Mixed::new(asked.iter().copied())?;
    mixed.quiet = true;
    if let Err(fail) = mixed.wait(timeout, sigmask) {
        return Some(Err(fail));
    }
    if mixed.fds.iter().any(|fd| fd.revents & libc::POLLNVAL != 0) {
        return Some(Err(Fail::Os(Errno::BADF)));
    }
    let mut total = 0;
    for (question, set) in [(READ, readfds), (WRITE, writefds), (EXCEPT, exceptfds)] {
        let Some(set) = set else {
            continue;
        };
        // Whole words are written, as the kernel does.
        set.iter_mut()
            .take(count.div_ceil(WORD))
            .for_each(|word| *word = 0);
        for fd in &mixed.fds {
            if select_bits(fd.events, fd.revents) & answer(question) & fd.events != 0
                && let Ok(number) = usize::try_from(fd.fd)
                && let Some(word) = set.get_mut(number / WORD)
            {
                *word |= 1 << (number % WORD);
                total += 1;
            }
        }
    }
    Some(Ok(total))
}

const WORD: usize = c_ulong::BITS as usize;

/// What poll is asked for each of select's sets. The first bit alone stands for the answer.
const READ: c_short = libc::POLLIN | libc::POLLRDNORM | libc::POLLRDBAND;
const WRITE: c_short = libc::POLLOUT | libc::POLLWRNORM | libc::POLLWRBAND;
const EXCEPT: c_short = libc::POLLPRI;

fn answer(question: c_short) -> c_short {
    question & (libc::POLLIN | libc::POLLOUT | libc::POLLPRI)
}

fn word_of(set: Option<&FdBits>, word: usize) -> c_ulong {
    set.and_then(|set| set.get(word)).copied().unwrap_or(0)
}
