//! The forms of values: text to number and back. Errors are the second half of a sentence: "`x` …".

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;

use crate::options::{Congestion, LogLevel};

pub(crate) type Parsed<T> = Result<T, String>;

pub(crate) fn cidr(text: &str) -> Parsed<IpNet> {
    if let Ok(net) = text.parse::<IpNet>() {
        return Ok(net);
    }
    match text.parse::<IpAddr>() {
        Ok(IpAddr::V4(_)) => Err(format!("needs a prefix length, as in {text}/24")),
        Ok(IpAddr::V6(_)) => Err(format!("needs a prefix length, as in {text}/64")),
        Err(_) => {
            Err("is not an address with a prefix length (10.83.0.2/24, fd83::2/64)".to_owned())
        }
    }
}

pub(crate) fn ip(text: &str) -> Parsed<IpAddr> {
    text.parse()
        .map_err(|_| "is not an IPv4 or IPv6 address".to_owned())
}

/// An address with a port; without one it is DNS's, 53.
pub(crate) fn server(text: &str) -> Parsed<SocketAddr> {
    let plain = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .unwrap_or(text);
    let server = match plain.parse::<IpAddr>() {
        Ok(ip) => Ok(SocketAddr::new(ip, 53)),
        Err(_) => text.parse::<SocketAddr>(),
    };
    match server {
        Ok(server) if server.port() != 0 && !server.ip().is_unspecified() => Ok(server),
        _ => Err("is not a name server (10.0.0.1, 10.0.0.1:5353, [fd00::1]:5353)".to_owned()),
    }
}

/// A device name as the kernel takes it (dev_valid_name: not empty, under IFNAMSIZ = 16 bytes with its NUL, no `/`, `:`
/// or space, not `.` or `..`), and without `%`, which would make it a pattern.
pub(crate) fn device(text: &str) -> Parsed<String> {
    let fine = !text.is_empty()
        && text.len() < 16
        && text != "."
        && text != ".."
        && text
            .bytes()
            .all(|b| b.is_ascii_graphic() && !b"/:%".contains(&b));
    if fine {
        Ok(text.to_owned())
    } else {
        Err("is not a device name (1 to 15 characters)".into())
    }
}

pub(crate) fn mtu(text: &str) -> Parsed<u32> {
    match text.parse() {
        Ok(mtu @ 68..=65535) => Ok(mtu),
        _ => Err("is not a size from 68 to 65535 bytes".to_owned()),
    }
}

pub(crate) fn flag(text: &str) -> Parsed<bool> {
    match text.to_ascii_lowercase().as_str() {
        "1" | "yes" | "on" | "true" => Ok(true),
        "0" | "no" | "off" | "false" | "" => Ok(false),
        _ => Err("is neither 1 nor 0".to_owned()),
    }
}

/// `1%` or `0.01`. A bare `1` is refused: half of its readers would mean one in a hundred.
pub(crate) fn probability(text: &str) -> Parsed<f64> {
    let wrong = || "is not a probability (1% or 0.01)".to_owned();
    let value = if let Some(percent) = text.strip_suffix('%') {
        percent.trim_end().parse::<f64>().map_err(|_| wrong())? / 100.0
    } else {
        let value = text.parse::<f64>().map_err(|_| wrong())?;
        if value != 0.0 && !text.contains(['.', 'e', 'E']) {
            return Err(format!(
                "is ambiguous: write {text}%, or a fraction such as 0.01"
            ));
        }
        value
    };
    if (0.0..=1.0).contains(&value) {
        Ok(value.abs())
    } else {
        Err(wrong())
    }
}

/// A time in microseconds, at most an hour: longer than any connection would survive.
pub(crate) fn duration_us(text: &str) -> Parsed<u64> {
    let wrong = || "is not a time with its unit (20ms, 1.5s, 100us)".to_owned();
    let digits = text.len()
        - text
            .trim_start_matches(|c: char| c.is_ascii_digit() || c == '.')
            .len();
    let (number, unit) = text.split_at(digits);
    let number = number.parse::<f64>().map_err(|_| wrong())?;
    let factor = match unit.trim_start() {
        "us" | "µs" => 1.0,
        "ms" => 1e3,
        "s" => 1e6,
        "" if number == 0.0 => 0.0,
        _ => return Err(wrong()),
    };
    let us = (number * factor).round();
    if us <= 3600.0 * 1e6 {
        Ok(us as u64)
    } else {
        Err("is longer than an hour".to_owned())
    }
}

/// A mask of 32 bits, decimal or hexadecimal with `0x`.
pub(crate) fn bits(text: &str) -> Parsed<u32> {
    let parsed = match text.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16),
        None => text.parse(),
    };
    parsed.map_err(|_| "is not a mask of bits (3, 0x403)".to_owned())
}

