//! Mini-batch k-means with the semantics of fairseq's `simple_kmeans`, that is, scikit-learn's `MiniBatchKMeans` with
//! k-means++ starts, no tolerance and no reassignment.
//!
//! Rows are features of frames, `[row, width]` in one slice. Sums run over fixed blocks in a fixed order, so a result
//! does not depend on the number of threads.

use std::io::{Read, Write};
use std::path::Path;

use ndarray::{Array1, Array2, ArrayView2, Axis};
use rand::RngExt;
use rayon::prelude::*;
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use vocable_random::Key;

use crate::files::write_atomically;
use crate::{DataError, bounded};

/// Rows that one thread handles at a time.
const BLOCK: usize = 1024;

/// How centres are searched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MiniBatch {
    /// Number of clusters.
    pub clusters: usize,
    /// Rows per step, drawn with replacement.
    pub batch_size: usize,
    /// Steps at most, in passes over the rows.
    pub max_iter: usize,
    /// Steps without a better smoothed inertia after which the search ends.
    pub max_no_improvement: usize,
    /// k-means++ starts, of which the best begins the search.
    pub n_init: usize,
}

impl MiniBatch {
    /// fairseq's settings for a number of clusters.
    pub fn new(clusters: usize) -> Self {
        Self { clusters, batch_size: 10_000, max_iter: 100, max_no_improvement: 100, n_init: 20 }
    }
}

/// Cluster centres.
#[derive(Clone, Debug, PartialEq)]
pub struct KMeans {
    /// `[cluster, width]`.
    centres: Array2<f32>,
}

impl KMeans {
    /// Searches centres of `rows` (`[row, width]`).
    ///
    /// # Errors
    /// Fewer rows than clusters, no cluster at all, or a value that is not finite.
    ///
    /// # Panics
    /// If the slice does not hold whole rows.
    pub fn fit(rows: &[f32], width: usize, settings: MiniBatch, key: Key) -> Result<Self, DataError> {
        let rows = view(rows, width);
        let clusters = settings.clusters;
        if clusters == 0 || rows.nrows() < clusters {
            return Err(DataError::Invalid(format!(
                "{} frames cannot be grouped into {clusters} clusters: use more recordings or fewer clusters",
                rows.nrows()
            )));
        }
        if let Some(bad) = rows.outer_iter().position(|row| row.iter().any(|value| !value.is_finite())) {
            return Err(DataError::Invalid(format!("frame {bad} of the rows to cluster is not finite")));
        }
        let key = key.fold("kmeans");
        let mut search = Search::start(rows, settings, key);
        let steps = settings.max_iter * rows.nrows() / search.batch_size;
        for step in 0..steps {
            if search.step(step, key.fold("step").fold(step)) {
                break;
            }
        }
        Ok(search.kmeans)
    }

    /// Features per row.
    pub fn width(&self) -> usize {
        self.centres.ncols()
    }

    /// The centre of one cluster, `[width]`.
    pub fn centre(&self, cluster: usize) -> Vec<f32> {
        self.centres.row(cluster).to_vec()
    }

    /// The nearest centre of each row (the first of equals).
    ///
    /// # Panics
    /// If the slice does not hold whole rows of the centres' width.
    pub fn assign(&self, rows: &[f32]) -> Vec<u32> {
        self.nearest(view(rows, self.width())).into_iter().map(|(cluster, _)| cluster as u32).collect()
    }

    /// Sum over the rows of the squared distance to the nearest centre.
    ///
    /// # Panics
    /// If the slice does not hold whole rows of the centres' width.
    pub fn inertia(&self, rows: &[f32]) -> f64 {
        total(&self.nearest(view(rows, self.width())))
    }

