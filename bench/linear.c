/* The work behind closed forms: features of a tile, sums of products, Cholesky factor, triangular solves and ridge path, as shares of the
 * multiply-add peak that the same threads reach right before, in float32: sums in bfloat16 may pass it. Multiply-adds are those that an
 * algorithm needs: of the lower triangle alone, p^3 / 6 for a factor. CSV on stdout; medians of some runs, by the clock on the wall: a busy
 * machine shows. Without sizes: features, and three.
 *
 *     linear [--quick] [--threads N] [--set NAME] [p ...]
 */
#include <math.h>

#include "bench.h"
#include "learn/closed.h"
#include "linear/cholesky.h"
#include "linear/gram.h"
#include "linear/path.h"
#include "linear/ridge.h"

enum { RUNS_MOST = 5, OUTPUTS = 10, MANY = 256, INPUTS = 64, LAMBDAS = 10 };

typedef struct measure {
    zo_context *ctx;
    size_t p;
    int runs;
    size_t rows; /* for sums of products */
} measure;

/* One operation on one size; prepare() may be NULL. */
typedef struct trial {
    const char *name;
    size_t q;
    double work; /* multiply-adds of one run */
    void (*prepare)(void *of);
    void (*run)(void *of);
    void *of;
} trial;

typedef struct spins {
    const zo_context *ctx;
    double done[ZO_THREADS_MAX];
} spins;

static void spin_item(void *arg, int64_t item, int worker)
{
    (void)worker;
    spins *s = arg;
    float sink = 0;
    s->done[item] = s->ctx->kernels->spin(40, &sink);
}

/* Multiply-adds a second of all threads together. */
static double peak_of(const measure *m)
{
    spins s = {.ctx = m->ctx};
    int threads = zo_context_threads(m->ctx);
    double start = bench_now(), sum = 0;
    zo_parallel(m->ctx, threads, spin_item, &s);
    double took = bench_now() - start;
    for (int i = 0; i < threads; i++) sum += s.done[i];
    return sum / took;
}

static void measure_trial(const measure *m, const trial *t)
{
    double seconds[RUNS_MOST], share[RUNS_MOST];
    for (int i = 0; i < m->runs; i++) {
        if (t->prepare) t->prepare(t->of);
        double peak = peak_of(m), start = bench_now();
        t->run(t->of);
        seconds[i] = bench_now() - start;
        share[i] = t->work / seconds[i] / peak;
    }
    double median = bench_median(seconds, m->runs);
    printf("%s,%s,%zu,%zu,%d,%.4f,%.2f,%.3f\n", zo_context_kernels(m->ctx), t->name, m->p, t->q,
           zo_context_threads(m->ctx), median, 2e-9 * t->work / median,
           bench_median(share, m->runs));
    fflush(stdout);
}

/* m rows of p random ReLU units of INPUTS inputs: correlated, as features are. */
static float *features(const zo_context *ctx, size_t m, size_t p)
{
    size_t ld = zo_round16(p);
    float *x = bench_numbers(m * INPUTS), *weight = bench_numbers(INPUTS * p + INPUTS),
          *packed = bench_room(zo_packed_size(INPUTS, p) * sizeof *packed),
          *h = bench_room(m * ld * sizeof *h);
    zo_operand a = zo_matrix(x, INPUTS, m, INPUTS);
    ctx->kernels->pack(packed, weight + INPUTS, p, INPUTS, p);
    ctx->kernels->product(h, ld, 0, &a, packed, p,
                          &(zo_epilogue){.activate = ctx->kernels->activation[ZO_RELU].activate});
    free(x), free(weight), free(packed);
    return h;
}

/* ---- features: a tile of rows through what is before the last layer, and to where the sums read them, as closed_rows.c does ---- */

typedef struct body {
    const zo_net *net;
    int to; /* the stage whose inputs are the features */
    size_t p, ld, rows;
    float *x, *out, **scratch; /* [TILE][ld_in], [TILE][p], [workers] */
} body;

static void run_body_item(void *arg, int64_t item, int worker)
{
    const body *b = arg;
    size_t first = (size_t)item * ZO_CLOSED_ROWS_ITEM, end = first + ZO_CLOSED_ROWS_ITEM,
           ld_in = b->net->stage[0].ld_in;
    for (size_t at = first; at < end; at += b->rows) {
        zo_tail tail = {.params = b->net->params,
                        .m = b->rows,
                        .in = b->x + at * ld_in,
                        .ld = ld_in,
                        .scratch = b->scratch[worker],
                        .most = b->rows,
                        .to = b->to};
        const float *y = zo_net_tail(b->net, &tail);
        for (size_t i = 0; i < b->rows; i++)
            memcpy(b->out + (at + i) * b->p, y + i * b->ld, b->p * sizeof *y);
    }
}

static void run_body(void *of)
{
    const body *b = of;
    zo_parallel(b->net->ctx, ZO_CLOSED_TILE / ZO_CLOSED_ROWS_ITEM, run_body_item, of);
}

