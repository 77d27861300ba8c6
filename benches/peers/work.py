"""The work that is timed, from transformers' SpeechT5 modules and torch's optimiser."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import (
    SpeechT5Config,
    SpeechT5ForSpeechToText,
    SpeechT5ForTextToSpeech,
    SpeechT5HifiGan,
    SpeechT5HifiGanConfig,
)
from transformers.models.speecht5 import modeling_speecht5 as hf

THREADS = int(os.environ["OMP_NUM_THREADS"])
torch.set_num_threads(THREADS)
torch.manual_seed(1)

PAD, EOS, BLANK, VOCABULARY = 1, 2, 80, 81


@dataclass
class Ready:
    """Work that can run again and again."""

    run: Callable[[], dict]
    # Numbers in the model.
    weights: int = 0
    # The model whose weights the other side takes.
    model: nn.Module | None = None
    # The vocoder whose weights it takes.
    vocoder: nn.Module | None = None
    # What programs are given, by the names of files: the functions that write them.
    files: dict[str, Callable[[Path], None]] = field(default_factory=dict)


def prepare(job):
    inputs = load_file(job["inputs"])
    ready = WORK[job["work"]["kind"]](job["work"] | {"folder": job["weights"]}, job["model"], inputs)
    if job["weights"]:
        folder = Path(job["weights"])
        if ready.model:
            ready.model.save_pretrained(folder)
        if ready.vocoder:
            ready.vocoder.save_pretrained(folder / "vocoder")
        for name, write in ready.files.items():
            write(folder / name)
    return ready


def config(model, regularisation=None, **more):
    """The same model in transformers' terms."""
    r = regularisation or dict.fromkeys(
        ["dropout", "attention", "activation", "projection", "encoder_layer_drop", "decoder_layer_drop"], 0.0
    )
    return SpeechT5Config(
        vocab_size=VOCABULARY,
        hidden_size=model["width"],
        encoder_layers=model["encoder_layers"],
        encoder_attention_heads=model["heads"],
        encoder_ffn_dim=model["feed_forward"],
        encoder_layerdrop=r["encoder_layer_drop"],
        decoder_layers=model["decoder_layers"],
        decoder_attention_heads=model["heads"],
        decoder_ffn_dim=model["feed_forward"],
        decoder_layerdrop=r["decoder_layer_drop"],
        hidden_dropout=r["dropout"],
        attention_dropout=r["attention"],
        activation_dropout=r["activation"],
        positional_dropout=model["positional_dropout"] if regularisation else 0.0,
        feat_proj_dropout=r["projection"],
        conv_dim=(model["extractor_channels"],) * 7,
        num_conv_pos_embeddings=model["positional_kernel"],
        num_conv_pos_embedding_groups=model["positional_groups"],
        encoder_max_relative_position=model["encoder_relative_position"],
        num_mel_bins=model["mel"],
        reduction_factor=model["reduction"],
        speaker_embedding_dim=model["speaker"],
        speech_decoder_prenet_units=model["prenet_units"],
        speech_decoder_prenet_dropout=model["prenet_dropout"],
        speech_decoder_postnet_units=model["postnet_channels"],
        speech_decoder_postnet_layers=model["postnet_layers"],
        speech_decoder_postnet_dropout=model["postnet_dropout"],
        max_text_positions=600,
        use_guided_attention_loss=False,
        **more,
    )


class Training:
    """Forward, backward, clipping and AdamW; `losses` are one function per micro-batch."""

    def __init__(self, model, optimiser, losses):
        self.parameters = list(model.parameters())
        self.losses, self.clip = losses, optimiser["clip"]
        # The fused form is the fastest of the three on a CPU.
        self.adamw = torch.optim.AdamW(
            self.parameters,
            lr=optimiser["learning_rate"],
            betas=(optimiser["beta1"], optimiser["beta2"]),
            eps=optimiser["eps"],
            weight_decay=optimiser["weight_decay"],
            fused=True,
        )

    def run(self):
        terms = {}
        for losses in self.losses:
            loss, found = losses()
            (loss / len(self.losses)).backward()
            terms |= found
        torch.nn.utils.clip_grad_norm_(self.parameters, self.clip)
        self.adamw.step()
        self.adamw.zero_grad(set_to_none=True)
        return {name: float(value.detach()) for name, value in terms.items()}


def count(parameters):
    return sum(parameter.numel() for parameter in parameters)


