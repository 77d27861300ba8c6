//! Several seeds of a table.

use super::Coffee;

#[test]
fn seeds_are_averaged_and_compared_with_the_first_row() {
    let coffee = Coffee::new();
    // Another seed is another powder: 20 steps that each weigh 1 more.
    coffee.run(&["run", "warm", "--seeds", "3", "--seed", "1"]).ends(0).says("15 stages: 0 done before, 15 to run");
    let record = coffee.record("warm-smoke.json");
    let cell = &record["rows"][0]["cells"][0];
    let numbers =
        |key: &str| -> Vec<f64> { cell[key].as_array().unwrap().iter().map(|value| value.as_f64().unwrap()).collect() };
    assert_eq!(numbers("seeds"), [1.0, 2.0, 3.0]);
    let expected = [210.0, 230.0, 250.0].map(|powder| powder * (1.0 - f64::from(0.2_f32)));
    for (value, expected) in numbers("values").into_iter().zip(expected) {
        assert!((value - expected).abs() < 1e-9, "{value} is not {expected}");
    }
    assert!((cell["value"].as_f64().unwrap() - expected[1]).abs() < 1e-9);
    assert_eq!(cell["stages"].as_array().unwrap().len(), 3);
    // Of the mean over seeds: all twelve people are within 0.55 of it.
    let interval = numbers("interval");
    assert!(interval[0] < expected[1] && interval[1] > expected[1] && interval[1] - interval[0] < 1.0, "{interval:?}");
    // People of one table find it alike, so that six tables say less than twelve people.
    let over_tables = numbers("speaker_interval");
    assert_eq!(cell["speakers"], 6);
    assert!(over_tables[1] - over_tables[0] > interval[1] - interval[0], "{over_tables:?} and {interval:?}");
    assert!(over_tables[0] < expected[1] && over_tables[1] > expected[1], "{over_tables:?}");
    assert!(cell["p"].is_null(), "the first row is what others are compared with");
    // Both rows are made of the same powder and milk.
    assert_eq!(record["rows"][1]["cells"][0]["p"], 1.0);

    let report =
        coffee.run(&["report", "warm"]).ends(0).says("±: standard deviation over seeds.").says("Seeds: 1, 2, 3.");
    assert!(report.out.contains("184.0 ± 16.0 ["), "{}", report.out);
    assert!(!report.out.contains("differs from"), "{}", report.out);
    // What ran is reused by a single seed, and by more.
    coffee.run(&["run", "warm", "--seed", "2"]).ends(0).says("5 stages: 5 done before, 0 to run");
    coffee.run(&["run", "warm", "--seeds", "4"]).ends(0).says("20 stages: 15 done before, 5 to run");
}

#[test]
fn a_row_of_fewer_seeds_is_said_to_be_one() {
    let coffee = Coffee::new();
    coffee.run(&["run", "warm"]).ends(0);
    let run = coffee.run(&["run", "warm", "--seeds", "2", "--row", "Coffee"]).ends(0).says("Seeds: 1, 2.");
    assert!(run.out.contains("\n¹ of seed 1 only\n") && run.out.contains("]¹\n"), "{}", run.out);
    // The table as a whole is not what this row's command makes.
    assert_eq!(coffee.record("warm-smoke.json")["command"], "coffee run warm --seeds 2");
    let seeds = |row: usize| coffee.record("warm-smoke.json")["rows"][row]["cells"][0]["seeds"].to_string();
    assert_eq!((seeds(0), seeds(1)), ("[1,2]".to_owned(), "[1]".to_owned()));
    // They are compared by the seed that both have, in which they are made of the same powder and milk.
    assert_eq!(coffee.record("warm-smoke.json")["rows"][1]["cells"][0]["p"], 1.0);
}

#[test]
fn a_difference_that_the_items_show_is_marked() {
    let coffee = Coffee::new();
    coffee.run(&["run", "cups", "--row", "Coffee", "--row", "w/o milk"]).ends(0);
    let record = coffee.record("cups-smoke.json");
    let p = |row: usize| record["rows"][row]["cells"][0]["p"].as_f64();
    // Everybody finds it stronger: no draw of people says otherwise.
    assert!(p(1).unwrap() < 0.01, "{:?}", p(1));
    assert_eq!((p(0), p(3)), (None, None), "the first row, and one that has not run");
}
