//! Lists the tensors of a checkpoint.
//!
//! `cargo run -p vocable-weights --example tensors -- PATH`

use vocable_weights::Weights;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let Some(path) = std::env::args().nth(1) else { return Err("give a file or a folder".into()) };
    for tensor in Weights::open(path)?.tensors() {
        println!("{:?} {:?} {}", tensor.dtype(), tensor.shape(), tensor.name());
    }
    Ok(())
}
