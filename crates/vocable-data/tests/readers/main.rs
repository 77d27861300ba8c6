//! Every reader on a miniature of its corpus's public layout, made here.

mod arctic;
mod fairseq;
mod kaldi;
mod librispeech;
mod libritts;
mod ljspeech;
mod miniature;
mod mustc;
mod voxceleb;
mod wham;