    /// Writes the centres as a safetensors file with one tensor, `centres` `[cluster, width]`.
    ///
    /// # Errors
    /// What the file system refuses.
    pub fn save(&self, path: &Path) -> Result<(), DataError> {
        let bytes: Vec<u8> = self.centres.iter().flat_map(|value| value.to_le_bytes()).collect();
        let tensor = TensorView::new(Dtype::F32, self.centres.shape().to_vec(), &bytes).expect("the shape fits");
        let file = safetensors::serialize([("centres", tensor)], None).expect("one tensor is always serialisable");
        write_atomically(path, |out| out.write_all(&file))
    }

    /// Reads what [`KMeans::save`] wrote.
    ///
    /// # Errors
    /// A file that is missing or holds something else.
    pub fn load(path: &Path) -> Result<Self, DataError> {
        let mut bytes = Vec::new();
        bounded::open(path)?.read_to_end(&mut bytes).map_err(DataError::io(path))?;
        let file = SafeTensors::deserialize(&bytes).map_err(|error| DataError::file(path, error))?;
        let tensor = file.tensor("centres").map_err(|error| DataError::file(path, error))?;
        let (Dtype::F32, &[clusters, width]) = (tensor.dtype(), tensor.shape()) else {
            return Err(DataError::file(path, "`centres` is not a float32 matrix [cluster, width]"));
        };
        let values = tensor.data().as_chunks().0.iter().map(|&chunk| f32::from_le_bytes(chunk)).collect();
        Ok(Self { centres: Array2::from_shape_vec((clusters, width), values).expect("the header was checked") })
    }

    /// Nearest centre of each row and the squared distance to it.
    fn nearest(&self, rows: ArrayView2<f32>) -> Vec<(usize, f64)> {
        let norms = self.centres.map_axis(Axis(1), |centre| centre.dot(&centre));
        let blocks: Vec<_> = rows.axis_chunks_iter(Axis(0), BLOCK).collect();
        let nearest = blocks.into_par_iter().map(|block| {
            let products = block.dot(&self.centres.t());
            let closest = products.outer_iter().zip(block.outer_iter()).map(|(products, row)| {
                let mut best = (0, f32::INFINITY);
                for (cluster, (product, norm)) in products.iter().zip(&norms).enumerate() {
                    let score = norm - 2.0 * product;
                    if score < best.1 {
                        best = (cluster, score);
                    }
                }
                (best.0, f64::from(best.1 + row.dot(&row)).max(0.0))
            });
            closest.collect::<Vec<_>>()
        });
        nearest.collect::<Vec<_>>().concat()
    }
}

fn view(rows: &[f32], width: usize) -> ArrayView2<'_, f32> {
    assert!(width > 0 && rows.len().is_multiple_of(width), "{} values are no rows of {width}", rows.len());
    ArrayView2::from_shape((rows.len() / width, width), rows).expect("the length was checked")
}

fn total(nearest: &[(usize, f64)]) -> f64 {
    nearest.iter().map(|&(_, distance)| distance).sum()
}

/// The search under way.
struct Search<'a> {
    rows: ArrayView2<'a, f32>,
    batch_size: usize,
    patience: usize,
    kmeans: KMeans,
    /// Rows that each centre is the mean of so far.
    weights: Array1<f64>,
    /// Exponentially weighted mean of the batches' inertia per row.
    smoothed: Option<f64>,
    best: f64,
    worse: usize,
}

impl<'a> Search<'a> {
    /// The best of several k-means++ starts, judged on one random subset.
    fn start(rows: ArrayView2<'a, f32>, settings: MiniBatch, key: Key) -> Self {
        let batch_size = settings.batch_size.clamp(1, rows.nrows());
        let subset = (3 * batch_size).max(3 * settings.clusters).min(rows.nrows());
        let judge = draw(rows, subset, key.fold("judge"));
        let starts = (0..settings.n_init.max(1)).map(|start| {
            let key = key.fold("start").fold(start);
            let sample = if subset < rows.nrows() { draw(rows, subset, key.fold("subset")) } else { rows.to_owned() };
            let kmeans = KMeans { centres: plus_plus(sample.view(), settings.clusters, key) };
            (total(&kmeans.nearest(judge.view())), kmeans)
        });
        let (_, kmeans) = starts.min_by(|a, b| a.0.total_cmp(&b.0)).expect("at least one start");
        let weights = Array1::zeros(settings.clusters);
        let patience = settings.max_no_improvement;
        Self { rows, batch_size, patience, kmeans, weights, smoothed: None, best: f64::INFINITY, worse: 0 }
    }

