#!/usr/bin/env python3
"""Regenerates "Vocable mini": speaks the sentences of the grammar and writes audio/ and manifest.jsonl beside this file.

    apt-get install flite festival festvox-kdlpc16k vorbis-tools
    corpora/mini/make.py

Byte-identical on the package versions that README.md names. Needs cargo (the sentences come from `vocable-text`).
"""

import array
import json
import math
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import wave
from concurrent.futures import ThreadPoolExecutor

HERE = pathlib.Path(__file__).resolve().parent
RATE = 16_000
RMS = 0.08  # of every recording, relative to full scale
PEAK = 0.95  # no recording goes beyond, whatever its RMS
MARGIN = 0.12  # seconds of silence kept on either side
SILENCE = 0.01  # of the peak


def main():
    for tool in ["flite", "festival", "oggenc", "cargo"]:
        if shutil.which(tool) is None:
            sys.exit(f"make.py: {tool} is not installed (see the top of this file)")
    listing = subprocess.run(
        ["cargo", "run", "--quiet", "--package", "vocable-text", "--example", "mini_sentences"],
        cwd=HERE, check=True, stdout=subprocess.PIPE, text=True,
    ).stdout
    utterances = [json.loads(line) for line in listing.splitlines()]
    shutil.rmtree(HERE / "audio", ignore_errors=True)
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        speak_ked([u for u in utterances if u["speaker"] == "ked"], folder)
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            lines = list(pool.map(lambda utterance: record(utterance, folder), utterances))
    (HERE / "manifest.jsonl").write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))
    print(f"{len(lines)} recordings, {sum(line['seconds'] for line in lines) / 60:.1f} minutes")


def record(utterance, folder):
    """Speaks, levels and encodes one utterance; returns its manifest line."""
    wav = folder / f"{utterance['id']}.wav"
    if utterance["speaker"] != "ked":
        run("flite", "-voice", utterance["speaker"], "-t", utterance["text"], "-o", wav)
    samples = level(trim(read(wav)))
    write(wav, samples)
    speaker = utterance["speaker"]
    audio = f"audio/{speaker}/{utterance['id'].removesuffix('-' + speaker)}.ogg"
    (HERE / audio).parent.mkdir(parents=True, exist_ok=True)
    # The stream's serial number is random unless given.
    run("oggenc", "--quiet", "--quality", "0", "--serial", "1", "--output", HERE / audio, wav)
    keys = ["text", "text_de", "text_fr"]
    return {
        "id": utterance["id"],
        "audio": audio,
        "speaker": speaker,
        **{key: utterance[key] for key in keys},
        "seconds": len(samples) / RATE,
        "split": utterance["split"],
    }


def speak_ked(utterances, folder):
    """All of festival's utterances in one process: it takes long to start."""
    script = folder / "ked.scm"
    lines = ["(voice_ked_diphone)"]
    for utterance in utterances:
        wav = folder / f"{utterance['id']}.wav"
        lines.append(f'(utt.save.wave (utt.synth (Utterance Text "{utterance["text"]}")) "{wav}" \'riff)')
    script.write_text("\n".join(lines) + "\n")
    run("festival", "-b", script)


def run(*command):
    subprocess.run([str(part) for part in command], check=True, stdout=subprocess.DEVNULL)


def read(path):
    with wave.open(str(path)) as file:
        if (file.getframerate(), file.getnchannels(), file.getsampwidth()) != (RATE, 1, 2):
            sys.exit(f"make.py: {path.name} is not 16 kHz, mono, 16 bits")
        return array.array("h", file.readframes(file.getnframes()))


def trim(samples):
    """Cuts the silence at both ends down to the margin."""
    threshold = SILENCE * max(abs(sample) for sample in samples)
    loud = [index for index, sample in enumerate(samples) if abs(sample) > threshold]
    margin = round(MARGIN * RATE)
    return samples[max(0, loud[0] - margin) : loud[-1] + 1 + margin]


def level(samples):
    """One gain for the whole recording, to the common RMS."""
    rms = math.sqrt(sum(sample * sample for sample in samples) / len(samples))
    gain = min(RMS * 32768 / rms, PEAK * 32767 / max(abs(sample) for sample in samples))
    return array.array("h", (round(sample * gain) for sample in samples))


def write(path, samples):
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(samples.tobytes())


if __name__ == "__main__":
    main()
