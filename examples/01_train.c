/* Train a network that has no gradient: step activations, forward passes only.
 *
 *     cc 01_train.c $(pkg-config --cflags --libs zeroth) -o 01_train
 */
#include <stdio.h>
#include <zeroth/zeroth.h>

static void report(void *user, const zo_report *r)
{
    (void)user;
    printf("step %4lld  train loss %.3f  validation accuracy %.3f\n", (long long)r->step,
           r->train_loss, r->validation_accuracy);
}

static zo_status train(zo_context *ctx, const zo_task *task, zo_train_result *result)
{
    zo_train_def def = zo_train_default_def();
    def.task = task;
    def.net = "dense48 step dense48 step dense2";
    def.target = 0.98;  /* stop at this validation accuracy, */
    def.forwards = 2e6; /* or after so many passes of one example through the whole net */
    def.report = report;
    return zo_train(ctx, &def, result, NULL);
}

int main(void)
{
    zo_context *ctx;
    if (zo_context_create(NULL, &ctx)) return fprintf(stderr, "no context\n"), 1;

    zo_task_def def = zo_task_default_def();
    def.name = "spirals"; /* two arms wound around each other */
    def.settings = (const char *const[]){"n=4000", "turns=1", NULL};
    zo_task *task;
    zo_train_result result;
    zo_status status = zo_task_create(ctx, &def, &task);
    if (!status) status = train(ctx, task, &result);
    if (status) {
        fprintf(stderr, "%s: %s\n", zo_status_text(status), zo_last_error(ctx));
    } else {
        printf("%s, estimator %s, uses %s: test accuracy %.3f\n", zo_task_describe(task).net,
               result.estimator, zo_uses_text(result.uses), result.test_accuracy);
    }
    zo_task_destroy(task);
    zo_context_destroy(ctx);
    return status || result.test_accuracy < 0.95;
}
