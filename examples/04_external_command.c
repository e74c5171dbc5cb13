/* Points scored by a command: the cheapest cistern of 20 cubic metres, whose floor and lid cost 5 a square
 * metre and whose walls cost 1. The command gets its width and depth as a line, and writes its price. Here
 * it is awk, started for each point; a program that reads line after line stays (`def.stays = true`). */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <zeroth/zeroth.h>

enum { ROUNDS = 40, POINTS = 8 };

static double uniform(void) { return 2 * (double)rand() / RAND_MAX - 1; }

/* Tries points around the best one, and looks closer when none is better. */
static zo_status search(zo_process_pool *pool, double best[3])
{
    double step = 4;
    for (int round = 0; round < ROUNDS; round++) {
        double x[POINTS][2], price[POINTS], before = best[2];
        char line[POINTS][64];
        const char *items[POINTS];
        for (int i = 0; i < POINTS; i++) {
            for (int k = 0; k < 2; k++) x[i][k] = best[k] + step * uniform();
            snprintf(line[i], sizeof line[i], "%.17g %.17g", x[i][0], x[i][1]);
            items[i] = line[i];
        }
        zo_status status = zo_process_evaluate(pool, POINTS, items, price);
        if (status) return status;
        for (int i = 0; i < POINTS; i++) {
            if (price[i] < best[2]) best[0] = x[i][0], best[1] = x[i][1], best[2] = price[i];
        }
        if (!(best[2] < before)) step /= 2;
    }
    return ZO_OK;
}

int main(void)
{
    /* no price for what cannot be built: such a point fails, and has the worst loss */
    const char *argv[] = {
        "awk", "$1 > 0 && $2 > 0 { printf \"%.17g\\n\", 5 * $1 * $2 + 40 * ($1 + $2) / ($1 * $2) }",
        NULL};
    double best[3] = {1, 4, HUGE_VAL};
    zo_process_def def = zo_process_default_def();
    def.argv = argv, def.stays = false, def.seconds = 10;
    zo_context *ctx;
    zo_process_pool *pool = NULL;
    if (zo_context_create(NULL, &ctx)) return 1;
    zo_status status = zo_process_create(ctx, &def, &pool);
    if (!status) status = search(pool, best);
    if (status) fprintf(stderr, "%s\n", zo_last_error(ctx));
    zo_process_counts counts = zo_process_counted(pool);
    printf(
        "%.2f m wide, %.2f m deep: %.2f (at best 60.00, for 2 m by 2 m); %lld points, %lld of them "
        "without a price\n",
        best[0], best[1], best[2], (long long)counts.items, (long long)counts.failed);
    zo_process_destroy(pool);
    zo_context_destroy(ctx);
    return status || !(best[2] >= 60 - 1e-9 && best[2] < 60.1);
}