    /// Moves the centres towards one random batch; true once the search has converged.
    fn step(&mut self, step: usize, key: Key) -> bool {
        let batch = draw(self.rows, self.batch_size, key);
        let nearest = self.kmeans.nearest(batch.view());
        let (clusters, width) = self.kmeans.centres.dim();
        let mut sums = Array2::<f64>::zeros((clusters, width));
        let mut counts = Array1::<f64>::zeros(clusters);
        for (row, &(cluster, _)) in batch.outer_iter().zip(&nearest) {
            sums.row_mut(cluster).zip_mut_with(&row, |sum, &value| *sum += f64::from(value));
            counts[cluster] += 1.0;
        }
        for cluster in (0..clusters).filter(|&cluster| counts[cluster] > 0.0) {
            let before = self.weights[cluster];
            let after = before + counts[cluster];
            self.weights[cluster] = after;
            let mut centre = self.kmeans.centres.row_mut(cluster);
            centre.zip_mut_with(&sums.row(cluster), |c, &sum| *c = ((f64::from(*c) * before + sum) / after) as f32);
        }
        self.converged(step, total(&nearest) / self.batch_size as f64)
    }

    /// The first step only shows the start's inertia and is not judged.
    fn converged(&mut self, step: usize, inertia: f64) -> bool {
        if step == 0 {
            return false;
        }
        let share = (2.0 * self.batch_size as f64 / (self.rows.nrows() + 1) as f64).min(1.0);
        let smoothed = self.smoothed.map_or(inertia, |before| before * (1.0 - share) + inertia * share);
        self.smoothed = Some(smoothed);
        if smoothed < self.best {
            (self.best, self.worse) = (smoothed, 0);
        } else {
            self.worse += 1;
        }
        self.worse >= self.patience
    }
}

/// Rows drawn with replacement.
fn draw(rows: ArrayView2<f32>, amount: usize, key: Key) -> Array2<f32> {
    let mut rng = key.rng();
    let picks: Vec<usize> = (0..amount).map(|_| rng.random_range(0..rows.nrows())).collect();
    rows.select(Axis(0), &picks)
}

/// Greedy k-means++: each next centre is the best of a few rows drawn with chance proportional to their squared
/// distance from the centres so far.
fn plus_plus(rows: ArrayView2<f32>, clusters: usize, key: Key) -> Array2<f32> {
    let mut rng = key.fold("plus").rng();
    let trials = 2 + (clusters as f64).ln() as usize;
    let first = rng.random_range(0..rows.nrows());
    let mut chosen = vec![first];
    let mut distances = squared_distances(rows, &[first]).remove(0);
    while chosen.len() < clusters {
        let cumulated: Vec<f64> = distances
            .iter()
            .scan(0.0, |sum, &distance| {
                *sum += f64::from(distance);
                Some(*sum)
            })
            .collect();
        let sum = cumulated[cumulated.len() - 1];
        let candidates: Vec<usize> = (0..trials)
            .map(|_| {
                let target = rng.random::<f64>() * sum;
                cumulated.partition_point(|&below| below <= target).min(rows.nrows() - 1)
            })
            .collect();
        let improved = squared_distances(rows, &candidates).into_par_iter().map(|mut candidate| {
            candidate.iter_mut().zip(&distances).for_each(|(new, &old)| *new = new.min(old));
            let potential: f64 = candidate.iter().map(|&distance| f64::from(distance)).sum();
            (potential, candidate)
        });
        let improved: Vec<_> = improved.collect();
        let best = (0..trials).min_by(|&a, &b| improved[a].0.total_cmp(&improved[b].0)).expect("two trials or more");
        chosen.push(candidates[best]);
        distances = improved.into_iter().nth(best).expect("the best is one of them").1;
    }
    rows.select(Axis(0), &chosen)
}

