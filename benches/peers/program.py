"""What a user of transformers runs: program.py transcribe FOLDER BEAM TOKENS | speak FOLDER RATIO.

FOLDER is a model's, with `input.wav`, or `text.txt`, `speaker.safetensors` and `vocoder/`.
"""

import os
import sys
from pathlib import Path

import soundfile
import torch
from transformers import SpeechT5ForSpeechToText, SpeechT5ForTextToSpeech, SpeechT5HifiGan, SpeechT5Processor

torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))


def transcribe(folder, beam, tokens):
    processor = SpeechT5Processor.from_pretrained(folder)
    model = SpeechT5ForSpeechToText.from_pretrained(folder)
    samples, rate = soundfile.read(folder / "input.wav", dtype="float32")
    inputs = processor(audio=samples, sampling_rate=rate, return_tensors="pt")
    ids = model.generate(**inputs, num_beams=int(beam), max_new_tokens=int(tokens))
    print(processor.batch_decode(ids, skip_special_tokens=True)[0])


def speak(folder, ratio):
    from safetensors.torch import load_file

    processor = SpeechT5Processor.from_pretrained(folder)
    model = SpeechT5ForTextToSpeech.from_pretrained(folder)
    vocoder = SpeechT5HifiGan.from_pretrained(folder / "vocoder")
    inputs = processor(text=(folder / "text.txt").read_text(), return_tensors="pt")
    speaker = load_file(folder / "speaker.safetensors")["speaker"]
    samples = model.generate_speech(
        inputs["input_ids"], speaker, threshold=1.99, maxlenratio=float(ratio), vocoder=vocoder
    )
    soundfile.write(folder / "theirs.wav", samples.numpy(), 16000)


if __name__ == "__main__":
    _, command, folder, *rest = sys.argv
    {"transcribe": transcribe, "speak": speak}[command](Path(folder), *rest)