/* `to` 0: the last stage. */
static void features_of(const measure *m, const char *name, int inputs, const char *spec, int to)
{
    size_t workers = (size_t)zo_context_threads(m->ctx);
    zo_task *task = bench_task(m->ctx, inputs, 20);
    zo_net *net = bench_create(task, spec);
    body b = {.net = net, .to = to ? to : net->stages - 1, .rows = ZO_CLOSED_ROWS_ITEM};
    const zo_stage *s = net->stage + b.to;
    b.ld = s->ld_in;
    b.p = to ? s->ld_in : s->rows;
    while (b.rows > 8 && b.rows * net->widest > 131072) b.rows /= 2;
    float *numbers = bench_numbers(net->arena);
    memcpy(net->params, numbers, net->arena * sizeof *numbers);
    b.x = bench_numbers(ZO_CLOSED_TILE * net->stage[0].ld_in);
    b.out = bench_room(ZO_CLOSED_TILE * b.p * sizeof *b.out);
    b.scratch = bench_room(workers * sizeof *b.scratch);
    for (size_t w = 0; w < workers; w++)
        b.scratch[w] = bench_room(zo_net_scratch(net, b.rows) * sizeof(float));
    double work = ZO_CLOSED_TILE * (zo_net_tail_cost(net, 0) - zo_net_tail_cost(net, b.to));
    measure of = {m->ctx, b.p, m->runs, ZO_CLOSED_TILE};
    run_body(&b); /* warm */
    measure_trial(&of, &(trial){.name = name, .work = work, .run = run_body, .of = &b});
    for (size_t w = 0; w < workers; w++) free(b.scratch[w]);
    free(b.x), free(b.out), free(b.scratch), free(numbers);
    zo_net_destroy(net);
    zo_task_destroy(task);
}

#define FILTERS "patch7x64,pad2 twosided0.25 cells4 sqrt flatten scale "
#define UNITS "{ image4 conv3x1500 relu flatten }cat dense10"

/* conv-elm's default for 28 x 28 pixels: all of it, and its parts. */
static void bodies(zo_context *ctx, bool quick)
{
    measure m = {.ctx = ctx, .runs = quick ? 1 : RUNS_MOST};
    features_of(&m, "features", 784, FILTERS UNITS, 0);
    features_of(&m, "features-patch", 784, FILTERS UNITS, 1);
    features_of(&m, "features-filters", 784, FILTERS "dense10", 0);
    features_of(&m, "features-units", 2048, UNITS, 0);
}

/* ---- sums of products ---- */

typedef struct sums {
    zo_gram *gram;
    size_t rows, p, q;
    float *h, *y;
} sums;

static void add_rows(void *of)
{
    sums *s = of;
    bench_require(NULL, zo_gram_add(s->gram, s->rows, s->h, s->p, s->y, s->q, NULL));
}

static void gram(const measure *m, const char *name, unsigned flags)
{
    sums s = {NULL,
              m->rows,
              m->p,
              OUTPUTS,
              bench_numbers(m->rows * m->p),
              bench_numbers(m->rows * OUTPUTS)};
    bench_require(m->ctx, zo_gram_create(m->ctx, s.p, s.q, flags, &s.gram));
    double p = (double)m->p;
    trial t = {.name = name,
               .q = OUTPUTS,
               .work = (double)m->rows * (p * (p + 1) / 2 + p * OUTPUTS),
               .run = add_rows,
               .of = &s};
    measure_trial(m, &t);
    zo_gram_destroy(s.gram);
    free(s.h), free(s.y);
}

/* ---- factor and solves ---- */

typedef struct factors {
    const zo_context *ctx;
    size_t p, ld, q, ldb;
    float *a, *room, *b, *solve_room;
} factors;

/* Diagonally dominant. */
static void fill(void *of)
{
    factors *f = of;
    for (size_t i = 0; i < f->p; i++) {
        for (size_t j = 0; j < i; j++)
            f->a[i * f->ld + j] = (float)((uint32_t)(i * 31 + j) * 2654435761u >> 8) * 0x1p-24f;
        f->a[i * f->ld + i] = (float)f->p;
    }
}

static void run_factor(void *of)
{
    factors *f = of;
    if (zo_cholesky(f->ctx, f->a, f->ld, f->p, 0, 0, f->room) != f->p) exit(1);
}

static void run_lower(void *of)
{
    factors *f = of;
    zo_solve_lower(f->ctx, f->a, f->ld, f->p, f->b, f->ldb, f->q, f->solve_room);
}

static void run_upper(void *of)
{
    factors *f = of;
    zo_solve_upper(f->ctx, f->a, f->ld, f->p, f->b, f->ldb, f->q, f->solve_room);
}

static void solves(const measure *m, factors *f, size_t q)
{
    double p = (double)m->p;
    f->q = q;
    f->ldb = zo_round16(q);
    f->b = bench_numbers(f->p * f->ldb);
    f->solve_room = bench_room(zo_solve_room(q) * sizeof(float));
    trial lower = {"solve-lower", q, p * p / 2 * (double)q, NULL, run_lower, f};
    trial upper = {"solve-upper", q, p * p / 2 * (double)q, NULL, run_upper, f};
    measure_trial(m, &lower);
    measure_trial(m, &upper);
    free(f->b), free(f->solve_room);
}