/// One key of 128 bits or two, in the kernel's form (net.ipv4.tcp_fastopen_key).
pub(crate) fn keys(text: &str) -> Parsed<String> {
    let word = |word: &str| {
        (1..=8).contains(&word.len()) && word.bytes().all(|digit| digit.is_ascii_hexdigit())
    };
    let key = |key: &str| key.split('-').count() == 4 && key.split('-').all(word);
    if text.split(',').count() <= 2 && text.split(',').all(key) {
        Ok(text.to_owned())
    } else {
        Err(
            "is not a key (a1b2c3d4-11111111-22222222-33333333) or two with a comma between"
                .to_owned(),
        )
    }
}

/// Three whole numbers from 1 to 2^31-1 that do not fall, in the kernel's form (blanks between them) or with commas.
fn triple(text: &str) -> Option<[usize; 3]> {
    let commas = text.contains(',');
    let words: Vec<&str> = if commas {
        text.split(',').map(str::trim).collect()
    } else {
        text.split_whitespace().collect()
    };
    let numbers: Vec<u32> = (words.iter().map(|word| word.parse().ok())).collect::<Option<_>>()?;
    let [least, first, most]: [u32; 3] = numbers.try_into().ok()?;
    let fine = 0 < least && least <= first && first <= most && i32::try_from(most).is_ok();
    fine.then_some([least as usize, first as usize, most as usize])
}

/// Sizes of a buffer (net.ipv4.tcp_rmem, tcp_wmem).
pub(crate) fn buffer(text: &str) -> Parsed<[usize; 3]> {
    triple(text).ok_or_else(|| {
        "is not three sizes in bytes that do not fall (4096,131072,6291456)".to_owned()
    })
}

/// Marks of memory (net.ipv4.tcp_mem).
pub(crate) fn pages(text: &str) -> Parsed<[usize; 3]> {
    triple(text).ok_or_else(|| {
        "is not three numbers of pages that do not fall (49152,65536,98304)".to_owned()
    })
}

/// Two ports from 1 to 65535 that do not fall, with a dash between or blanks as the kernel has them (net.ipv4.ip_local_port_range).
pub(crate) fn ports(text: &str) -> Parsed<(u16, u16)> {
    let (first, last) = match text.split_once('-') {
        Some((first, last)) => (Some(first), Some(last)),
        None => match *text.split_whitespace().collect::<Vec<_>>() {
            [first, last] => (Some(first), Some(last)),
            _ => (None, None),
        },
    };
    let port = |text: Option<&str>| text?.trim().parse::<u16>().ok().filter(|&port| port != 0);
    match (port(first), port(last)) {
        (Some(first), Some(last)) if first <= last => Ok((first, last)),
        _ => Err("is not two ports that do not fall (32768-60999)".to_owned()),
    }
}

/// A time to spin for, at most 100 ms: longer than that nobody should keep a processor busy for nothing.
pub(crate) fn spin_us(text: &str) -> Parsed<u64> {
    match duration_us(text)? {
        us @ 0..=100_000 => Ok(us),
        _ => Err("is longer than 100 ms".to_owned()),
    }
}

/// Bits per second. The units are those of `tc`, without its bytes per second (`bps`), which everybody misreads.
pub(crate) fn rate_bps(text: &str) -> Parsed<u64> {
    let wrong = || "is not a rate in bits per second (10Mbit, 1Gbit, 64000)".to_owned();
    let digits = text.len()
        - text
            .trim_start_matches(|c: char| c.is_ascii_digit() || c == '.')
            .len();
    let (number, unit) = text.split_at(digits);
    let number = number.parse::<f64>().map_err(|_| wrong())?;
    let factor = match unit.trim_start().to_ascii_lowercase().as_str() {
        "" | "bit" => 1.0,
        "kbit" => 1e3,
        "mbit" => 1e6,
        "gbit" => 1e9,
        _ => return Err(wrong()),
    };
    let bps = (number * factor).round();
    if (1.0..=1e12).contains(&bps) {
        Ok(bps as u64)
    } else {
        Err("is outside 1 bit/s to 1000 Gbit/s".to_owned())
    }
}

pub(crate) fn integer(text: &str) -> Parsed<u64> {
    text.parse()
        .map_err(|_| "is not a whole number from 0 to 2^64-1".to_owned())
}

pub(crate) fn congestion(text: &str) -> Parsed<Congestion> {
    Congestion::ALL
        .into_iter()
        .find(|which| which.name().eq_ignore_ascii_case(text))
        .ok_or_else(|| "is none of cubic, reno, bbr".to_owned())
}

