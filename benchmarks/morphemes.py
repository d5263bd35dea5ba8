"""A vocabulary learnt within morphemes, as KLUE's, against one learnt by frequency alone.

    python benchmarks/morphemes.py ../shared/corpora    # how both cut text that they were not learnt on
    python benchmarks/morphemes.py --train              # bits per character of `tiny` with each

Both vocabularies have the same size and cut words by the longest match; mecab-ko is needed only while
the second is learnt. Tokens of different vocabularies hold different amounts of text, so that losses
per token cannot be compared, bits per character can.
"""
import argparse
import json
import logging
import tempfile
from pathlib import Path
from unittest import mock

import mecab_ko
from transformers import PreTrainedTokenizerFast

from korean_bert import runs
from korean_bert.cleaning import clean_corpus, load_corpus, split_corpus
from korean_bert.config import preset
from korean_bert.tokenizer import load_base_tokenizer, tokenizer_report, train_tokenizer
from tokenizers import Tokenizer

MARK = "ʘ"  # in no corpus here: stands before a morpheme that begins inside an eojeol
TAGGER = mecab_ko.Tagger()


def find_morphemes(line: str) -> list[tuple[int, str, str]]:
    "Where each morpheme of a line begins, as it is written, and its tags."
    found, place = [], 0
    for row in TAGGER.parse(line).splitlines():
        if row != "EOS":
            surface, tags = row.split("\t")
            place = line.index(surface, place)
            found.append((place, surface, tags.split(",")[0]))
            place += len(surface)
    return found


def mark_morphemes(text: str) -> str:
    "A space between morphemes, the mark before those inside an eojeol."
    return "\n".join(" ".join(surface if place == 0 or line[place - 1] == " " else MARK + surface
                              for place, surface, _ in find_morphemes(line))
                     for line in text.split("\n"))


def train_on_morphemes(texts, vocab_size: int = 25_000, base=None, batch_size: int = 256):
    "What `train_tokenizer` does, no merge across a morpheme's end."
    marked = [mark_morphemes(text) for text in texts]
    big = train_tokenizer(marked, vocab_size * 13 // 10, base, batch_size).get_vocab()
    renamed = dict.fromkeys(piece.replace("##" + MARK, "").replace(MARK, "##")
                            for piece in sorted(big, key=big.get))
    vocab = [piece for piece in renamed if piece not in ("", "##")][:vocab_size]
    base = base or load_base_tokenizer("builtin")
    state = json.loads(base.backend_tokenizer.to_str())
    state["model"]["vocab"] = {piece: i for i, piece in enumerate(vocab)}
    return PreTrainedTokenizerFast(tokenizer_object=Tokenizer.from_str(json.dumps(state)),
                                   model_max_length=base.model_max_length,
                                   model_input_names=base.model_input_names,
                                   **base.special_tokens_map)


def share_kept(tokenizer, texts) -> float:
    "Of the places where a particle follows a noun, the share where a token begins."
    kept = total = 0
    for line in (line for text in texts for line in text.split("\n")):
        offsets = tokenizer(line, return_offsets_mapping=True, add_special_tokens=False,
                            verbose=False).offset_mapping
        starts, found = {start for start, _ in offsets}, find_morphemes(line)
        for (begin, noun, tag), (place, _, particle) in zip(found, found[1:]):
            if tag[0] == "N" and particle[0] == "J" and place == begin + len(noun):
                kept, total = kept + (place in starts), total + 1
    return kept / total


WAYS = {"frequency": train_tokenizer, "morphemes": train_on_morphemes}


def measure(name: str, corpora: list, vocab_size: int) -> None:
    "Print how both cut a tenth of the documents, learnt on the others."
    parts = [split_corpus(clean_corpus(corpus), 0.1, seed=42) for corpus in corpora]
    train, held_out = ([text for part in parts for text in part[side]["text"]] for side in (0, 1))
    for way, learn in WAYS.items():
        tokenizer = learn(train, vocab_size)
        report = tokenizer_report(tokenizer, held_out)
        print(f"{name}, {way}, {len(tokenizer):,} entries: "
              f"{report['tokens_per_eojeol']:.3f} tokens per eojeol, {report['unk_rate']:.2%} [UNK], "
              f"{share_kept(tokenizer, held_out):.1%} of noun and particle apart;",
              "  ".join(" ".join(tokenizer.tokenize(word))
                        for word in ["학교에서", "바다에서", "이순신은", "물리학이었다"]), flush=True)


def train(seed: int) -> None:
    "Train `tiny` on the sample with each vocabulary, print the figures of its validation."
    for way, learn in WAYS.items():
        with tempfile.TemporaryDirectory() as folder, \
                mock.patch.object(runs, "train_tokenizer", learn):
            runs.pretrain(preset("tiny", output_dir=f"{folder}/run", seed=seed))
            report = json.loads(Path(folder, "run/report.json").read_text(encoding="utf-8"))
        print(way, "seed", seed, json.dumps(report["validation"]), flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpora", nargs="?", help="folder with KorQuAD and the petitions")
    parser.add_argument("--train", action="store_true", help="two runs of `tiny`")
    parser.add_argument("--seed", type=int, default=42)
    args = parser.parse_args()
    logging.basicConfig(format="%(message)s")
    if args.train:
        train(args.seed)
    else:
        measure("sample", [load_corpus("sample")], 8_000)
        if args.corpora:
            measure("KorQuAD and petitions", [
                load_corpus(f"{args.corpora}/korquad_v1.0_dev.json",
                            text_column="data.paragraphs.context"),
                load_corpus(f"{args.corpora}/petitions_2019-05.jsonl", text_column="content")],
                25_000)
