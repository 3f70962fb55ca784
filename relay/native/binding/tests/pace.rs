//! The adaptive tick, without the rest: that could only be linked into a Python.

#[path = "../src/pace.rs"]
mod pace;

use pace::{BUDGET_S, Pace, TICK_NS};

#[test]
fn a_tick_costs_no_delay_that_anybody_hears() {
    const { assert!(TICK_NS <= 700_000 && BUDGET_S < 0.005) }
}

#[test]
fn ticks_above_some_thousand_a_second_and_wakes_again_below_half_of_that() {
    let mut now = 10.0;
    let mut pace = Pace::new(now);
    pace.count(1000);
    pace.adapt(now + 0.04);
    assert!(!pace.ticking, "too soon to tell");
    for (events, ticking) in [(0, true), (200, true), (160, true), (140, false), (290, false)] {
        now += 0.1;
        pace.count(events);
        pace.adapt(now);
        assert_eq!(pace.ticking, ticking, "{events} in a tenth of a second");
    }
    pace.count(310);
    pace.adapt(now + 0.1);
    assert!(pace.ticking);
}
