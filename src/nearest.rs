//! The nearest name to one that nobody knows: for "did you mean".

/// How alike two names must be for one to be suggested for the other.
const NEAR: f64 = 0.8;

/// The name among `names` that is most like a wrong one, if one is.
pub(crate) fn nearest<'a>(wrong: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let likeness = |name: &'a str| (strsim::jaro_winkler(wrong, name), name);
    let nearest = names.map(likeness).max_by(|a, b| a.0.total_cmp(&b.0));
    nearest
        .filter(|&(likeness, _)| likeness > NEAR)
        .map(|(_, name)| name)
}
