/* Perturbed passes against plain batched inference of the same layers and rows, in the same run; the share of a step outside passes; memory;
 * plain inference alone. CSV on stdout, all threads.
 *
 *     passes [--quick | --net NAME [KIND]]
 *     passes --peer mlp256|mlp4096|cnn|resnet|openes|openes-signs     one JSON line, for bench/peers.py
 */
#include "bench.h"

#include "learn/moves.h"

#define BATCH 256

static const bench_net nets[] = {
    {"mlp", MLP},       {"wide", "dense1024 relu dense1024 relu dense10"}, {"cnn", CNN},
    {"resnet", RESNET}, {"steps", "dense128 step dense128 step dense10"},
};

/* ---- plain inference of the same layers and rows ---- */

/* Rows that run from tensor `from` to the losses. */
typedef struct plain {
    const zo_learner *l;
    int from;
    zo_stage moved_by; /* from > 0: what moves goes into this one's activation, which runs as well */
    size_t rows, total; /* that run together, of all */
    float *in;          /* [rows][ld] */
    float **scratch;    /* [workers] */
    float **moved;      /* [workers]: [rows][ld] */
    const float **cache;
    int32_t *label;
} plain;

static void run_plain(void *arg, int64_t item, int worker)
{
    const plain *p = arg;
    const zo_net *net = p->l->net;
    size_t first = (size_t)item * p->rows,
           m = p->total - first < p->rows ? p->total - first : p->rows;
    float loss[512], *in = p->in;
    if (p->from > 0) {
        in = p->moved[worker];
        zo_stage_activation(net, &p->moved_by, m, p->in, in);
    }
    zo_tail tail = {.params = net->params,
                    .from = p->from,
                    .m = m,
                    .in = in,
                    .ld = p->from < net->stages ? net->stage[p->from].ld_in
                                                : net->stage[p->from - 1].ld_out,
                    .cache = p->cache,
                    .all = true,
                    .scratch = p->scratch[worker],
                    .most = p->rows};
    zo_learner_losses(p->l, loss, zo_net_tail(net, &tail), m, p->label, NULL);
}

/* Seconds of `times` times `total` rows through the stages from `from` on, and through the activation of `site` before them (-1: none), which
 * may have its pooling between, losses included. */
static double plain_seconds(const zo_learner *l, int site, int from, size_t total, int times)
{
    const zo_net *net = l->net;
    size_t rows = 65536 / net->widest, workers = (size_t)zo_context_threads(l->ctx);
    rows = rows < 8 ? 8 : rows < 112 ? rows : 112;
    size_t ld = from < net->stages ? net->stage[from].ld_in : net->stage[from - 1].ld_out;
    plain p = {.l = l, .from = from, .rows = rows, .total = total, .in = bench_numbers(rows * ld)};
    if (from > 0) {
        p.moved_by = net->stage[site];
        p.moved_by.out = net->stage[from - 1].out, p.moved_by.ld_out = ld;
    }
    p.scratch = bench_room(workers * sizeof *p.scratch);
    p.moved = bench_room(workers * sizeof *p.moved);
    p.cache = bench_room(((size_t)net->stages + 1) * sizeof *p.cache);
    p.label = bench_room(rows * sizeof *p.label);
    for (size_t w = 0; w < workers; w++) {
        p.scratch[w] = bench_room(zo_net_scratch(net, rows) * sizeof(float));
        p.moved[w] = bench_room(rows * ld * sizeof(float));
    }
    float *clean = bench_numbers(rows * net->widest);
    for (int i = 0; i <= net->stages; i++) p.cache[i] = clean;
    int64_t items = (int64_t)((total + rows - 1) / rows);
    zo_parallel(l->ctx, items, run_plain, &p); /* warm */
    double start = bench_now();
    for (int i = 0; i < times; i++) zo_parallel(l->ctx, items, run_plain, &p);
    double seconds = bench_now() - start;
    for (size_t w = 0; w < workers; w++) free(p.scratch[w]), free(p.moved[w]);
    free(p.scratch), free(p.moved), free((void *)p.cache), free(p.label), free(p.in), free(clean);
    return seconds;
}

