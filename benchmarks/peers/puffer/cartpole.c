// Speed of PufferLib's C CartPole, one core, measured on command as rivals.py does: one JSON line with the settings that
// were fastest, then for each line on standard input (seconds) the steps per second.
//
// setup.sh compiles it against cartpole.h of the unpacked source package. Environments and buffers lie as their vec_init
// lays them (one buffer for all, each environment points to its slots); actions are drawn in advance and copied into the
// action buffer, which is what their Python side does with a step's actions.
#include "cartpole.h"

enum { kRows = 64, kTried = 4, kMaxEnvs = 65536 };

typedef struct Batch {
  int num_envs;
  Cartpole* envs;
  float *observations, *actions, *rewards, *rows;
  unsigned char *terminals, *truncations;
} Batch;

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static Batch make_batch(int n) {
  Batch b = {n,
             calloc(n, sizeof(Cartpole)),
             calloc(4 * n, sizeof(float)),
             calloc(n, sizeof(float)),
             calloc(n, sizeof(float)),
             calloc((size_t)kRows * n, sizeof(float)),
             calloc(n, 1),
             calloc(n, 1)};
  for (int k = 0; k < kRows * n; ++k) b.rows[k] = (float)(rand() & 1);
  for (int i = 0; i < n; ++i) {
    Cartpole* env = &b.envs[i];
    env->observations = b.observations + 4 * i;
    env->actions = b.actions + i;
    env->rewards = b.rewards + i;
    env->terminals = b.terminals + i;
    env->truncations = b.truncations + i;
    init(env);
    c_reset(env);
  }
  return b;
}

static double measure(Batch* b, double seconds) {
  const double start = now();
  double elapsed = 0, steps = 0;
  while (elapsed < seconds) {
    for (int row = 0; row < kRows; ++row) {
      memcpy(b->actions, b->rows + (size_t)row * b->num_envs, sizeof(float) * b->num_envs);
      for (int i = 0; i < b->num_envs; ++i) c_step(&b->envs[i]);
    }
    steps += (double)kRows * b->num_envs;
    elapsed = now() - start;
  }
  return steps / elapsed;
}

int main(int argc, char** argv) {
  const double tune_seconds = argc > 1 ? atof(argv[1]) : 0.3;
  const int sizes[kTried] = {16, 256, 4096, kMaxEnvs};
  Batch batches[kTried];
  int best = 0;
  double best_rate = 0;
  for (int k = 0; k < kTried; ++k) {
    batches[k] = make_batch(sizes[k]);
    measure(&batches[k], 0.05);
    const double rate = measure(&batches[k], tune_seconds);
    if (rate > best_rate) best_rate = rate, best = k;
  }
  printf(
      "{\"settings\": {\"num_envs\": %d, \"flags\": \"%s\"}, \"versions\": {\"pufferlib\": "
      "\"%s\"}}\n",
      sizes[best], PUFFER_FLAGS, PUFFER_VERSION);
  fflush(stdout);
  double seconds;
  while (scanf("%lf", &seconds) == 1) {
    printf("%f\n", measure(&batches[best], seconds));
    fflush(stdout);
  }
  return 0;
}
