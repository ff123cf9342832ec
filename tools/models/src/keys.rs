//! The key limit: all shards together take exactly as many keys as there is room for.

#[cfg(test)]
mod tests {
    use loom::sync::Arc;
    use loom::thread;

    use crate::budget::KeyBudget;
    use crate::check_within;

    fn taken(keys_max: u64, shards: usize, each: usize) -> usize {
        let budget = Arc::new(KeyBudget::new(keys_max));
        let take = move |budget: &KeyBudget| (0..each).filter(|_| budget.take()).count();
        let threads: Vec<_> = (1..shards)
            .map(|_| {
                let budget = budget.clone();
                thread::spawn(move || take(&budget))
            })
            .collect();
        let own = take(&budget);
        let others: usize = threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .sum();
        own + others
    }

    #[test]
    fn no_more_keys_than_the_limit_and_no_fewer() {
        check_within(3, || assert_eq!(taken(2, 2, 2), 2));
        check_within(3, || assert_eq!(taken(2, 3, 1), 2));
        check_within(3, || assert_eq!(taken(9, 2, 2), 4));
    }
}
