"""Does a folder saved by us load in transformers 4.49's TensorFlow classes, as the tutorial's reload snippets do?
usage: python benchmarks/tf449_check.py             (in the venv of korean_bert; PEER_PYTHON=python of a venv with tensorflow, tf-keras, transformers==4.49.0)
"""
import os, subprocess, sys, tempfile
os.environ['TF_CPP_MIN_LOG_LEVEL'] = '3'
import numpy as np

def inputs():
    rng = np.random.default_rng(0); mask = (np.arange(40)[None] < np.array([40, 23, 9])[:, None]).astype('int32')
    return dict(input_ids=rng.integers(5, 500, (3, 40)).astype('int32') * mask, token_type_ids=((np.arange(40)[None] >= 6) * mask).astype('int32'), attention_mask=mask)

def ours(folder):
    import keras
    from transformers import BertConfig
    try: from korean_bert import model as M
    except ImportError: import model as M
    keras.utils.set_random_seed(0)
    config = BertConfig(vocab_size=500, hidden_size=64, num_hidden_layers=3, num_attention_heads=4, intermediate_size=128)
    m, c, x = M.BertForPreTraining(config), M.BertForSequenceClassification(config, 3), inputs()
    for v in (*m.trainable_variables, *c.trainable_variables): v.assign(np.random.default_rng(v.shape[-1]).normal(float('gamma' in v.path), .08, v.shape))
    M.save_hf_weights(m, f'{folder}/pretraining'); M.save_hf_weights(c, f'{folder}/classification')
    out = m({**x, 'masked_positions': np.tile(np.arange(40, dtype='int32'), (3, 1))})
    np.savez(f'{folder}/ours.npz', **{k: np.asarray(v) for k, v in out.items()}, logits=np.asarray(c(x)))

def theirs(folder):
    import transformers
    from transformers import TFBertForPreTraining, TFBertForSequenceClassification
    ref, x, worst = np.load(f'{folder}/ours.npz'), inputs(), {}
    print('transformers', transformers.__version__)
    for cls, name in ((TFBertForPreTraining, 'pretraining'), (TFBertForSequenceClassification, 'classification')):
        m, info = cls.from_pretrained(f'{folder}/{name}', output_loading_info=True)
        assert not any(info[k] for k in ('missing_keys', 'unexpected_keys', 'mismatched_keys')), info
        out = m(x)
        for k in ref.files:
            if k in out: worst[f'{cls.__name__}.{k}'] = float(np.abs(out[k].numpy() - ref[k]).max())
    m = TFBertForSequenceClassification.from_pretrained(f'{folder}/pretraining', num_labels=2)   # the tutorial: a pretrained folder, a new head
    print(worst, 'new head on the pretrained folder:', m(x).logits.shape)
    assert len(worst) == 3 and max(worst.values()) < 1e-4 and m(x).logits.shape == (3, 2)
    print('ok')

if __name__ == '__main__':
    if len(sys.argv) == 3: globals()[sys.argv[1]](sys.argv[2])
    else:
        peer = os.environ.get('PEER_PYTHON', 'venv_49/bin/python')
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run([sys.executable, __file__, 'ours', folder], check=True)
            subprocess.run([peer, __file__, 'theirs', folder], check=True)
