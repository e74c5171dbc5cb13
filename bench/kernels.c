/* Kernels of every set against the multiply-add peak that the same core reaches in the same burst. One core; medians of bursts. CSV on
 * stdout: multiply-adds count twice as flops, and only those that a shape asks for, not those in pads; bytes are those of each operand once.
 *
 *     kernels [--quick] [--set NAME]
 */
#include "bench.h"
#include "learn/noise.h"
#include "nn/net.h"

enum { BURSTS_MOST = 9 };

typedef struct measure {
    const zo_kernels *set;
    int bursts;
    double seconds; /* of a burst */
} measure;

/* One kernel at one shape: run() does it once. */
typedef struct trial {
    const char *kernel;
    char shape[64];
    double work, bytes; /* multiply-adds and bytes of one run */
    void (*run)(const struct trial *t);
    const zo_kernels *set;
    const void *of; /* what it works on */
} trial;

/* Processor seconds of this thread: others may use the core meanwhile. */
static double used(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static double rate_of(const trial *t, double seconds)
{
    double done = 0, start = used(), now = start;
    for (int turns = 1; now - start < seconds; now = used(), turns *= 2) {
        for (int i = 0; i < turns; i++) t->run(t);
        done += turns;
    }
    return done / (now - start);
}

static double peak_of(const zo_kernels *set, double seconds)
{
    float sink = 0;
    double done = 0, start = used(), now = start;
    for (; now - start < seconds; now = used()) done += set->spin(2, &sink);
    return done / (now - start);
}

/* Work that is no multiply-adds is reported in runs a second, its share as empty. */
static void measure_trial(const measure *m, trial *t)
{
    double rate[BURSTS_MOST], share[BURSTS_MOST];
    t->set = m->set;
    t->run(t);
    for (int i = 0; i < m->bursts; i++) { /* side by side, so that both see the same machine */
        double peak = peak_of(m->set, m->seconds / 4);
        rate[i] = rate_of(t, m->seconds);
        share[i] = rate[i] * t->work / peak;
    }
    double median = bench_median(rate, m->bursts);
    printf("%s,%s,%s,%.2f,", m->set->info.name, t->kernel, t->shape,
           t->work > 0 ? 2e-9 * median * t->work : 0);
    if (t->work > 0)
        printf("%.3f,%.3f,", bench_median(share, m->bursts), t->bytes / (2 * t->work));
    else
        printf(",,");
    printf("%.2f\n", 1e-9 * median * t->bytes);
    fflush(stdout);
}

/* ---- products: a stage of a network, plain or transposed, or a matrix ---- */

typedef struct product_of {
    zo_operand a;
    float *memory, *packed, *c, *bias;
    size_t *start;
    size_t n, ldc, c_image;
    bool direction; /* no bias, no activation */
} product_of;

static void run_product(const trial *t)
{
    const product_of *p = t->of;
    zo_epilogue e = {.bias = p->bias, .activate = t->set->activation[ZO_RELU].activate};
    if (p->direction) e = (zo_epilogue){0};
    t->set->product(p->c, p->ldc, p->c_image, &p->a, p->packed, p->n, &e);
}

static void free_product(product_of *p)
{
    free(p->memory), free(p->packed), free(p->c), free(p->bias), free(p->start);
}

static void finish_product(const measure *m, trial *t, product_of *p, size_t terms, size_t rows,
                           size_t inputs)
{
    p->packed = bench_numbers(zo_packed_size(terms, p->n));
    p->bias = bench_numbers(zo_round16(p->n));
    t->run = run_product;
    t->of = p;
    t->work = (double)rows * (double)terms * (double)p->n;
    t->bytes = 4 * ((double)inputs + (double)terms * (double)p->n + (double)rows * (double)p->n);
    measure_trial(m, t);
    free_product(p);
}

static void dense(const measure *m, size_t rows, size_t k, size_t n)
{
    product_of p = {.n = n, .ldc = zo_round16(n)};
    trial t = {.kernel = "dense"};
    snprintf(t.shape, sizeof t.shape, "%zu x %zu -> %zu", rows, k, n);
    p.memory = bench_numbers(rows * k);
    p.c = bench_room((rows * p.ldc + 16) * sizeof *p.c);
    p.a = zo_matrix(p.memory, k, rows, k);
    finish_product(m, &t, &p, k, rows, rows * k);
}

/* The direction of a dense layer: inputs transposed, times errors, 128 examples a tile. */
static void direction(const measure *m, size_t inputs, size_t n)
{
    size_t examples = 128, rows = inputs < 112 ? inputs : 112;
    product_of p = {.n = n, .ldc = zo_round16(n), .direction = true};
    trial t = {.kernel = "direction"};
    snprintf(t.shape, sizeof t.shape, "%zu of %zu x %zu -> %zu", rows, inputs, examples, n);
    p.memory = bench_numbers(examples * inputs);
    p.c = bench_room((rows * p.ldc + 16) * sizeof *p.c);
    p.a = zo_transposed(p.memory, inputs, rows, examples);
    finish_product(m, &t, &p, examples, rows, rows * examples);
}

/* Windows of k x k inside images of side x side, 16 images. */
static void conv(const measure *m, const char *kernel, size_t side, size_t k, size_t c, size_t n)
{
    size_t images = 16, out = side - k + 1, pitch = c < 4 ? c : zo_round16(c),
           image = zo_round16(side * side * pitch);
    bool joined = pitch == c;
    product_of p = {.n = n, .ldc = zo_round16(n), .c_image = out * out * zo_round16(n)};
    trial t = {.kernel = kernel};
    snprintf(t.shape, sizeof t.shape, "%zu x %zu x %zu %zux%zu -> %zu", side, side, c, k, k, n);
    p.memory = bench_numbers(images * image + 16);
    p.c = bench_room((images * p.c_image + 16) * sizeof *p.c);
    size_t runs = joined ? k : k * k;
    p.start = bench_room(runs * sizeof *p.start);
    for (size_t i = 0; i < runs; i++)
        p.start[i] = joined ? i * side * pitch : (i / k * side + i % k) * pitch;
    p.a = (zo_operand){.a = p.memory,
                       .rows = out,
                       .lines = out,
                       .images = images,
                       .row = pitch,
                       .line = side * pitch,
                       .image = image,
                       .runs = runs,
                       .run = k * k * c / runs,
                       .step = 1,
                       .start = p.start};
    finish_product(m, &t, &p, k * k * c, images * out * out, images * side * side * c);
}

/* ---- one moved unit, and what follows: relu, ten outputs, their loss ---- */

enum { MOVES = 112 };

typedef struct moves_of {
    size_t k, n;
    float *z, *h, *y, *packed, *last, *bias, loss[MOVES];
    zo_move move[MOVES];
    int32_t label[MOVES];
} moves_of;

static void run_moves(const trial *t)
{
    moves_of *p = (moves_of *)(uintptr_t)t->of;
    zo_operand a = zo_matrix(p->h, p->n, MOVES, p->n);
    t->set->column_update(p->h, p->n, p->move, MOVES, p->z, p->n, p->packed, p->k, p->n,
                          t->set->activation[ZO_RELU].activate, 0);
    t->set->product(p->y, 16, 0, &a, p->last, 10, &(zo_epilogue){.bias = p->bias});
    t->set->loss[ZO_CROSS_ENTROPY](p->loss, p->y, 16, MOVES, 10, p->label, NULL, 0);
}

static void column_updates(const measure *m, size_t width)
{
    moves_of *p = bench_room(sizeof *p);
    trial t = {.kernel = "column-update", .run = run_moves, .of = p};
    snprintf(t.shape, sizeof t.shape, "%zu -> 10 and loss", width);
    p->k = p->n = width;
    p->z = bench_numbers(32 * width);
    p->h = bench_numbers(MOVES * width);
    p->y = bench_numbers(MOVES * 16);
    p->packed = bench_numbers(width * width);
    p->last = bench_numbers(width * 16);
    p->bias = bench_numbers(16);
    for (size_t i = 0; i < MOVES; i++) {
        p->move[i] = (zo_move){(int32_t)(i % 32), (int32_t)(i * 37 % width), 0.01f};
        p->label[i] = (int32_t)(i % 10);
    }
    t.work = MOVES * 11.0 * (double)width;
    t.bytes = 4 * (MOVES * 2.0 * (double)width + 16 * (double)width);
    measure_trial(m, &t);
    free(p->z), free(p->h), free(p->y), free(p->packed), free(p->last), free(p->bias), free(p);
}

/* ---- windows without products ---- */

typedef struct window_of {
    zo_window w;
    float *in, *out, *weight;
} window_of;

static void run_depthwise(const trial *t)
{
    const window_of *p = t->of;
    t->set->depthwise(p->out, p->in, p->weight, p->weight, &p->w);
}

static void run_pool(const trial *t)
{
    const window_of *p = t->of;
    t->set->pool(p->out, p->in, &p->w, true);
}

static void window(const measure *m, size_t side, size_t k, size_t c, bool pool)
{
    size_t out = pool ? side / k : side;
    window_of p = {.w = {.in_height = side,
                         .in_width = side,
                         .pitch = c,
                         .channels = c,
                         .out_height = out,
                         .out_width = out,
                         .height = k,
                         .width = k,
                         .stride = pool ? k : 1,
                         .dilation = 1,
                         .top = pool ? 0 : k / 2,
                         .left = pool ? 0 : k / 2},
                   .in = bench_numbers(side * side * c),
                   .out = bench_numbers(side * side * c),
                   .weight = bench_numbers(k * k * c)};
    trial t = {
        .kernel = pool ? "pool" : "depthwise", .run = pool ? run_pool : run_depthwise, .of = &p};
    snprintf(t.shape, sizeof t.shape, "%zu x %zu x %zu %zux%zu", side, side, c, k, k);
    t.work = pool ? 0 : (double)(out * out * k * k * c);
    t.bytes = 4 * (double)(side * side * c + out * out * c);
    measure_trial(m, &t);
    free(p.in), free(p.out), free(p.weight);
}

/* ---- noise, and what it is added to: GB/s of what is written ---- */

enum { NUMBERS = 16384 };

typedef struct noise_of {
    float *in, *out;
    uint16_t *signs;
    zo_stream stream;
} noise_of;

static void run_signs(const trial *t)
{
    const noise_of *p = t->of;
    zo_noise_signs(t->set, &p->stream, 0, NUMBERS / 16, p->signs);
}

static void run_normal(const trial *t)
{
    const noise_of *p = t->of;
    zo_noise_normal(t->set, &p->stream, 0, NUMBERS, p->out);
}

static void run_add_noise(const trial *t)
{
    const noise_of *p = t->of;
    t->set->add_noise(p->out, p->in, NUMBERS, 0.1f, p->signs, NULL);
}

static void run_pack(const trial *t)
{
    const noise_of *p = t->of;
    t->set->pack(p->out, p->in, 128, NUMBERS / 128, 128);
}

static void noise(const measure *m)
{
    noise_of p = {bench_numbers(NUMBERS), bench_numbers(NUMBERS), bench_room(NUMBERS), {{0}, {0}}};
    p.stream = zo_stream_at(1, ZO_FOR_NOISE, 2, 3);
    trial trials[] = {
        {.kernel = "signs", .shape = "16384 (1/8 byte each)", .run = run_signs, .bytes = NUMBERS / 8},
        {.kernel = "normal", .shape = "16384", .run = run_normal, .bytes = 4 * NUMBERS},
        {.kernel = "add-noise", .shape = "16384", .run = run_add_noise, .bytes = 4 * NUMBERS},
        {.kernel = "pack", .shape = "128 x 128", .run = run_pack, .bytes = 4 * NUMBERS}};
    for (size_t i = 0; i < sizeof trials / sizeof *trials; i++) {
        trials[i].of = &p;
        measure_trial(m, trials + i);
    }
    free(p.in), free(p.out), free(p.signs);
}

/* ---- */

static void dense_shapes(const measure *m, bool quick)
{
    static const size_t shapes[][3] = {
        {256, 784, 128},   {256, 128, 128},    {1024, 1024, 1024}, {512, 2048, 512},
        {16, 784, 128},    {64, 1024, 1024},   {2048, 784, 128},   {4096, 784, 1024},
        {65536, 128, 128}, {2048, 2048, 2048}, {128, 4096, 4096},  {1024, 256, 256},
        {112, 784, 100},   {112, 128, 10},     {4096, 64, 64},     {4096, 16, 32},
        {16, 128, 128},    {16, 1024, 1024},   {16, 2048, 2048},   {16, 4096, 4096}};
    for (size_t s = 0; s < (quick ? 4 : sizeof shapes / sizeof *shapes); s++)
        dense(m, shapes[s][0], shapes[s][1], shapes[s][2]);
}

static void all_shapes(const measure *m, bool quick)
{
    dense_shapes(m, quick);
    conv(m, "conv", 28, 3, 16, 16);
    conv(m, "conv", 14, 3, 32, 32);
    conv(m, "conv", 12, 5, 16, 32);
    conv(m, "conv", 10, 3, 64, 64);
    conv(m, "conv-first", 28, 5, 1, 8);
    conv(m, "conv-first", 28, 5, 1, 32);
    conv(m, "conv-first", 32, 3, 3, 16);
    conv(m, "conv-8", 12, 5, 8, 16);
    direction(m, 784, 128);
    direction(m, 1024, 32);
    for (size_t width = 128; width <= 1024; width *= 2) column_updates(m, width);
    window(m, 28, 3, 32, false);
    window(m, 24, 2, 16, true);
    noise(m);
}

int main(int argc, char **argv)
{
    bool quick = argc > 1 && !strcmp(argv[1], "--quick");
    const char *only = argc > 2 && !strcmp(argv[argc - 2], "--set") ? argv[argc - 1] : NULL;
    if (argc > 1 + quick + 2 * !!only)
        return fprintf(stderr, "usage: kernels [--quick] [--set NAME]\n"), 2;
    printf("kernels,kernel,shape,gflops,share,bytes_per_flop,gbytes\n");
    for (int i = 0; zo_kernel_classes[i]; i++) {
        const zo_kernels *set = (const zo_kernels *)zo_kernel_classes[i];
        measure m = {set, quick ? 3 : BURSTS_MOST, quick ? 0.04 : 0.1};
        if (!set->available() || set == &zo_kernels_ref) continue;
        if (only && strcmp(only, set->info.name) != 0) continue;
        all_shapes(&m, quick);
    }
    return 0;
}
