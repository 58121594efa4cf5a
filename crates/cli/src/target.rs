//! The program to run: found as the shell finds it, and looked at for what would keep the library out of it.

use std::ffi::{OsStr, OsString};
use std::fs::{File, Metadata};
use std::io::Read;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Access, CWD};

use crate::refusal::Refusal;

/// The program's path, once it is certain that the library will be loaded into it.
pub(crate) fn check(
    program: &OsStr,
    args: &[OsString],
    library: &Path,
) -> Result<PathBuf, Refusal> {
    let path = find(program)?;
    check_file(&path, args, library, program, SCRIPT_DEPTH)?;
    Ok(path)
}

/// execvp(3): a name with a slash is a path, others are looked for in PATH.
fn find(program: &OsStr) -> Result<PathBuf, Refusal> {
    let name = Path::new(program);
    if program.as_bytes().contains(&b'/') {
        return match runnable(name) {
            Ok(()) => Ok(name.to_owned()),
            Err(why) => Err(Refusal::new(format!("{}: {why}", name.display()))),
        };
    }
    let path = std::env::var_os("PATH").unwrap_or_else(|| OsString::from("/bin:/usr/bin"));
    let mut why = "there is no such program in PATH";
    for directory in std::env::split_paths(&path) {
        let candidate = directory.join(name);
        match runnable(&candidate) {
            Ok(()) if !program.is_empty() => return Ok(candidate),
            Err(other) if other != NO_FILE => why = other,
            _ => {}
        }
    }
    Err(Refusal::new(format!("{}: {why}", name.display())))
}

fn runnable(path: &Path) -> Result<(), &'static str> {
    let meta = path.metadata().map_err(|_| NO_FILE)?;
    if !meta.is_file() {
        return Err("is not a regular file");
    }
    rustix::fs::accessat(CWD, path, Access::EXEC_OK, rustix::fs::AtFlags::EACCESS)
        .map_err(|_| "may not be executed (chmod +x?)")
}

/// `asked` is the program that the user named, `path` it or the interpreter that its `#!` line leads to.
fn check_file(
    path: &Path,
    args: &[OsString],
    library: &Path,
    asked: &OsStr,
    depth: u32,
) -> Result<(), Refusal> {
    let refuse = |why: &str| Err(Refusal::new(format!("{}: {why}", describe(path, asked))));
    let Ok(file) = File::open(path) else {
        // Executable but not readable: ld.so will tell.
        return Ok(());
    };
    let meta = file
        .metadata()
        .map_err(|error| Refusal::new(format!("{}: {error}", path.display())))?;
    let mut head = Vec::new();
    if file
        .try_clone()
        .and_then(|f| f.take(HEAD_LEN).read_to_end(&mut head))
        .is_err()
    {
        return Ok(());
    }
    if let Some(line) = head.strip_prefix(b"#!") {
        // The set-user-ID bit of a script is ignored (execve(2)); its interpreter's counts.
        return match interpreter(line, args) {
            Some((next, rest)) if depth > 0 => check_file(&next, &rest, library, asked, depth - 1),
            _ => Ok(()),
        };
    }
    if let Some(why) = privileged(&file, &meta) {
        return refuse(why);
    }
    let Some(elf) = Elf::read(&file, &head) else {
        // execvp(3) gives what the kernel refuses to /bin/sh; anything else the kernel will tell.
        return Ok(());
    };
    let ours = File::open(library).ok().and_then(|file| {
        let mut head = Vec::new();
        file.try_clone()
            .ok()?
            .take(HEAD_LEN)
            .read_to_end(&mut head)
            .ok()?;
        Elf::read(&file, &head)
    });
    if let Some(ours) = ours
        && (ours.class, ours.machine) != (elf.class, elf.machine)
    {
        return refuse(
            "is built for another kind of machine than libtunsock.so; use a library built for the same",
        );
    }
    match elf.interpreter {
        None => refuse(
            "is statically linked, so that no library can be loaded into it; use a dynamically linked build, or link it \
             with -ltunsock",
        ),
        Some(loader) if find_bytes(&loader, b"ld-musl").is_some() => refuse(
            "is linked with musl, libtunsock.so with glibc; use a build for glibc, or link it with -ltunsock",
        ),
        Some(_) => Ok(()),
    }
}

