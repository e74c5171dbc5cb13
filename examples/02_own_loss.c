/* A loss of your own: to miss an ill person costs 10, a false alarm costs 1. The loss is the cost of
 * the decision itself, which jumps and has no useful derivative. Here against cross-entropy. */
#include <stdio.h>
#include <stdlib.h>
#include <zeroth/zeroth.h>

enum { N = 4000 };
static const float cost[2][2] = {{0, 1}, {10, 0}}; /* [truth][decision] */
static float x[2 * N][2];                          /* half to train on, half that is new */
static int32_t ill[2 * N];

static void cost_loss(void *user, int n, int outputs, const float *y, int stride,
                      const int32_t *label, const float *target, float *loss)
{
    (void)user, (void)outputs, (void)target; /* targets are for regression */
    for (int i = 0; i < n; i++) loss[i] = cost[label[i]][y[i * stride + 1] > y[i * stride]];
}

/* Trains with one loss or the other; the mean cost of decisions about new people, or -1. */
static double mean_cost(zo_context *ctx, const zo_task *task, zo_loss_fn loss)
{
    static float y[N][2];
    double sum = 0;
    zo_net *net;
    zo_train_def def = zo_train_default_def();
    def.task = task, def.net = "dense16 relu dense2", def.epochs = 40;
    def.loss = loss, def.loss_jumps = loss != NULL; /* NULL: cross-entropy, which is smooth */
    zo_status status = zo_train(ctx, &def, NULL, &net);
    if (!status) status = zo_net_forward(net, N, x[N], y[0]);
    for (int i = 0; i < N; i++) sum += cost[ill[N + i]][y[i][1] > y[i][0]];
    zo_net_destroy(net);
    if (status) fprintf(stderr, "%s\n", zo_last_error(ctx));
    return status ? -1 : sum / N;
}

int main(void)
{
    for (int i = 0; i < 2 * N; i++) { /* one in four is ill; the measurements overlap */
        ill[i] = rand() % 4 == 0;
        for (int f = 0; f < 2; f++) x[i][f] = 1.5f * (float)ill[i];
        for (int k = 0; k < 8; k++) x[i][k / 4] += 2 * (float)rand() / (float)RAND_MAX - 1;
    }
    zo_data_def data = zo_data_default_def();
    data.inputs = data.classes = 2, data.n = N, data.x = x[0], data.label = ill;
    zo_context *ctx;
    zo_task *task;
    if (zo_context_create(NULL, &ctx) || zo_task_from_data(ctx, &data, &task)) return 1;
    double plain = mean_cost(ctx, task, NULL), own = mean_cost(ctx, task, cost_loss);
    printf("a decision costs %.3f after cross-entropy, %.3f after our own loss\n", plain, own);
    zo_task_destroy(task);
    zo_context_destroy(ctx);
    return !(own >= 0 && own < 0.8 * plain);
}