pub(crate) fn level(text: &str) -> Parsed<LogLevel> {
    LogLevel::ALL
        .into_iter()
        .find(|level| level.name().eq_ignore_ascii_case(text))
        .ok_or_else(|| "is none of off, error, warn, info, debug, trace".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities() {
        assert_eq!(probability("1%"), Ok(0.01));
        assert_eq!(probability("0.5 %"), Ok(0.005));
        assert_eq!(probability("0.01"), Ok(0.01));
        assert_eq!(probability("0"), Ok(0.0));
        assert_eq!(probability("100%"), Ok(1.0));
        assert_eq!(probability("1.0"), Ok(1.0));
        assert_eq!(probability("1e-3"), Ok(0.001));
        assert!(probability("1").unwrap_err().contains("1%"));
        for bad in [
            "101%", "-1%", "-0.1", "1.5", "NaN", "nan%", "inf", "", "%", "x",
        ] {
            assert!(probability(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn name_servers() {
        let server = |text| server(text).map(|server| server.to_string());
        assert_eq!(server("10.0.0.1").as_deref(), Ok("10.0.0.1:53"));
        assert_eq!(server("10.0.0.1:5353").as_deref(), Ok("10.0.0.1:5353"));
        assert_eq!(server("fd00::1").as_deref(), Ok("[fd00::1]:53"));
        assert_eq!(server("[fd00::1]").as_deref(), Ok("[fd00::1]:53"));
        assert_eq!(server("[fd00::1]:5353").as_deref(), Ok("[fd00::1]:5353"));
        for bad in [
            "",
            "x",
            "10.0.0.1:",
            "10.0.0.1:0",
            "10.0.0.1:65536",
            "0.0.0.0",
            "::",
            "[::1",
        ] {
            assert!(server(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn durations() {
        assert_eq!(duration_us("20ms"), Ok(20_000));
        assert_eq!(duration_us("1.5s"), Ok(1_500_000));
        assert_eq!(duration_us("100us"), Ok(100));
        assert_eq!(duration_us("1.5 ms"), Ok(1500));
        assert_eq!(duration_us("0"), Ok(0));
        for bad in [
            "20",
            "ms",
            "-1ms",
            "1h",
            "1.2.3s",
            "",
            "1e3s",
            "3601s",
            "9999999999999999999999s",
        ] {
            assert!(duration_us(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn masks_and_keys() {
        assert_eq!((bits("3"), bits("0x403")), (Ok(3), Ok(0x403)));
        for wrong in ["", "0x", "-1", "4294967296", "x"] {
            assert!(bits(wrong).is_err(), "{wrong}");
        }
        for right in ["1-2-3-4", "a1b2c3d4-0-0-F,1-2-3-4"] {
            assert_eq!(keys(right).as_deref(), Ok(right));
        }
        for wrong in [
            "",
            "1-2-3",
            "1-2-3-4-5",
            "1-2-3-g",
            "1-2-3-4,",
            "1-2-3-123456789",
        ] {
            assert!(keys(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn ranges_of_ports() {
        for text in [
            "32768-60999",
            "32768 60999",
            "32768\t60999",
            " 32768 - 60999 ",
        ] {
            assert_eq!(ports(text), Ok((32768, 60999)), "{text}");
        }
        assert_eq!(ports("1-65535"), Ok((1, 65535)));
        assert_eq!(ports("7-7"), Ok((7, 7)));
        for bad in [
            "", "-", "1", "1-", "-1", "0-1", "2-1", "1-65536", "1,2", "1 2 3", "a-b", "+1-2-3",
        ] {
            assert!(ports(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn spinning_has_a_bound() {
        assert_eq!(spin_us("50us"), Ok(50));
        assert_eq!(spin_us("100ms"), Ok(100_000));
        assert!(spin_us("101ms").is_err());
        assert!(spin_us("50").is_err());
    }

    #[test]
    fn rates() {
        assert_eq!(rate_bps("10Mbit"), Ok(10_000_000));
        assert_eq!(rate_bps("1Gbit"), Ok(1_000_000_000));
        assert_eq!(rate_bps("2.5kbit"), Ok(2500));
        assert_eq!(rate_bps("64000"), Ok(64000));
        for bad in ["0", "-1", "10Mbps", "10M", "Mbit", "", "2000Gbit", "1e3"] {
            assert!(rate_bps(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn devices_and_sizes() {
        assert_eq!(device("tunsock0").as_deref(), Ok("tunsock0"));
        for bad in [
            "",
            ".",
            "..",
            "a/b",
            "a b",
            "a:0",
            "tun%d",
            "sixteen-bytes-xx",
            "é",
        ] {
            assert!(device(bad).is_err(), "{bad}");
        }
        assert_eq!(mtu("1500"), Ok(1500));
        for bad in ["67", "65536", "-1", "", "1500x"] {
            assert!(mtu(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn addresses() {
        assert!(cidr("10.83.0.2/24").is_ok());
        assert!(cidr("10.83.0.2").unwrap_err().contains("10.83.0.2/24"));
        assert!(cidr("fd83::2").unwrap_err().contains("fd83::2/64"));
        for bad in ["", "10.83.0.2/33", "fd83::2/129", "10.83.0/24", "host/24"] {
            assert!(cidr(bad).is_err(), "{bad}");
        }
        assert!(ip("10.83.0.1").is_ok());
        assert!(ip("10.83.0.1/24").is_err());
    }
}
