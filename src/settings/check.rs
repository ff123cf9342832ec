//! Checks of the config file's reading that judge themselves, for the fuzz target and property tests.

use std::ffi::OsString;
use std::sync::LazyLock;

use super::{Layer, Place, Setting, Sheet, Table, Wrong, file, overlay};

static TABLE: LazyLock<Table> = LazyLock::new(Table::new);

/// Any bytes are settings or errors with places inside the file; settings, printed and read again,
/// are the same, and print the same.
///
/// # Panics
/// If not.
pub fn check_file(bytes: &[u8]) {
    let (layer, wrong) = read(bytes);
    let lines = bytes.split(|&byte| byte == b'\n').collect::<Vec<_>>();
    for wrong in &wrong {
        let Place::File(position) = &wrong.place else {
            panic!("{wrong:?} is of a file");
        };
        let line = lines[position.line - 1];
        assert!((1..=line.len() + 1).contains(&position.column), "{wrong:?}");
        assert!(!wrong.line.contains('\n'), "{wrong:?}");
        assert!(
            wrong.line.starts_with(&format!("{position}: ")),
            "{wrong:?}"
        );
    }
    if !wrong.is_empty() {
        return;
    }
    let before = arguments(&layer);
    let printed = Sheet {
        table: TABLE.clone(),
        layer,
    }
    .to_string();
    let (again, wrong) = read(printed.as_bytes());
    assert_eq!(wrong, [], "{printed}");
    assert_eq!(arguments(&again), before, "{printed}");
}

/// The arguments that every setting comes to, those that nobody set at their defaults.
fn arguments(layer: &Layer) -> Vec<OsString> {
    let of_setting = |setting: &Setting| match layer.get(&setting.name) {
        Some(given) => {
            let values: Vec<_> = given.iter().map(|given| given.value.as_os_str()).collect();
            setting.arguments(&values)
        }
        None => setting.arguments(&setting.defaults()),
    };
    TABLE.settings().iter().flat_map(of_setting).collect()
}

fn read(bytes: &[u8]) -> (Layer, Vec<Wrong>) {
    let mut wrong = Vec::new();
    let layer = file::read(&TABLE, "fuzz.toml", bytes, &mut wrong);
    let layer = overlay(&TABLE, [Layer::new(), Layer::new(), layer], &mut wrong);
    (layer, wrong)
}
