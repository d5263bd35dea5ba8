"""Seconds of one training step of BERT-base (forward, backward, AdamW) on 2 CPU threads: ours against its peers.

Each peer runs in a process of its own, one after another, the whole round repeated: a machine that others use drifts,
ratios within a round do not. Peers with needs of their own get the python of their own venv:

    python benchmarks/train_step.py --rounds 3 --peers ours-tf-xla,ours-jax,torch,torch-compile,tfbert,kerashub-tf \\
        --python tfbert=venv_57/bin/python --python kerashub=venv_hub/bin/python --json out.json

venvs: tfbert: tensorflow tf-keras transformers==4.57.6;  kerashub: keras-hub tensorflow keras jax;  torch, ours: korean_bert, torch
"""
import argparse, json, os, resource, statistics, subprocess, sys, time
from pathlib import Path

V, H, N, I, A = 25_000, 768, 12, 3072, 12
PEERS = ['matmul', 'ours-tf-xla', 'ours-tf', 'ours-jax', 'ours-jax-nojit', 'tfbert', 'tfbert-xla', 'torch', 'torch-compile', 'kerashub-tf', 'kerashub-jax']

def n_masked(L): return max(1, int(L * .15) + 1)

def model_flops(B, L, P):
    "Matrix products of forward and backward (2 + 4 FLOPs a weight and token), vocabulary on masked positions, attention counted, nothing else."
    layer = 4*H*H + 2*H*I + 2*L*H
    return 6 * (B*L*N*layer + B*P*(V*H + H*H) + B*(H*H + 2*H))

