//! Every reader on a miniature of its corpus's public layout, made here.

mod arctic;
mod fairseq;
mod kaldi;
mod librispeech;
mod libritts;
mod ljspeech;
mod miniature;
mod mustc;
#[cfg(unix)]
mod noise;
#[cfg(feature = "parquet")]
mod parquet;
mod sources;
mod voxceleb;
mod wham;