/* ---- what is measured ---- */

typedef struct kind {
    const char *name, *estimator;
    const char *const *settings;
    int draws; /* passes of an example: at every site (nodes), or in all */
} kind;

static const char *const node_settings[] = {"set=random", "place=outputs", "draws=16", "sides=one",
                                            NULL};
static const char *const lowrank_settings[] = {"population=32", "examples=0", "sides=two", NULL};
static const char *const weights_settings[] = {"population=32", NULL};
static const kind kinds[] = {
    {"nodes", "nodes", node_settings, 16},
    {"lowrank", "lowrank", lowrank_settings, 64},
    {"weights", "weights", weights_settings, 64},
};

/* The same layers and rows as the passes of a kind, the clean one included: multiply-adds, and seconds of plain inference. */
static double same_work(const bench_learner *b, const kind *k, int times, double *work)
{
    const zo_net *net = b->l.net;
    double seconds = plain_seconds(&b->l, -1, 0, BATCH, times);
    *work = BATCH * net->cost;
    bool nodes = !strcmp(k->name, "nodes");
    for (int i = 0; i < net->stages && nodes; i++) {
        if (!net->stage[i].rows) continue;
        int from = zo_moves_entry(net, i, false) + 1;
        seconds += plain_seconds(&b->l, i, from, BATCH * (size_t)k->draws, times);
        *work += BATCH * k->draws * zo_net_tail_cost(net, from);
    }
    if (nodes) return seconds;
    *work += BATCH * k->draws * net->cost;
    return seconds + plain_seconds(&b->l, -1, 0, BATCH * (size_t)k->draws, times);
}

/* Multiply-adds of the direction, to be taken from what a step reports. */
static double direction_work(const bench_learner *b, const kind *k)
{
    const zo_net *net = b->l.net;
    double work = 0;
    for (int i = 0; i < net->stages; i++) {
        const zo_stage *s = net->stage + i;
        if (!strcmp(k->name, "nodes") && s->rows)
            work += BATCH * (s->cost + (s->has_bias ? s->outputs : 0));
        else
            work += k->draws / 2 * (double)s->parameters;
    }
    return work;
}

/* Seconds of `times` steps, in passes and in the rest; what the last one reports. */
static zo_step_info timed_steps(bench_learner *b, int times, double *passes, double *rest)
{
    zo_step_info info = {0};
    double seconds[2];
    *passes = *rest = 0;
    for (int i = 0; i < times; i++) {
        info = bench_step(b, seconds);
        *passes += seconds[0];
        *rest += seconds[1];
    }
    return info;
}

static void measure(const zo_task *task, const bench_net *n, const kind *k, int rounds)
{
    zo_net *net = bench_create(task, n->spec);
    bench_learner *b = bench_learner_create(task, net, BATCH, k->estimator, k->settings);
    double time[16], rate[16], outside[16], done = 0, work = 0, gflops[16], seconds[2];
    bench_step(b, seconds);
    int times =
        1 + (int)(0.03 / (seconds[0] + seconds[1])); /* a round is long enough for the clock */
    for (int r = 0; r < rounds; r++) {
        double passes, rest;
        done = timed_steps(b, times, &passes, &rest).cost - direction_work(b, k);
        double alone = same_work(b, k, times, &work);
        time[r] = alone / passes;
        rate[r] = done / passes / (work / alone);
        outside[r] = rest / (passes + rest);
        gflops[r] = 2e-9 * work * times / alone;
    }
    printf("%s,%s,%d,%.4g,%.4g,%.1f,%.3f,%.3f,%.3f\n", n->name, k->name, k->draws, work, done,
           bench_median(gflops, rounds), bench_median(time, rounds), bench_median(rate, rounds),
           bench_median(outside, rounds));
    fflush(stdout);
    bench_learner_destroy(b);
    zo_net_destroy(net);
}

