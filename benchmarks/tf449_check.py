"""Do folders saved by us load in transformers 4.49's TensorFlow classes, as tutorials load them?

    python benchmarks/tf449_check.py VENV/bin/python

VENV is an environment of its own: pip install tensorflow tf-keras transformers==4.49.0
"""
import argparse
import os
import subprocess
import sys
import tempfile

import numpy as np
from harness import make_parser

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"  # read when TensorFlow is imported, in a function below

LABELS = 3    # of the classifier that we save
LENGTH = 40   # tokens of the longest example
CLOSE = 1e-4  # largest difference of an output


def make_inputs() -> dict[str, np.ndarray]: # (3, LENGTH) int32 each
    "Three examples of 40, 23 and 9 tokens; the second segment begins at the seventh token."
    places = np.arange(LENGTH)[None]
    mask = (places < np.array([40, 23, 9])[:, None]).astype("int32")
    ids = np.random.default_rng(0).integers(5, 500, (3, LENGTH)).astype("int32")
    segments = ((places >= 6) * mask).astype("int32")
    return {"input_ids": ids * mask, "token_type_ids": segments, "attention_mask": mask}


def save_ours(folder: str) -> None:
    "Save two models with weights far from their first ones, and what they answer."
    import keras
    from transformers import BertConfig

    from korean_bert.model import BertForPreTraining, BertForSequenceClassification
    from korean_bert.weights import save_hf_weights

    keras.utils.set_random_seed(0)
    config = BertConfig(vocab_size=500, hidden_size=64, num_hidden_layers=3, num_attention_heads=4,
                        intermediate_size=128)
    pretraining = BertForPreTraining(config)
    classifier = BertForSequenceClassification(config, LABELS)
    for variable in (*pretraining.trainable_variables, *classifier.trainable_variables):
        mean, rng = float("gamma" in variable.path), np.random.default_rng(variable.shape[-1])
        variable.assign(rng.normal(mean, 0.08, variable.shape))
    save_hf_weights(pretraining, f"{folder}/pretraining")
    save_hf_weights(classifier, f"{folder}/classification")
    inputs = make_inputs()
    everywhere = np.tile(np.arange(LENGTH, dtype="int32"), (3, 1))
    answers = pretraining({**inputs, "masked_positions": everywhere})
    np.savez(f"{folder}/ours.npz", **{name: np.asarray(value) for name, value in answers.items()},
             logits=np.asarray(classifier(inputs)))


def compare_theirs(folder: str) -> None:
    "Load both folders in transformers and compare what the models answer."
    import transformers
    from transformers import TFBertForPreTraining, TFBertForSequenceClassification

    print("transformers", transformers.__version__)
    ours, inputs, worst = np.load(f"{folder}/ours.npz"), make_inputs(), {}
    for model_class, name in [(TFBertForPreTraining, "pretraining"),
                              (TFBertForSequenceClassification, "classification")]:
        model, info = model_class.from_pretrained(f"{folder}/{name}", output_loading_info=True)
        problems = ["missing_keys", "unexpected_keys", "mismatched_keys"]
        assert not any(info[key] for key in problems), info
        answers = model(inputs)
        for key in ours.files:
            if key in answers:
                difference = np.abs(answers[key].numpy() - ours[key]).max()
                worst[f"{model_class.__name__}.{key}"] = float(difference)
    # as the tutorial does: a new head on a pretrained folder
    fresh = TFBertForSequenceClassification.from_pretrained(f"{folder}/pretraining", num_labels=2)
    shape = fresh(inputs).logits.shape
    print(worst, "new head on the pretrained folder:", shape)
    assert len(worst) == 3 and max(worst.values()) < CLOSE and shape == (3, 2)
    print("ok")


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("python", help="interpreter of that environment")
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:  # one of the two processes
        step, folder = options.child
        return {"save_ours": save_ours, "compare_theirs": compare_theirs}[step](folder)
    with tempfile.TemporaryDirectory() as folder:
        for python, step in [(sys.executable, "save_ours"), (options.python, "compare_theirs")]:
            subprocess.run([python, __file__, python, "--child", step, folder], check=True)


if __name__ == "__main__":
    main()