fn describe(path: &Path, asked: &OsStr) -> String {
    if path.as_os_str() == asked || path.file_name() == Some(asked) {
        path.display().to_string()
    } else {
        format!("{} (which runs {})", path.display(), asked.display())
    }
}

/// What makes execve(2) gain rights: then AT_SECURE is set and ld.so(8) passes over LD_PRELOAD.
fn privileged(file: &File, meta: &Metadata) -> Option<&'static str> {
    let nosuid = rustix::fs::fstatvfs(file)
        .is_ok_and(|fs| fs.f_flag.contains(rustix::fs::StatVfsMountFlags::NOSUID));
    if nosuid || rustix::thread::no_new_privs().unwrap_or(false) {
        return None;
    }
    let (uid, gid) = (rustix::process::geteuid(), rustix::process::getegid());
    let setuid = meta.mode() & 0o4000 != 0 && meta.uid() != uid.as_raw();
    // Set-group-ID without group execution once meant mandatory locking and gives no rights.
    let setgid = meta.mode() & 0o2010 == 0o2010 && meta.gid() != gid.as_raw();
    if setuid || setgid {
        let bit = if setuid { SETUID } else { SETGID };
        return Some(bit);
    }
    let mut buf = [0u8; 64];
    let caps = rustix::fs::fgetxattr(file, "security.capability", &mut buf[..]);
    (caps.is_ok() && !uid.is_root()).then_some(FILE_CAPS)
}

/// The interpreter of a `#!` line and the arguments that it gets, in which `env` is looked through.
fn interpreter(line: &[u8], args: &[OsString]) -> Option<(PathBuf, Vec<OsString>)> {
    let line = line.split(|&b| b == b'\n').next()?;
    let mut words = line
        .split(|b| b" \t\r".contains(b))
        .filter(|word| !word.is_empty());
    let path = PathBuf::from(OsString::from_vec(words.next()?.to_vec()));
    let mut rest: Vec<OsString> = words
        .map(|word| OsString::from_vec(word.to_vec()))
        .collect();
    rest.extend_from_slice(args);
    if path.file_name() != Some(OsStr::new("env")) {
        return Some((path, rest));
    }
    let at = rest.iter().position(|word| {
        let word = word.as_bytes();
        !word.starts_with(b"-") && !word.contains(&b'=')
    })?;
    let tail = rest.split_off(at + 1);
    Some((find(&rest[at]).ok()?, tail))
}

/// The part of an ELF file's headers that counts here (elf(5)).
struct Elf {
    /// EI_CLASS: 1 for 32 bit, 2 for 64 bit.
    class: u8,
    machine: u16,
    /// PT_INTERP: the dynamic loader's path; `None` for a static program.
    interpreter: Option<Vec<u8>>,
}

impl Elf {
    fn read(file: &File, head: &[u8]) -> Option<Elf> {
        let ident = head.strip_prefix(b"\x7fELF")?;
        let (class, order) = (*ident.first()?, *ident.get(1)?);
        let view = View {
            bytes: head,
            little: order == 1,
        };
        let machine = view.u16(18)?;
        // e_phoff, e_phentsize, e_phnum; then p_offset and p_filesz within a program header.
        let (phoff, phentsize, phnum, p_offset, p_filesz) = match class {
            1 => (
                u64::from(view.u32(28)?),
                view.u16(42)?,
                view.u16(44)?,
                4,
                16,
            ),
            2 => (view.u64(32)?, view.u16(54)?, view.u16(56)?, 8, 32),
            _ => return None,
        };
        let mut table = vec![0u8; usize::from(phentsize) * usize::from(phnum)];
        file.read_exact_at(&mut table, phoff).ok()?;
        let mut interpreter = None;
        for header in table.chunks_exact(usize::from(phentsize).max(1)) {
            let header = View {
                bytes: header,
                little: view.little,
            };
            if header.u32(0)? != PT_INTERP {
                continue;
            }
            let (offset, size) = match class {
                1 => (
                    u64::from(header.u32(p_offset)?),
                    u64::from(header.u32(p_filesz)?),
                ),
                _ => (header.u64(p_offset)?, header.u64(p_filesz)?),
            };
            let mut path = vec![0u8; usize::try_from(size.min(4096)).ok()?];
            file.read_exact_at(&mut path, offset).ok()?;
            interpreter = Some(path);
        }
        Some(Elf {
            class,
            machine,
            interpreter,
        })
    }
}

