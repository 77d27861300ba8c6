//! The difference tables (spec sections 1.1 to 1.3): what every switch does under the values of the three presets.

mod architecture;
mod corpus;
mod fine_tuning;
mod pretraining;

use vocable_speecht5::Preset;

use super::{decoding, over_fit};

const PRESETS: [Preset; 3] = [Preset::Paper, Preset::Official, Preset::Hf];

/// Each row, what it is about, and the test that shows what its switch does.
#[rustfmt::skip]
const ROWS: [(usize, &str, fn()); 46] = [
    (1, "relative positions in the decoder", architecture::the_decoder_has_no_relative_positions),
    (2, "reach of relative positions", architecture::relative_positions_reach_160_frames),
    (3, "dropout of the projection", architecture::the_projection_drops_before_masking_but_for_transformers),
    (4, "padding of frames", architecture::padding_frames_follow_the_convolutions_or_the_chunks),
    (5, "speech-decoder pre-net", architecture::the_speech_decoder_prenet_always_drops_by_the_rule_of_its_source),
    (6, "speaker vector", architecture::the_speaker_enters_behind_the_positions_at_unit_length),
    (7, "stop prediction", architecture::every_frame_of_a_step_has_a_stop_probability),
    (8, "stop rule", architecture::speech_stops_by_any_probability_or_by_their_sum),
    (9, "max length ratio", architecture::speech_is_cut_at_the_ratio_of_its_input),
    (10, "threshold and ratios", architecture::the_threshold_leaves_the_ratios_alone),
    (11, "end of a text that is spoken", architecture::the_end_of_a_text_is_heard_but_for_the_official_code),
    (12, "a batch of generated speech", decoding::a_batch_of_speech_is_its_singles),
    (13, "samples of exactly one", architecture::a_sample_of_exactly_one_is_no_padding),
    (14, "CTC head", architecture::the_ctc_head_is_kept_and_loaded_where_a_file_has_one),
    (15, "suppressed tokens", architecture::padding_blank_and_mask_are_never_written_but_by_transformers),
    (16, "normalised waveforms", architecture::waveforms_are_heard_as_they_are),
    (17, "tables of positions", architecture::positions_know_no_end),
    (18, "choice of codes", pretraining::codes_are_the_nearest_or_those_of_the_scores),
    (19, "diversity loss", pretraining::diversity_has_the_form_of_its_source),
    (20, "mixing", pretraining::a_tenth_is_mixed_in_training_and_officially_in_evaluation),
    (21, "order of modalities", pretraining::modalities_are_paired_or_shuffled),
    (22, "updates and warm-up", pretraining::the_rate_has_the_course_of_its_source),
    (23, "batch of speech", pretraining::a_batch_of_speech_has_up_to_1_400_000_samples),
    (24, "batch of text", pretraining::a_batch_of_text_has_up_to_12_040_tokens),
    (25, "feature penalty", pretraining::the_feature_penalty_weighs_ten),
    (26, "random tokens in infilling", pretraining::a_tenth_of_the_spans_is_a_random_token),
    (27, "spans of characters", pretraining::spans_are_of_characters),
    (28, "classes of the masked prediction", pretraining::four_rows_precede_the_clusters),
    (29, "gradient of the extractor", pretraining::the_extractor_learns_at_a_tenth_in_pretraining_alone),
    (30, "weight of the guided attention", fine_tuning::guided_attention_weighs_one_or_ten),
    (31, "guided heads", fine_tuning::two_heads_of_every_layer_are_guided),
    (32, "recognition loss", fine_tuning::recognition_weighs_and_divides_by_the_rule_of_its_source),
    (33, "CTC without an alignment", fine_tuning::what_ctc_cannot_align_counts_nothing_or_is_infinite),
    (34, "label smoothing", fine_tuning::labels_are_not_smoothed_unless_asked_for),
    (35, "rate of synthesis", fine_tuning::synthesis_has_the_rate_of_its_source),
    (36, "warm-up of translation", fine_tuning::translation_has_the_warm_up_of_its_source),
    (37, "rate and batch of identification", fine_tuning::identification_has_the_rate_and_batch_of_its_source),
    (38, "segment of identification", fine_tuning::identification_hears_segments_of_its_source),
    (39, "output of identification", fine_tuning::a_speaker_is_a_product_with_the_state_behind_one_zero_vector),
    (40, "decay of recognition's rate", fine_tuning::recognition_decays_in_a_line_or_a_curve),
    (41, "loss of conversion", over_fit::conversion),
    (42, "stop labels", fine_tuning::stop_labels_are_a_tail_or_the_last_frame),
    (43, "masks of recognition", fine_tuning::recognition_is_masked_as_in_its_source),
    (44, "vocoder", fine_tuning::the_weights_that_are_given_choose_the_vocoder),
    (45, "frozen encoder", fine_tuning::the_encoder_is_frozen_at_first_and_ctc_is_not),
    (46, "batches of the tasks", fine_tuning::batches_are_filled_up_to_the_limit_of_their_source),
];

#[test]
fn every_row_has_a_test() {
    assert!(ROWS.iter().map(|(row, ..)| *row).eq(1..=46));
    for (row, about, test) in ROWS {
        let others = ROWS.iter().filter(|(_, _, other)| std::ptr::fn_addr_eq(*other, test));
        assert_eq!(others.count(), 1, "D{row}, {about}, shares its test");
    }
}