static void cholesky(const measure *m)
{
    factors f = {.ctx = m->ctx, .p = m->p, .ld = zo_square_ld(m->p)};
    f.a = bench_room(zo_square_floats(m->p) * sizeof *f.a);
    f.room = bench_room(zo_cholesky_room(m->p) * sizeof *f.room);
    double p = (double)m->p;
    trial t = {"cholesky", 0, p * p * p / 6, fill, run_factor, &f};
    measure_trial(m, &t);
    solves(m, &f, OUTPUTS);
    solves(m, &f, MANY);
    free(f.a), free(f.room);
}

/* ---- a ridge solve, and a path of ten lambdas, half a decade apart ---- */

typedef struct ridge {
    const zo_context *ctx;
    zo_moments m;
    float *w, b[OUTPUTS];
    zo_ridge_result solved;
    zo_path_result path;
} ridge;

static double no_score(void *user, size_t index, double lambda, const float *w, size_t ldw,
                       const float *b)
{
    (void)user, (void)lambda, (void)w, (void)ldw, (void)b;
    return (double)index;
}

static void run_ridge(void *of)
{
    ridge *r = of;
    zo_ridge_def def = zo_ridge_default_def();
    bench_require(r->ctx, zo_ridge_solve(r->ctx, &r->m, &def, r->w, OUTPUTS, r->b, &r->solved));
}

static void run_path(void *of)
{
    ridge *r = of;
    double lambda[LAMBDAS], loss[LAMBDAS];
    for (int i = 0; i < LAMBDAS; i++) lambda[i] = i ? lambda[i - 1] * sqrt(10) : 1e-5;
    zo_path_def def = zo_path_default_def();
    def.lambda = lambda, def.n = LAMBDAS, def.score = no_score;
    bench_require(r->ctx, zo_ridge_path(r->ctx, &r->m, &def, loss, &r->path));
}

/* Shares of what the factors alone need: p^3 / 6, and for the path ten times that, as if each lambda had a factor of its own. */
static void solutions(const measure *m)
{
    zo_gram *g = NULL;
    size_t rows = m->p + m->p / 4;
    ridge r = {.ctx = m->ctx, .w = bench_numbers(m->p * OUTPUTS)};
    float *h = features(m->ctx, rows, m->p), *y = bench_numbers(rows * OUTPUTS);
    bench_require(m->ctx, zo_gram_create(m->ctx, m->p, OUTPUTS, 0, &g));
    bench_require(m->ctx, zo_gram_add(g, rows, h, zo_round16(m->p), y, OUTPUTS, NULL));
    r.m = zo_gram_close(g);
    double p = (double)m->p;
    trial one = {"ridge", OUTPUTS, p * p * p / 6, NULL, run_ridge, &r},
          path = {"path", OUTPUTS, LAMBDAS * p * p * p / 6, NULL, run_path, &r};
    measure_trial(m, &one);
    measure_trial(m, &path);
    fprintf(stderr, "p %zu: condition %.1e, refined %d; path: %d factors, %d steps, %d failed\n",
            m->p, r.solved.condition, r.solved.refined, r.path.factorisations, r.path.steps,
            r.path.failed);
    zo_gram_destroy(g);
    free(h), free(y), free(r.w);
}

static zo_context *context_of(int threads, const char *kernels)
{
    zo_context *ctx = NULL;
    zo_context_def def = zo_context_default_def();
    def.threads = threads;
    def.kernels = kernels;
    bench_require(NULL, zo_context_create(&def, &ctx));
    return ctx;
}

static void one_size(zo_context *ctx, size_t p, bool quick)
{
    measure m = {ctx, p, quick ? 1 : RUNS_MOST, quick ? 2048 : 8192};
    gram(&m, "gram", 0);
    gram(&m, "gram-bfloat16", ZO_GRAM_BFLOAT16);
    cholesky(&m);
    solutions(&m);
}

int main(int argc, char **argv)
{
    static const size_t sizes[] = {1000, 4000, 8000};
    int i = 1, threads = 0;
    const char *set = NULL;
    bool quick = argc > i && !strcmp(argv[i], "--quick");
    i += quick;
    if (argc > i + 1 && !strcmp(argv[i], "--threads")) threads = atoi(argv[i + 1]), i += 2;
    if (argc > i + 1 && !strcmp(argv[i], "--set")) set = argv[i + 1], i += 2;
    zo_context *ctx = context_of(threads, set);
    printf("kernels,operation,p,q,threads,seconds,gflops,share\n");
    if (i == argc) {
        bodies(ctx, quick);
        for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) one_size(ctx, sizes[s], quick);
    }
    for (; i < argc; i++) one_size(ctx, (size_t)atoll(argv[i]), quick);
    zo_context_destroy(ctx);
    return 0;
}
