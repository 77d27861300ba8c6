//! A complete program over a made-up configuration: which part of a coffee is worth its time?
//!
//! ```text
//! cargo run -p vocable-lab --example coffee -- run cups
//! cargo run -p vocable-lab --example coffee -- show cups
//! cargo run -p vocable-lab --example coffee -- run cups grind.steps=60 brew.milk=none
//! ```

use std::fs;
use std::process::ExitCode;
use std::sync::Arc;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, ensure};
use serde::{Deserialize, Serialize};
use vocable_lab::{Cli, Column, ConfigError, Cost, Scale, Score, Scores, Stage, StageRun, Table, Unavailable};
use vocable_metrics::Bootstrap;
use vocable_random::Key;

/// Everything that determines a cup.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
struct Coffee {
    seed: u64,
    grind: Grind,
    brew: Brew,
}

#[derive(Clone, PartialEq, Serialize, Deserialize)]
struct Grind {
    beans: String,
    steps: u64,
    /// How long a step takes; a real loop would work instead.
    milliseconds: u64,
}

#[derive(Clone, PartialEq, Serialize, Deserialize)]
struct Brew {
    temperature: f32,
    milk: Option<Milk>,
}

#[derive(Clone, PartialEq, Serialize, Deserialize)]
struct Milk {
    share: f32,
    foam: bool,
}

fn base(scale: Scale) -> Coffee {
    let steps = match scale {
        Scale::Smoke => 20,
        Scale::Mini => 200,
        Scale::Base => 20_000,
    };
    Coffee {
        seed: 1,
        grind: Grind { beans: "arabica".to_owned(), steps, milliseconds: 5 },
        brew: Brew { temperature: 93.0, milk: Some(Milk { share: 0.2, foam: true }) },
    }
}

fn validate(coffee: &Coffee) -> Result<(), ConfigError> {
    let temperature = coffee.brew.temperature;
    if !(0.0..=100.0).contains(&temperature) {
        return Err(ConfigError::range("brew.temperature", temperature, "must be from 0 to 100 °C"));
    }
    Ok(())
}

/// Grinds step by step; a run that was stopped goes on from its last checkpoint.
fn grind(coffee: &Coffee) -> Arc<Stage> {
    let config = coffee.grind.clone();
    // No two grinds are the same.
    let luck = coffee.seed.saturating_sub(1) % 10;
    let seconds = (config.steps * config.milliseconds) as f64 / 1000.0;
    let cost = Cost { steps: config.steps, parameters: 0, seconds };
    Stage::new("grind", 1, (&coffee.grind, coffee.seed)).cost(cost).run(move |run| {
        let checkpoint = run.checkpoints().join("step.json");
        let (done, mut sum): (u64, u64) = vocable_lab::files::read_json(&checkpoint)?.unwrap_or_default();
        run.log(format!("starting after step {done}"))?;
        let mut metrics = run.metrics(done)?;
        run.progress().start(config.steps, "steps");
        for step in done + 1..=config.steps {
            sleep(Duration::from_millis(config.milliseconds));
            sum += step + luck;
            metrics.append(step, &serde_json::json!({ "sum": sum }))?;
            run.progress().step(step, format!("sum {sum}"));
            if step % 10 == 0 || run.interrupted() {
                vocable_lab::files::write_json(&checkpoint, &(step, sum))?;
            }
            run.check()?;
        }
        Ok(run.write_json("powder.json", &sum)?)
    })
}

fn brew(coffee: &Coffee) -> Arc<Stage> {
    let config = coffee.brew.clone();
    Stage::new("brew", 1, &coffee.brew).input("powder", &grind(coffee)).run(move |run: &StageRun| {
        ensure!(config.temperature >= 60.0, "water of {} °C brews nothing", config.temperature);
        let powder: u64 = serde_json::from_slice(&fs::read(run.input("powder").join("powder.json"))?)?;
        fs::write(run.exhibits()?.join("aroma.txt"), format!("at {} °C, <strong>\n", config.temperature))?;
        let milk = config.milk.as_ref().map_or(0.0, |milk| f64::from(milk.share));
        Ok(run.write_json("cup.json", &(powder as f64 * (1.0 - milk)))?)
    })
}

fn taste(coffee: &Coffee) -> Result<Arc<Stage>, Unavailable> {
    let stage = Stage::new("taste", 1, ()).input("cup", &brew(coffee)).run(|run| {
        let cup: f64 = serde_json::from_slice(&fs::read(run.input("cup").join("cup.json"))?)?;
        // Twelve people taste it; some find everything strong.
        let found = |person: u32| cup + 0.1 * (f64::from(person) - 5.5);
        let bootstrap = Bootstrap::new(Key::new(0).fold("bootstrap"));
        let strength = Score::of((0..12).map(found).collect::<Vec<f64>>(), bootstrap).context("twelve people")?;
        // They sit at six tables.
        let strength = strength.speakers((0..12).map(|person| format!("table {}", person / 2)).collect());
        Ok(run.write_scores(&Scores::new().with("strength", strength))?)
    });
    Ok(stage)
}

fn foam(coffee: &Coffee) -> Result<Arc<Stage>, Unavailable> {
    let milk = coffee.brew.milk.clone().ok_or_else(|| Unavailable("no milk, no foam".to_owned()))?;
    let stage = Stage::new("foam", 1, &milk).run(move |run| {
        let height = if milk.foam { 2.5 } else { 0.0 };
        Ok(run.write_scores(&Scores::new().with("height", Score::new(height, 3)))?)
    });
    Ok(stage)
}

fn cups() -> Table<Coffee> {
    Table::new("cups", "What each part of a coffee contributes")
        .base(base)
        .validate(validate)
        .caption(|coffee| format!("Beans: {}, invented.", coffee.grind.beans))
        .source("A. Barista 2022, table 6")
        .row("Coffee", |_| {})
        .row("w/o milk", |coffee| coffee.brew.milk = None)
        .row("w/o heat", |coffee| coffee.brew.temperature = 20.0)
        .own_row("coarse", |coffee| coffee.grind.steps /= 2)
        .others_row("tea")
        .column(Column::higher("strength", "strength", taste).unit("mg").decimals(1))
        .column(Column::higher("foam", "height", foam).unit("cm"))
        .paper("Coffee", "strength", 160.0)
        .paper("w/o milk", "strength", 200.0)
        .paper("w/o heat", "strength", "undrinkable")
        .paper("tea", "strength", 47.0)
}

/// The same table without the row that fails.
fn warm() -> Table<Coffee> {
    Table::new("warm", "Coffees that can be drunk")
        .base(base)
        .validate(validate)
        .row("Coffee", |_| {})
        .row("hotter", |coffee| coffee.brew.temperature += 3.0)
        .column(Column::higher("strength", "strength", taste).unit("mg").decimals(1))
}

fn main() -> ExitCode {
    Cli::new("coffee", env!("CARGO_PKG_VERSION"), vec![cups(), warm()])
        .alias("--beans", "grind.beans", "Kind of beans")
        .main()
}
