//! Which parsers' boundary marks have come: when a shard may close its batch.

/// The marks of one batch, one from each of `parsers` parsers.
#[derive(Debug)]
pub struct Marks {
    came: Vec<bool>,
    /// How many have not; `0 < missing <= came.len()` between calls.
    missing: usize,
}

impl Marks {
    /// None has come yet.
    ///
    /// # Panics
    /// If there are no parsers.
    pub fn new(parsers: usize) -> Marks {
        assert!(parsers > 0, "a batch needs a parser to close it");
        Marks {
            came: vec![false; parsers],
            missing: parsers,
        }
    }

    /// Whether this parser may still send something for the open batch.
    pub fn awaits(&self, parser: usize) -> bool {
        !self.came[parser]
    }

    /// A parser's mark has come. `true` if it was the last: the batch is closed, the next is open.
    ///
    /// # Panics
    /// If its mark had come already: what it sent in between would count in the wrong batch.
    pub fn mark(&mut self, parser: usize) -> bool {
        assert!(
            self.awaits(parser),
            "two marks of parser {parser} in one batch"
        );
        self.came[parser] = true;
        self.missing -= 1;
        if self.missing > 0 {
            return false;
        }
        self.came.fill(false);
        self.missing = self.came.len();
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closes_when_every_parser_has_marked() {
        let mut marks = Marks::new(3);
        for _ in 0..2 {
            assert!(!marks.mark(2));
            assert!(!marks.mark(0));
            assert!(marks.awaits(1) && !marks.awaits(2));
            assert!(marks.mark(1));
            assert!(marks.awaits(2));
        }
    }
}
