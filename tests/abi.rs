//! What the library shows to C: its symbols, its name, its headers.

mod lab;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The header as this build generated it.
const GENERATED: &str = include_str!(concat!(env!("OUT_DIR"), "/tunsock.h"));

fn library() -> PathBuf {
    lab::built("libtunsock.so").expect("libtunsock.so is not built: cargo build --workspace")
}

fn run(command: &mut Command) -> String {
    let output = command
        .output()
        .unwrap_or_else(|e| panic!("{command:?}: {e}"));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{command:?}: {}\n{text}{errors}",
        output.status
    );
    text
}

/// The names that a file defines: dynamic ones of a library, all of a program.
fn defined(file: &Path, dynamic: bool) -> BTreeSet<String> {
    let mut nm = Command::new("nm");
    nm.arg("--defined-only")
        .args(dynamic.then_some("-D"))
        .arg(file);
    let name = |line: &str| line.split_whitespace().nth(2).map(str::to_owned);
    run(&mut nm).lines().filter_map(name).collect()
}

#[test]
fn exported_symbols_are_the_committed_list() {
    let list = std::fs::read_to_string(lab::root().join("include/tunsock.symbols"))
        .expect("include/tunsock.symbols is part of the repository");
    let listed: BTreeSet<String> = list
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(str::to_owned)
        .collect();
    let exported = defined(&library(), true);
    let more: Vec<_> = exported.difference(&listed).collect();
    let less: Vec<_> = listed.difference(&exported).collect();
    assert!(
        more.is_empty() && less.is_empty(),
        "not in the list: {more:?}; not exported: {less:?}"
    );
}

#[test]
fn the_posix_names_are_in_no_program_of_ours() {
    let own = std::env::current_exe().expect("a test has a path");
    let command = lab::built("tunsock").expect("the command is not built: cargo build --workspace");
    for program in [own, command] {
        let names = defined(&program, false);
        for name in [
            "socket",
            "read",
            "close",
            "poll",
            "getaddrinfo",
            "tunsock_socket",
        ] {
            assert!(
                !names.contains(name),
                "{} defines {name}",
                program.display()
            );
        }
    }
}

#[test]
fn the_static_library_has_the_names_too() {
    let archive =
        lab::built("libtunsock.a").expect("libtunsock.a is not built: cargo build --workspace");
    let text = run(Command::new("nm").arg("--defined-only").arg(&archive));
    for name in ["socket", "tunsock_socket", "tunsock_WSAStartup"] {
        let found = text
            .lines()
            .any(|line| line.ends_with(&format!(" T {name}")));
        assert!(found, "{name} is not in {}", archive.display());
    }
}

#[test]
fn the_library_is_named() {
    let text = run(Command::new("readelf").arg("-d").arg(library()));
    assert!(text.contains("Library soname: [libtunsock.so.0]"), "{text}");
}

#[test]
fn the_committed_header_is_fresh() {
    let committed = std::fs::read_to_string(lab::root().join("include/tunsock.h"))
        .expect("include/tunsock.h is part of the repository");
    assert!(
        committed == GENERATED,
        "include/tunsock.h is not what src/capi makes: build with TUNSOCK_UPDATE_HEADER=1 and commit it"
    );
}

#[test]
fn the_header_has_no_words_of_rust() {
    for word in ["&mut", "Option<", "Result<", "::", "unsafe", "Rust"] {
        assert!(!GENERATED.contains(word), "tunsock.h says {word}");
    }
}

#[test]
fn the_headers_compile_alone_and_strictly() {
    let include = lab::root().join("include");
    let compilers = [("cc", "c", "c11"), ("c++", "c++", "c++17")];
    for (compiler, language, standard) in compilers {
        for (header, define) in [
            ("tunsock.h", None),
            ("tunsock.h", Some("-DTUNSOCK_POSIX_NAMES")),
            ("winsock2.h", None),
            ("ws2tcpip.h", None),
        ] {
            let source = lab::scratch("abi").join(format!("alone.{language}"));
            std::fs::write(
                &source,
                format!("#include <{header}>\nint main(void) {{ return 0; }}\n"),
            )
            .expect("the scratch directory is writable");
            run(Command::new(compiler)
                .args(["-x", language, &format!("-std={standard}")])
                .args(["-Wall", "-Wextra", "-Wpedantic", "-Werror", "-fsyntax-only"])
                .args(define)
                .arg("-I")
                .arg(&include)
                .arg(&source));
        }
    }
}