/// Integers at byte offsets, in the file's byte order.
struct View<'a> {
    bytes: &'a [u8],
    little: bool,
}

impl View<'_> {
    fn array<const N: usize>(&self, at: usize) -> Option<[u8; N]> {
        let mut bytes: [u8; N] = self.bytes.get(at..at.checked_add(N)?)?.try_into().ok()?;
        if !self.little {
            bytes.reverse();
        }
        Some(bytes)
    }

    fn u16(&self, at: usize) -> Option<u16> {
        self.array(at).map(u16::from_le_bytes)
    }

    fn u32(&self, at: usize) -> Option<u32> {
        self.array(at).map(u32::from_le_bytes)
    }

    fn u64(&self, at: usize) -> Option<u64> {
        self.array(at).map(u64::from_le_bytes)
    }
}

fn find_bytes(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack
        .windows(needle.len())
        .position(|window| window == needle)
}

const NO_FILE: &str = "there is no such file";
const SETUID: &str = "is set-user-ID, so that the dynamic loader refuses to load libtunsock.so into it; run it as its owner";
const SETGID: &str = "is set-group-ID, so that the dynamic loader refuses to load libtunsock.so into it; run it as root";
const FILE_CAPS: &str = "has file capabilities, so that the dynamic loader refuses to load libtunsock.so into it; run it as root";

/// Enough for the ELF header and for a `#!` line (the kernel reads 256 bytes of it).
const HEAD_LEN: u64 = 512;
/// Interpreters of interpreters that the kernel follows.
const SCRIPT_DEPTH: u32 = 5;
const PT_INTERP: u32 = 3;

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[&str]) -> Vec<OsString> {
        words.iter().map(OsString::from).collect()
    }

    #[test]
    fn interpreters_of_scripts() {
        let (path, rest) = interpreter(b" /bin/sh -e\nexit", &words(&["x"])).unwrap();
        assert_eq!(
            (path.to_str().unwrap(), rest),
            ("/bin/sh", words(&["-e", "x"]))
        );
        assert!(interpreter(b"  \n", &[]).is_none());
        let (path, _) = interpreter(b"/usr/bin/env -S A=1 sh\n", &[]).unwrap();
        assert_eq!(path.file_name().unwrap(), "sh");
    }

    #[test]
    fn this_very_test_is_dynamic_elf() {
        let file = File::open(std::env::current_exe().unwrap()).unwrap();
        let mut head = Vec::new();
        (&file).take(HEAD_LEN).read_to_end(&mut head).unwrap();
        let elf = Elf::read(&file, &head).unwrap();
        assert_eq!(
            elf.class,
            if cfg!(target_pointer_width = "64") {
                2
            } else {
                1
            }
        );
        assert!(find_bytes(&elf.interpreter.unwrap(), b"ld-").is_some());
    }

    #[test]
    fn garbage_is_no_elf() {
        let file = File::open("/dev/null").unwrap();
        for len in 0..64 {
            let mut head = vec![0xff; len];
            head.iter_mut()
                .zip(b"\x7fELF\x02\x01")
                .for_each(|(to, from)| *to = *from);
            assert!(Elf::read(&file, &head).is_none());
        }
    }
}
