/* Time against work: population, batch, width, depth and threads, with the exponent of a line through the logarithms (1: twice the work
 * takes twice the time). CSV on stdout.
 *
 *     scaling [--quick]
 */
#include <math.h>

#include "bench.h"

enum { POINTS = 5, ROUNDS_MOST = 9 };

/* One step at a point; the median of several rounds, the points in turn, so that all see the same machine. */
typedef struct point {
    const char *spec, *method, *settings[4];
    int threads;
    double work; /* what the time should be proportional to; 0: the multiply-adds that a step reports */
    zo_context *ctx;
    zo_task *task;
    zo_net *net;
    zo_trainer *trainer;
    double seconds[ROUNDS_MOST];
    char text[2][48];
} point;

static void begin(point *p)
{
    p->ctx = bench_context(p->threads);
    p->task = bench_task(p->ctx, 784, 4500);
    p->net = bench_create(p->task, p->spec);
    p->trainer = bench_trainer(p->task, p->net, p->method, p->settings);
    zo_step_info info;
    bench_require(p->ctx, zo_trainer_step(p->trainer, 0, &info));
    if (p->work == 0) p->work = info.cost;
}

static void end(point *p)
{
    zo_trainer_destroy(p->trainer);
    zo_net_destroy(p->net);
    zo_task_destroy(p->task);
    zo_context_destroy(p->ctx);
}

/* Seconds of one step, from as many as fill a twentieth of a second. */
static double step_seconds(const point *p)
{
    zo_step_info info;
    int steps = 0;
    double start = bench_now(), now = start;
    for (; now - start < 0.05; steps++, now = bench_now())
        bench_require(p->ctx, zo_trainer_step(p->trainer, 0.5, &info));
    return (now - start) / steps;
}

static double slope(const point *p, const double *time, int n)
{
    double x = 0, y = 0, xx = 0, xy = 0;
    for (int i = 0; i < n; i++) {
        double a = log(p[i].work), b = log(time[i]);
        x += a, y += b, xx += a * a, xy += a * b;
    }
    return (n * xy - x * y) / (n * xx - x * x);
}

static void run(const char *what, point *p, int n, int rounds)
{
    double time[POINTS];
    for (int i = 0; i < n; i++) begin(p + i);
    for (int i = 0; i < n; i++) step_seconds(p + i);
    for (int r = 0; r < rounds; r++) {
        for (int i = 0; i < n; i++) p[i].seconds[r] = step_seconds(p + i);
    }
    for (int i = 0; i < n; i++) time[i] = bench_median(p[i].seconds, rounds);
    bool threads = !strcmp(what, "threads");
    for (int i = 0; i < n; i++)
        printf("%s,%s,%s,%d,%.6g,%.6g,\n", what, p[i].method, p[i].spec, p[i].threads, p[i].work,
               time[i]);
    if (threads)
        printf("%s-speed,%s,%s,,,,%.3f\n", what, p->method, p->spec, time[0] / time[1]);
    else
        printf("%s-exponent,%s,%s,,,,%.3f\n", what, p->method, p->spec, slope(p, time, n));
    fflush(stdout);
    for (int i = 0; i < n; i++) end(p + i);
}

/* Points that differ in one setting, which is also the work. */
static void by_setting(const char *what, const char *setting, const char *other, const char *method,
                       const char *spec, int least, int rounds)
{
    point p[POINTS] = {0};
    for (int i = 0; i < POINTS; i++) {
        p[i].spec = spec;
        p[i].method = method;
        p[i].work = least << i;
        snprintf(p[i].text[0], sizeof p[i].text[0], "%s=%d", setting, least << i);
        p[i].settings[0] = p[i].text[0];
        p[i].settings[1] = other;
    }
    run(what, p, POINTS, rounds);
}

/* Points whose networks differ. */
static void by_net(const char *what, const char *const specs[POINTS], const char *method, int rounds)
{
    point p[POINTS] = {0};
    for (int i = 0; i < POINTS; i++)
        p[i] = (point){.spec = specs[i], .method = method, .settings = {"batch=256"}};
    run(what, p, POINTS, rounds);
}

static void by_threads(const char *method, const char *spec, const char *setting, int rounds)
{
    point p[2] = {0};
    for (int i = 0; i < 2; i++) {
        p[i] = (point){.spec = spec, .method = method, .settings = {"batch=512", setting}};
        p[i].threads = i + 1;
        p[i].work = i + 1;
    }
    run("threads", p, 2, rounds);
}

static const char *const widths[] = {
    "dense128 relu dense128 relu dense10", "dense256 relu dense256 relu dense10",
    "dense512 relu dense512 relu dense10", "dense1024 relu dense1024 relu dense10",
    "dense2048 relu dense2048 relu dense10"};
#define D "dense256 relu "
static const char *const depths[] = {D D "dense10", D D D D "dense10", D D D D D D D D "dense10",
                                     D D D D D D D D D D D D D D D D "dense10",
                                     D D D D D D D D D D D D D D D D D D D D D D D D "dense10"};

int main(int argc, char **argv)
{
    bool quick = argc == 2 && !strcmp(argv[1], "--quick");
    if (argc > 1 && !quick) return fprintf(stderr, "usage: scaling [--quick]\n"), 2;
    int rounds = quick ? 3 : ROUNDS_MOST;
    printf("what,method,net,threads,work,seconds,figure\n");
    by_setting("population", "population", "batch=256", "weights:sgd", MLP, 16, rounds);
    by_setting("population", "population", "batch=256", "lowrank:sgd", MLP, 256, rounds);
    by_setting("batch", "batch", "population=16", "weights:sgd", MLP, 256, rounds);
    by_setting("batch", "batch", NULL, "nodes:sgd", MLP, 256, rounds);
    by_setting("batch", "batch", "draws=4", "nodes:sgd", CNN, 64, rounds);
    by_net("width", widths, "weights:sgd", quick ? 1 : 3);
    by_net("depth", depths, "weights:sgd", quick ? 1 : 3);
    by_threads("weights:sgd", MLP, "population=64", rounds);
    by_threads("lowrank:sgd", MLP, "population=256", rounds);
    by_threads("nodes:sgd", MLP, "draws=16", rounds);
    by_threads("nodes:sgd", CNN, "draws=4", rounds);
    by_threads("backprop:sgd", MLP, NULL, rounds);
    return 0;
}
