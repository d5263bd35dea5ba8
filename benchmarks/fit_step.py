"""A training step through `fit`, with the recorder, against the bare jitted step (JAX).

    KERAS_BACKEND=jax python benchmarks/fit_step.py --steps 60

The two take turns in rounds on the same batches of the sample corpus; the median step of each round counts.
"Read at once": the losses are read at each step, as Keras does by itself.
"""
import os

os.environ["KERAS_BACKEND"] = "jax"
import tempfile
from functools import partial
from time import perf_counter

import jax
import keras
import numpy as np
from harness import make_parser

from korean_bert import runs, training
from korean_bert.config import preset
from korean_bert.history import History, Recorder, UnreadLogs
from korean_bert.masking import PretrainBatches, as_fit_data
from korean_bert.resolve import make_bert_config

FREE_STEPS = 5  # of a call of `fit`, not timed


def measure_bare(model, data: list) -> float:
    "Seconds a step of the jitted step alone; it waits for the last one only."
    state = model._get_jax_state(trainable_variables=True, non_trainable_variables=True,
                                 optimizer_variables=True, metrics_variables=True)
    step = jax.jit(model.train_step, donate_argnums=0)
    state = jax.tree.map(lambda a: a.copy(), state)
    logs, state = step(state, data[0])
    jax.block_until_ready(state)
    begin = perf_counter()
    for batch in data:
        logs, state = step(state, batch)
    jax.block_until_ready(state)
    return (perf_counter() - begin) / len(data)


class StartTimer(keras.callbacks.Callback):
    "Notes when the first steps of a call of `fit`, which begins by collecting its state, are done."
    def on_train_batch_end(self, batch, logs=None):
        if batch == FREE_STEPS - 1:
            self.begin = perf_counter()


def measure_fit(model, batches, steps: int, eager: bool) -> float:
    "Seconds a step through `fit`, batches made on the way."
    with tempfile.TemporaryDirectory() as folder:
        schedule = training.LinearWarmupDecay(1e-4, 10**6)
        recorder = Recorder(History(folder), batches, schedule)
        recorder.bar.disable = True
        wrap = list if eager else partial(UnreadLogs, add_history=True, model=model)
        batches.start, batches.steps = 0, steps
        for timer in (StartTimer(), StartTimer()):  # compiled in the first call
            model.fit(as_fit_data(batches), shuffle=False, verbose=0,
                      callbacks=wrap([recorder, timer]))
        return (perf_counter() - timer.begin) / (steps - FREE_STEPS)


def main() -> None:
    parser = make_parser(__doc__)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--preset", default="tiny")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        config = preset(options.preset, output_dir=folder, precision="float32", slow_is_fine=True,
                        base_checkpoint="builtin", block_size=64)
        tokenizer, pairs, _ = runs.prepare(config)
        batches = PretrainBatches(pairs["train"], tokenizer, config, lengths=np.array([64]))
        bert = make_bert_config(config, len(tokenizer))
        model = training.build_model(bert, 10**6, learning_rate=1e-4)
        data = [jax.device_put(batches[i]) for i in range(options.steps)]
        for number in range(options.rounds):
            bare = measure_bare(model, data)
            late = measure_fit(model, batches, options.steps, eager=False)
            eager = measure_fit(model, batches, options.steps, eager=True)
            print(f"round {number}: bare step {bare * 1e3:.1f} ms; fit, losses read a step late "
                  f"{late * 1e3:.1f} ms ({bare / late:.1%}); read at once {eager * 1e3:.1f} ms "
                  f"({bare / eager:.1%}); load {os.getloadavg()[0]:.1f}", flush=True)


if __name__ == "__main__":
    main()
