/* Data of your own, as arrays: how hot a resistance wire gets from its current and its diameter.
 * Trains on simulated measurements, then asks the network about wires that were not measured. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <zeroth/zeroth.h>

enum { N = 2000, NEW = 4 };

/* Degrees above the air: the heat I^2 R of a metre leaves through its surface. */
static float degrees(const float *x) { return 8 * x[0] * x[0] / powf(x[1], 3); }

static float uniform(float from, float to)
{
    return from + (to - from) * (float)rand() / (float)RAND_MAX;
}

static zo_status train(zo_context *ctx, zo_net **net)
{
    static float x[N][2], target[N];
    for (int i = 0; i < N; i++) {
        x[i][0] = uniform(0.5f, 3); /* ampere */
        x[i][1] = uniform(0.8f, 2); /* millimetres */
        target[i] = degrees(x[i]) + uniform(-1, 1);
    }
    zo_data_def data = zo_data_default_def();
    data.inputs = 2, data.n = N, data.x = x[0];
    data.targets = 1, data.target = target; /* for classes: `classes` and `label` */
    zo_train_def def = zo_train_default_def();
    zo_task *task;
    zo_status status = zo_task_from_data(ctx, &data, &task);
    def.task = task;
    def.net = "dense32 tanh dense32 tanh dense1";
    def.epochs = 150;
    def.settings = (const char *const[]){"lr=0.005", "batch=64", NULL};
    if (!status) status = zo_train(ctx, &def, NULL, net);
    zo_task_destroy(task);
    return status;
}

int main(void)
{
    float x[NEW][2] = {{1, 1}, {2, 1}, {2.5f, 1.2f}, {3, 1.8f}}, y[NEW], worst = 0;
    zo_context *ctx;
    zo_net *net = NULL;
    if (zo_context_create(NULL, &ctx)) return 1;
    zo_status status = train(ctx, &net);
    if (!status) status = zo_net_forward(net, NEW, x[0], y);
    if (status) fprintf(stderr, "%s\n", zo_last_error(ctx));
    for (int i = 0; i < NEW && !status; i++) {
        printf("%.1f A, %.1f mm: %.1f degrees (in truth %.1f)\n", x[i][0], x[i][1], y[i],
               degrees(x[i]));
        worst = fmaxf(worst, fabsf(y[i] - degrees(x[i])));
    }
    zo_net_destroy(net);
    zo_context_destroy(ctx);
    return status || worst > 1;
}