def make_batch(B, L, step):
    import numpy as np
    rng, P = np.random.default_rng(step), n_masked(L)
    pos = np.sort(np.stack([rng.choice(np.arange(1, L), P, replace=False) for _ in range(B)]), 1).astype('int32')
    x = dict(input_ids=rng.integers(5, V, (B, L)).astype('int32'), token_type_ids=np.tile((np.arange(L) >= L // 2).astype('int32'), (B, 1)),
             attention_mask=np.ones((B, L), 'int32'), masked_positions=pos)
    y = dict(masked_ids=rng.integers(5, V, (B, P)).astype('int32'), weights=np.ones((B, P), 'float32'), next_sentence_label=rng.integers(0, 2, B).astype('int32'))
    labels = np.full((B, L), -100, 'int64'); np.put_along_axis(labels, pos.astype('int64'), y['masked_ids'].astype('int64'), 1)
    return x, y, labels

# Each setup returns step(i) -> loss
def setup_ours(B, L, peer):
    os.environ['KERAS_BACKEND'] = 'jax' if 'jax' in peer else 'tensorflow'
    import keras
    try: from korean_bert import model as M
    except ImportError: sys.path.insert(0, str(Path(__file__).parent)); import model as M
    from transformers import BertConfig
    m = M.BertForPreTraining(BertConfig(vocab_size=V))
    opt = keras.optimizers.AdamW(1e-4, weight_decay=.01, epsilon=1e-6)
    m.compile(optimizer=opt, jit_compile=peer in ('ours-tf-xla', 'ours-jax'), run_eagerly=peer == 'ours-jax-nojit')
    def step(i): x, y, _ = make_batch(B, L, i); return float(m.train_on_batch(x, y))
    return step

def setup_kerashub(B, L, peer):
    os.environ['KERAS_BACKEND'] = 'jax' if 'jax' in peer else 'tensorflow'
    import keras, keras_hub
    b = keras_hub.models.BertBackbone(vocabulary_size=V, num_layers=N, num_heads=A, hidden_dim=H, intermediate_dim=I, max_sequence_length=512)
    head = keras_hub.layers.MaskedLMHead(token_embedding=b.token_embedding, intermediate_activation='gelu')
    pos = keras.Input((None,), dtype='int32', name='masked_positions')
    out = head(b.output['sequence_output'], mask_positions=pos)
    nsp = keras.layers.Dense(2)(b.output['pooled_output'])
    m = keras.Model({**b.input, 'masked_positions': pos}, [out, nsp])
    ce = lambda: keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    m.compile(optimizer=keras.optimizers.AdamW(1e-4, weight_decay=.01, epsilon=1e-6), loss=[ce(), ce()])     # jit_compile="auto": Keras's default
    def step(i):
        x, y, _ = make_batch(B, L, i)
        r = m.train_on_batch(dict(token_ids=x['input_ids'], segment_ids=x['token_type_ids'], padding_mask=x['attention_mask'], masked_positions=x['masked_positions']),
                             [y['masked_ids'], y['next_sentence_label']])
        return float(r[0] if isinstance(r, (list, tuple)) else r)
    return step

def setup_tfbert(B, L, peer):
    os.environ['TF_USE_LEGACY_KERAS'] = '1'
    import tensorflow as tf, tf_keras
    from transformers import BertConfig, TFBertForPreTraining
    m = TFBertForPreTraining(BertConfig(vocab_size=V))
    opt = tf_keras.optimizers.AdamW(1e-4, weight_decay=.01, epsilon=1e-6)
    @tf.function(jit_compile=peer.endswith('xla'))
    def train(x, labels, nsl):
        with tf.GradientTape() as tape: loss = tf.reduce_mean(m({**x, 'labels': labels, 'next_sentence_label': nsl}, training=True).loss)
        g = tape.gradient(loss, m.trainable_variables)
        opt.apply_gradients((a, b) for a, b in zip(g, m.trainable_variables) if a is not None)
        return loss
    x0, _, _ = make_batch(1, 8, 0); m({k: x0[k] for k in ('input_ids', 'token_type_ids', 'attention_mask')}); opt.build(m.trainable_variables)
    def step(i):
        x, y, labels = make_batch(B, L, i)
        x = {k: tf.constant(x[k]) for k in ('input_ids', 'token_type_ids', 'attention_mask')}
        return float(train(x, tf.constant(labels.astype('int32')), tf.constant(y['next_sentence_label'])))
    return step

def setup_torch(B, L, peer):
    import torch; torch.set_num_threads(2)
    from transformers import BertConfig, BertForPreTraining
    m = BertForPreTraining(BertConfig(vocab_size=V)).train()
    opt = torch.optim.AdamW(m.parameters(), lr=1e-4, weight_decay=.01, eps=1e-6, fused=True)
    f = torch.compile(m) if peer.endswith('compile') else m
    def step(i):
        x, y, labels = make_batch(B, L, i); t = lambda a: torch.tensor(a, dtype=torch.long)
        loss = f(input_ids=t(x['input_ids']), token_type_ids=t(x['token_type_ids']), attention_mask=t(x['attention_mask']), labels=t(labels), next_sentence_label=t(y['next_sentence_label'])).loss
        loss.backward(); opt.step(); opt.zero_grad(set_to_none=True)
        return loss.item()
    return step

def matmul_rate(seconds=4):
    "GFLOP/s of a 2048^3 float32 product, XLA, TensorFlow's own, NumPy's: [best, median, best per CPU second (robust on a busy machine)]."
    import numpy as np, tensorflow as tf
    n = 2048; a = np.random.default_rng(0).normal(size=(n, n)).astype('float32'); ta = tf.constant(a)
    xla, plain = tf.function(lambda u: tf.matmul(u, u), jit_compile=True), tf.function(lambda u: tf.matmul(u, u))
    rates = {}
    for name, f in (('xla', lambda: xla(ta)[0, 0].numpy()), ('tf', lambda: plain(ta)[0, 0].numpy()), ('numpy', lambda: a @ a)):
        f(); times, cpu, end = [], [], time.perf_counter() + seconds
        while time.perf_counter() < end:
            s, c = time.perf_counter(), time.process_time(); f(); times.append(time.perf_counter() - s); cpu.append(time.process_time() - c)
        rates[name] = [2*n**3 / min(times) / 1e9, 2*n**3 / statistics.median(times) / 1e9, 2*n**3 / min(cpu) / 1e9]
    return rates

def child(peer, B, L, warm, steps):
    if peer == 'matmul': return print('RESULT ' + json.dumps(dict(peer=peer, gflops=matmul_rate())), flush=True)
    step = globals()['setup_' + peer.split('-')[0]](B, L, peer)
    s = time.perf_counter(); losses = [step(i) for i in range(warm)]; first = time.perf_counter() - s
    times, cpu = [], []
    for i in range(steps):
        s, c = time.perf_counter(), time.process_time(); losses.append(step(warm + i)); times.append(time.perf_counter() - s); cpu.append(time.process_time() - c)
    print('RESULT ' + json.dumps(dict(peer=peer, B=B, L=L, warm_s=first, step_s=times, cpu_s=cpu, losses=losses,
                                      rss_gb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20)), flush=True)

def main():
    p = argparse.ArgumentParser()
    p.add_argument('--child'); p.add_argument('-B', type=int, default=8); p.add_argument('-L', type=int, default=128)
    p.add_argument('--rounds', type=int, default=3); p.add_argument('--steps', type=int, default=5); p.add_argument('--warm', type=int, default=2)
    p.add_argument('--peers', default=','.join(PEERS)); p.add_argument('--python', action='append', default=[]); p.add_argument('--json')
    a = p.parse_args()
    if a.child: return child(a.child, a.B, a.L, a.warm, a.steps)
    pythons = dict(s.split('=') for s in a.python)
    env = {**os.environ, 'OMP_NUM_THREADS': '2', 'MKL_NUM_THREADS': '2', 'TF_NUM_INTRAOP_THREADS': '2', 'TF_NUM_INTEROP_THREADS': '1', 'TF_CPP_MIN_LOG_LEVEL': '3'}
    results = []
    for r in range(a.rounds):
        for peer in a.peers.split(','):
            python = next((v for k, v in pythons.items() if peer.startswith(k)), sys.executable)
            q = subprocess.run(['taskset', '-c', '0,1', python, __file__, '--child', peer, '-B', str(a.B), '-L', str(a.L), '--steps', str(a.steps), '--warm', str(a.warm)],
                               env=env, capture_output=True, text=True)
            line = [l for l in q.stdout.splitlines() if l.startswith('RESULT ')]
            if not line: print(f'{peer}: failed\n{q.stderr[-600:]}', flush=True); continue
            results.append({**json.loads(line[0][7:]), 'round': r, 'load': os.getloadavg()[0]}); x = results[-1]
            if peer == 'matmul': print(r, 'matmul', {k: [round(n) for n in v] for k, v in x['gflops'].items()}, 'load %.1f' % x['load'], flush=True)
            else: print(r, f"{peer:15} {a.B / statistics.median(x['step_s']):.3f} seq/s (best {a.B / min(x['step_s']):.3f}), cpu {statistics.median(x['cpu_s']):.2f} s/step, "
                        f"first {x['warm_s']:.0f} s, rss {x['rss_gb']:.1f} GB, load {x['load']:.1f}, loss {x['losses'][0]:.3f}", flush=True)
            if a.json: Path(a.json).write_text(json.dumps(results, indent=1))
    peak = max((v[0] for x in results if x['peer'] == 'matmul' for v in x['gflops'].values()), default=None)
    flops = model_flops(a.B, a.L, n_masked(a.L))
    per_cpu = max((v[2] for x in results if x['peer'] == 'matmul' for v in x['gflops'].values()), default=None)
    print(f'\nmodel FLOPs a step: {flops / 1e9:.0f} G; best matmul rate seen: {peak and round(peak)} GFLOP/s')
    print('| peer | seq/s, median | best step | CPU s a step, best | model GFLOP/s | share of matmul rate | the same per CPU second |\n|---|---|---|---|---|---|---|')
    for peer in a.peers.split(','):
        t = [s for x in results if x['peer'] == peer and 'step_s' in x for s in x['step_s']]
        c = [s for x in results if x['peer'] == peer and 'cpu_s' in x for s in x['cpu_s']]
        if t: m = statistics.median(t); print(f"| {peer} | {a.B/m:.3f} | {a.B/min(t):.3f} | {min(c):.2f} | {flops/m/1e9:.0f} | {f'{flops/m/1e9/peak:.0%}' if peak else ''} | {f'{flops/min(c)/1e9/per_cpu:.0%}' if per_cpu else ''} |")

if __name__ == '__main__': main()