/* What is not passes in a step with the default settings of each estimator: rule sgd, without gathering the batch. */
static void print_outside(const zo_task *task, int rounds)
{
    static const char *const none[] = {NULL};
    printf("# outside of passes, with default settings:");
    for (size_t n = 0; n < sizeof nets / sizeof *nets; n++) {
        for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
            zo_net *net = bench_create(task, nets[n].spec);
            bench_learner *b = bench_learner_create(task, net, BATCH, kinds[k].estimator, none);
            double share[16], seconds[2];
            bench_step(b, seconds);
            int times = 1 + (int)(0.03 / (seconds[0] + seconds[1])),
                n_rounds = seconds[0] > 0.5 ? 1 : rounds;
            for (int r = 0; r < n_rounds; r++) {
                double passes, rest;
                timed_steps(b, times, &passes, &rest);
                share[r] = rest / (passes + rest);
            }
            printf(" %s %s %.3f", nets[n].name, kinds[k].name, bench_median(share, n_rounds));
            fflush(stdout);
            bench_learner_destroy(b);
            zo_net_destroy(net);
        }
    }
    printf("\n");
}

/* ---- memory ---- */

static size_t in_use, most_in_use;

static void *count_alloc(void *user, size_t size, size_t align)
{
    (void)user;
    in_use += size;
    if (in_use > most_in_use) most_in_use = in_use;
    return aligned_alloc(align, (size + align - 1) / align * align);
}

static void count_free(void *user, void *ptr, size_t size)
{
    (void)user;
    in_use -= size;
    free(ptr);
}

/* Bytes that a trainer takes, its own copy of the network included, at the most in two steps. */
static size_t trainer_bytes(int inputs, const char *spec, int64_t n, const char *method,
                            const char *const *settings, double *net_bytes)
{
    zo_context *ctx = NULL;
    zo_context_def def = zo_context_default_def();
    def.allocator = (zo_allocator){.alloc = count_alloc, .free = count_free};
    bench_require(NULL, zo_context_create(&def, &ctx));
    zo_task *task = bench_task(ctx, inputs, n);
    zo_net *net = bench_create(task, spec);
    size_t before = most_in_use = in_use;
    zo_trainer *t = bench_trainer(task, net, method, settings);
    zo_step_info info;
    for (int i = 0; i < 2; i++) bench_require(ctx, zo_trainer_step(t, 0.5, &info));
    *net_bytes = 4.0 * (double)net->arena;
    size_t bytes = most_in_use - before;
    zo_trainer_destroy(t);
    zo_net_destroy(net);
    zo_task_destroy(task);
    zo_context_destroy(ctx);
    return bytes;
}

static void memory_of_nodes(const char *name, const char *spec)
{
    static const char *const few[] = {"batch=256", "set=random", "place=outputs", "draws=1", NULL};
    static const char *const many[] = {"batch=256", "set=random", "place=outputs", "draws=4096",
                                       NULL};
    static const char *const reference[] = {"batch=256", NULL};
    double net_bytes;
    size_t one = trainer_bytes(784, spec, 600, "nodes:sgd", few, &net_bytes),
           all = trainer_bytes(784, spec, 600, "nodes:sgd", many, &net_bytes),
           backprop = trainer_bytes(784, spec, 600, "backprop:sgd", reference, &net_bytes);
    printf("# memory of %s, bytes: nodes with 1 draw %zu, with 4096 draws %zu; backprop %zu; the "
           "network %.0f\n",
           name, one, all, backprop, net_bytes);
}

static void memory_of_lowrank(void)
{
    static const char *const settings[] = {"batch=64", "population=64", "examples=0", "sides=two",
                                           NULL};
    double net_bytes;
    size_t bytes = trainer_bytes(784, "dense2048 relu dense2048 relu dense2048 relu dense10", 200,
                                 "lowrank:sgd", settings, &net_bytes);
    printf("# memory of lowrank, 784-2048-2048-2048-10, 64 pairs: %.0f bytes of weights, %.1f %% "
           "beyond them\n",
           net_bytes, 100 * ((double)bytes / net_bytes - 1));
}

static void print_memory(void)
{
    memory_of_nodes("mlp", MLP);
    memory_of_nodes("cnn", CNN);
    memory_of_lowrank();
}

