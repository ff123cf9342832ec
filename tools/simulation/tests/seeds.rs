//! Some seeds; `simulation` itself lives through more.

use simulation::live;

#[test]
fn nothing_is_lost_or_doubled_whatever_is_disturbed() {
    for seed in 0..300 {
        let folder = tempfile::tempdir().unwrap();
        if let Err(why) = live(seed, folder.path()) {
            panic!("seed {seed}: {why}");
        }
    }
}
