//! Where a host's name is looked for, and in which order: the `hosts:` line of nsswitch.conf(5).

/// A place to look.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) enum Service {
    /// The hosts file.
    Files,
    /// Name servers.
    Dns,
    /// A module of libc's that is not here: it would ask the machine's own network.
    Other,
}

/// How a search at one place ended without an answer. (nsswitch.conf(5) has TRYAGAIN besides, which neither place here says.)
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) enum Status {
    /// NOTFOUND: there is no such thing.
    NotFound,
    /// UNAVAIL: the place is not to be had, or nobody there has answered.
    Unavailable,
}

/// A place, and whether the search ends there.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) struct Step {
    /// Where to look.
    pub(crate) service: Service,
    return_not_found: bool,
    return_unavailable: bool,
}

impl Step {
    fn new(service: Service) -> Step {
        Step {
            service,
            return_not_found: false,
            return_unavailable: false,
        }
    }

    /// Whether this outcome is the last word.
    pub(crate) fn ends(&self, status: Status) -> bool {
        match status {
            Status::NotFound => self.return_not_found,
            Status::Unavailable => self.return_unavailable,
        }
    }

    /// `NOTFOUND=return`, `!UNAVAIL=return` and the like. What success means is not changed by anything.
    fn act(&mut self, action: &str) {
        let Some((status, action)) = action.split_once('=') else {
            return;
        };
        let returns = !action.eq_ignore_ascii_case("continue");
        let (all_but, status) = match status.strip_prefix('!') {
            Some(status) => (true, status),
            None => (false, status),
        };
        for (name, place) in [
            ("notfound", &mut self.return_not_found),
            ("unavail", &mut self.return_unavailable),
        ] {
            if status.eq_ignore_ascii_case(name) != all_but {
                *place = returns;
            }
        }
    }
}

/// The steps of the file's `hosts:` line; without one they are `files dns`, as glibc's since 2.34.
pub(crate) fn steps(text: &str) -> Vec<Step> {
    let line = text.lines().find_map(|line| {
        let line = line.split('#').next().unwrap_or_default().trim_start();
        line.strip_prefix("hosts")?.trim_start().strip_prefix(':')
    });
    let Some(line) = line else {
        return vec![Step::new(Service::Files), Step::new(Service::Dns)];
    };
    let asks_dns = line.split_whitespace().any(|word| word == "dns");
    let mut steps: Vec<Step> = Vec::new();
    let mut rest = line.trim();
    while !rest.is_empty() {
        if let Some(inside) = rest.strip_prefix('[') {
            let (actions, after) = inside.split_once(']').unwrap_or((inside, ""));
            if let Some(step) = steps.last_mut() {
                let actions = actions.replace(" =", "=").replace("= ", "=");
                actions.split_whitespace().for_each(|one| step.act(one));
            }
            rest = after.trim_start();
            continue;
        }
        let end = rest
            .find(|c: char| c.is_whitespace() || c == '[')
            .unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        steps.push(Step::new(match word {
            "files" => Service::Files,
            "dns" => Service::Dns,
            // systemd's resolver asks DNS; where `dns` stands too, it does so for those who have not got it.
            "resolve" if !asks_dns => Service::Dns,
            _ => Service::Other,
        }));
        rest = after.trim_start();
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    fn services(text: &str) -> Vec<Service> {
        steps(text).iter().map(|step| step.service).collect()
    }

    #[test]
    fn orders() {
        use Service::{Dns, Files, Other};
        assert_eq!(services(""), [Files, Dns]);
        assert_eq!(services("passwd: files\n"), [Files, Dns]);
        assert_eq!(services("hosts: dns files # x\n"), [Dns, Files]);
        assert_eq!(services("hosts:files"), [Files]);
        assert_eq!(
            services("hosts: mymachines resolve [!UNAVAIL=return] files myhostname dns"),
            [Other, Other, Files, Other, Dns]
        );
        assert_eq!(services("hosts: files resolve"), [Files, Dns]);
        assert_eq!(services("hosts: [x files ["), []);
    }

    #[test]
    fn actions() {
        let steps =
            steps("hosts: files [NOTFOUND=return TRYAGAIN = continue] dns [!UNAVAIL=return]");
        assert!(steps[0].ends(Status::NotFound) && !steps[0].ends(Status::Unavailable));
        assert!(steps[1].ends(Status::NotFound) && !steps[1].ends(Status::Unavailable));
    }
}