class Pretrainer(hf.SpeechT5PreTrainedModel):
    """SpeechT5's pre-training objective, which transformers has only the modules for."""

    def __init__(self, config, task):
        super().__init__(config)
        width, speech = config.hidden_size, task["speech"]
        self.task = task
        self.speech = hf.SpeechT5EncoderWithSpeechPrenet(config)
        self.encoder, self.speech_prenet = self.speech.wrapped_encoder, self.speech.prenet
        self.text_prenet = hf.SpeechT5TextEncoderPrenet(config)
        self.decoder = hf.SpeechT5Decoder(config)
        self.speech_decoder_prenet = hf.SpeechT5SpeechDecoderPrenet(config)
        self.speech_decoder_postnet = hf.SpeechT5SpeechDecoderPostnet(config)
        self.text_decoder_prenet = hf.SpeechT5TextDecoderPrenet(config)
        self.text_decoder_prenet.embed_tokens = self.text_prenet.embed_tokens
        self.mlm_projection = nn.Linear(width, speech["label_width"])
        self.label_embeddings = nn.Parameter(torch.rand(504, speech["label_width"]))
        quantizer = task["quantizer"]
        self.codebook = nn.Parameter(torch.rand(quantizer["groups"], quantizer["codes"], width // quantizer["groups"]))
        self.post_init()

    def features(self, waveforms, frames):
        features = self.speech_prenet.feature_encoder(waveforms)
        share = self.task["regularisation"]["extractor_gradient"]
        features.register_hook(lambda gradient: gradient * share)
        return features.transpose(1, 2)[:, :frames]

    def mix(self, states, valid):
        """Codes in place of a tenth of the states, and the diversity loss."""
        batch, time, width = states.shape
        groups, codes, _ = self.codebook.shape
        grouped = states.view(batch * time, groups, -1).transpose(0, 1)
        scores = 2 * grouped @ self.codebook.transpose(1, 2) - self.codebook.square().sum(2)[:, None]
        soft = scores.softmax(2)
        if valid is not None:
            soft = soft[:, valid.reshape(-1)]
        use = soft.mean(1)
        diversity = (use * use.clamp_min(1e-12).log()).sum() / codes
        indices = scores.detach().argmax(2)
        chosen = self.codebook.gather(1, indices[..., None].expand(-1, -1, self.codebook.shape[2]))
        chosen = chosen.transpose(0, 1).reshape(batch, time, width)
        straight = chosen + states - states.detach()
        mixed = torch.randperm(time)[: int(time * self.task["quantizer"]["mixing"]["share"])]
        hit = torch.zeros(time, dtype=torch.bool)
        hit[mixed] = True
        return torch.where(hit[None, :, None], straight, states), diversity

    def speech_losses(self, waveforms, masked, classes, mel, speaker):
        part, prenet = self.task["speech"], self.speech_prenet
        features = self.features(waveforms, classes.shape[1])
        hidden, _ = prenet.feature_projection(features)
        hidden[masked] = prenet.masked_spec_embed
        hidden = hidden + prenet.pos_conv_embed(hidden)
        hidden = hidden + prenet.pos_sinusoidal_embed(torch.zeros(hidden.shape[:2], dtype=torch.long))
        states = self.encoder(hidden).last_hidden_state
        predicted = F.normalize(self.mlm_projection(states[masked]), dim=1)
        cosines = predicted @ F.normalize(self.label_embeddings, dim=1).T
        mlm = F.cross_entropy(cosines / 0.1, classes[masked])
        penalty = features.square().mean()
        memory, diversity = self.mix(states, None)
        shifted, _ = hf.shift_spectrograms_right(mel, 2)
        decoded = self.decoder(
            self.speech_decoder_prenet(shifted, speaker), encoder_hidden_states=memory, use_cache=False
        ).last_hidden_state
        before, after, stop = self.speech_decoder_postnet(decoded)
        stops = torch.zeros_like(stop)
        stops[:, -1] = 1
        stop = F.binary_cross_entropy_with_logits(stop, stops, pos_weight=torch.tensor(part["stop_positive"]))
        before, after = F.l1_loss(before, mel), F.l1_loss(after, mel)
        loss = (
            part["mlm"] * mlm
            + part["feature_penalty"] * penalty
            + self.task["diversity"] * diversity
            + part["spectrogram"] * (before + after)
            + part["stop"] * stop
        )
        return loss, {
            "speech/mlm": mlm,
            "speech/feature_penalty": penalty,
            "speech/diversity": diversity,
            "speech/spectrogram_before": before,
            "speech/spectrogram_after": after,
            "speech/stop": stop,
        }

    def text_losses(self, noised, valid, shifted, target):
        states = self.encoder(self.text_prenet(noised), attention_mask=valid).last_hidden_state
        memory, diversity = self.mix(states, valid.bool())
        x, _ = self.text_decoder_prenet(shifted)
        decoded = self.decoder(
            x, encoder_hidden_states=memory, encoder_attention_mask=valid, use_cache=False
        ).last_hidden_state
        logits = decoded @ self.text_prenet.embed_tokens.weight.T
        loss = F.cross_entropy(logits.flatten(0, 1), target.flatten())
        terms = {"text/diversity": diversity, "text/cross_entropy": loss}
        return loss + self.task["diversity"] * diversity, terms


def pretraining(work, model, inputs):
    task = work["config"]
    pretrainer = Pretrainer(config(model, task["regularisation"]), task).train()
    speech = [inputs[name] for name in ["waveforms", "masked", "classes", "mel", "speaker"]]
    speech[1] = speech[1].bool()
    text = [inputs[name] for name in ["noised", "valid", "shifted", "target"]]
    losses = [lambda: pretrainer.speech_losses(*speech), lambda: pretrainer.text_losses(*text)]
    return Ready(Training(pretrainer, work["optimiser"], losses).run, count(pretrainer.parameters()))


def recognition(work, model, inputs):
    task = work["config"]
    masks = {}
    for axis, name in [("time", "time_mask"), ("feature", "channel_mask")]:
        if task[name]:
            masks[f"mask_{axis}_prob"] = task[name]["probability"]
            masks[f"mask_{axis}_length"] = task[name]["length"]
        else:
            masks[f"mask_{axis}_prob"] = 0.0
    recogniser = SpeechT5ForSpeechToText(config(model, task["regularisation"], **masks)).train()
    head = nn.Linear(model["width"], VOCABULARY) if task["ctc"] else None
    dropout = nn.Dropout(task["regularisation"]["dropout"])
    waveforms, target = inputs["waveforms"], inputs["target"]
    labels, items = target[:, :-1], len(target)

    def losses():
        output = recogniser(input_values=waveforms, labels=target, use_cache=False)
        if head is None:
            return output.loss, {"asr/cross_entropy": output.loss}
        # transformers has the mean over tokens; the recipe takes sums over sentences.
        attention = output.loss * target.numel() / items
        logits = head(dropout(output.encoder_last_hidden_state))
        frames = torch.full([items], logits.shape[1])
        characters = torch.full([items], labels.shape[1])
        ctc = F.ctc_loss(
            logits.log_softmax(2).transpose(0, 1), labels, frames, characters, BLANK, "sum", zero_infinity=True
        )
        ctc = ctc / items
        total = task["cross_entropy"] * attention + task["ctc"] * ctc
        return total, {"asr/cross_entropy": attention, "asr/ctc": ctc}

    both = nn.ModuleList([recogniser] + ([head] if head else []))
    return Ready(Training(both, work["optimiser"], [losses]).run, count(both.parameters()), recogniser)


def encoding(work, model, inputs):
    recogniser = SpeechT5ForSpeechToText(config(model)).eval()
    encoder = recogniser.speecht5.encoder
    waveforms = inputs["waveforms"]

    @torch.inference_mode()
    def run():
        states = encoder(waveforms).last_hidden_state
        return {"frames": states.shape[1], "magnitude": float(states.abs().mean())}

    return Ready(run, count(encoder.parameters()), recogniser)


def digest(tokens):
    """A number that other tokens would hardly have."""
    return int((tokens * torch.arange(1, tokens.shape[1] + 1)).sum())


def text(work, model, inputs):
    recogniser = SpeechT5ForSpeechToText(config(model)).eval()
    decoder, head = recogniser.speecht5.decoder, recogniser.text_decoder_postnet
    items = len(inputs["waveforms"])
    with torch.inference_mode():
        memory = recogniser.speecht5.encoder(inputs["waveforms"]).last_hidden_state

    # A loop of its own, which is faster than `generate` with its logits processors and stopping criteria.
    @torch.inference_mode()
    def run():
        newest, cache, tokens = torch.full([items, 1], EOS), None, []
        for _ in range(work["tokens"]):
            output = decoder(newest, encoder_hidden_states=memory, past_key_values=cache, use_cache=True)
            cache = output.past_key_values
            logits = head(output.last_hidden_state[:, -1])
            logits[:, EOS] = -torch.inf
            newest = logits.argmax(1, keepdim=True)
            tokens.append(newest)
        tokens = torch.cat(tokens, 1)
        return {"tokens": tokens.numel(), "digest": digest(tokens)}

    return Ready(run, count(recogniser.parameters()), recogniser)


def speech(work, model, inputs):
    speaker = inputs["speaker"]
    synthesiser = SpeechT5ForTextToSpeech(config(model)).eval()
    vocoder = hifi_gan() if work["vocoder"] else None
    ratio = work["frames"] / work["characters"]

    def run():
        made = synthesiser.generate_speech(
            inputs["characters"], speaker, minlenratio=ratio, maxlenratio=ratio, vocoder=vocoder
        )
        return {"samples": made.numel()} if vocoder else {"frames": made.shape[-2]}

    return Ready(run, count(synthesiser.parameters()), synthesiser, vocoder)


def hifi_gan():
    return SpeechT5HifiGan(SpeechT5HifiGanConfig()).eval()


def vocoding(work, model, inputs):
    vocoder = hifi_gan()

    @torch.inference_mode()
    def run():
        waveform = vocoder(inputs["mel"][0])
        return {"samples": waveform.numel(), "magnitude": float(waveform.abs().double().mean())}

    return Ready(run, vocoder=vocoder)


# A folder whose tokenizer is taken.
TOKENIZER = Path("fixtures/hf/asr")
# Its characters; what is before and behind them is special, or no token at all.
CHARACTERS = slice(4, 48)


def talkative(model):
    """A recogniser that writes characters alone, and never an end: texts are as long as they may be."""
    recogniser = SpeechT5ForSpeechToText(config(model)).eval()
    matrix = recogniser.get_input_embeddings().weight
    with torch.no_grad():
        direction = torch.randn(matrix.shape[1])
        recogniser.speecht5.decoder.wrapped_decoder.layers[-1].final_layer_norm.bias += direction
        special = torch.ones(len(matrix), dtype=torch.bool)
        special[CHARACTERS] = False
        matrix[special] = -direction
    return recogniser


def transcription(work, model, inputs):
    recogniser = talkative(model)

    def run():
        tokens = recogniser.generate(inputs["waveforms"], max_new_tokens=work["tokens"], num_beams=work["beam"])[:, 1:]
        outcome = {"tokens": tokens.numel()}
        if work["beam"] == 1:
            outcome["digest"] = digest(tokens)
        return outcome

    return Ready(run, count(recogniser.parameters()), recogniser)


def program(work, model, inputs):
    import soundfile

    files = {name.name: lambda to, name=name: shutil.copy(name, to) for name in TOKENIZER.glob("*token*")}
    for name in ["spm_char.model", "preprocessor_config.json"]:
        files[name] = lambda to: shutil.copy(TOKENIZER / to.name, to)
    if work["command"] == "transcribe":
        trained, vocoder = talkative(model), None
        files["input.wav"] = lambda to: soundfile.write(to, inputs["waveforms"][0].numpy().clip(-1, 1), 16000)
        arguments = [work["beam"], work["tokens"]]
    else:
        trained, vocoder = SpeechT5ForTextToSpeech(config(model)).eval(), hifi_gan()
        # The start of a word is a token of its own.
        text = ("very fine indeed! the lazy fox " * 9)[: work["characters"] - 1]
        files["text.txt"] = lambda to: to.write_text(text)
        files["speaker.safetensors"] = lambda to: save_file({"speaker": inputs["speaker"]}, to)
        arguments = [work["ratio"]]

    def run():
        script = Path(__file__).with_name("program.py")
        command = [sys.executable, "-Wignore", script, work["command"], work["folder"], *map(str, arguments)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        return {}

    return Ready(run, 0, trained, vocoder, files)


def log_mel(work, model, inputs):
    sounds = [sound.numpy() for sound in inputs["waveforms"]]
    extract = {"transformers": transformers_mel, "librosa": librosa_mel}[work["extractor"]]()

    def run():
        frames = 0
        for _ in range(work["repeats"]):
            for sound in sounds:
                frames += len(extract(sound))
        return {"frames": frames}

    return Ready(run)


def transformers_mel():
    from transformers import SpeechT5FeatureExtractor

    extractor = SpeechT5FeatureExtractor()
    return lambda sound: extractor(audio_target=sound, sampling_rate=16000)["input_values"][0]


def librosa_mel():
    import librosa
    import numpy as np

    def extract(sound):
        magnitudes = np.abs(librosa.stft(sound, n_fft=1024, hop_length=256, pad_mode="reflect"))
        mel = librosa.feature.melspectrogram(S=magnitudes, sr=16000, n_mels=80, fmin=80, fmax=7600)
        return np.log10(np.maximum(mel, 1e-10)).T

    return extract


def versions():
    import platform

    import transformers

    return {"python": platform.python_version(), "torch": torch.__version__, "transformers": transformers.__version__}


WORK = {
    "pretraining": pretraining,
    "recognition": recognition,
    "encoding": encoding,
    "text": text,
    "speech": speech,
    "vocoding": vocoding,
    "transcription": transcription,
    "program": program,
    "log_mel": log_mel,
}
