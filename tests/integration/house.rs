//! The house itself: the licences of what is built into the program, what is packed, and that documents name what
//! there is.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// Licences that every dependency must offer at least one of.
const LICENCES: [&str; 9] = [
    "MIT",
    "MIT-0",
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "ISC",
    "Unlicense",
    "Unicode-3.0",
    "Zlib",
];

/// Whether a licence expression can be met by the licences above: every part joined by `AND` must be,
/// and of those joined by `OR` (or an old-style `/`) one.
fn is_free(expression: &str) -> bool {
    let plain = expression.replace(['(', ')'], " ").replace('/', " OR ");
    plain.split(" AND ").all(|part| {
        part.split(" OR ")
            .any(|licence| LICENCES.contains(&licence.trim()))
    })
}

#[test]
fn every_dependency_is_under_a_free_licence() {
    let rustc = Command::new("rustc").arg("-vV").output().unwrap();
    let rustc = String::from_utf8(rustc.stdout).unwrap();
    let host = rustc
        .lines()
        .find_map(|line| line.strip_prefix("host: "))
        .unwrap();
    // Only what this machine builds with has been fetched.
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--offline"])
        .args(["--filter-platform", host])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    assert!(packages.len() > 50, "only {} packages", packages.len());
    for package in packages {
        let licence = package["license"].as_str().unwrap_or("none");
        assert!(is_free(licence), "{} is under {licence}", package["name"]);
    }
}

/// The text of all Rust files below a folder.
fn code(folder: &Path, text: &mut String) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            code(&path, text);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            text.push_str(&fs::read_to_string(&path).unwrap());
        }
    }
}

#[test]
fn every_test_that_a_guarantee_names_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut tests = String::new();
    for folder in ["src", "tests"] {
        code(&root.join(folder), &mut tests);
    }
    let page = fs::read_to_string(root.join("docs/guarantees.md")).unwrap();
    // What stands between backquotes and has the shape of a test's name.
    let named = page.split('`').skip(1).step_by(2);
    let names = named.filter_map(|name| match name.split_once("::") {
        Some((_, name)) => Some(name),
        None => Some(name).filter(|name| name.matches('_').count() > 3),
    });
    let names: Vec<&str> = names.filter(|name| !name.is_empty()).collect();
    assert!(names.len() > 30, "only {} names", names.len());
    for name in names {
        assert!(tests.contains(&format!("fn {name}(")), "no test {name}");
    }
}

#[test]
fn expressions_are_read_as_they_are_meant() {
    for free in [
        "MIT",
        "MIT/Apache-2.0",
        "(MIT OR Apache-2.0) AND Unicode-3.0",
    ] {
        assert!(is_free(free), "{free}");
    }
    for other in [
        "none",
        "GPL-3.0",
        "MIT AND GPL-3.0",
        "(MIT OR Apache-2.0) AND NCSA",
    ] {
        assert!(!is_free(other), "{other}");
    }
}

#[test]
fn an_image_is_built_from_all_that_cargo_reads() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = tempfile::tempdir().unwrap();
    let ignored = fs::read_to_string(root.join("packaging/Dockerfile.dockerignore")).unwrap();
    for name in ignored.lines().filter_map(|line| line.strip_prefix('!')) {
        let copied = Command::new("cp")
            .arg("-r")
            .args([root.join(name), folder.path().to_path_buf()])
            .status()
            .unwrap();
        assert!(copied.success(), "{name}");
    }
    let output = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--format-version",
            "1",
            "--offline",
            "--locked",
            "--no-deps",
        ])
        .current_dir(folder.path())
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
}
