//! Makes the C header, compares its layouts with the system's by the C compiler, and names the shared library.
//!
//! The header is written to OUT_DIR; `include/tunsock.h` is its committed copy, which a test compares. With
//! TUNSOCK_UPDATE_HEADER=1 in the environment the copy is written anew.

use std::path::{Path, PathBuf};
use std::{env, fs};

use cbindgen::{ItemType, Language, Style};

/// Where the functions of the header are defined, in the order of the header.
const FUNCTIONS: &[(&str, &str)] = &[
    ("calls", "Sockets"),
    ("data", "Data"),
    ("transfer", "Between files, pipes and sockets"),
    ("message", "Messages"),
    ("options", "Options"),
    ("wait", "Waiting"),
    ("control", "Descriptors"),
    ("netdb", "Names"),
    ("hostent", "Names, the older calls"),
    ("filters", "Groups"),
    ("interfaces", "Interfaces"),
];

/// Types that are a `typedef` in the system's headers, not a `struct`.
const PLAIN_TYPES: &[&str] = &["tunsock_fd_set", "tunsock_sigset_t"];

fn main() {
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("set by cargo"));
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("set by cargo"));
    for path in [
        "build.rs",
        "cbindgen.toml",
        "src/capi",
        "src/preload/dprintf.c",
        "include",
    ] {
        println!("cargo:rerun-if-changed={path}");
    }
    println!("cargo:rerun-if-env-changed=TUNSOCK_UPDATE_HEADER");
    println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,libtunsock.so.0");

    let text = header(&root);
    let generated = out.join("tunsock.h");
    fs::write(&generated, &text).expect("OUT_DIR is writable");
    if env::var_os("TUNSOCK_UPDATE_HEADER").is_some_and(|value| value == "1") {
        fs::write(root.join("include/tunsock.h"), &text).expect("include/ is writable");
    }
    check_layouts(&root, &out);
    // What Rust can't define: variadic functions. Not exported by itself, see src/preload/dprintf.rs.
    cc::Build::new()
        .file(root.join("src/preload/dprintf.c"))
        .std("c11")
        .flag("-fvisibility=hidden")
        .extra_warnings(true)
        .warnings_into_errors(true)
        .compile("tunsock_variadic");
}

/// The whole header.
fn header(root: &Path) -> String {
    let part = |files: &[&str], items: &[ItemType]| generate(root, files, items);
    let mut functions = String::new();
    for (file, title) in FUNCTIONS {
        functions += &format!("/* {title} */\n\n");
        functions += &part(&["types", file], &[ItemType::Functions]);
        functions += "\n";
    }
    let functions = as_c_has_them(functions);
    let fill = |template: &str| {
        template
            .replace(
                "@CONSTANTS@",
                part(&["constants"], &[ItemType::Constants]).trim(),
            )
            .replace("@TYPES@", part(&["types"], &[ItemType::Structs]).trim())
            .replace("@FUNCTIONS@", functions.trim())
            .replace("@NAMES@", names(&functions).trim())
            .replace(
                "@TAGS@",
                tags(&part(&["types"], &[ItemType::Structs])).trim(),
            )
    };
    let template = root.join("include/tunsock.h.in");
    fill(&fs::read_to_string(&template).expect("include/tunsock.h.in is part of the source"))
}

/// What cbindgen makes of some files of src/capi.
fn generate(root: &Path, files: &[&str], items: &[ItemType]) -> String {
    let mut config =
        cbindgen::Config::from_file(root.join("cbindgen.toml")).expect("cbindgen.toml is valid");
    config.language = Language::C;
    config.style = Style::Tag;
    config.no_includes = true;
    config.export.item_types = items.to_vec();
    // Numbers speak for themselves.
    config.documentation = !matches!(items, [ItemType::Constants]);
    if matches!(items, [ItemType::Structs]) {
        config.export.include = structs(root);
    }
    let mut builder = cbindgen::Builder::new().with_config(config);
    for file in files {
        builder = builder.with_src(root.join(format!("src/capi/{file}.rs")));
    }
    let mut text = Vec::new();
    builder
        .generate()
        .expect("src/capi is what cbindgen understands")
        .write(&mut text);
    untagged(String::from_utf8(text).expect("cbindgen writes UTF-8"))
}

/// The structures of src/capi/types.rs, which cbindgen would leave out for want of a function that uses them.
fn structs(root: &Path) -> Vec<String> {
    let text = fs::read_to_string(root.join("src/capi/types.rs")).expect("part of the source");
    let name = |line: &str| {
        Some(
            line.strip_prefix("pub struct ")?
                .strip_suffix(" {")?
                .to_owned(),
        )
    };
    text.lines().filter_map(name).collect()
}

/// `struct tunsock_fd_set` as the system has it: a name of its own.
fn untagged(text: String) -> String {
    PLAIN_TYPES.iter().fold(text, |text, name| {
        let text = text.replace(&format!("struct {name} *"), &format!("{name} *"));
        // The definition: `struct name { … };` becomes `typedef struct { … } name;`.
        let Some((before, rest)) = text.split_once(&format!("struct {name} {{")) else {
            return text;
        };
        let (body, after) = rest.split_once("};").expect("a definition has an end");
        format!("{before}typedef struct {{{body}}} {name};{after}")
    })
}

/// What Rust can't say: two calls are variadic, and the event of epoll is a structure of the header's own.
fn as_c_has_them(text: String) -> String {
    let replace = |text: String, from: &str, to: &str| {
        assert!(
            text.contains(from),
            "the header has no `{from}` to replace:\n{text}"
        );
        text.replace(from, to)
    };
    let text = replace(text, "int command, long arg)", "int command, ...)");
    let text = replace(
        text,
        "unsigned long request, void *arg)",
        "unsigned long request, ...)",
    );
    replace(text, "epoll_event *", "struct tunsock_epoll_event *")
}

/// The functions' names, each made the symbol behind the plain name.
fn names(functions: &str) -> String {
    let mut lines = String::new();
    for word in functions.split(|c: char| !c.is_alphanumeric() && c != '_') {
        let Some(plain) = word.strip_prefix("tunsock_") else {
            continue;
        };
        if !functions.contains(&format!("{word}(")) {
            continue;
        }
        let line = format!("#pragma redefine_extname {plain} {word}\n");
        if lines.contains(&line) {
            continue;
        }
        if matches!(plain, "fcntl" | "sendfile" | "preadv2" | "pwritev2") {
            // With 64-bit file offsets asked for, the system's headers give these another symbol already.
            lines += &format!("#ifndef __USE_FILE_OFFSET64\n{line}#endif\n");
        } else {
            lines += &line;
        }
    }
    lines
}

/// The structures' names, each made the system's.
fn tags(types: &str) -> String {
    let mut lines = String::new();
    for line in types.lines() {
        let name = line
            .strip_prefix("struct tunsock_")
            .and_then(|rest| rest.strip_suffix(" {"));
        if let Some(name) = name {
            lines += &format!("#define tunsock_{name} {name}\n");
        }
    }
    lines + "#define tunsock_epoll_event epoll_event\n"
}

/// Has the C compiler compare the generated header with the system's.
fn check_layouts(root: &Path, out: &Path) {
    let mut build = cc::Build::new();
    build
        .file(root.join("src/capi/layout.c"))
        .include(out)
        .std("c11")
        .extra_warnings(true)
        .warnings_into_errors(true)
        .cargo_metadata(false);
    if let Err(error) = build.try_compile_intermediates() {
        panic!("the header's types are not laid out as the system's: {error}");
    }
}
