//! A whole training step: forward, backward, clipping and AdamW, at the sizes of scale `mini`.

use burn::module::Module;
use burn::optim::GradientsParams;
use burn::tensor::Device;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use vocable_benches::{ITEMS, conversion, recognition};
use vocable_nn::Mode;
use vocable_objectives::Losses;
use vocable_random::Key;
use vocable_speecht5::asr::AsrConfig;
use vocable_speecht5::vc::VcConfig;
use vocable_speecht5::{ModelConfig, Preset, SpeechT5};
use vocable_train::{Optimiser, OptimiserConfig};

fn step(model: SpeechT5, optimiser: &mut Optimiser, losses: Losses) -> SpeechT5 {
    let gradients = GradientsParams::from_grads(losses.total.backward(), &model);
    optimiser.step(model, gradients, 1.0, 1e-4).0
}

fn training_step(c: &mut Criterion) {
    let device = Device::flex().autodiff();
    let recipe = OptimiserConfig { beta1: 0.9, beta2: 0.98, eps: 1e-8, weight_decay: 0.1, clip: 25.0 };
    let mode = Mode::Train(Key::new(1));
    let mut group = c.benchmark_group("training step, mini");
    group.sample_size(10).throughput(Throughput::Elements(ITEMS as u64));

    let asr = AsrConfig::base(Preset::Paper);
    let batch = recognition(&device);
    let start = ModelConfig::mini(Preset::Paper).init(81, 1, &asr.regularisation, Key::new(1), &device);
    let (mut optimiser, mut trained) = (Optimiser::new(&recipe), Some(start.clone().materialize()));
    group.bench_function("recognition, 8 x 3 s", |b| {
        b.iter(|| {
            let model = trained.take().expect("a model");
            let losses = asr.pass(&model, &batch, 2, 80, false, mode).losses;
            trained = Some(step(model, &mut optimiser, losses));
        });
    });

    let vc = VcConfig::base(Preset::Paper);
    let batch = conversion(&device);
    let (mut optimiser, mut trained) = (Optimiser::new(&recipe), Some(start));
    group.bench_function("voice conversion, 8 x 3 s", |b| {
        b.iter(|| {
            let model = trained.take().expect("a model");
            let losses = vc.pass(&model, &batch, Some(Key::new(2)), mode).losses;
            trained = Some(step(model, &mut optimiser, losses));
        });
    });
    group.finish();
}

criterion_group!(benches, training_step);
criterion_main!(benches);
