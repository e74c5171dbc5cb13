/* What the record of a run costs: the same steps with and without a run directory, in turn, and the parts of it alone. CSV on stdout.
 *
 *     durable FOLDER [SECONDS] [PAIRS]
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "run/loop.h"

typedef struct kind {
    const char *name, *task, *method, *net;
} kind;

/* From steps of 30 microseconds to steps of 50 milliseconds. */
static const kind kinds[] = {
    {"xor-nodes", "xor", "nodes", NULL},
    {"blobs-weights", "blobs", "weights", NULL},
    {"fashion-nodes", "fashion-mnist", "nodes", "dense128 relu dense128 relu dense10"},
    {"fashion-weights", "fashion-mnist", "weights", "dense128 relu dense128 relu dense10"},
    {"fashion-backprop", "fashion-mnist", "backprop", "dense128 relu dense128 relu dense10"},
};

static void require(const zo_context *ctx, zo_status status)
{
    if (!status) return;
    fprintf(stderr, "durable: %s\n", zo_last_error(ctx));
    exit(1);
}

static void empty(const char *folder)
{
    static const char *const files[] = {"config.json", "metrics.jsonl",       "journal",
                                        "checkpoint",  "checkpoint.previous", "model.safetensors"};
    char path[4200];
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, files[i]);
        unlink(path);
    }
    rmdir(folder);
}

static zo_train_result train(zo_context *ctx, const zo_task *task, const kind *k, double seconds,
                             double forwards, const char *out)
{
    zo_train_def def = zo_train_default_def();
    zo_train_result result;
    def.task = task;
    def.method = k->method;
    def.net = k->net;
    def.seconds = seconds;
    def.forwards = forwards;
    def.out = out;
    require(ctx, zo_train(ctx, &def, &result, NULL));
    if (out) empty(out);
    return result;
}

/* Seconds of training for the same work, plain and recorded, alternately; the first of a pair changes. */
static void measure(zo_context *ctx, const kind *k, const char *folder, double seconds, int pairs)
{
    zo_task_def of = zo_task_default_def();
    zo_task *task;
    of.name = k->task;
    require(ctx, zo_task_create(ctx, &of, &task));
    zo_train_result first = train(ctx, task, k, seconds, 0, NULL);
    for (int i = 0; i < pairs; i++) {
        double time[2];
        for (int turn = 0; turn < 2; turn++) {
            int recorded = (turn + i) % 2;
            time[recorded] =
                train(ctx, task, k, 0, first.forwards, recorded ? folder : NULL).seconds_training;
        }
        printf("%s,%d,%.4f,%.6f,%lld,%.3f\n", k->name, i + 1, time[1] / time[0] - 1,
               time[0] / (double)first.steps, (long long)first.steps, time[0]);
        fflush(stdout);
    }
    zo_task_destroy(task);
}

/* The parts: an entry of the journal with and without losses, and a saved state. */
static void parts(zo_context *ctx, const kind *k, const char *folder)
{
    enum { TIMES = 20000, STATES = 15 };
    static const char *const settings[] = {"batch=16", NULL};
    zo_task_def of = zo_task_default_def();
    zo_net_def shape = zo_net_default_def();
    zo_train_def run = zo_train_default_def();
    zo_trainer_def def = zo_trainer_default_def();
    zo_record r = {0};
    zo_course course;
    zo_trainer *trainer;
    of.name = k->task;
    zo_task *task;
    zo_net *net;
    require(ctx, zo_task_create(ctx, &of, &task));
    zo_task_info info = zo_task_describe(task);
    shape.spec = k->net ? k->net : info.net;
    shape.inputs = info.inputs;
    require(ctx, zo_net_create(ctx, &shape, &net));
    def.task = run.task = task;
    def.net = net;
    def.method = k->method;
    def.settings = settings;
    run.out = folder;
    require(ctx, zo_trainer_create(ctx, &def, &trainer));
    require(ctx, zo_record_open(&r, ctx, &run, trainer));
    zo_course_begin(&course);
    double start = zo_loop_clock();
    for (int i = 1; i <= TIMES; i++) zo_record_step(&r, i, 0.5, 1);
    double step = (zo_loop_clock() - start) / TIMES;
    start = zo_loop_clock();
    for (int i = 0; i < STATES; i++) zo_record_state_save(&r, &course, net, trainer);
    double state = (zo_loop_clock() - start) / STATES;
    printf("%s,entry,,%.9f,%d,\n%s,state,,%.6f,%d,\n", k->name, step, TIMES, k->name, state, STATES);
    zo_record_fini(&r);
    empty(folder);
    zo_trainer_destroy(trainer);
    zo_net_destroy(net);
    zo_task_destroy(task);
}

int main(int argc, char **argv)
{
    zo_context *ctx;
    char folder[4096];
    if (argc < 2) {
        fprintf(stderr, "usage: durable FOLDER [SECONDS] [PAIRS]\n");
        return 2;
    }
    double seconds = argc > 2 ? atof(argv[2]) : 6;
    int pairs = argc > 3 ? atoi(argv[3]) : 9;
    snprintf(folder, sizeof folder, "%s/durable-run", argv[1]);
    require(NULL, zo_context_create(NULL, &ctx));
    printf("name,pair,share,seconds_a_step,steps,seconds\n");
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        measure(ctx, kinds + i, folder, seconds, pairs);
    parts(ctx, kinds + 3, folder);
    zo_context_destroy(ctx);
    return 0;
}
