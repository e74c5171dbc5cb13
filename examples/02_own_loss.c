/* A loss of your own: to miss an ill person costs 10, a false alarm costs 1. The loss is the cost of
 * the decision itself, which jumps and has no useful derivative. Here against cross-entropy. */
#include <stdio.h>
#include <stdlib.h>
#include <zeroth/zeroth.h>

enum { N = 4000, STEPS = 600 };
static float x[2 * N][2], y[2 * N][2]; /* the first half is trained on, the second is new */
static int32_t ill[2 * N];

static float cost_of(const float *out, int32_t truth)
{
    int decision = out[1] > out[0];
    return decision == truth ? 0.0f : truth ? 10.0f : 1.0f;
}

static void cost_loss(void *user, int n, int outputs, const float *out, int stride,
                      const int32_t *label, const float *target, float *loss)
{
    (void)user, (void)outputs, (void)target;
    for (int i = 0; i < n; i++) loss[i] = cost_of(out + i * stride, label[i]);
}

/* Trains step by step; the mean cost of decisions about new people. */
static double mean_cost(zo_context *ctx, const zo_task *task, const zo_net *start, zo_loss_fn loss)
{
    double sum = 0;
    zo_trainer *trainer;
    zo_trainer_def def = {.task = task, .net = start, .loss = loss}; /* NULL: cross-entropy */
    if (loss) /* where losses jump, moves are large, and each is taken against its opposite */
        def.settings = (const char *const[]){"sigma=1", "sides=two", NULL};
    zo_status status = zo_trainer_create(ctx, &def, &trainer);
    for (int i = 0; i < STEPS && !status; i++)
        status = zo_trainer_step(trainer, (double)i / STEPS, NULL);
    if (!status) status = zo_net_forward(zo_trainer_net(trainer), 2 * N, x[0], y[0]);
    for (int i = N; i < 2 * N; i++) sum += cost_of(y[i], ill[i]);
    if (status) fprintf(stderr, "%s\n", zo_last_error(ctx));
    zo_trainer_destroy(trainer);
    return status ? -1 : sum / N;
}

int main(void)
{
    for (int i = 0; i < 2 * N; i++) { /* one in four is ill; the measurements overlap */
        ill[i] = rand() % 4 == 0;
        for (int k = 0; k < 8; k++) x[i][k / 4] += 2 * (float)rand() / (float)RAND_MAX - 1;
        for (int f = 0; f < 2; f++) x[i][f] += 1.5f * (float)ill[i];
    }
    zo_data_def data = zo_data_default_def();
    data.inputs = data.classes = 2, data.n = N, data.x = x[0], data.label = ill;
    zo_net_def shape = {.spec = "dense16 relu dense2", .inputs = 2, .outputs = 2};
    zo_context *ctx;
    zo_task *task = NULL;
    zo_net *net = NULL;
    if (zo_context_create(NULL, &ctx)) return 1;
    if (zo_task_from_data(ctx, &data, &task) || zo_net_create(ctx, &shape, &net)) return 1;
    double plain = mean_cost(ctx, task, net, NULL), own = mean_cost(ctx, task, net, cost_loss);
    printf("a decision costs %.3f after cross-entropy, %.3f after the loss of our own\n", plain,
           own);
    return zo_net_destroy(net), zo_task_destroy(task), zo_context_destroy(ctx), !(own < 0.8 * plain);
}