/// Source in the tutorials' manner, which names no header of ours.
const ORDINARY: &str = r#"
#include <stdio.h>
#include <string.h>
#include <sys/types.h>
#include <sys/socket.h>
#include <netinet/in.h>
#include <netdb.h>
#include <unistd.h>
struct session { int (*close)(int); int read; };
int main(void) {
    struct sockaddr_in peer;
    struct session s = { close, 0 };
    char line[80];
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    memset(&peer, 0, sizeof peer);
    peer.sin_family = AF_INET;
    peer.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (connect(fd, (struct sockaddr *)&peer, sizeof peer) < 0) return 1;
    s.read = (int)read(fd, line, sizeof line);
    if (write(fd, line, 1) != 1 || gethostbyname("localhost") == NULL) return 1;
    return s.close(fd);
}
"#;

#[test]
fn ordinary_source_is_recompiled_as_it_stands() {
    let include = lab::root().join("include");
    let scratch = lab::scratch("abi");
    let source = scratch.join("ordinary.c");
    std::fs::write(&source, ORDINARY).expect("the scratch directory is writable");
    let shadow = format!("-I{}", include.join("posix").display());
    let plain = format!("-I{}", include.display());
    let ways: [(&str, &[&str]); 2] = [
        (
            "header",
            &[&plain, "-DTUNSOCK_POSIX_NAMES", "-include", "tunsock.h"],
        ),
        ("shadow", &[&shadow]),
    ];
    for (way, flags) in ways {
        for (compiler, language) in [("cc", "c"), ("c++", "c++")] {
            let object = scratch.join(format!("ordinary.{way}.{language}.o"));
            run(Command::new(compiler)
                .args(["-x", language, "-Wall", "-Wextra", "-Werror", "-c"])
                .args(flags)
                .arg(&source)
                .arg("-o")
                .arg(&object));
            let names = run(Command::new("nm").arg("--undefined-only").arg(&object));
            for name in [
                "socket",
                "connect",
                "read",
                "write",
                "close",
                "gethostbyname",
            ] {
                let ours = names
                    .lines()
                    .any(|line| line.ends_with(&format!(" tunsock_{name}")));
                assert!(ours, "{way}, {language}: {name} is not tunsock's:\n{names}");
            }
        }
    }
}

/// A file of `include/posix` as a program includes it.
fn shadows(directory: &std::path::Path, prefix: &str, out: &mut Vec<String>) {
    for entry in std::fs::read_dir(directory).expect("include/posix is part of the repository") {
        let entry = entry.expect("a readable directory");
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        if entry.path().is_dir() {
            shadows(&entry.path(), &format!("{name}/"), out);
        } else {
            out.push(name);
        }
    }
}

#[test]
fn every_shadow_may_come_first() {
    let posix = lab::root().join("include/posix");
    let mut headers = vec!["sys/types.h".to_owned(), "stdlib.h".to_owned()];
    shadows(&posix, "", &mut headers);
    let scratch = lab::scratch("abi");
    for header in headers {
        let name = header.replace('/', ".");
        let source = scratch.join(format!("first.{name}.c"));
        let text = format!(
            "#include <{header}>\n#include <pthread.h>\n#include <sys/select.h>\n#include <sys/stat.h>\n\
             int wait_for(int fd) {{\n    struct timeval none = {{0, 0}};\n    fd_set set;\n    \
             FD_ZERO(&set);\n    FD_SET(fd, &set);\n    return select(fd + 1, &set, 0, 0, &none);\n}}\n"
        );
        std::fs::write(&source, text).expect("the scratch directory is writable");
        for (compiler, language) in [("cc", "c"), ("c++", "c++")] {
            run(Command::new(compiler)
                .args(["-x", language, "-Wall", "-Wextra", "-Werror", "-c"])
                .arg(format!("-I{}", posix.display()))
                .arg(&source)
                .arg("-o")
                .arg(scratch.join(format!("first.{name}.{language}.o"))));
        }
    }
}

/// docs/options.md names what getsockopt and setsockopt know; the header has a number for each.
#[test]
fn the_header_has_every_option() {
    let docs = std::fs::read_to_string(lab::root().join("docs/options.md"))
        .expect("docs/options.md is part of the repository");
    let rows = docs.lines().filter(|line| line.starts_with("| `"));
    let mut options = 0;
    for row in rows {
        for word in row.split('`').skip(1).step_by(2) {
            let level = word.split('_').next().unwrap_or_default();
            let named = ["SO", "TCP", "IP", "IPV6", "UDP", "MCAST", "ICMP", "ICMP6"];
            if !named.contains(&level) || word.contains('*') {
                continue;
            }
            let define = format!("#define TUNSOCK_{word} ");
            // IPV6_ADD_MEMBERSHIP and its like are old names of the option before them.
            let old = word.starts_with("IPV6_") && word.ends_with("_MEMBERSHIP");
            assert!(old || GENERATED.contains(&define), "tunsock.h lacks {word}");
            options += 1;
        }
    }
    assert!(
        options > 100,
        "only {options} options found in docs/options.md"
    );
}