/// Squared distances of all rows to each of the rows `to`: `[to][row]`.
fn squared_distances(rows: ArrayView2<f32>, to: &[usize]) -> Vec<Vec<f32>> {
    let points = rows.select(Axis(0), to);
    let norms = points.map_axis(Axis(1), |point| point.dot(&point));
    let blocks: Vec<_> = rows.axis_chunks_iter(Axis(0), BLOCK).collect();
    let blocks = blocks.into_par_iter().map(|block| {
        let mut products = block.dot(&points.t());
        for (mut products, row) in products.outer_iter_mut().zip(block.outer_iter()) {
            let norm = row.dot(&row);
            products.zip_mut_with(&norms, |product, &other| *product = (norm + other - 2.0 * *product).max(0.0));
        }
        products
    });
    let blocks: Vec<Array2<f32>> = blocks.collect();
    let column = |index: usize| blocks.iter().flat_map(|block| block.column(index).to_vec()).collect();
    (0..to.len()).map(column).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `per` points around each of `centres` random places in `width` dimensions.
    fn blobs(centres: usize, per: usize, width: usize, spread: f32, key: Key) -> (Vec<f32>, Vec<usize>) {
        let mut rng = key.rng();
        let places: Vec<f32> = (0..centres * width).map(|_| rng.random_range(-10.0..10.0)).collect();
        let labels: Vec<usize> = (0..centres * per).map(|_| rng.random_range(0..centres)).collect();
        let rows = labels.iter().flat_map(|&label| {
            let place = &places[label * width..(label + 1) * width];
            place.iter().map(|&value| value + spread * rng.random_range(-1.0..1.0)).collect::<Vec<f32>>()
        });
        (rows.collect(), labels)
    }

    fn small(clusters: usize) -> MiniBatch {
        MiniBatch { batch_size: 256, max_iter: 30, n_init: 4, ..MiniBatch::new(clusters) }
    }

    #[test]
    fn separate_groups_are_found() {
        let (rows, labels) = blobs(12, 100, 8, 0.5, Key::new(1));
        let kmeans = KMeans::fit(&rows, 8, small(12), Key::new(2)).unwrap();
        let assigned = kmeans.assign(&rows);
        let mut cluster_of = vec![None; 12];
        for (&label, &cluster) in labels.iter().zip(&assigned) {
            assert_eq!(*cluster_of[label].get_or_insert(cluster), cluster);
        }
        cluster_of.sort_unstable();
        cluster_of.dedup();
        assert_eq!(cluster_of.len(), 12);
        // Variance of a uniform value in ±0.5 is 1/12 per dimension; the centres are means, so no more is left.
        let per_value = kmeans.inertia(&rows) / rows.len() as f64;
        assert!((per_value - 1.0 / 12.0).abs() < 0.005, "{per_value}");
    }

    #[test]
    fn assignment_and_inertia_agree_with_brute_force() {
        let (rows, _) = blobs(3, 700, 5, 4.0, Key::new(3));
        let kmeans = KMeans::fit(&rows, 5, small(9), Key::new(4)).unwrap();
        let assigned = kmeans.assign(&rows);
        let mut inertia = 0.0;
        for (row, &cluster) in rows.chunks(5).zip(&assigned) {
            let distance = |cluster: usize| -> f64 {
                let centre = kmeans.centre(cluster);
                row.iter().zip(centre).map(|(a, b)| f64::from(a - b).powi(2)).sum()
            };
            let best = (0..9).map(distance).fold(f64::INFINITY, f64::min);
            // ‖x‖² − 2xc + ‖c‖² in float32, values up to 500.
            assert!(distance(cluster as usize) - best < 1e-3);
            inertia += best;
        }
        assert!((kmeans.inertia(&rows) / inertia - 1.0).abs() < 1e-5);
    }

    #[test]
    fn steps_improve_on_the_start_and_approach_full_k_means() {
        let (rows, _) = blobs(40, 60, 6, 6.0, Key::new(5));
        let key = Key::new(6);
        let start = KMeans::fit(&rows, 6, MiniBatch { max_iter: 0, ..small(20) }, key).unwrap();
        let fitted = KMeans::fit(&rows, 6, small(20), key).unwrap();
        // Lloyd's algorithm from the fitted centres: what mini-batches left on the table.
        let mut full = fitted.clone();
        for _ in 0..50 {
            let assigned = full.assign(&rows);
            for cluster in 0..20 {
                let members: Vec<&[f32]> =
                    rows.chunks(6).zip(&assigned).filter(|&(_, &a)| a == cluster).map(|(row, _)| row).collect();
                for d in 0..6 {
                    let sum: f32 = members.iter().map(|row| row[d]).sum();
                    full.centres[[cluster as usize, d]] = sum / members.len() as f32;
                }
            }
        }
        let (start, fitted, full) = (start.inertia(&rows), fitted.inertia(&rows), full.inertia(&rows));
        assert!(fitted < 0.9 * start, "{start} → {fitted}");
        assert!(fitted < 1.1 * full, "{fitted}, full k-means {full}");
    }

    #[test]
    fn the_result_is_a_function_of_the_key_alone() {
        let (rows, _) = blobs(10, 300, 4, 5.0, Key::new(7));
        let fit = |seed, threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| KMeans::fit(&rows, 4, small(10), Key::new(seed)).unwrap())
        };
        assert_eq!(fit(1, 1), fit(1, 3));
        assert_ne!(fit(1, 1), fit(2, 1));
    }

    #[test]
    fn repeated_rows_and_as_many_clusters_as_rows_are_fine() {
        let rows = [1.0, 1.0, 1.0, 1.0, 2.0, 2.0];
        let kmeans = KMeans::fit(&rows, 2, small(3), Key::new(8)).unwrap();
        assert_eq!(kmeans.inertia(&rows), 0.0);
    }

    #[test]
    fn the_search_stops_when_nothing_improves() {
        let rows: Vec<f32> = (0..1000).map(|i| (i % 2) as f32).collect();
        let mut search = Search::start(view(&rows, 1), MiniBatch { max_no_improvement: 3, ..small(2) }, Key::new(9));
        let steps = (0..1000_usize).find(|&step| search.step(step, Key::new(10).fold(step)));
        // Two values, two centres: inertia is 0 from the start, step 1 sets the best, three more don't improve.
        assert_eq!(steps, Some(4));
    }

    #[test]
    fn centres_survive_a_file_and_wrong_input_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("kmeans.safetensors");
        let (rows, _) = blobs(4, 50, 3, 1.0, Key::new(11));
        let kmeans = KMeans::fit(&rows, 3, small(4), Key::new(12)).unwrap();
        kmeans.save(&path).unwrap();
        assert_eq!(KMeans::load(&path).unwrap(), kmeans);
        std::fs::write(&path, "not centres").unwrap();
        assert!(KMeans::load(&path).unwrap_err().to_string().contains("kmeans.safetensors"));
        let few = KMeans::fit(&rows, 3, small(1000), Key::new(0)).unwrap_err().to_string();
        assert!(few.starts_with("200 frames cannot be grouped into 1000 clusters"), "{few}");
        assert!(KMeans::fit(&[0.0, f32::NAN], 1, small(1), Key::new(0)).is_err());
    }
}