/* ---- alone, for comparisons with others ---- */

static void print_rate(const char *name, double rate, const char *unit)
{
    printf("{\"name\": \"%s\", \"rate\": %.1f, \"unit\": \"%s\"}\n", name, rate, unit);
}

static void peer_inference(zo_context *ctx, const char *name, const char *spec, int64_t batch)
{
    zo_task *task = bench_task(ctx, 784, 200);
    zo_net *net = bench_create(task, spec);
    float *x = bench_numbers((size_t)batch * 784), *y = bench_room((size_t)batch * 40);
    double best = 0, start = bench_now(), begin, done;
    bench_require(ctx, zo_net_forward(net, batch, x, y));
    while (bench_now() - start < 2) {
        begin = bench_now(), done = 0;
        while (bench_now() - begin < 0.1) {
            bench_require(ctx, zo_net_forward(net, batch, x, y));
            done += (double)batch;
        }
        double rate = done / (bench_now() - begin);
        if (rate > best) best = rate;
    }
    print_rate(name, best, "samples/s");
    free(x), free(y);
    zo_net_destroy(net);
    zo_task_destroy(task);
}

/* Evolution strategies as the others have them: full noise, one batch for all members, pairs; normal numbers, or the default, signs. */
static void peer_openes(zo_context *ctx, const char *name, const char *noise)
{
    const char *const settings[] = {"population=512", "batch=256", noise, NULL};
    zo_task *task = bench_task(ctx, 784, 600);
    zo_net *net = bench_create(task, MLP);
    zo_trainer *t = bench_trainer(task, net, "weights:adam", settings);
    zo_step_info info;
    bench_require(ctx, zo_trainer_step(t, 0, &info));
    double start = bench_now(), members = 0;
    for (; bench_now() - start < 2; members += 1024)
        bench_require(ctx, zo_trainer_step(t, 0.5, &info));
    print_rate(name, members / (bench_now() - start), "evaluations/s");
    zo_trainer_destroy(t);
    zo_net_destroy(net);
    zo_task_destroy(task);
}

static int peer(const char *name)
{
    zo_context *ctx = bench_context(0);
    if (!strcmp(name, "mlp256"))
        peer_inference(ctx, name, MLP, 256);
    else if (!strcmp(name, "mlp4096"))
        peer_inference(ctx, name, MLP, 4096);
    else if (!strcmp(name, "cnn"))
        peer_inference(ctx, name, CNN, 1024);
    else if (!strcmp(name, "resnet"))
        peer_inference(ctx, name, RESNET, 256);
    else if (!strcmp(name, "openes"))
        peer_openes(ctx, name, "noise=gaussian");
    else if (!strcmp(name, "openes-signs"))
        peer_openes(ctx, name, "noise=rademacher");
    else
        return fprintf(stderr, "passes: no peer \"%s\"\n", name), 2;
    zo_context_destroy(ctx);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 3 && !strcmp(argv[1], "--peer")) return peer(argv[2]);
    bool quick = argc == 2 && !strcmp(argv[1], "--quick"),
         only = (argc == 3 || argc == 4) && !strcmp(argv[1], "--net");
    if (argc > 1 && !quick && !only)
        return fprintf(stderr, "usage: passes [--quick | --net NAME [KIND] | --peer NAME]\n"), 2;
    zo_context *ctx = bench_context(0);
    zo_task *task = bench_task(ctx, 784, 600);
    printf("net,passes,draws,multiply_adds,done,plain_gflops,time_ratio,rate_ratio,outside\n");
    for (size_t n = 0; n < sizeof nets / sizeof *nets; n++) {
        for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
            if (only && strcmp(argv[2], nets[n].name) != 0) continue;
            if (argc == 4 && strcmp(argv[3], kinds[k].name) != 0) continue;
            measure(task, nets + n, kinds + k, quick ? 3 : 9);
        }
    }
    if (!only) print_outside(task, quick ? 3 : 9);
    if (!only) print_memory();
    zo_task_destroy(task);
    zo_context_destroy(ctx);
    return 0;
}
